//! Sends a call. The request's body is written by a task beside it, so that an answer that comes before the body has
//! been sent is not waited for, and neither side can block the other. A call that was given a time is dropped when a
//! clock of the host says that it is up.

use std::future::Future;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use http::request::Parts;
use http::uri::{Authority, PathAndQuery};
use wasip2::clocks::monotonic_clock::subscribe_duration;
use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{
    ErrorCode, FutureIncomingResponse, IncomingResponse, Method as WasiMethod, OutgoingBody, OutgoingRequest,
    Scheme,
};

use super::executor::{ready, spawn};
use super::headers::{from_fields, to_fields};
use super::incoming::{answer_body, name};
use super::{outgoing, report};
use crate::call::{CallError, TimedOut};
use crate::error::line;
use crate::{Body, Method, Request, Response, StatusCode, Uri, header};

/// Dropping the future gives the call up.
pub(crate) async fn send(request: Request, timeout: Option<Duration>) -> Result<Response, CallError> {
    match timeout {
        Some(timeout) => within(timeout, exchange(request)).await,
        None => exchange(request).await,
    }
}

/// The clock is asked second: an answer that is there is not given up.
async fn within<T>(
    timeout: Duration,
    exchange: impl Future<Output = Result<T, CallError>>,
) -> Result<T, CallError> {
    let ns = u64::try_from(timeout.as_nanos()).unwrap_or(u64::MAX);
    let mut exchange = pin!(exchange);
    let mut time_up = pin!(ready(subscribe_duration(ns)));
    std::future::poll_fn(|context| match exchange.as_mut().poll(context) {
        Poll::Ready(result) => Poll::Ready(result),
        Poll::Pending => time_up.as_mut().poll(context).map(|()| Err(CallError::Timeout(TimedOut::Given))),
    })
    .await
}

async fn exchange(request: Request) -> Result<Response, CallError> {
    let (mut parts, body) = request.into_parts();
    if let Some(bytes @ 1..) = body.length() {
        parts.headers.entry(header::CONTENT_LENGTH).or_insert(bytes.into());
    }
    let request = outgoing_request(&parts)?;
    // A body that is not taken is empty, and the host then says so in the head.
    let to = (body.length() != Some(0)).then(|| request.body().expect("a body is taken once"));
    let answer = handle(request, None).map_err(failure)?;
    if let Some(to) = to {
        spawn(write(body, to));
    }
    Ok(response(head(answer).await?))
}

async fn write(body: Body, to: OutgoingBody) {
    if let Err(error) = outgoing::write(body, to).await {
        report(&format!("the body of a call broke off: {}", line(&error)));
    }
}

fn outgoing_request(parts: &Parts) -> Result<OutgoingRequest, CallError> {
    let fields = to_fields(&parts.headers).map_err(|error| CallError::Request(error.into()))?;
    let request = OutgoingRequest::new(fields);
    let (uri, refused) = (&parts.uri, |()| CallError::Name(parts.uri.to_string()));
    request.set_method(&method(&parts.method)).map_err(refused)?;
    request.set_scheme(Some(&scheme(uri))).map_err(refused)?;
    request.set_authority(uri.authority().map(Authority::as_str)).map_err(refused)?;
    request.set_path_with_query(uri.path_and_query().map(PathAndQuery::as_str)).map_err(refused)?;
    Ok(request)
}

fn method(method: &Method) -> WasiMethod {
    match *method {
        Method::GET => WasiMethod::Get,
        Method::HEAD => WasiMethod::Head,
        Method::POST => WasiMethod::Post,
        Method::PUT => WasiMethod::Put,
        Method::DELETE => WasiMethod::Delete,
        Method::CONNECT => WasiMethod::Connect,
        Method::OPTIONS => WasiMethod::Options,
        Method::TRACE => WasiMethod::Trace,
        Method::PATCH => WasiMethod::Patch,
        ref other => WasiMethod::Other(other.to_string()),
    }
}

fn scheme(uri: &Uri) -> Scheme {
    match uri.scheme_str() {
        Some("http") | None => Scheme::Http,
        Some("https") => Scheme::Https,
        Some(other) => Scheme::Other(other.to_owned()),
    }
}

/// The pollable is a child of the answer and goes before it, also when this is dropped halfway.
async fn head(answer: FutureIncomingResponse) -> Result<IncomingResponse, CallError> {
    ready(answer.subscribe()).await;
    let answer = answer.get().expect("the host said it is there").expect("an answer is taken once");
    answer.map_err(failure)
}

fn response(answer: IncomingResponse) -> Response {
    let status = StatusCode::from_u16(answer.status()).unwrap_or(StatusCode::BAD_GATEWAY);
    let headers = from_fields(answer.headers());
    let mut response = Response::new(answer_body(answer, &headers));
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// What a failure of `wasi:http` means to a function.
fn failure(code: ErrorCode) -> CallError {
    use ErrorCode as Code;
    match code {
        Code::HttpRequestDenied | Code::DestinationIpProhibited => CallError::Denied,
        // What a proxy says of a destination that it has not even tried (RFC 9209, section 2.3.5).
        Code::DestinationUnavailable => CallError::CircuitOpen,
        Code::ConnectionLimitReached => CallError::TooMany,
        Code::DnsTimeout => CallError::Timeout(TimedOut::Lookup),
        Code::ConnectionTimeout => CallError::Timeout(TimedOut::Connect),
        Code::HttpResponseTimeout => CallError::Timeout(TimedOut::Answer),
        Code::ConnectionReadTimeout | Code::ConnectionWriteTimeout => CallError::Timeout(TimedOut::Transfer),
        Code::HttpRequestBodySize(bytes_max) => CallError::TooLarge { bytes_max },
        Code::HttpRequestUriTooLong
        | Code::HttpRequestHeaderSize(_)
        | Code::HttpRequestHeaderSectionSize(_)
        | Code::HttpRequestTrailerSize(_)
        | Code::HttpRequestTrailerSectionSize(_) => CallError::TooLarge { bytes_max: None },
        Code::DnsError(_)
        | Code::DestinationNotFound
        | Code::DestinationIpUnroutable
        | Code::ConnectionRefused
        | Code::TlsProtocolError
        | Code::TlsCertificateError
        | Code::TlsAlertReceived(_) => CallError::Unreachable(name(&code)),
        Code::InternalError(Some(why)) => CallError::NotAccepted(why),
        other => CallError::Broken(name(&other)),
    }
}
