//! What happens while an author works, for people and for programs: builds, installations, requests, lines of functions.
//! Told from any thread and written by one, so that a slow terminal never holds a request up.

mod text;

use crate::limits::CHANGES_SHOWN;
use crate::lines::Lines;
use crate::local::level_name;
use crate::print::{ErrorReport, Format, Report, duration, error_text, json_line};
use anyhow::{Context, Result};
use rimward_manifest::Name;
use rimward_node::upstream::endpoints::Change;
use rimward_node::{
    Addresses, FunctionId, Installed, LogLine, Observer, Outcome, RequestLine, UpstreamChange, UpstreamLine,
};
use serde::Serialize;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// One thing that happened.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub(super) enum Event<'a> {
    /// The node answers on these addresses, as yet with 503.
    Listening { app: Name, addresses: Addresses },
    /// Files changed.
    Changed { files: Vec<String>, more: usize },
    /// A build command begins.
    Building { command: &'a str, functions: &'a [Name] },
    /// It succeeded.
    Built { functions: &'a [Name], ms: Milliseconds },
    /// A step failed; what served before, if anything, still does.
    Failed {
        error: ErrorReport,
        #[serde(skip)]
        text: String,
        still_serving: Option<&'a str>,
    },
    /// Something is not as it should be, and everything goes on.
    Warning { error: ErrorReport },
    /// What was built is what serves already.
    Unchanged { revision: &'a str },
    /// Components are being made into machine code, and it takes a while.
    Compiling,
    /// A revision serves.
    Serving {
        app: &'a Name,
        revision: &'a str,
        replaced: Option<&'a str>,
        routes: &'a [String],
        compiled: usize,
        prepare_ms: Milliseconds,
        swap_ms: Milliseconds,
        private_origins: &'a [String],
    },
    /// A request is over.
    Request {
        method: &'a str,
        path: &'a str,
        function: Option<String>,
        status: Option<u16>,
        outcome: &'static str,
        code: Option<&'static str>,
        cause: Option<&'a str>,
        request_id: &'a str,
        duration_ms: Milliseconds,
        cpu_ms: Milliseconds,
        memory_bytes: u64,
    },
    /// A function logged a line.
    Log { function: &'a FunctionId, request_id: &'a str, level: String, context: &'a str, text: &'a str },
    /// Calls to upstreams meet faults.
    Faults { faults: String },
    /// Something else answers in an upstream's place.
    StandIn { upstream: &'a Name, address: SocketAddr, is_recorded: bool },
    /// A circuit breaker changed its state.
    Breaker { upstream: &'a Name, from: String, to: String, reason: String },
    /// An endpoint of an upstream changed.
    Endpoint { upstream: &'a Name, url: &'a str, change: &'static str },
    /// Asked to stop: open requests are finished.
    Draining,
    /// Nothing is served any more.
    Stopped { cut_off: usize },
}

/// A time, for programs as a number of milliseconds.
#[derive(Clone, Copy)]
pub(super) struct Milliseconds(pub(super) Duration);

impl Serialize for Milliseconds {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.0.as_secs_f64() * 1e3)
    }
}

impl std::fmt::Display for Milliseconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&duration(self.0))
    }
}

/// Where events are told. Cloning shares the writer.
#[derive(Clone)]
pub(super) struct Events {
    lines: Lines,
    format: Format,
}

impl Events {
    /// Starts to write to standard output. The node's own log goes the same way, from warnings on.
    pub(super) fn start(format: Format) -> Result<Self> {
        let lines = Lines::start(anstream::stdout()).context("the thread that writes did not start")?;
        let log = lines.clone();
        let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).without_time();
        let set = match format {
            Format::Text => {
                let subscriber = subscriber.with_target(false).with_writer(move || log.clone());
                tracing::subscriber::set_global_default(subscriber.finish())
            }
            Format::Json => {
                let subscriber = subscriber.json().flatten_event(true).with_writer(move || log.clone());
                tracing::subscriber::set_global_default(subscriber.finish())
            }
        };
        set.context("the log is set up twice")?;
        Ok(Self { lines, format })
    }

    pub(super) fn tell(&self, event: &Event<'_>) {
        let mut text = Vec::new();
        let written = match self.format {
            Format::Text => event.text(&mut text),
            Format::Json => json_line(&mut text, event),
        };
        written.expect("writing to memory does not fail");
        self.lines.push(String::from_utf8_lossy(&text).into_owned());
    }

    /// Waits until everything told is written.
    pub(super) fn flush(&self) {
        self.lines.flush();
    }
}

impl Observer for Events {
    fn request(&self, line: &RequestLine<'_>) {
        let (outcome, code) = match line.outcome {
            Outcome::Answered => ("answered", None),
            Outcome::Failed(code) => ("failed", Some(code)),
            Outcome::CutShort(code) => ("cut-short", Some(code)),
            Outcome::Abandoned => ("abandoned", None),
        };
        self.tell(&Event::Request {
            method: line.method,
            path: line.path,
            function: line.function.map(|id| id.function.to_string()),
            status: line.status,
            outcome,
            code,
            cause: line.cause,
            request_id: line.request_id,
            duration_ms: Milliseconds(line.duration),
            cpu_ms: Milliseconds(line.cpu),
            memory_bytes: line.memory_bytes,
        });
    }

    fn upstream(&self, line: &UpstreamLine<'_>) {
        let upstream = line.upstream;
        self.tell(&match line.change {
            UpstreamChange::Breaker(change) => Event::Breaker {
                upstream,
                from: change.from.to_string(),
                to: change.to.to_string(),
                reason: change.reason.to_string(),
            },
            UpstreamChange::Endpoint { url, change } => {
                let change = match change {
                    Change::Ejected(_) => "keeps failing and is not used",
                    Change::Unhealthy => "says that it is ill, and is not used",
                    Change::Returned | Change::Healthy => "is used again",
                };
                Event::Endpoint { upstream, url, change }
            }
        });
    }

    fn log(&self, line: &LogLine<'_>) {
        let LogLine { function, request_id, level, context, text } = *line;
        self.tell(&Event::Log { function, request_id, level: level_name(level), context, text });
    }
}

impl<'a> Event<'a> {
    /// Names the first few, as seen from the app's folder.
    pub(super) fn changed(folder: &Path, files: &BTreeSet<PathBuf>) -> Self {
        let shown = |path: &PathBuf| path.strip_prefix(folder).unwrap_or(path).display().to_string();
        let more = files.len().saturating_sub(CHANGES_SHOWN);
        Self::Changed { files: files.iter().take(CHANGES_SHOWN).map(shown).collect(), more }
    }

    pub(super) fn failed(error: &anyhow::Error, still_serving: Option<&'a str>) -> Self {
        Self::Failed {
            error: ErrorReport::new(error.as_ref()),
            text: error_text(error.as_ref()),
            still_serving,
        }
    }

    pub(super) fn warning(error: &(dyn std::error::Error + 'static)) -> Self {
        Self::Warning { error: ErrorReport::new(error) }
    }

    pub(super) fn serving(app: &'a Name, installed: &'a Installed) -> Self {
        Self::Serving {
            app,
            revision: &installed.revision,
            replaced: installed.replaced.as_deref(),
            routes: &installed.routes,
            compiled: installed.compiled,
            prepare_ms: Milliseconds(installed.prepare),
            swap_ms: Milliseconds(installed.swap),
            private_origins: &installed.private_origins,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rimward_capability::Level;

    #[test]
    fn changes_are_named_up_to_the_limit_and_further_ones_are_counted() {
        let check = |number, named, counted| {
            let files = (0..number).map(|n| PathBuf::from(format!("/app/src/{n}.rs"))).collect();
            let Event::Changed { files, more } = Event::changed(Path::new("/app"), &files) else {
                unreachable!()
            };
            assert_eq!((files.len(), more), (named, counted));
            assert_eq!(files[0], "src/0.rs");
        };
        check(CHANGES_SHOWN, CHANGES_SHOWN, 0);
        check(CHANGES_SHOWN + 1, CHANGES_SHOWN, 1);
    }

    #[test]
    fn every_level_of_a_function_has_its_name() {
        let names: Vec<_> =
            [Level::Trace, Level::Info, Level::Critical].into_iter().map(level_name).collect();
        assert_eq!(names, ["trace", "info", "critical"]);
    }
}
