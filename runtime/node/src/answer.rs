//! The life of a request, in the order in which it runs.

use crate::admission::Wanted;
use crate::arrival::Arrival;
use crate::core::Core;
use crate::failure::{Failure, guest_code};
use crate::node::Shared;
use crate::observe::{Outcome, RequestLine};
use crate::reply;
use crate::revision::{Deployed, Used};
use crate::wellformed;
use bytes::Bytes;
use futures_util::FutureExt;
use http::header::CONTENT_LENGTH;
use http::{Method, Request};
use http_body_util::BodyExt;
use rimward_capability::{
    BodyFault, BodyLimits, ClientScheme, Closing, GuestFailure, InstanceUse, Invocation, Offence, Offences,
    Reply, RequestBody, StreamLimits, Wall,
};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

/// Answers one request. Never fails: a [`Failure`] becomes a reply here and nowhere else. Dropping the future ends the
/// guest and gives everything back.
pub(crate) async fn answer<B>(core: &Arc<Core>, request: Request<B>, scheme: ClientScheme) -> Reply
where
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let arrival = Arrival::of(&request);
    let seen = Seen::of(&request);
    // A panic of ours costs this request and no other.
    let called = AssertUnwindSafe(route_and_call(core, request, &arrival, scheme)).catch_unwind().await;
    let mut reply = match called.unwrap_or_else(|_reported| Err(Failure::Panic.into())) {
        Ok(mut reply) => {
            reply::unforged(&mut reply);
            reply
        }
        Err(Refused { failure, function, called }) => {
            if !called {
                seen.refused(&core.node, &failure, function.as_deref(), &arrival);
            }
            reply::problem(&failure, &arrival)
        }
    };
    reply::stamp(&mut reply, &arrival);
    reply::fit(&mut reply, &seen.method);
    reply
}

/// The path of a request: whose code, is there room, run it.
async fn route_and_call<B>(
    core: &Arc<Core>,
    request: Request<B>,
    arrival: &Arrival,
    scheme: ClientScheme,
) -> Result<Reply, Refused>
where
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let host = wellformed::host(&request)?;
    let function = core.node.routes().find(request.method(), host, request.uri().path())?;
    check_length(&request, &function).map_err(|failure| Refused::by(failure, &function))?;
    let called = call(core, &function, request, arrival, scheme, 0).await;
    called.map_err(|failure| {
        let called = failure.of_a_called_function();
        Refused { failure, function: Some(function), called }
    })
}

/// Calls a function that was found: for a request from outside, or for another function.
pub(crate) async fn call<B>(
    core: &Arc<Core>,
    function: &Arc<Deployed>,
    request: Request<B>,
    arrival: &Arrival,
    scheme: ClientScheme,
    depth: u8,
) -> Result<Reply, Failure>
where
    B: http_body::Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let record = Record::of(core, function, &request, arrival);
    let hog = function.function.is_hog();
    let wanted = Wanted { function: &function.permits, tenant: &function.tenant, hog };
    if core.node.pressure.is_short() {
        return Err(Failure::ShortOfMemory);
    }
    let mut permit = core.node.admission.admit(wanted).await?;
    let entering = permit.entering();
    let wall = Wall::start(function.limits.wall);
    let body_max = function.limits.request_body_bytes_max;
    let limits = BodyLimits { bytes_max: body_max, rate_min: core.node.file.limits.request_min_rate };
    let fault = record.body_fault.clone();
    let mut request =
        request.map(|body| RequestBody::new(body, limits, wall.clone(), fault.clone()).boxed_unsync());
    arrival.stamp(request.headers_mut());
    let invocation = Invocation {
        request_id: arrival.request_id.clone(),
        client: core.client(&function.id.tenant),
        wall,
        depth,
        offences: record.offences.clone(),
        traceparent: Some(arrival.traceparent.clone()),
        scheme,
    };
    let (instance, record) = record.started();
    let on_close = Box::new(move |closing| record.close(closing));
    let kept = (permit, core.working());
    let calling = function.function.call(&core.node.engine, instance, request, invocation, kept, on_close);
    drop(entering);
    let replied = calling.reply(stream_limits(function)).await;
    let status = replied.as_ref().ok().map(http::Response::status);
    match at_fault(&fault, body_max, status) {
        Some(failure) => Err(failure),
        // Half a request, from a client that may still read: no failure of the function, whatever it made of it.
        None if fault.client_gone() && is_failure(status) => Err(Failure::BodyMalformed),
        None => {
            fault.answered();
            replied.map_err(Failure::Guest)
        }
    }
}

fn stream_limits(function: &Deployed) -> StreamLimits {
    StreamLimits {
        idle: function.limits.stream_idle,
        bytes_per_second_min: function.limits.stream_bytes_per_second_min,
        max: function.limits.stream_max,
    }
}

/// What was wrong with the request's body, if that is why there is no good reply. A function may make something of a body
/// that stopped coming; what it says of its own failure is not the point then.
fn at_fault(fault: &BodyFault, max: u64, status: Option<http::StatusCode>) -> Option<Failure> {
    if fault.is_answered() {
        return None;
    }
    if fault.over_limit() {
        return Some(Failure::BodyTooLarge { max });
    }
    if fault.malformed() {
        return Some(Failure::BodyMalformed);
    }
    (fault.timed_out() && is_failure(status)).then_some(Failure::BodyTimeout)
}

fn is_failure(status: Option<http::StatusCode>) -> bool {
    status.is_none_or(|status| status.is_server_error())
}

/// A body that says it is too large is refused before the function is called.
pub(crate) fn check_length<B>(request: &Request<B>, function: &Deployed) -> Result<(), Failure> {
    let length =
        request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    let max = function.limits.request_body_bytes_max;
    match length {
        Some(length) if length > max => Err(Failure::BodyTooLarge { max }),
        _ => Ok(()),
    }
}

/// Why there is no reply of a function, and how far the request came.
struct Refused {
    failure: Failure,
    function: Option<Arc<Deployed>>,
    /// The function was called, so its own record tells of the end.
    called: bool,
}

impl Refused {
    fn by(failure: Failure, function: &Arc<Deployed>) -> Self {
        Self { failure, function: Some(function.clone()), called: false }
    }
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Self { failure, function: None, called: false }
    }
}

/// What a request looked like, for the line that tells of its end.
pub(crate) struct Seen {
    method: Method,
    path: http::uri::Uri,
    arrived: Instant,
}

impl Seen {
    pub(crate) fn of<B>(request: &Request<B>) -> Self {
        Self { method: request.method().clone(), path: request.uri().clone(), arrived: Instant::now() }
    }

    /// No function was called.
    pub(crate) fn refused(
        &self,
        node: &Shared,
        failure: &Failure,
        function: Option<&Deployed>,
        arrival: &Arrival,
    ) {
        let code = failure.code();
        node.metrics.refused(code.code);
        if let Some(function) = function {
            function.metrics.failed(code.code);
        }
        let offences = Offences::default();
        if matches!(failure, Failure::Depth { .. }) {
            offences.count(Offence::Depth);
        }
        if let Some(function) = function {
            function.metrics.offended(&offences);
        }
        let cause = failure.to_string();
        node.observer.request(&RequestLine {
            request_id: &arrival.request_id,
            trace_id: arrival.trace_id(),
            method: self.method.as_str(),
            path: self.path.path(),
            function: function.map(|function| &function.id),
            revision: function.map(|function| &*function.revision),
            status: Some(code.status),
            outcome: Outcome::Failed(code.code),
            offences: &offences,
            cause: Some(&cause),
            duration: self.arrived.elapsed(),
            cpu: std::time::Duration::ZERO,
            memory_bytes: 0,
        });
    }
}

/// What there is to tell when an invocation is over, and where its instance goes.
struct Record {
    core: Arc<Core>,
    function: Arc<Deployed>,
    seen: Seen,
    arrival: Arrival,
    body_fault: Arc<BodyFault>,
    offences: Arc<Offences>,
    uses: u32,
    made: Instant,
}

impl Record {
    fn of<B>(core: &Arc<Core>, function: &Arc<Deployed>, request: &Request<B>, arrival: &Arrival) -> Self {
        let seen = Seen::of(request);
        let made = seen.arrived;
        let (core, function, arrival) = (core.clone(), function.clone(), arrival.clone());
        let (body_fault, offences) = (Arc::default(), Arc::default());
        Self { core, function, seen, arrival, body_fault, offences, uses: 0, made }
    }

    fn started(mut self) -> (InstanceUse, Self) {
        let warm = self.function.warm.take(self.core.index);
        self.function.metrics.started(warm.is_some());
        let warm = warm.map(|used| {
            (self.uses, self.made) = (used.uses, used.made);
            used.instance
        });
        let wanted = self.function.warm.is_wanted();
        (if wanted { InstanceUse::Repeated(warm) } else { InstanceUse::Once }, self)
    }

    /// Told once: when the reply has been sent, was cut short, or nobody wanted it any more.
    fn close(self, closing: Closing) {
        let Closing { usage, outcome, status, instance } = closing;
        if let Some(instance) = instance {
            self.function.warm.give(self.core.index, Used { instance, uses: self.uses + 1, made: self.made });
        }
        let outcome = outcome.filter(|outcome| !(ended_by_guest(outcome) && self.body_fault.client_gone()));
        let dropped = self.function.function.grants().logging.take_dropped();
        self.offences.add(Offence::Log, u32::try_from(dropped).unwrap_or(u32::MAX));
        self.offences.close(outcome.as_ref().and_then(|outcome| outcome.as_ref().err()), &usage);
        let body_max = self.function.limits.request_body_bytes_max;
        let (outcome, status, cause) = match at_fault(&self.body_fault, body_max, status) {
            Some(failure) => {
                (Outcome::Failed(failure.code().code), Some(failure.status()), Some(failure.to_string()))
            }
            None => describe(outcome, status),
        };
        let duration = self.seen.arrived.elapsed();
        let function = &self.function;
        function.metrics.closed(status, outcome, &usage, duration);
        function.metrics.log_dropped(dropped);
        function.metrics.offended(&self.offences);
        self.core.node.observer.request(&RequestLine {
            request_id: &self.arrival.request_id,
            trace_id: self.arrival.trace_id(),
            method: self.seen.method.as_str(),
            path: self.seen.path.path(),
            function: Some(&function.id),
            revision: Some(&function.revision),
            status: status.map(|status| status.as_u16()),
            outcome,
            offences: &self.offences,
            cause: cause.as_deref(),
            duration,
            cpu: usage.cpu(),
            memory_bytes: usage.memory_bytes(),
        });
    }
}

/// Whether it ended by what the guest itself did. Where its client was gone by then, that is no fault of the guest.
fn ended_by_guest(outcome: &Result<(), GuestFailure>) -> bool {
    use GuestFailure::{Answered, Exit, NoResponse, Trap};
    matches!(outcome, Err(Answered(_) | Exit(_) | NoResponse | Trap(_)))
}

/// How an invocation ended: by whose doing, with which status, and why.
fn describe(
    outcome: Option<Result<(), GuestFailure>>,
    status: Option<http::StatusCode>,
) -> (Outcome, Option<http::StatusCode>, Option<String>) {
    match (outcome, status) {
        (None, status) => (Outcome::Abandoned, status, None),
        (Some(Ok(())), status) => (Outcome::Answered, status, None),
        (Some(Err(failure)), Some(status)) => {
            (Outcome::CutShort(guest_code(&failure).code), Some(status), Some(chain(&failure)))
        }
        (Some(Err(failure)), None) => {
            let cause = chain(&failure);
            let failure = Failure::Guest(failure);
            (Outcome::Failed(failure.code().code), Some(failure.status()), Some(cause))
        }
    }
}

/// A failure and all that lies under it, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;
    use http_body_util::StreamBody;
    use rimward_capability::limits::REQUEST_IDLE;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stops_coming_is_the_callers_fault_unless_the_function_coped() {
        let fault = Arc::<BodyFault>::default();
        let never = StreamBody::new(stream::pending::<Result<http_body::Frame<Bytes>, std::io::Error>>());
        let wall = Wall::start(Duration::from_secs(1));
        let started = tokio::time::Instant::now();
        RequestBody::new(never, BodyLimits { bytes_max: 10, rate_min: 0 }, wall, fault.clone())
            .collect()
            .await
            .unwrap_err();
        assert_eq!(started.elapsed(), REQUEST_IDLE);
        let code = |status| at_fault(&fault, 10, status).map(|failure| failure.code().status);
        assert_eq!((code(None), code(Some(http::StatusCode::BAD_GATEWAY))), (Some(408), Some(408)));
        assert_eq!(code(Some(http::StatusCode::OK)), None);
        fault.answered();
        assert_eq!(code(None), None, "the caller has its reply");
    }
}
