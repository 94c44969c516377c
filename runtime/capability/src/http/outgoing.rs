//! Where a function's outgoing requests go: to another function of its app, to a named upstream, or to a host that it was
//! granted. Everything else is refused before a name is looked up.

use super::bodies::{Draining, Holding};
use super::call::Invocation;
use super::deferred::{self, Deferral, OUTBOX_HOST, Refused};
use super::errors::{from_upstream, to_upstream};
use super::models::Asker;
use crate::models::ModelGrant;
use crate::traced::Traced;
use crate::{Offence, Offences, limits, logging};
use http::uri::Authority;
use http_body_util::BodyExt;
use rimward_upstream::fallback::{Functions, Reason};
use rimward_upstream::outbox::PushError;
use rimward_upstream::{
    Body, Client, Egress, Error as UpstreamError, Target, Terms, Timeouts, Upstream, Wanted,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpHooks};

const UPSTREAM_SUFFIX: &str = ".upstream.internal";
const MODEL_SUFFIX: &str = ".model.internal";
const FUNCTION_SUFFIX: &str = ".function.internal";
const INTERNAL_SUFFIX: &str = ".internal";

/// Why a function is asked in an upstream's place.
const FALLBACK_REASON: http::HeaderName = http::HeaderName::from_static("rimward-fallback-reason");

/// The context of what the log says about outgoing calls.
const LOG_CONTEXT: &str = "calls";

/// Calls another function of the app, in process. The node provides it.
pub trait Invoke: Send + Sync + 'static {
    /// Sends `request` to the function of this name; `depth` counts how many calls deep this one is.
    fn invoke(
        &self,
        function: &str,
        request: http::Request<WasiBody>,
        depth: u8,
    ) -> Pin<Box<dyn Future<Output = Result<http::Response<WasiBody>, InvokeError>> + Send>>;
}

/// Why another function could not be called at all. What the function itself answers is a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvokeError {
    /// The app has no function of this name any more.
    #[error("the app has no such function")]
    NotFound,
}

/// Where a function may send requests.
#[derive(Clone)]
pub struct Grant {
    /// Hosts, by policy.
    pub egress: Arc<Egress>,
    /// Named upstreams.
    pub upstreams: Arc<BTreeMap<String, Arc<Upstream>>>,
    /// Models.
    pub models: Arc<BTreeMap<String, ModelGrant>>,
    /// The outboxes of those that have one.
    pub outboxes: Arc<BTreeMap<String, Deferral>>,
    /// Functions of the same app.
    pub functions: Arc<BTreeSet<String>>,
    /// How those are called.
    pub invoke: Arc<dyn Invoke>,
    /// Requests that one invocation may have in flight.
    pub in_flight_max: usize,
    /// Requests that all functions of the same owner may have in flight together.
    pub shared_in_flight: Option<Arc<Semaphore>>,
}

/// The outgoing requests of one invocation.
pub(crate) struct Outgoing {
    context: Context,
    /// Until then, what is asked about headers is asked about the client's.
    guest_runs: bool,
    filter: wasmtime_wasi_http::ForbiddenHeaderFilter,
}

#[derive(Clone)]
pub(super) struct Context {
    grant: Grant,
    logs: logging::Grant,
    pub(super) client: Arc<Client>,
    pub(super) wall: super::Wall,
    depth: u8,
    pub(super) request_id: Arc<str>,
    offences: Arc<Offences>,
    pub(super) traceparent: Option<http::HeaderValue>,
    in_flight: Arc<Semaphore>,
}

/// Held until the answer has been read.
pub(super) struct CallPermit {
    _invocation: OwnedSemaphorePermit,
    _owner: Option<OwnedSemaphorePermit>,
}

enum Destination<'a> {
    Model(&'a ModelGrant),
    Function(&'a str),
    Upstream(&'a str, &'a Upstream),
    Outbox,
    Host(&'a Egress),
}

impl Outgoing {
    pub(crate) fn open(grant: &Grant, logs: &logging::Grant, invocation: &Invocation) -> Self {
        Self {
            context: Context {
                grant: grant.clone(),
                logs: logs.clone(),
                client: invocation.client.clone(),
                wall: invocation.wall.clone(),
                depth: invocation.depth,
                request_id: invocation.request_id.clone(),
                offences: invocation.offences.clone(),
                traceparent: invocation.traceparent.clone(),
                in_flight: Arc::new(Semaphore::new(grant.in_flight_max)),
            },
            guest_runs: false,
            filter: forbidden(),
        }
    }

    pub(crate) fn asker(&self) -> Asker<'_> {
        Asker(&self.context)
    }

    pub(crate) fn guest_starts(&mut self) {
        self.guest_runs = true;
    }
}

/// One filter for the process: it depends on nothing.
fn forbidden() -> wasmtime_wasi_http::ForbiddenHeaderFilter {
    static FILTER: std::sync::LazyLock<wasmtime_wasi_http::ForbiddenHeaderFilter> =
        std::sync::LazyLock::new(|| Arc::new(is_forbidden));
    FILTER.clone()
}

/// Headers of one connection and `host`: no guest sets them, and it sees none of them.
pub(super) fn is_forbidden(name: &http::HeaderName) -> bool {
    wasmtime_wasi_http::DEFAULT_FORBIDDEN_HEADERS.contains(name)
}

impl WasiHttpHooks for Outgoing {
    fn is_forbidden_header(&mut self, name: &http::HeaderName) -> bool {
        let forbidden = is_forbidden(name);
        if forbidden && self.guest_runs {
            self.context.offences.count(Offence::Header);
        }
        forbidden
    }

    fn forbidden_header_filter(&mut self) -> wasmtime_wasi_http::ForbiddenHeaderFilter {
        self.filter.clone()
    }

    fn send_request(
        &mut self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
        _processed: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Result<Answer, Error>> + Send> {
        let context = self.context.clone();
        Box::new(async move { context.send(request, options).await.map(with_io) })
    }

    fn p2_outgoing_body_buffer_chunks(&mut self) -> usize {
        limits::BODY_CHUNKS_QUEUED
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        limits::BODY_CHUNK_BYTES
    }

    fn p3_outgoing_body_chunk_size(&mut self) -> usize {
        limits::BODY_CHUNK_BYTES
    }
}

type Answer = (http::Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>);

/// Nothing is left to be driven once the response is there: the pool drives its connections itself.
fn with_io(response: http::Response<WasiBody>) -> Answer {
    (response, Box::new(std::future::ready(Ok(()))))
}

impl Context {
    pub(super) fn models(&self) -> &BTreeMap<String, ModelGrant> {
        &self.grant.models
    }

    /// Sends a request. Why one fails is told in the function's log too: all that the guest gets is an error code.
    async fn send(
        self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
    ) -> Result<http::Response<WasiBody>, Error> {
        let authority = request.uri().authority().cloned();
        self.route(request, options).await.map_err(|failure| {
            let to = authority.as_ref().map_or("", Authority::as_str);
            let text = format!("the call to `{to}` {failure}");
            self.logs.line(logging::Level::Warn, LOG_CONTEXT, text.as_bytes(), &self.request_id);
            if let Some(offence) = failure.offence() {
                self.offences.count(offence);
            }
            failure.into_code()
        })
    }

    async fn route(
        &self,
        request: http::Request<WasiBody>,
        options: Option<RequestOptions>,
    ) -> Result<http::Response<WasiBody>, CallFailure> {
        let permit = self.permit().ok_or(Error::ConnectionLimitReached)?;
        let mut request = request.map(|body| Draining::new(body).boxed_unsync());
        self.continue_trace(&mut request);
        let authority = request.uri().authority().cloned().filter(is_plain);
        let authority = authority.ok_or(Error::HttpRequestUriInvalid)?;
        match self.grant.destination(&authority, request.uri())? {
            Destination::Function(name) => self.call_function(name, request, permit).await,
            Destination::Upstream(name, upstream) => match self.grant.outboxes.get(name) {
                Some(deferral) if deferral.takes(&request) => {
                    self.defer(request, name, upstream, deferral).await
                }
                _ => self.call(request, name, upstream, options, permit).await,
            },
            Destination::Model(model) => self.ask_model(request, model, permit).await,
            Destination::Outbox => {
                self.deferred(request.method().clone(), request.uri().path().to_owned()).await
            }
            Destination::Host(egress) => self.send_to_host(request, egress, options, permit).await,
        }
    }

    /// The right to send one more request: the invocation's, and its owner's.
    pub(super) fn permit(&self) -> Option<CallPermit> {
        let owner = self.grant.shared_in_flight.as_ref();
        Some(CallPermit {
            _invocation: self.in_flight.clone().try_acquire_owned().ok()?,
            _owner: owner.map(|owner| owner.clone().try_acquire_owned()).transpose().ok()?,
        })
    }

    /// The trace of the invocation goes on, unless the function traces itself.
    fn continue_trace(&self, request: &mut http::Request<WasiBody>) {
        if let Some(traceparent) = &self.traceparent {
            request.headers_mut().entry("traceparent").or_insert_with(|| traceparent.clone());
        }
    }

    /// Whatever functions do for one request has the request's own id.
    async fn call_function(
        &self,
        name: &str,
        mut request: http::Request<WasiBody>,
        permit: CallPermit,
    ) -> Result<http::Response<WasiBody>, CallFailure> {
        if let Ok(id) = http::HeaderValue::from_str(&self.request_id) {
            request.headers_mut().insert("x-request-id", id);
        }
        let invoking = self.grant.invoke.invoke(name, request, self.depth.saturating_add(1));
        let response =
            self.in_time(invoking).await?.map_err(|InvokeError::NotFound| Error::DestinationNotFound)?;
        Ok(response.map(|body| Holding::new(body, permit).boxed_unsync()))
    }

    /// What is awaited ends with the invocation's own time, if it has not answered yet. Bodies that are streamed
    /// through go on after that; the timeouts of the upstream bound them.
    pub(super) async fn in_time<T>(&self, sending: impl Future<Output = T>) -> Result<T, Error> {
        match self.wall.calls_deadline() {
            Some(deadline) => tokio::time::timeout_at(deadline.into(), sending)
                .await
                .map_err(|_| Error::HttpResponseTimeout),
            None => Ok(sending.await),
        }
    }

    /// A call to a named upstream, under its policy.
    async fn call(
        &self,
        request: http::Request<WasiBody>,
        name: &str,
        upstream: &Upstream,
        options: Option<RequestOptions>,
        permit: CallPermit,
    ) -> Result<http::Response<WasiBody>, CallFailure> {
        let terms = Terms {
            timeouts: narrowed(upstream.timeouts(), options),
            deadline: self.wall.calls_deadline().map(Into::into),
            is_probe: false,
        };
        let request = request.map(|body| body.map_err(to_upstream).boxed_unsync());
        let traced = self.traced(name);
        let called = rimward_upstream::call_or_fall_back(&*self.client, upstream, request, terms, self).await;
        if let Some(traced) = traced {
            traced.called(&called);
        }
        let response = called.map_err(CallFailure::Upstream)?.response;
        Ok(response.map(|body| Holding::new(body.map_err(from_upstream), permit).boxed_unsync()))
    }

    fn traced<'a>(&'a self, upstream: &'a str) -> Option<Traced<'a>> {
        Traced::begin(self.traceparent.as_ref(), &self.request_id, upstream)
    }

    /// A call that is written down, and delivered when the upstream can be reached.
    async fn defer(
        &self,
        request: http::Request<WasiBody>,
        name: &str,
        upstream: &Upstream,
        deferral: &Deferral,
    ) -> Result<http::Response<WasiBody>, CallFailure> {
        let traced = self.traced(name);
        let accepted = self.in_time(deferral.accept(request, upstream)).await?;
        if let Some(traced) = traced {
            traced.deferred(&accepted);
        }
        accepted.map_err(CallFailure::Deferred)
    }

    /// The status of such a call.
    async fn deferred(
        &self,
        method: http::Method,
        path: String,
    ) -> Result<http::Response<WasiBody>, CallFailure> {
        let status = self.in_time(deferred::status(&self.grant.outboxes, &method, &path)).await?;
        status.map_err(|trouble| CallFailure::Deferred(PushError::Failed(trouble).into()))
    }

    /// A request to a host that the function was granted: sent once, with no policy of its own.
    async fn send_to_host(
        &self,
        request: http::Request<WasiBody>,
        egress: &Egress,
        options: Option<RequestOptions>,
        permit: CallPermit,
    ) -> Result<http::Response<WasiBody>, CallFailure> {
        let timeouts = narrowed(Timeouts::default(), options);
        let request = request.map(|body| body.map_err(to_upstream).boxed_unsync());
        let sending = self.client.send(request, Target::Host(egress), timeouts, None);
        let response = self.in_time(sending).await?.map_err(|error| match error {
            UpstreamError::RequestDenied(_) => CallFailure::Denied("hosts"),
            error => CallFailure::Upstream(error),
        })?;
        Ok(response.map(|body| Holding::new(body.map_err(from_upstream), permit).boxed_unsync()))
    }
}

/// A function that answers in an upstream's place is called like any other of the app, one level deeper.
impl Functions for Context {
    fn ask<'a>(
        &'a self,
        function: &'a str,
        reason: Reason,
        request: http::Request<Body>,
    ) -> Pin<Box<dyn Future<Output = Option<http::Response<Body>>> + Send + 'a>> {
        let mut request = request.map(|body| body.map_err(from_upstream).boxed_unsync());
        let reason = http::HeaderValue::try_from(reason.to_string());
        request.headers_mut().extend(reason.ok().map(|reason| (FALLBACK_REASON, reason)));
        if let Ok(id) = http::HeaderValue::from_str(&self.request_id) {
            request.headers_mut().insert("x-request-id", id);
        }
        let invoking = self.grant.invoke.invoke(function, request, self.depth.saturating_add(1));
        Box::pin(async move {
            let response = self.in_time(invoking).await.ok()?.ok()?;
            Some(response.map(|body| body.map_err(to_upstream).boxed_unsync()))
        })
    }
}

fn narrowed(timeouts: Timeouts, options: Option<RequestOptions>) -> Timeouts {
    options.map_or(timeouts, |options| timeouts.narrowed(wanted(&options)))
}

/// A host, and a port that is one. A user and password would be dropped without a word, or sent where nobody expects them
/// (RFC 9110, section 4.2.4).
fn is_plain(authority: &Authority) -> bool {
    let port = authority.as_str().strip_prefix(authority.host());
    port.is_some_and(|port| port.is_empty() || authority.port_u16().is_some())
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

fn wanted(options: &RequestOptions) -> Wanted {
    Wanted {
        connect: options.connect_timeout,
        first_byte: options.first_byte_timeout,
        between_bytes: options.between_bytes_timeout,
    }
}

/// Why a call came to nothing.
pub(super) enum CallFailure {
    /// The function was not granted it: what to name in this key of its manifest.
    Denied(&'static str),
    /// Sending it failed.
    Upstream(UpstreamError),
    /// It was to be deferred, and was not accepted.
    Deferred(Refused),
    /// Anything else, by its code.
    Code(Error),
}

impl CallFailure {
    fn into_code(self) -> Error {
        match self {
            Self::Denied(_) => Error::HttpRequestDenied,
            Self::Upstream(error) => from_upstream(error),
            Self::Deferred(refused) => refused.into_code(),
            Self::Code(code) => code,
        }
    }
}

impl CallFailure {
    /// What of it is the function's own fault.
    fn offence(&self) -> Option<Offence> {
        match self {
            Self::Denied(_) | Self::Code(Error::HttpRequestDenied) => Some(Offence::Denied),
            Self::Upstream(UpstreamError::RequestDenied(_) | UpstreamError::DestinationProhibited(_)) => {
                Some(Offence::Denied)
            }
            Self::Code(Error::ConnectionLimitReached) => Some(Offence::Outgoing),
            Self::Upstream(_) | Self::Deferred(_) | Self::Code(_) => None,
        }
    }
}

impl From<Error> for CallFailure {
    fn from(code: Error) -> Self {
        Self::Code(code)
    }
}

impl fmt::Display for CallFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(key) => write!(f, "was denied: name it in the function's `{key}` in rimward.toml"),
            Self::Upstream(error) => write!(f, "failed: {}", chain(error)),
            Self::Deferred(refused) => write!(f, "was not accepted: {}", chain(refused)),
            Self::Code(code) => write!(f, "failed: {code}"),
        }
    }
}

impl Grant {
    fn destination(&self, authority: &Authority, uri: &http::Uri) -> Result<Destination<'_>, CallFailure> {
        let host = authority.host();
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        if let Some(name) = host.strip_suffix(FUNCTION_SUFFIX) {
            return self
                .functions
                .get(name)
                .map(|name| Destination::Function(name))
                .ok_or(CallFailure::Denied("functions"));
        }
        if let Some(name) = host.strip_suffix(UPSTREAM_SUFFIX) {
            return self
                .upstreams
                .get_key_value(name)
                .map(|(name, upstream)| Destination::Upstream(name, upstream))
                .ok_or(CallFailure::Denied("upstreams"));
        }
        if let Some(name) = host.strip_suffix(MODEL_SUFFIX) {
            return self.models.get(name).map(Destination::Model).ok_or(CallFailure::Denied("models"));
        }
        if host == OUTBOX_HOST && !self.outboxes.is_empty() {
            return Ok(Destination::Outbox);
        }
        if host.ends_with(INTERNAL_SUFFIX) {
            return Err(Error::HttpRequestDenied.into());
        }
        let by_origin = self.upstreams.iter().find(|(_, upstream)| upstream.covers(uri));
        Ok(by_origin.map_or(Destination::Host(&self.egress), |(name, upstream)| {
            Destination::Upstream(name, upstream)
        }))
    }
}
