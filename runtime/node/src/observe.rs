//! What a node tells whoever embeds it: one line for each request, one for each line that a function logs. Both are
//! called on the request path and must not block.

use crate::FunctionId;
use rimward_capability::{Level, Offences};
use rimward_manifest::Name;
use rimward_upstream::{breaker, endpoints};
use std::time::Duration;

/// Hears of requests and of what functions log.
pub trait Observer: Send + Sync + 'static {
    /// A request is over: its reply was sent, cut short or abandoned.
    fn request(&self, line: &RequestLine<'_>);
    /// A function logged a line.
    fn log(&self, line: &LogLine<'_>);
    /// Something changed at an upstream.
    fn upstream(&self, _line: &UpstreamLine<'_>) {}
}

/// Something that changed at an upstream.
#[derive(Debug, Clone, Copy)]
pub struct UpstreamLine<'a> {
    /// Whose app it is of.
    pub tenant: &'a Name,
    /// The app.
    pub app: &'a Name,
    /// Its name there.
    pub upstream: &'a Name,
    /// What changed.
    pub change: UpstreamChange<'a>,
}

/// What changed at an upstream.
#[derive(Debug, Clone, Copy)]
pub enum UpstreamChange<'a> {
    /// Its circuit breaker.
    Breaker(&'a breaker::Change),
    /// One of its places.
    Endpoint {
        /// Where that is.
        url: &'a str,
        /// How it changed.
        change: endpoints::Change,
    },
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The function's reply was sent.
    Answered,
    /// The node answered in its place; the code says why.
    Failed(&'static str),
    /// The reply had begun and was cut short; the code says why.
    CutShort(&'static str),
    /// The client went away first.
    Abandoned,
}

/// One request.
#[derive(Debug, Clone, Copy)]
pub struct RequestLine<'a> {
    /// Names the request.
    pub request_id: &'a str,
    /// The trace it belongs to (W3C), 32 hexadecimal digits.
    pub trace_id: &'a str,
    /// The method.
    pub method: &'a str,
    /// The path without its query, as it came: escape it before it is printed.
    pub path: &'a str,
    /// The function that it was for, where a route was found.
    pub function: Option<&'a FunctionId>,
    /// The revision of that function's app.
    pub revision: Option<&'a str>,
    /// The status of the reply, where there was one.
    pub status: Option<u16>,
    /// How it ended.
    pub outcome: Outcome,
    /// What the function did that it may not do, also where it coped and answered.
    pub offences: &'a Offences,
    /// What the operator should know about a failure: the chain of causes.
    pub cause: Option<&'a str>,
    /// From arrival to the end of the reply.
    pub duration: Duration,
    /// CPU time that the function spent.
    pub cpu: Duration,
    /// The most memory that the function's instance held, bytes.
    pub memory_bytes: u64,
}

/// One line of a function's log.
#[derive(Debug, Clone, Copy)]
pub struct LogLine<'a> {
    /// The function.
    pub function: &'a FunctionId,
    /// The request it worked on.
    pub request_id: &'a str,
    /// How important it says it is.
    pub level: Level,
    /// `stdout`, `stderr`, or the context it gave.
    pub context: &'a str,
    /// The text as the function wrote it: escape it before it is printed.
    pub text: &'a str,
}

/// Hears nothing, for tests and one-off runs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Observer for Silent {
    fn request(&self, _: &RequestLine<'_>) {}
    fn log(&self, _: &LogLine<'_>) {}
}
