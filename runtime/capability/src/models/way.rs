//! The way to the server of a model: its upstream, over HTTP or over gRPC.
//!
//! gRPC says in the last lines of an answer how a call went, and an upstream's policy goes by the status of HTTP: [`Judged`]
//! looks at the first of an answer, and has a failed call look failed.

use super::{CallMemory, GRPC_MESSAGE, GRPC_STATUS, Unread, frames};
use crate::http::from_upstream;
use futures_util::{StreamExt, stream};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, TE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::Frame;
use http_body_util::{BodyExt, BodyStream, StreamBody};
use rimward_inference::limits::CALL_BYTES_MAX;
use rimward_inference::oip::grpc::{CONTENT_TYPE as GRPC, Status};
use rimward_inference::oip::http::HEADER_LENGTH;
use rimward_inference::remote::{Access, Content, Exchange, Received, Sent, Server};
use rimward_inference::{Error, Kind};
use rimward_upstream::breaker::Forced;
use rimward_upstream::{Attempt, Body, Client, Error as UpstreamError, Random, Terms, Transport, Upstream};
use std::sync::LazyLock;
use tokio::time::{Instant, timeout_at};

/// Makes a call one that may be sent again: a model computes the same from the same.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The way to one server, with what an invocation has of time and connections.
pub(super) struct Way<'a> {
    pub(super) client: &'a Client,
    pub(super) upstream: &'a Upstream,
    pub(super) traceparent: Option<&'a HeaderValue>,
    pub(super) memory: &'a CallMemory,
}

impl Server for Way<'_> {
    fn exchange(&self, sent: Sent, deadline: Instant) -> Exchange<'_> {
        self.send(sent, deadline, false)
    }

    fn probe(&self, sent: Sent, deadline: Instant) -> Exchange<'_> {
        self.send(sent, deadline, true)
    }

    fn access(&self) -> Access {
        let breaker = self.upstream.state().breaker();
        match (breaker.would_admit(Instant::now()), breaker.forced()) {
            (true, _) => Access::Free,
            (false, Forced::No) => Access::Resting,
            (false, _) => Access::Barred,
        }
    }
}

impl Way<'_> {
    fn send(&self, sent: Sent, deadline: Instant, is_probe: bool) -> Exchange<'_> {
        Box::pin(async move {
            let request = self.request(sent)?;
            let terms = Terms { timeouts: self.upstream.timeouts(), deadline: Some(deadline), is_probe };
            let called = match request.version() {
                Version::HTTP_2 => {
                    rimward_upstream::call(&Judged(self.client), self.upstream, request, terms).await
                }
                _ => rimward_upstream::call(self.client, self.upstream, request, terms).await,
            };
            let (parts, body) = called.map_err(failed)?.response.into_parts();
            let read = timeout_at(deadline, self.memory.whole(body)).await;
            let read =
                read.map_err(|_| Error::new(Kind::Timeout, "the server's answer did not end in time"))?;
            let (body, trailers) = read.map_err(|unread| match unread {
                Unread::Body(error) => failed(error),
                Unread::NoRoom(error) => error,
                Unread::TooLarge => {
                    let text = format!("the server's answer has more than {CALL_BYTES_MAX} bytes");
                    Error::new(Kind::Protocol, text)
                }
            })?;
            let header_length = parts.headers.get(HEADER_LENGTH).and_then(|length| length.to_str().ok());
            Ok(Received {
                status: parts.status.as_u16(),
                header_length: header_length.map(str::to_owned),
                grpc: status(&parts.headers).or_else(|| trailers.as_ref().and_then(status)),
                body,
            })
        })
    }

    fn request(&self, sent: Sent) -> Result<Request<Body>, Error> {
        // The upstream puts its own origin in the place of this one.
        let uri = format!("http://model.internal{}", sent.path);
        let mut request = Request::builder().uri(uri).header(HOST, "model.internal");
        if let Some(traceparent) = self.traceparent {
            request = request.header("traceparent", traceparent);
        }
        let parts = match sent.content {
            Content::Nothing => Vec::new(),
            Content::Http(body) => {
                request = posted(request).header(CONTENT_TYPE, body.content_type());
                request = request.header(CONTENT_LENGTH, body.len());
                if let Some(length) = body.header_length {
                    request = request.header(HEADER_LENGTH, length);
                }
                body.parts
            }
            Content::Grpc(parts) => {
                // How much time is left the upstream's policy tells.
                request = posted(request).version(Version::HTTP_2).header(CONTENT_TYPE, GRPC);
                request = request.header(TE, "trailers");
                parts
            }
        };
        let body = frames(parts).map_err(|never| match never {}).boxed_unsync();
        request
            .body(body)
            .map_err(|error| Error::new(Kind::InvalidArgument, "the model's name is no path").because(error))
    }
}

fn posted(request: http::request::Builder) -> http::request::Builder {
    static KEYS: LazyLock<Random> = LazyLock::new(Random::unpredictable);
    let key = format!("{:016x}{:016x}", KEYS.number(), KEYS.number());
    request.method(Method::POST).header(IDEMPOTENCY_KEY, key)
}

/// A transport whose answers to gRPC calls have the status of HTTP that says how they went.
struct Judged<'a>(&'a Client);

impl Transport for Judged<'_> {
    async fn send(
        &self,
        request: Request<Body>,
        attempt: Attempt<'_>,
    ) -> Result<Response<Body>, UpstreamError> {
        judged(Transport::send(self.0, request, attempt).await?).await
    }
}

async fn judged(response: Response<Body>) -> Result<Response<Body>, UpstreamError> {
    if response.status() != StatusCode::OK {
        return Ok(response);
    }
    let (mut parts, mut body) = response.into_parts();
    if !parts.headers.contains_key(GRPC_STATUS) {
        // A failed call has no message, so that its trailers are the first that comes.
        let first = body.frame().await.transpose()?;
        match first.map(Frame::into_trailers) {
            Some(Ok(trailers)) => parts.headers.extend(trailers),
            Some(Err(data)) => {
                let first = stream::iter([Ok(data)]);
                body = StreamBody::new(first.chain(BodyStream::new(body))).boxed_unsync();
            }
            None => {}
        }
    }
    if let Some(worse) = status(&parts.headers).and_then(|status| status.http()) {
        parts.status = StatusCode::from_u16(worse).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    }
    Ok(Response::from_parts(parts, body))
}

fn status(headers: &HeaderMap) -> Option<Status> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    Status::read(text(GRPC_STATUS)?, text(GRPC_MESSAGE))
}

/// A call that did not come to an answer.
fn failed(error: UpstreamError) -> Error {
    let kind = match &error {
        UpstreamError::FirstByteTimeout
        | UpstreamError::TotalTimeout
        | UpstreamError::BetweenBytesTimeout
        | UpstreamError::ConnectionTimeout
        | UpstreamError::DnsTimeout
        | UpstreamError::Deadline => Kind::Timeout,
        UpstreamError::ResponseProtocol(_)
        | UpstreamError::ResponseHeadersTooLarge
        | UpstreamError::ResponseBodyTooLarge => Kind::Protocol,
        _ => Kind::Unavailable,
    };
    let is_held_back = matches!(error, UpstreamError::CircuitOpen | UpstreamError::BulkheadFull);
    // By its name only: the text may name an address.
    let code = from_upstream(error.clone());
    let failed = Error::new(kind, format!("the model's server was not reached: {code:?}")).because(error);
    if is_held_back { failed.held_back() } else { failed }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn response(status: u16, head: &[(HeaderName, &str)], frames: Vec<Frame<Bytes>>) -> Response<Body> {
        let frames = stream::iter(frames.into_iter().map(Ok));
        let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        response.headers_mut().extend(headers(head));
        response
    }

    fn headers(pairs: &[(HeaderName, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    /// What the policy of an upstream sees of an answer over gRPC, and what is left to read of it.
    #[tokio::test]
    async fn a_call_that_failed_looks_failed() {
        let data = || Frame::data(Bytes::from_static(b"message"));
        let ended = |code| Frame::trailers(headers(&[(GRPC_STATUS, code), (GRPC_MESSAGE, "so")]));
        for (answer, status, code, left) in [
            (response(200, &[], vec![data(), ended("0")]), 200, None, "message"),
            (response(200, &[], vec![ended("14")]), 503, Some("14"), ""),
            (response(200, &[(GRPC_STATUS, "8")], vec![]), 429, Some("8"), ""),
            (response(200, &[(GRPC_STATUS, "3")], vec![]), 200, Some("3"), ""),
            // A server that fails in the middle of its message is no better for it, and is not asked again.
            (response(200, &[], vec![data(), ended("13")]), 200, None, "message"),
            (response(502, &[], vec![data()]), 502, None, "message"),
            (response(200, &[], vec![]), 200, None, ""),
        ] {
            let (parts, body) = judged(answer).await.unwrap().into_parts();
            let told = parts.headers.get(GRPC_STATUS).map(|code| code.to_str().unwrap());
            let body = body.collect().await.unwrap().to_bytes();
            assert_eq!((parts.status.as_u16(), told, &*body), (status, code, left.as_bytes()));
        }
    }
}
