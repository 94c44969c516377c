//! The listener for models: the Open Inference Protocol for other machines, over HTTP and over gRPC on the same addresses.
//!
//! A connection is like any other ([`connection`](crate::connection)); its requests come here. What is offered is a frozen
//! snapshot, swapped with the routes. Callers show a token where the operator asks for one.

use crate::arrival::Arrival;
use crate::core::Core;
use crate::limits::INFERENCE_TIME;
use crate::node::Apps;
use crate::secrets::{self, SecretError};
use crate::{reply, wellformed};
use arc_swap::ArcSwapOption;
use bytes::Bytes;
use futures_util::FutureExt;
use http::header::{AUTHORIZATION, CONNECTION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Request, Response, Version};
use rimward_capability::models::{self, Caller, Models, Offered, ReplyParts};
use rimward_capability::{BodyFault, BodyLimits, Reply, ReplyBody, RequestBody, Wall};
use rimward_inference::limits::CALL_BYTES_MAX;
use rimward_inference::{Error, Kind};
use rimward_manifest::{InferenceTrigger, NodeFile};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;

/// The listener, as far as requests know it.
pub(crate) struct InferenceDoor {
    declared: InferenceTrigger,
    /// Calls that it may have under way.
    room: Semaphore,
    /// None before the first app.
    open: ArcSwapOption<Opened>,
}

/// What it offers, and to whom.
pub(crate) struct Opened {
    offered: Offered,
    token: Option<String>,
}

impl InferenceDoor {
    pub(crate) fn new(declared: InferenceTrigger) -> Self {
        let room = Semaphore::new(declared.concurrency.get() as usize);
        Self { declared, room, open: ArcSwapOption::empty() }
    }

    /// What callers show, as the file says now.
    pub(crate) fn token(&self, file: &NodeFile) -> Result<Option<String>, SecretError> {
        let declared = self.declared.token.as_ref().and_then(|name| file.secret(&self.declared.tenant, name));
        declared.map(secrets::read).transpose()
    }

    /// Tells the operator where anybody may ask.
    pub(crate) fn warn_of_strangers(&self) {
        let reached = self.declared.listen.iter().chain(&self.declared.tls_listen);
        let strangers = reached.filter(|address| !address.ip().is_loopback()).collect::<Vec<_>>();
        if self.declared.token.is_none() && !strangers.is_empty() {
            tracing::warn!(
                addresses = ?strangers,
                "models are offered to whoever reaches these addresses: name a secret in `trigger.inference.token`"
            );
        }
    }

    /// What it would offer with these apps.
    pub(crate) fn opened(&self, file: &NodeFile, apps: &Apps) -> Result<Opened, SecretError> {
        let mut offered = Offered::default();
        for ((_, app), placed) in apps.iter().filter(|((tenant, _), _)| *tenant == self.declared.tenant) {
            placed.models.values().for_each(|grant| offered.insert(app.as_str(), grant.clone()));
        }
        Ok(Opened { offered, token: self.token(file)? })
    }

    pub(crate) fn open(&self, opened: Opened) {
        self.open.store(Some(Arc::new(opened)));
    }
}

/// Answers one request. Never fails; dropping the future gives the call up.
pub(crate) async fn answer<B>(core: &Arc<Core>, request: Request<B>) -> Reply
where
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let arrival = Arrival::of(&request);
    let (method, version) = (request.method().clone(), request.version());
    let is_grpc = models::is_grpc(request.headers());
    // A panic of ours costs this request and no other.
    let asked = AssertUnwindSafe(ask(core, request, &arrival)).catch_unwind().await;
    let response = match asked {
        Ok(Ok(response)) => response,
        Ok(Err(refused)) => refused.response(is_grpc, version),
        Err(_reported) => models::failed(&Error::new(Kind::Failed, "the node failed"), is_grpc),
    };
    let mut reply = response.map(ReplyBody::parts);
    reply::stamp(&mut reply, &arrival);
    reply::fit(&mut reply, &method);
    reply
}

/// Why a request was not looked at further. Of its body nothing more is read.
struct Refused {
    error: Error,
    /// Whether there may be room later.
    is_full: bool,
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self { error, is_full: false }
    }
}

impl Refused {
    fn full(why: &str) -> Self {
        Self { error: Error::new(Kind::Unavailable, why), is_full: true }
    }

    fn response(self, is_grpc: bool, version: Version) -> Response<ReplyParts> {
        let mut response = models::failed(&self.error, is_grpc);
        let headers = response.headers_mut();
        if self.error.kind() == Kind::Unauthenticated {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.is_full {
            headers.insert(RETRY_AFTER, HeaderValue::from(crate::limits::RETRY_AFTER_S));
        }
        if version < Version::HTTP_2 {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

async fn ask<B>(
    core: &Arc<Core>,
    request: Request<B>,
    arrival: &Arrival,
) -> Result<Response<ReplyParts>, Refused>
where
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let node = &core.node;
    let Some(door) = &node.inference else {
        return Err(Refused::full("no models are offered here"));
    };
    wellformed::host(&request).map_err(|failure| Error::new(Kind::InvalidArgument, failure.to_string()))?;
    let Some(open) = door.open.load_full() else { return Err(Refused::full("no app is installed yet")) };
    check_token(open.token.as_deref(), request.headers())?;
    let Ok(_room) = door.room.try_acquire() else {
        return Err(Refused::full("as many calls are under way as may be: try again"));
    };
    if node.pressure.is_short() {
        return Err(Refused::full("the machine runs out of memory"));
    }
    let _working = core.working();
    let client = core.client(&door.declared.tenant);
    let caller = Caller {
        client: &client,
        traceparent: Some(&arrival.traceparent),
        request_id: &arrival.request_id,
        deadline: None,
    };
    let (head, body) = request.into_parts();
    let fault = Arc::<BodyFault>::default();
    // What the caller takes to send it does not count: the time of a call begins when all of it is there.
    let wall = Wall::start(INFERENCE_TIME);
    let limits =
        BodyLimits { bytes_max: CALL_BYTES_MAX as u64 + 1, rate_min: node.file.limits.request_min_rate };
    let body = RequestBody::new(body, limits, wall, fault.clone());
    let read = async {
        match node.models.call_memory.whole(body).await {
            Ok((body, _)) => Ok(Ok(body)),
            Err(unread) => match unread.told() {
                Ok(error) => Ok(Err(error)),
                Err(_) if fault.timed_out() => Err(Error::new(Kind::Timeout, "the call stopped coming")),
                Err(_) => Err(Error::new(Kind::InvalidArgument, "the call is malformed or incomplete")),
            },
        }
    };
    let offered = Models::Offered(&open.offered);
    let response = match models::is_grpc(&head.headers) {
        true => caller.grpc(offered, &head, read).await,
        false => caller.http(offered, &head, read).await,
    };
    Ok(response?)
}

fn check_token(token: Option<&str>, headers: &HeaderMap) -> Result<(), Error> {
    let Some(token) = token else { return Ok(()) };
    let shown = headers.get(AUTHORIZATION).map(HeaderValue::as_bytes);
    let shown = shown.and_then(|shown| {
        let (scheme, rest) = shown.split_at_checked(b"Bearer ".len())?;
        scheme.eq_ignore_ascii_case(b"Bearer ").then_some(rest)
    });
    let refused = |why| Err(Error::new(Kind::Unauthenticated, why));
    match shown {
        Some(shown) if bool::from(shown.ct_eq(token.as_bytes())) => Ok(()),
        Some(_) => refused("the token is not the one that this node asks for"),
        None => refused("this node asks for a token: send `authorization: Bearer TOKEN`"),
    }
}
