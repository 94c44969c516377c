//! Models that a function may ask, at `http://NAME.model.internal/v2/...`: the Open Inference Protocol over HTTP, answered by
//! the node itself, so that every client of the protocol works.
//!
//! What is on the node is asked there; a model in the cloud is asked through its upstream, under the upstream's policy, and
//! the function needs no access to that.

use super::bodies::Holding;
use super::errors::from_upstream;
use super::outgoing::{CallFailure, CallPermit, Context};
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Limited, StreamBody};
use rimward_inference::endpoint::{self, Asked, Reply};
use rimward_inference::limits::CALL_BYTES_MAX;
use rimward_inference::oip::http::HEADER_LENGTH;
use rimward_inference::remote::{Exchange, Received, Sent, Server};
use rimward_inference::{Answer, Error as ModelError, Kind, Model};
use rimward_upstream::{Body, Error as UpstreamError, Random, Terms, Upstream};
use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::Instant;
use wasmtime_wasi_http::{Error, WasiBody};

/// Says which side answered, and why.
const MODEL: HeaderName = HeaderName::from_static("rimward-model");
/// Makes a call one that may be sent again: a model computes the same from the same.
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Under which the node's log has them.
const CALLS: &str = "rimward::calls";

/// A model, and the way to its server.
#[derive(Clone)]
pub struct ModelGrant {
    /// The model.
    pub model: Arc<Model>,
    /// Where its remote side is.
    pub upstream: Option<Arc<Upstream>>,
}

impl fmt::Debug for ModelGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelGrant").field("model", &self.model.name).finish_non_exhaustive()
    }
}

impl Context {
    /// Answers a request to a model's host.
    pub(super) async fn ask_model(
        &self,
        request: Request<WasiBody>,
        grant: &ModelGrant,
        permit: CallPermit,
    ) -> Result<Response<WasiBody>, CallFailure> {
        let deadline = self.wall.calls_deadline();
        let (parts, body) = request.into_parts();
        let asked = match Asked::find(parts.method.as_str(), parts.uri.path()) {
            Ok(asked) => asked,
            Err(reply) => return Ok(response(reply, permit)),
        };
        let encoding = parts.headers.get(CONTENT_ENCODING);
        let reply = match &asked {
            _ if encoding.is_some_and(|encoding| encoding != "identity") => {
                Reply::problem(415, "nothing is unpacked on the node: send it without a `content-encoding`")
            }
            Asked::Server => Reply::server(env!("CARGO_PKG_VERSION")),
            Asked::Live => Reply::live(),
            _ if asked.model().is_some_and(|name| name != grant.model.name) => {
                Reply::problem(404, &format!("this host has the model `{}` only", grant.model.name))
            }
            _ => {
                let body = match asked {
                    Asked::Infer(_) => self.in_time(whole(body)).await??,
                    _ => Some(Bytes::new()),
                };
                let length = parts.headers.get(HEADER_LENGTH).and_then(|length| length.to_str().ok());
                match body {
                    Some(body) => self.answer(&asked, grant, length, body, deadline).await,
                    None => Reply::failed(&too_large()),
                }
            }
        };
        Ok(response(reply, permit))
    }

    async fn answer(
        &self,
        asked: &Asked,
        grant: &ModelGrant,
        header_length: Option<&str>,
        body: Bytes,
        deadline: Option<Instant>,
    ) -> Reply {
        let way = grant.upstream.as_deref().map(|upstream| Way { context: self, upstream });
        let way: Option<&dyn Server> = way.as_ref().map(|way| way as &dyn Server);
        let (start, bytes) = (Instant::now(), body.len());
        let asked = match asked {
            Asked::Ready => &Asked::ModelReady(grant.model.name.clone()),
            asked => asked,
        };
        let (reply, answered) =
            endpoint::answer(asked, &grant.model, way, header_length, body, deadline.map(Into::into)).await;
        if let Some(answered) = answered {
            self.trace_model(&grant.model.name, start, bytes, &answered);
        }
        reply
    }

    fn trace_model(&self, model: &str, start: Instant, bytes: usize, answered: &Result<Answer, ModelError>) {
        let (answer, error) = (answered.as_ref().ok(), answered.as_ref().err());
        tracing::debug!(
            target: CALLS,
            trace_id = self.trace_id(),
            request_id = &*self.request_id,
            model,
            ms = start.elapsed().as_secs_f64() * 1e3,
            bytes,
            side = answer.map(|answer| tracing::field::display(answer.side)),
            reason = answer.and_then(|answer| answer.reason).map(tracing::field::display),
            confidence = answer.and_then(|answer| answer.confidence),
            instead_of = answer.and_then(|answer| answer.instead_of.as_ref()).map(tracing::field::display),
            error = error.map(tracing::field::display),
            "a model was asked"
        );
    }
}

/// All of a body, or nothing where it is larger than a call may be.
async fn whole(body: WasiBody) -> Result<Option<Bytes>, Error> {
    match Limited::new(body, CALL_BYTES_MAX).collect().await {
        Ok(whole) => Ok(Some(whole.to_bytes())),
        Err(error) => match error.downcast::<Error>() {
            Ok(error) => Err(*error),
            Err(_) => Ok(None),
        },
    }
}

fn too_large() -> ModelError {
    ModelError::new(Kind::TooLarge, format!("a call has {CALL_BYTES_MAX} bytes at the most"))
}

fn response(reply: Reply, permit: CallPermit) -> Response<WasiBody> {
    let Reply { status, body, told } = reply;
    let (content_type, header_length, length) = (body.content_type(), body.header_length, body.len());
    let body = frames(body.parts).map_err(|never| match never {});
    let mut response = Response::new(Holding::new(body, permit).boxed_unsync());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    if length > 0 {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    if let Some(header_length) = header_length {
        headers.insert(HEADER_LENGTH, HeaderValue::from(header_length));
    }
    if let Some(told) = told.and_then(|told| HeaderValue::try_from(told).ok()) {
        headers.insert(MODEL, told);
    }
    response
}

/// A body of parts, none of which is copied.
fn frames(parts: Vec<Bytes>) -> impl http_body::Body<Data = Bytes, Error = std::convert::Infallible> + Send {
    StreamBody::new(futures_util::stream::iter(parts.into_iter().map(|part| Ok(Frame::data(part)))))
}

/// The way to the server of a model: its upstream, with what this invocation has of time and connections.
struct Way<'a> {
    context: &'a Context,
    upstream: &'a Upstream,
}

impl Server for Way<'_> {
    fn exchange(&self, sent: Sent, deadline: tokio::time::Instant) -> Exchange<'_> {
        Box::pin(async move {
            let request = self.request(sent)?;
            let terms = Terms { timeouts: self.upstream.timeouts(), deadline: Some(deadline) };
            let called = rimward_upstream::call(&*self.context.client, self.upstream, request, terms).await;
            let (parts, body) = called.map_err(failed)?.response.into_parts();
            let body = tokio::time::timeout_at(deadline, Limited::new(body, CALL_BYTES_MAX).collect()).await;
            let body =
                body.map_err(|_| ModelError::new(Kind::Timeout, "the server's answer did not end in time"))?;
            let body = body.map_err(|error| match error.downcast::<UpstreamError>() {
                Ok(error) => failed(*error),
                Err(_) => ModelError::new(
                    Kind::Protocol,
                    format!("the server's answer has more than {CALL_BYTES_MAX} bytes"),
                ),
            })?;
            let header_length = parts.headers.get(HEADER_LENGTH).and_then(|length| length.to_str().ok());
            Ok(Received {
                status: parts.status.as_u16(),
                header_length: header_length.map(str::to_owned),
                body: body.to_bytes(),
            })
        })
    }

    fn is_open(&self) -> bool {
        self.upstream.state().breaker().would_admit(tokio::time::Instant::now())
    }
}

impl Way<'_> {
    fn request(&self, sent: Sent) -> Result<Request<Body>, ModelError> {
        // The upstream puts its own origin in the place of this one.
        let uri = format!("http://model.internal{}", sent.path);
        let mut request = Request::builder().uri(uri).header(HOST, "model.internal");
        let body = match sent.body {
            None => frames(Vec::new()).map_err(|never| match never {}).boxed_unsync(),
            Some(body) => {
                static KEYS: LazyLock<Random> = LazyLock::new(Random::unpredictable);
                request = request
                    .method(Method::POST)
                    .header(CONTENT_TYPE, body.content_type())
                    .header(CONTENT_LENGTH, body.len())
                    .header(IDEMPOTENCY_KEY, format!("{:016x}{:016x}", KEYS.number(), KEYS.number()));
                if let Some(length) = body.header_length {
                    request = request.header(HEADER_LENGTH, length);
                }
                frames(body.parts).map_err(|never| match never {}).boxed_unsync()
            }
        };
        if let Some(traceparent) = &self.context.traceparent {
            request = request.header("traceparent", traceparent);
        }
        request.body(body).map_err(|error| {
            ModelError::new(Kind::InvalidArgument, "the model's name is no path").because(error)
        })
    }
}

/// A call that did not come to an answer.
fn failed(error: UpstreamError) -> ModelError {
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
    // By its name only: the text may name an address.
    let code = from_upstream(error.clone());
    ModelError::new(kind, format!("the model's server was not reached: {code:?}")).because(error)
}
