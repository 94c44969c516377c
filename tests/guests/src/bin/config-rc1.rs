//! `wasi:config/store@0.2.0-rc.1`: answers with the value of the key that the path names, or with all of them.

use bindings::wasi::config::store;
use wstd::http::{Body, Error, Request, Response};

mod bindings {
    wit_bindgen::generate!({ path: "../../sdk/wit/config-0.2.0-rc.1", world: "imports", generate_all });
}

#[wstd::http_server]
async fn main(request: Request<Body>) -> Result<Response<Body>, Error> {
    let answer = match request.uri().path().trim_start_matches('/') {
        "" => format!("{:?}", store::get_all().expect("reading from memory")),
        key => store::get(key).expect("reading from memory").unwrap_or_else(|| "nothing".into()),
    };
    Ok(Response::new(answer.into()))
}
