//! How an event looks in a terminal: what happened in the first column, in its colour; a function keeps its own.

use super::Event;
use crate::print::{BOLD, DIM, GREEN, RED, Report, YELLOW, count, printable, short};
use anstyle::{AnsiColor, Style};
use rimward_manifest::Name;
use std::io::{self, Write};

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
            Self::Compiling => line!(out, DIM, "compiling", "to machine code, once for each new component"),
            Self::Serving { .. } => self.serving_text(out),
            Self::Request { .. } => self.request_text(out),
            Self::Log { function, level, text, .. } => {
                let (name, style) = (&function.function, level_style(level));
                let colour = colour_of(name.as_str());
                line!(out, colour, name, "{style}{level:<5}{style:#} {}", printable(text.trim_end()))
            }
            Self::Faults { faults } => {
                line!(out, YELLOW, "faults", "{} (`rimward fault clear` ends them)", printable(faults))
            }
            Self::StandIn { upstream, is_recorded: true, .. } => {
                line!(out, YELLOW, "record", "of {upstream}: its replies are written down")
            }
            Self::StandIn { upstream, .. } => {
                line!(out, YELLOW, "mock", "of {upstream}: replies come from a file")
            }
            Self::Breaker { upstream, from, to, reason } => {
                let style = match to.as_str() {
                    "open" => RED,
                    "closed" => GREEN,
                    _ => YELLOW,
                };
                line!(out, style, "breaker", "of {upstream}: {from} -> {style}{to}{style:#}, {reason}")
            }
            Self::Endpoint { upstream, url, change } => {
                line!(out, YELLOW, "endpoint", "{} of {upstream} {change}", printable(url))
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
        let Self::Serving { app, revision, replaced, routes, compiled, prepare_ms, swap_ms, private_origins } =
            self
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
        Ok(())
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
    use super::super::Milliseconds;
    use super::*;
    use std::time::Duration;

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
}
