//! Calls to upstreams and models in the node's log, at the level `debug`, each under the trace of the invocation that made it:
//! which try answered, whether a hedge was sent, what the cache did, what stood in and why, where a deferred call waits, and
//! which side of a model answered.

use http::{HeaderValue, Response, header};
use rimward_inference::{Answer as ModelAnswer, Error as ModelError};
use rimward_upstream::{Answer, Error};
use std::fmt;
use std::time::Instant;

/// Under which the log has them.
const CALLS: &str = "rimward::calls";

/// A call under way.
pub(crate) struct Traced<'a> {
    trace_id: &'a str,
    request_id: &'a str,
    /// The upstream, or the model.
    name: &'a str,
    start: Instant,
}

/// An event with what each of them has.
macro_rules! told {
    ($traced:expr, $what:ident, $($rest:tt)*) => {
        tracing::debug!(
            target: CALLS,
            trace_id = $traced.trace_id,
            request_id = $traced.request_id,
            $what = $traced.name,
            ms = $traced.start.elapsed().as_secs_f64() * 1e3,
            $($rest)*
        )
    };
}

impl<'a> Traced<'a> {
    /// `None` where nobody listens, which costs one load.
    pub(crate) fn begin(
        traceparent: Option<&'a HeaderValue>,
        request_id: &'a str,
        name: &'a str,
    ) -> Option<Self> {
        tracing::enabled!(target: CALLS, tracing::Level::DEBUG).then(|| Self {
            trace_id: traceparent.map_or("", trace_id),
            request_id,
            name,
            start: Instant::now(),
        })
    }

    /// What came of it.
    pub(crate) fn called(&self, called: &Result<Answer, Error>) {
        let (answer, error) = (called.as_ref().ok(), called.as_ref().err());
        let told = answer.map(|answer| &answer.told);
        let fallback = told.and_then(|told| told.fallback);
        told!(
            self,
            upstream,
            status = answer.map(|answer| answer.response.status().as_u16()),
            error = error.map(tracing::field::display),
            tries = told.map(|told| told.tries),
            hedged = told.map(|told| told.is_hedged),
            cache = told.and_then(|told| told.cache).map(tracing::field::display),
            fallback = fallback.map(|(kind, _)| tracing::field::display(kind)),
            reason = fallback.map(|(_, reason)| tracing::field::display(reason)),
            "an upstream was called"
        );
    }

    /// Whether it is on disk, and under which id.
    pub(crate) fn deferred<B>(&self, accepted: &Result<Response<B>, impl fmt::Display>) {
        let place = accepted.as_ref().ok().and_then(|response| response.headers().get(header::LOCATION));
        told!(
            self,
            upstream,
            outbox = place.and_then(|place| place.to_str().ok()),
            error = accepted.as_ref().err().map(tracing::field::display),
            "a call was deferred"
        );
    }

    /// Which side answered, and why.
    pub(crate) fn asked(&self, bytes: usize, answered: &Result<ModelAnswer, ModelError>) {
        let (answer, error) = (answered.as_ref().ok(), answered.as_ref().err());
        told!(
            self,
            model,
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

/// The trace's own id (W3C Trace Context, section 3.2.2.3).
fn trace_id(traceparent: &HeaderValue) -> &str {
    traceparent.to_str().ok().and_then(|text| text.split('-').nth(1)).unwrap_or_default()
}
