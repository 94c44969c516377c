//! The same proxy on `rimward-sdk`.

use rimward_sdk::{Request, Response, Result, call};

/// Forwards a request to the upstream `origin`, and its answer back.
#[rimward_sdk::function]
async fn proxy(mut request: Request) -> Result<Response> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = format!("http://origin.upstream.internal{path}").parse()?;
    Ok(call::send(request).await?)
}

fn main() {}
