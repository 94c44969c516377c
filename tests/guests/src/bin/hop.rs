//! One of a chain of functions: forwards to the function that the path names first, with the rest of the path. At the end
//! of the path it answers with the body that it got. `/loop` calls itself for ever.

use rimward_sdk::{Request, Response, Result, call};

/// Forwards, or answers.
#[rimward_sdk::function]
async fn hop(request: Request) -> Result<Response> {
    let path = request.uri().path().trim_start_matches('/').to_owned();
    let (next, rest) = match path.split_once('/').unwrap_or((&path, "")) {
        ("", _) => return Ok(Response::new(request.into_body())),
        ("loop", _) => ("hop", "loop"),
        there => there,
    };
    let call = call::function(next).request(request.method().clone(), rest);
    Ok(call.body(request.into_body()).send().await?)
}

fn main() {}
