//! The models that may be asked: by functions of the app, and where the node offers them on a listener by other machines.
//!
//! [`Caller::http`] answers what the Open Inference Protocol asks over HTTP, [`Caller::grpc`] what it asks over gRPC. What
//! is on the node is asked there; a model in the cloud through its upstream, under the upstream's policy. The bytes of
//! calls that are under way have one bound for the node, [`CallMemory`].

mod memory;
mod offered;
mod way;

pub use memory::{CallMemory, Unread};
pub use offered::Offered;

use crate::traced::Traced;
use bytes::Bytes;
use futures_util::stream;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, request};
use http_body::Frame;
use http_body_util::StreamBody;
use rimward_inference::endpoint::{self, Asked, Reply, grpc};
use rimward_inference::limits::CALL_TIME;
use rimward_inference::oip::InferRequest;
use rimward_inference::oip::grpc::{CONTENT_TYPE as GRPC, Status};
use rimward_inference::oip::http::HEADER_LENGTH;
use rimward_inference::remote::Server;
use rimward_inference::{Answer, Comparison, Error, Kind, Model};
use rimward_upstream::{Client, Upstream, grpc_timeout};
use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use tokio::time::Instant;
use way::Way;

/// What a node calls itself where its version is asked for.
const VERSION: &str = env!("CARGO_PKG_VERSION");
/// Says which side answered, and why.
const MODEL: HeaderName = HeaderName::from_static("rimward-model");
const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
const GRPC_ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const GRPC_STATUS: HeaderName = HeaderName::from_static(Status::CODE);
const GRPC_MESSAGE: HeaderName = HeaderName::from_static(Status::MESSAGE);

/// A model, and the way to its server.
#[derive(Clone)]
pub struct ModelGrant {
    /// The model.
    pub model: Arc<Model>,
    /// Where its remote side is.
    pub upstream: Option<Arc<Upstream>>,
    /// Where the bytes of its calls are counted.
    pub memory: Arc<CallMemory>,
}

impl fmt::Debug for ModelGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ModelGrant").field("model", &self.model.name).finish_non_exhaustive()
    }
}

/// The models that somebody may ask.
#[derive(Clone, Copy, Debug)]
pub enum Models<'a> {
    /// One: at its own host, nothing else is there.
    Only(&'a ModelGrant),
    /// Those of a listener.
    Offered(&'a Offered),
}

impl<'a> Models<'a> {
    fn find(self, name: &str) -> Result<&'a ModelGrant, Error> {
        match self {
            Self::Only(grant) if grant.model.name == name => Ok(grant),
            Self::Only(grant) => {
                let only = format!("this host has the model `{}` only", grant.model.name);
                Err(Error::new(Kind::NotFound, only))
            }
            Self::Offered(offered) => offered.find(name),
        }
    }
}

/// Who asks, and with whose connections.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    /// The tenant's way out.
    pub client: &'a Client,
    /// The trace that the call belongs to.
    pub traceparent: Option<&'a HeaderValue>,
    /// The request that it belongs to.
    pub request_id: &'a str,
    /// When the caller's time is up.
    pub deadline: Option<Instant>,
}

/// A reply's body, none of which is copied, and its trailers.
#[derive(Debug, Default)]
pub struct ReplyParts {
    /// The body.
    pub parts: Vec<Bytes>,
    /// What comes behind it.
    pub trailers: Option<HeaderMap>,
}

impl Caller<'_> {
    /// Answers what is asked for in `head` over HTTP. `read` reads the body, if it is wanted.
    ///
    /// # Errors
    /// Those of `read`.
    pub async fn http<E>(
        &self,
        models: Models<'_>,
        head: &request::Parts,
        read: impl Future<Output = Result<Result<Bytes, Error>, E>>,
    ) -> Result<Response<ReplyParts>, E> {
        let reply = match Asked::find(head.method.as_str(), head.uri.path()) {
            Ok(asked) => self.http_asked(models, &asked, &head.headers, read).await?,
            Err(reply) => reply,
        };
        Ok(http_response(reply))
    }

    async fn http_asked<E>(
        &self,
        models: Models<'_>,
        asked: &Asked,
        headers: &HeaderMap,
        read: impl Future<Output = Result<Result<Bytes, Error>, E>>,
    ) -> Result<Reply, E> {
        if headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
            let why = "nothing is unpacked on the node: send it without a `content-encoding`";
            return Ok(Reply::problem(415, why));
        }
        let found = match (asked, models) {
            (Asked::Server, _) => return Ok(Reply::server(VERSION)),
            (Asked::Live, _) | (Asked::Ready, Models::Offered(_)) => return Ok(Reply::live()),
            (Asked::Ready, Models::Only(grant)) => Ok(grant),
            (Asked::Metadata(name) | Asked::ModelReady(name) | Asked::Infer(name), _) => models.find(name),
        };
        let grant = match found {
            Ok(grant) => grant,
            Err(error) => return Ok(Reply::failed(&error)),
        };
        let body = match asked {
            Asked::Infer(_) => match read.await? {
                Ok(body) => body,
                Err(error) => return Ok(Reply::failed(&error)),
            },
            _ => Bytes::new(),
        };
        let own = Asked::ModelReady(grant.model.name.clone());
        let asked = if *asked == Asked::Ready { &own } else { asked };
        let header_length = headers.get(HEADER_LENGTH).and_then(|length| length.to_str().ok());
        let way = self.way(grant);
        let server = way.as_ref().map(|way| way as &dyn Server);
        let (traced, bytes) = (self.traced(grant), body.len());
        let (reply, answered) =
            endpoint::answer(asked, &grant.model, server, header_length, body, self.deadline).await;
        told(traced, bytes, answered.as_ref());
        Ok(reply)
    }

    /// The same over gRPC.
    ///
    /// # Errors
    /// Those of `read`.
    pub async fn grpc<E>(
        &self,
        models: Models<'_>,
        head: &request::Parts,
        read: impl Future<Output = Result<Result<Bytes, Error>, E>>,
    ) -> Result<Response<ReplyParts>, E> {
        let deadline = [self.deadline, timeout(&head.headers)].into_iter().flatten().min();
        let caller = Caller { deadline, ..*self };
        let reply = caller.grpc_asked(models, head, read).await?;
        Ok(grpc_response(reply.unwrap_or_else(|error| grpc::Reply::failed(&error))))
    }

    async fn grpc_asked<E>(
        &self,
        models: Models<'_>,
        head: &request::Parts,
        read: impl Future<Output = Result<Result<Bytes, Error>, E>>,
    ) -> Result<Result<grpc::Reply, Error>, E> {
        let Some(method) = grpc::Method::find(head.uri.path()) else {
            let path = head.uri.path();
            return Ok(Err(Error::new(Kind::Unsupported, format!("there is no method `{path}` here"))));
        };
        if head.headers.get(GRPC_ENCODING).is_some_and(|encoding| encoding != "identity") {
            let why = "nothing is unpacked on the node: send it without compression";
            return Ok(Err(Error::new(Kind::Unsupported, why)));
        }
        let body = match read.await? {
            Ok(body) => body,
            Err(error) => return Ok(Err(error)),
        };
        Ok(self.grpc_message(models, method, body).await)
    }

    async fn grpc_message(
        &self,
        models: Models<'_>,
        method: grpc::Method,
        body: Bytes,
    ) -> Result<grpc::Reply, Error> {
        let bytes = body.len();
        let asked = method.read(body, VERSION)?;
        let grant = match (asked.model()?, models) {
            (Some(name), _) => models.find(name)?,
            (None, Models::Only(grant)) => grant,
            (None, Models::Offered(_)) => {
                let grpc::Asked::Node(parts) = asked else {
                    return Err(Error::new(Kind::InvalidArgument, "the message names no model"));
                };
                return Ok(grpc::Reply::message(parts));
            }
        };
        let way = self.way(grant);
        let server = way.as_ref().map(|way| way as &dyn Server);
        let traced = self.traced(grant);
        let (reply, answered) = grpc::answer(&asked, &grant.model, server, self.deadline).await;
        told(traced, bytes, answered.as_ref());
        Ok(reply)
    }

    /// Asks a model.
    pub(crate) async fn infer(&self, grant: &ModelGrant, request: &InferRequest) -> Result<Answer, Error> {
        let way = self.way(grant);
        let server = way.as_ref().map(|way| way as &dyn Server);
        let bytes = request.inputs.iter().map(|input| input.bytes().len()).sum();
        let traced = self.traced(grant);
        let answered = grant.model.infer(request, server, self.deadline).await;
        told(traced, bytes, Some(&answered));
        answered
    }

    /// In what the two sides of a model differ, as far as their own words go.
    ///
    /// # Errors
    /// The server did not say.
    pub async fn differences(&self, grant: &ModelGrant) -> Result<Vec<String>, Error> {
        let deadline = self.deadline.unwrap_or_else(|| Instant::now() + CALL_TIME);
        match self.way(grant) {
            Some(way) => grant.model.differences(&way, deadline).await,
            None => Ok(Vec::new()),
        }
    }

    /// How long each side of a model takes for calls of zeros.
    ///
    /// # Errors
    /// What the model takes is not known.
    pub async fn compare(&self, grant: &ModelGrant, calls: u32) -> Result<Comparison, Error> {
        let way = self.way(grant);
        grant.model.compare(way.as_ref().map(|way| way as &dyn Server), calls).await
    }

    fn way<'a>(&'a self, grant: &'a ModelGrant) -> Option<Way<'a>> {
        let upstream = grant.upstream.as_deref()?;
        Some(Way { client: self.client, upstream, traceparent: self.traceparent, memory: &grant.memory })
    }

    fn traced<'a>(&'a self, grant: &'a ModelGrant) -> Option<Traced<'a>> {
        Traced::begin(self.traceparent, self.request_id, &grant.model.name)
    }
}

fn told(traced: Option<Traced<'_>>, bytes: usize, answered: Option<&Result<Answer, Error>>) {
    if let (Some(traced), Some(answered)) = (traced, answered) {
        traced.asked(bytes, answered);
    }
}

fn timeout(headers: &HeaderMap) -> Option<Instant> {
    Instant::now().checked_add(headers.get(GRPC_TIMEOUT).and_then(grpc_timeout)?)
}

/// The reply that says what is wrong, over HTTP or over gRPC.
pub fn failed(error: &Error, is_grpc: bool) -> Response<ReplyParts> {
    match is_grpc {
        true => grpc_response(grpc::Reply::failed(error)),
        false => http_response(Reply::failed(error)),
    }
}

/// Whether a request is one over gRPC.
#[must_use]
pub fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let rest = content_type.and_then(|content_type| content_type.strip_prefix(GRPC.as_bytes()));
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

fn http_response(reply: Reply) -> Response<ReplyParts> {
    let Reply { status, body, told } = reply;
    let (content_type, header_length, length) = (body.content_type(), body.header_length, body.len());
    let mut response = Response::new(ReplyParts { parts: body.parts, trailers: None });
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    if length > 0 {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    if let Some(header_length) = header_length {
        headers.insert(HEADER_LENGTH, HeaderValue::from(header_length));
    }
    tell(headers, told);
    response
}

fn grpc_response(reply: grpc::Reply) -> Response<ReplyParts> {
    let grpc::Reply { parts, status, told } = reply;
    let mut ended = HeaderMap::new();
    ended.insert(GRPC_STATUS, HeaderValue::from(status.code));
    if !status.message.is_empty()
        && let Ok(message) = HeaderValue::try_from(status.escaped())
    {
        ended.insert(GRPC_MESSAGE, message);
    }
    let mut response = Response::new(ReplyParts::default());
    // Without a message, how it ended stands in the head.
    match parts.is_empty() {
        true => *response.headers_mut() = ended,
        false => *response.body_mut() = ReplyParts { parts, trailers: Some(ended) },
    }
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(GRPC));
    tell(response.headers_mut(), told);
    response
}

fn tell(headers: &mut HeaderMap, told: Option<String>) {
    if let Some(told) = told.and_then(|told| HeaderValue::try_from(told).ok()) {
        headers.insert(MODEL, told);
    }
}

/// A body of parts, none of which is copied.
pub(crate) fn frames(parts: Vec<Bytes>) -> impl http_body::Body<Data = Bytes, Error = Infallible> + Send {
    StreamBody::new(stream::iter(parts.into_iter().map(|part| Ok(Frame::data(part)))))
}
