//! The log of a node in production: what the node says of itself, what functions log, and a line for each request that
//! failed, or for each one. All of it goes through `tracing` and one writer, as text or as JSON.

use super::flood::{Flood, Line};
use crate::lines::Lines;
use crate::print::printable;
use anyhow::{Context, Result};
use rimward_capability::{Level, Offences};
use rimward_manifest::{Log, LogFormat, LogLevel, LogRequests};
use rimward_node::upstream::breaker::{self, Phase};
use rimward_node::upstream::endpoints::Change;
use rimward_node::{LogLine, Observer, Outcome, RequestLine, UpstreamChange, UpstreamLine};
use std::sync::Arc;
use tracing::field::display;
use tracing::level_filters::LevelFilter;

/// Sets up `tracing` for this process, and returns what hears of requests and of functions' lines.
pub(super) fn start(settings: &Log, lines: &Lines) -> Result<Arc<dyn Observer>> {
    let lines = lines.clone();
    let colours = settings.format == LogFormat::Text && crate::print::is_coloured();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(filter(settings.level))
        .with_ansi(colours)
        .with_writer(move || lines.clone());
    let set = match settings.format {
        LogFormat::Text => tracing::subscriber::set_global_default(subscriber.finish()),
        LogFormat::Json => {
            tracing::subscriber::set_global_default(subscriber.json().flatten_event(true).finish())
        }
    };
    set.context("the log is set up twice")?;
    Ok(Arc::new(ToTracing { requests: settings.requests, flood: Flood::new() }))
}

fn filter(level: LogLevel) -> LevelFilter {
    match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    }
}

struct ToTracing {
    requests: LogRequests,
    flood: Flood,
}

impl ToTracing {
    /// Whether this line is one too many. Says how many had none before.
    fn leaves_out(&self, line: &RequestLine<'_>) -> bool {
        let refused = matches!(line.outcome, Outcome::Failed(_)) && line.cpu.is_zero();
        if !refused || self.requests == LogRequests::All {
            return false;
        }
        match self.flood.refused() {
            Line::LeaveOut => true,
            Line::Write { left_out: 0 } => false,
            Line::Write { left_out } => {
                tracing::warn!(target: "request", left_out, "more requests were refused than have a line here");
                false
            }
        }
    }
}

impl Observer for ToTracing {
    fn request(&self, line: &RequestLine<'_>) {
        if self.leaves_out(line) {
            return;
        }
        let offended = line.offences.iter().next().is_some();
        let level = level(line.outcome, offended);
        match (line.outcome, self.requests) {
            (Outcome::Answered, LogRequests::Failures) if !offended => {}
            (Outcome::Answered, _) => request(line, level, "answered", None),
            (Outcome::Failed(code), _) => request(line, level, "failed", Some(code)),
            (Outcome::CutShort(code), _) => request(line, level, "cut short", Some(code)),
            (Outcome::Abandoned, _) => request(line, level, "abandoned", None),
        }
    }

    fn upstream(&self, line: &UpstreamLine<'_>) {
        let UpstreamLine { tenant, app, upstream, change } = line;
        macro_rules! at {
            ($level:ident, $($fields:tt)*) => {
                tracing::$level!(target: "upstream", %tenant, %app, %upstream, $($fields)*)
            };
        }
        match change {
            UpstreamChange::Breaker(breaker::Change { from, to, reason, .. }) => match to {
                Phase::Open => at!(warn, %from, %reason, "the circuit breaker opened"),
                Phase::HalfOpen | Phase::Closed => {
                    at!(info, %from, %to, %reason, "the circuit breaker changed")
                }
            },
            UpstreamChange::Endpoint { url, change } => match change {
                Change::Ejected(lasts) => {
                    at!(warn, url, lasts_s = lasts.as_secs(), "an endpoint keeps failing and is not used")
                }
                Change::Unhealthy => at!(warn, url, "an endpoint's health checks fail"),
                Change::Returned | Change::Healthy => at!(info, url, "an endpoint is used again"),
            },
        }
    }

    fn log(&self, line: &LogLine<'_>) {
        let (function, request_id, context) = (display(line.function), line.request_id, line.context);
        let text = printable(line.text);
        /// The level of an event is fixed where it stands.
        macro_rules! at {
            ($level:ident) => {
                tracing::$level!(target: "function", %function, request_id, context, "{text}")
            };
        }
        match line.level {
            Level::Trace => at!(trace),
            Level::Debug => at!(debug),
            Level::Info => at!(info),
            Level::Warn => at!(warn),
            Level::Error | Level::Critical => at!(error),
        }
    }
}

/// How important the end of a request is: the node's own failures come first, a caller's mistakes last. A function that
/// did what it may not do is looked at, whatever it answered.
fn level(outcome: Outcome, offended: bool) -> tracing::Level {
    match outcome {
        Outcome::Failed(code) | Outcome::CutShort(code) if code.starts_with("rimward.node.") => {
            tracing::Level::ERROR
        }
        Outcome::Failed(code) | Outcome::CutShort(code) if code.starts_with("rimward.guest.") => {
            tracing::Level::WARN
        }
        _ if offended => tracing::Level::WARN,
        Outcome::Failed(_) | Outcome::CutShort(_) | Outcome::Answered | Outcome::Abandoned => {
            tracing::Level::INFO
        }
    }
}

fn request(line: &RequestLine<'_>, level: tracing::Level, end: &str, code: Option<&str>) {
    let milliseconds = |duration: std::time::Duration| duration.as_secs_f64() * 1e3;
    macro_rules! at {
        ($level:ident) => {
            tracing::$level!(
                target: "request",
                request_id = line.request_id,
                trace_id = line.trace_id,
                method = line.method,
                path = %printable(line.path),
                function = line.function.map(display),
                revision = line.revision,
                status = line.status,
                code,
                offences = offences(line.offences),
                cause = line.cause,
                duration_ms = milliseconds(line.duration),
                cpu_ms = milliseconds(line.cpu),
                memory_bytes = line.memory_bytes,
                "{end}"
            )
        };
    }
    match level {
        tracing::Level::ERROR => at!(error),
        tracing::Level::WARN => at!(warn),
        _ => at!(info),
    }
}

/// `denied 3, header 1`; nothing where there were none.
fn offences(offences: &Offences) -> Option<String> {
    let texts: Vec<_> = offences.iter().map(|(kind, times)| format!("{} {times}", kind.name())).collect();
    (!texts.is_empty()).then(|| texts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_as_important_as_whose_fault_it_is() {
        let check = |outcome, expected| assert_eq!(level(outcome, false), expected);
        check(Outcome::Failed("rimward.node.full"), tracing::Level::ERROR);
        check(Outcome::CutShort("rimward.guest.stream"), tracing::Level::WARN);
        check(Outcome::Failed("rimward.caller.no-route"), tracing::Level::INFO);
        check(Outcome::Abandoned, tracing::Level::INFO);
        assert_eq!(level(Outcome::Answered, true), tracing::Level::WARN, "it coped with what it was refused");
        assert_eq!(level(Outcome::Failed("rimward.node.full"), true), tracing::Level::ERROR);
    }
}
