//! What happens while an author works, for people and for programs: builds, installations, requests, lines of functions.
//! Told from any thread and written by one, so that a slow terminal never holds a request up.

use crate::limits::CHANGES_SHOWN;
use crate::lines::Lines;
use crate::local::level_name;
use crate::print::{
    BOLD, DIM, ErrorReport, Format, GREEN, RED, Report, YELLOW, count, duration, error_text, json_line,
    printable, short,
};
use anstyle::{AnsiColor, Style};
use anyhow::{Context, Result};
use rimward_manifest::Name;
use rimward_node::{Addresses, FunctionId, Installed, LogLine, Observer, Outcome, RequestLine};
use serde::Serialize;
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// One thing that happened.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "kebab-case", rename_all_fields = "kebab-case")]
pub(super) enum Event<'a> {
    /// The node answers on these addresses, as yet with 404.
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
        notes: &'a [String],
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
            notes: &installed.notes,
        }
    }
}

/// One line begins with what happened, in this width.
macro_rules! line {
    ($out:expr, $style:expr, $word:expr, $($text:tt)*) => {
        writeln!($out, "{}{:<9}{:#} {}", $style, $word, $style, format_args!($($text)*))
    };
}

impl Report for Event<'_> {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        match self {
            Self::Listening { app, addresses } => {
                let urls = addresses.http.iter().map(|address| format!("http://{address}"));
                let urls = urls.collect::<Vec<_>>().join(" ");
                line!(
                    out,
                    BOLD,
                    "dev",
                    "{app} on {BOLD}{urls}{BOLD:#} (Ctrl-C stops, `--listen` chooses another address)"
                )
            }
            Self::Changed { files, more: 0 } => line!(out, DIM, "changed", "{}", files.join(", ")),
            Self::Changed { files, more } => {
                line!(out, DIM, "changed", "{} and {}", files.join(", "), count(*more, "more file"))
            }
            Self::Building { command, .. } => line!(out, DIM, "build", "{command}"),
            Self::Built { functions, ms } => line!(out, GREEN, "built", "{} in {ms}", names(functions)),
            Self::Failed { text, still_serving, .. } => {
                write!(out, "{text}")?;
                match still_serving {
                    Some(revision) => line!(out, YELLOW, "kept", "{} goes on serving", short(revision)),
                    None => line!(out, YELLOW, "waiting", "for a change"),
                }
            }
            Self::Warning { error } => line!(out, YELLOW, "warning", "{error}"),
            Self::Unchanged { revision } => {
                line!(out, DIM, "unchanged", "{} is what serves already", short(revision))
            }
            Self::Serving { .. } => self.serving_text(out),
            Self::Request { .. } => self.request_text(out),
            Self::Log { function, level, text, .. } => {
                let (name, style) = (&function.function, level_style(level));
                let colour = colour_of(name.as_str());
                line!(out, colour, name, "{style}{level:<5}{style:#} {}", printable(text.trim_end()))
            }
            Self::Draining => line!(out, BOLD, "stopping", "open requests finish; Ctrl-C again ends them"),
            Self::Stopped { cut_off: 0 } => line!(out, BOLD, "stopped", "all requests are answered"),
            Self::Stopped { cut_off } => {
                line!(out, YELLOW, "stopped", "with {} open", count(*cut_off, "connection"))
            }
        }
    }
}

impl Event<'_> {
    fn serving_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self::Serving {
            app,
            revision,
            replaced,
            routes,
            compiled,
            prepare_ms,
            swap_ms,
            private_origins,
            notes,
        } = self
        else {
            return Ok(());
        };
        let was = replaced.map(|old| format!(" in place of {}", short(old))).unwrap_or_default();
        let compiled =
            if *compiled == 0 { "from the compile cache".into() } else { format!("{compiled} compiled") };
        line!(
            out,
            GREEN,
            "serving",
            "{BOLD}{app}{BOLD:#} {}{was}: loaded in {prepare_ms} ({compiled}), swapped in {swap_ms}",
            short(revision)
        )?;
        if replaced.is_none() {
            routes.iter().try_for_each(|route| line!(out, DIM, "route", "{route}"))?;
            private_origins.iter().try_for_each(|origin| {
                line!(
                    out,
                    DIM,
                    "allowed",
                    "{origin}, a private address, because an upstream is declared there"
                )
            })?;
        }
        notes.iter().try_for_each(|note| line!(out, YELLOW, "note", "{note}"))
    }

    fn request_text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self::Request {
            method, path, function, status, code, cause, duration_ms, cpu_ms, outcome, ..
        } = self
        else {
            return Ok(());
        };
        let style = status_style(*status);
        let status = status.map_or_else(|| (*outcome).to_owned(), |status| status.to_string());
        let name = function.as_deref().unwrap_or("-");
        let colour = colour_of(name);
        let (method, path) = (printable(method), printable(path));
        line!(
            out,
            colour,
            name,
            "{style}{status}{style:#} {method} {path}  {DIM}{duration_ms}, {cpu_ms} CPU{DIM:#}"
        )?;
        match (code, cause) {
            (Some(code), Some(cause)) => line!(out, RED, "", "{code}: {}", printable(cause)),
            (Some(code), None) => line!(out, RED, "", "{code}"),
            (None, _) => Ok(()),
        }
    }
}

fn names(functions: &[Name]) -> String {
    functions.iter().map(Name::as_str).collect::<Vec<_>>().join(", ")
}

fn status_style(status: Option<u16>) -> Style {
    match status {
        Some(..400) => GREEN,
        Some(400..500) => YELLOW,
        _ => RED,
    }
}

fn level_style(level: &str) -> Style {
    match level {
        "error" | "critical" => RED,
        "warn" => YELLOW,
        "info" => Style::new(),
        _ => DIM,
    }
}

/// A function keeps its colour from run to run.
fn colour_of(name: &str) -> Style {
    const COLOURS: [AnsiColor; 6] = [
        AnsiColor::Cyan,
        AnsiColor::Magenta,
        AnsiColor::Blue,
        AnsiColor::BrightCyan,
        AnsiColor::BrightMagenta,
        AnsiColor::BrightBlue,
    ];
    let sum: usize = name.bytes().map(usize::from).sum();
    COLOURS[sum % COLOURS.len()].on_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rimward_capability::Level;

    fn check(event: &Event<'_>, text: &str, json: &str) {
        let mut written = Vec::new();
        event.text(&mut written).unwrap();
        assert_eq!(anstream::adapter::strip_str(&String::from_utf8(written).unwrap()).to_string(), text);
        assert_eq!(serde_json::to_string(event).unwrap(), json);
    }

    #[test]
    fn an_event_reads_well_for_people_and_for_programs() {
        check(
            &Event::Changed { files: vec!["src/lib.rs".into()], more: 2 },
            "changed   src/lib.rs and 2 more files\n",
            r#"{"event":"changed","files":["src/lib.rs"],"more":2}"#,
        );
        let functions = ["hello".parse().unwrap()];
        check(
            &Event::Built { functions: &functions, ms: Milliseconds(Duration::from_millis(1_500)) },
            "built     hello in 1.5 s\n",
            r#"{"event":"built","functions":["hello"],"ms":1500.0}"#,
        );
    }

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
    fn a_request_shows_its_status_times_and_cause() {
        let request = |status, code| Event::Request {
            method: "GET",
            path: "/x\u{1b}",
            function: Some("hello".into()),
            status,
            outcome: "failed",
            code,
            cause: code.map(|_| "the function failed: out of memory"),
            request_id: "r",
            duration_ms: Milliseconds(Duration::from_micros(2_500)),
            cpu_ms: Milliseconds(Duration::from_micros(400)),
            memory_bytes: 65_536,
        };
        let text = |event: Event<'_>| {
            let mut written = Vec::new();
            event.text(&mut written).unwrap();
            anstream::adapter::strip_str(&String::from_utf8(written).unwrap()).to_string()
        };
        assert_eq!(text(request(Some(200), None)), "hello     200 GET /x\\u{1b}  2.5 ms, 400 µs CPU\n");
        assert_eq!(
            text(request(Some(500), Some("rimward.guest.memory"))),
            "hello     500 GET /x\\u{1b}  2.5 ms, 400 µs CPU\n          rimward.guest.memory: the function failed: out of memory\n"
        );
    }

    #[test]
    fn every_level_of_a_function_has_its_name() {
        let names: Vec<_> =
            [Level::Trace, Level::Info, Level::Critical].into_iter().map(level_name).collect();
        assert_eq!(names, ["trace", "info", "critical"]);
    }
}
