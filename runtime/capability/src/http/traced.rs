//! Calls to upstreams in the node's log, at the level `debug`, each under the trace of the invocation that made it: which try
//! answered, whether a hedge was sent, what the cache did, what stood in and why, and where a deferred call waits.

use super::deferred::Refused;
use http::{HeaderValue, Response, header};
use rimward_upstream::{Answer, Error};
use std::time::Instant;
use wasmtime_wasi_http::WasiBody;

/// Under which the log has them.
const CALLS: &str = "rimward::calls";

/// A call under way.
pub(super) struct Traced<'a> {
    trace_id: &'a str,
    request_id: &'a str,
    upstream: &'a str,
    start: Instant,
}

impl<'a> Traced<'a> {
    /// `None` where nobody listens, which costs one load.
    pub(super) fn begin(
        traceparent: Option<&'a HeaderValue>,
        request_id: &'a str,
        upstream: &'a str,
    ) -> Option<Self> {
        tracing::enabled!(target: CALLS, tracing::Level::DEBUG).then(|| Self {
            trace_id: traceparent.map_or("", trace_id),
            request_id,
            upstream,
            start: Instant::now(),
        })
    }

    /// What came of it.
    pub(super) fn called(&self, called: &Result<Answer, Error>) {
        let (answer, error) = (called.as_ref().ok(), called.as_ref().err());
        let told = answer.map(|answer| &answer.told);
        let fallback = told.and_then(|told| told.fallback);
        tracing::debug!(
            target: CALLS,
            trace_id = self.trace_id,
            request_id = self.request_id,
            upstream = self.upstream,
            ms = self.start.elapsed().as_secs_f64() * 1e3,
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
    pub(super) fn deferred(&self, accepted: &Result<Response<WasiBody>, Refused>) {
        let place = accepted.as_ref().ok().and_then(|response| response.headers().get(header::LOCATION));
        tracing::debug!(
            target: CALLS,
            trace_id = self.trace_id,
            request_id = self.request_id,
            upstream = self.upstream,
            ms = self.start.elapsed().as_secs_f64() * 1e3,
            outbox = place.and_then(|place| place.to_str().ok()),
            error = accepted.as_ref().err().map(tracing::field::display),
            "a call was deferred"
        );
    }
}

/// The trace's own id (W3C Trace Context, section 3.2.2.3).
pub(super) fn trace_id(traceparent: &HeaderValue) -> &str {
    traceparent.to_str().ok().and_then(|text| text.split('-').nth(1)).unwrap_or_default()
}
