//! A component of `wasi:http` 0.3 that knows no Rimward. The path says what it does.

use bytes::Bytes;
use futures_util::future::join_all;
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use wasip3::clocks::monotonic_clock;
use wasip3::http::client;
use wasip3::http::types::{self, ErrorCode};
use wasip3::http_compat::{
    IncomingRequestBody, http_from_wasi_request, http_from_wasi_response, http_into_wasi_request,
    http_into_wasi_response,
};

type Body = UnsyncBoxBody<Bytes, ErrorCode>;

wasip3::http::service::export!(Component);

struct Component;

impl wasip3::exports::http::handler::Guest for Component {
    async fn handle(request: types::Request) -> Result<types::Response, ErrorCode> {
        http_into_wasi_response(answer(http_from_wasi_request(request)?).await?)
    }
}

async fn answer(request: Request<IncomingRequestBody>) -> Result<Response<Body>, ErrorCode> {
    let path = request.uri().path().to_owned();
    match &*path {
        "/echo" => {
            Ok(Response::new(request.into_body().map_err(|_| ErrorCode::HttpProtocolError).boxed_unsync()))
        }
        "/fan-out" => fan_out(&request).await,
        "/mirror" => Ok(say(request.uri().to_string())),
        "/trailers" => Ok(trailers()),
        "/trap" => std::process::abort(),
        "/spin" => loop {
            std::hint::black_box(());
        },
        "/sleep" => {
            monotonic_clock::wait_for(60_000_000_000).await;
            Ok(say("awake"))
        }
        "/error" => Err(ErrorCode::HttpUpgradeFailed),
        _ => Ok(say(format!("{} {path} by wasi:http 0.3", request.method()))),
    }
}

fn say(text: impl Into<Bytes>) -> Response<Body> {
    Response::new(Full::new(text.into()).map_err(|never| match never {}).boxed_unsync())
}

/// Calls `x-to` eight times at once.
async fn fan_out(request: &Request<IncomingRequestBody>) -> Result<Response<Body>, ErrorCode> {
    let to = request.headers().get("x-to").and_then(|to| to.to_str().ok()).unwrap_or_default();
    let answers = join_all((0..8).map(|_| fetch(to))).await.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(say(answers.join("\n")))
}

async fn fetch(to: &str) -> Result<String, ErrorCode> {
    let request = Request::builder().uri(to).body(Empty::<Bytes>::new());
    let request = http_into_wasi_request(request.map_err(|_| ErrorCode::HttpRequestUriInvalid)?)?;
    let response = http_from_wasi_response(client::send(request).await?)?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await.map_err(|_| ErrorCode::HttpResponseIncomplete)?;
    Ok(format!("{status} {}", String::from_utf8_lossy(&body.to_bytes())))
}

fn trailers() -> Response<Body> {
    let trailers =
        HeaderMap::from_iter([(http::HeaderName::from_static("x-sum"), HeaderValue::from_static("42"))]);
    let frames = [Frame::data(Bytes::from_static(b"with trailers")), Frame::trailers(trailers)];
    let mut response =
        Response::new(StreamBody::new(futures_util::stream::iter(frames.map(Ok))).boxed_unsync());
    // HTTP/1.1 sends only trailers that were announced.
    response.headers_mut().insert("trailer", HeaderValue::from_static("x-sum"));
    response
}

fn main() {}
