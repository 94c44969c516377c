//! The guest of the comparisons: it greets, and knows none of the servers that run it.

use wstd::http::{Body, Error, Request, Response};

/// Answers every request with what the bare server answers.
#[wstd::http_server]
async fn main(_request: Request<Body>) -> Result<Response<Body>, Error> {
    Ok(Response::new("Hello from the edge!\n".into()))
}
