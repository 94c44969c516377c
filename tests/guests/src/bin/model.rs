//! Asks the model that the header `x-model` names, or `classifier`, on plain `wstd`, which knows no Rimward: forwards the request to its
//! endpoint of the Open Inference Protocol, and the answer back.

use wstd::http::{Body, Client, Error, Request, Response, Uri};

#[wstd::http_server]
async fn main(mut request: Request<Body>) -> Result<Response<Body>, Error> {
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let model = request.headers().get("x-model").and_then(|name| name.to_str().ok()).unwrap_or("classifier");
    *request.uri_mut() = format!("http://{model}.model.internal{path}").parse::<Uri>()?;
    Client::new().send(request).await
}
