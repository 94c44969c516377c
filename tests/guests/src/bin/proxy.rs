//! A proxy on plain `wstd`, which knows no Rimward: forwards a request to the host `origin.upstream.internal` and the
//! answer back, both bodies while they arrive.

use wstd::http::{Body, Client, Error, Request, Response, Uri};

#[wstd::http_server]
async fn main(mut request: Request<Body>) -> Result<Response<Body>, Error> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = format!("http://origin.upstream.internal{path}").parse::<Uri>()?;
    Client::new().send(request).await
}
