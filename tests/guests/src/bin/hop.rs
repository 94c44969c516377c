//! One of a chain of functions: forwards to the function that the path names first, with the rest of the path. At the end
//! of the path it answers with the body that it got. `/loop` calls itself for ever.

use wstd::http::{Body, Client, Error, Request, Response, Uri};

#[wstd::http_server]
async fn main(mut request: Request<Body>) -> Result<Response<Body>, Error> {
    let path = request.uri().path().trim_start_matches('/').to_owned();
    let (next, rest) = match path.split_once('/').unwrap_or((&path, "")) {
        ("", _) => return Ok(Response::new(request.into_body())),
        ("loop", _) => ("hop", "loop"),
        there => there,
    };
    *request.uri_mut() = format!("http://{next}.function.internal/{rest}").parse::<Uri>()?;
    Client::new().send(request).await
}
