//! Sends requests to where the header `x-to` says, and answers with what came of them: status and body, or the error's
//! name in WIT. `x-times` says how often, one after the other; `x-at-once` how many at the same time.

use futures_util::future::join_all;
use wstd::http::error::ErrorCode;
use wstd::http::{Body, Client, Error, HeaderMap, Request, Response};
use wstd::time::Duration;

#[wstd::http_server]
async fn main(request: Request<Body>) -> Result<Response<Body>, Error> {
    let headers = request.headers();
    let mut answers = Vec::new();
    for _ in 0..number(headers, "x-times").unwrap_or(1) {
        let calls = (0..number(headers, "x-at-once").unwrap_or(1)).map(|_| call(headers));
        answers.extend(join_all(calls).await);
    }
    Ok(Response::new(answers.join("\n").into()))
}

async fn call(headers: &HeaderMap) -> String {
    match try_call(headers).await {
        Ok(answer) => answer,
        Err(error) => match error.downcast_ref::<ErrorCode>() {
            Some(code) => format!("error {code:?}"),
            None => format!("other error {error:#}"),
        },
    }
}

async fn try_call(headers: &HeaderMap) -> Result<String, Error> {
    let mut request = Request::builder().uri(text(headers, "x-to").unwrap_or_default());
    for (name, value) in headers {
        if let Some(name) = name.as_str().strip_prefix("x-send-") {
            request = request.header(name, value);
        }
    }
    let body = text(headers, "x-body").unwrap_or_default().to_owned();
    let response = client(headers).send(request.body(Body::from(body))?).await?;
    let status = response.status().as_u16();
    let mut body = response.into_body();
    match body.str_contents().await {
        Ok(body) => Ok(format!("{status} {body}")),
        Err(error) => Ok(format!("{status} and then {error:?}")),
    }
}

fn client(headers: &HeaderMap) -> Client {
    let mut client = Client::new();
    let time = |name| number(headers, name).map(Duration::from_millis);
    if let Some(time) = time("x-connect-ms") {
        client.set_connect_timeout(time);
    }
    if let Some(time) = time("x-first-byte-ms") {
        client.set_first_byte_timeout(time);
    }
    if let Some(time) = time("x-between-bytes-ms") {
        client.set_between_bytes_timeout(time);
    }
    client
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    text(headers, name)?.parse().ok()
}
