//! Reads the request to its end, and says how many bytes it had and which trailers.

use wstd::http::{Body, BodyExt, Error, Request, Response};

#[wstd::http_server]
async fn main(request: Request<Body>) -> Result<Response<Body>, Error> {
    let collected = request.into_body().into_boxed_body().collect().await?;
    let trailers = collected.trailers().cloned().unwrap_or_default();
    let text = format!("{} bytes {trailers:?}\n", collected.to_bytes().len());
    Ok(Response::new(text.into()))
}
