//! How results and errors look: text for people, in colours where the terminal shows them, or JSON for programs.
//!
//! Every command prints through [`report`], and every error through [`error`]: the chain of causes, each on its own
//! line. Results go to standard output, everything else to standard error; an error as JSON goes to standard output,
//! where a program looks for an answer.

use anstyle::{AnsiColor, Style};
use anyhow::{Chain, Result};
use rimward_manifest::{Colour, Problems, ReadError};
use serde::Serialize;
use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::io::{self, Write};
use std::time::Duration;

/// What is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// One JSON document, or one on each line where it is a stream.
    Json,
}

pub(crate) const BOLD: Style = Style::new().bold();
pub(crate) const DIM: Style = Style::new().dimmed();
pub(crate) const GREEN: Style = AnsiColor::Green.on_default();
pub(crate) const YELLOW: Style = AnsiColor::Yellow.on_default();
pub(crate) const RED: Style = AnsiColor::Red.on_default();
const ERROR: Style = AnsiColor::Red.on_default().bold();

/// What a command found out.
pub(crate) trait Report: Serialize {
    /// Writes it for people. Escape sequences are taken out again where they are not wanted.
    fn text(&self, out: &mut dyn Write) -> io::Result<()>;
}

/// Prints a result to standard output.
pub(crate) fn report(report: &impl Report, format: Format) -> Result<()> {
    let mut out = anstream::stdout().lock();
    match format {
        Format::Text => report.text(&mut out)?,
        Format::Json => json_line(&mut out, report)?,
    }
    Ok(out.flush()?)
}

/// Writes one line of JSON.
pub(crate) fn json_line(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    writeln!(out, "{}", serde_json::to_string(value).map_err(io::Error::other)?)
}

/// Says something on standard error that is no result: progress, a note.
macro_rules! note {
    ($($text:tt)*) => { anstream::eprintln!($($text)*) };
}
pub(crate) use note;

/// An error as a program reads it.
#[derive(Serialize)]
pub(crate) struct ErrorReport {
    /// What was being done.
    message: String,
    /// Why it failed, outermost first.
    causes: Vec<String>,
    /// What is wrong with a file, where that is the cause.
    #[serde(skip_serializing_if = "Option::is_none")]
    problems: Option<Problems>,
}

impl ErrorReport {
    pub(crate) fn new(error: &(dyn Error + 'static)) -> Self {
        let mut chain = distinct(error).into_iter().map(|error| match problems(error) {
            Some(problems) => {
                format!("`{}` has {}", problems.file, count(problems.problems.len(), "problem"))
            }
            None => error.to_string(),
        });
        let message = chain.next().unwrap_or_default();
        Self { message, causes: chain.collect(), problems: Chain::new(error).find_map(problems).cloned() }
    }
}

/// All of it on one line.
impl fmt::Display for ErrorReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        self.causes.iter().try_for_each(|cause| write!(f, ": {cause}"))
    }
}

/// Prints an error: what failed, then cause by cause.
pub(crate) fn error(error: &anyhow::Error, format: Format) {
    #[derive(Serialize)]
    struct Wrapped {
        error: ErrorReport,
    }
    // There is nowhere left to report that this could not be written.
    let _ = match format {
        Format::Text => anstream::stderr().lock().write_all(error_text(error.as_ref()).as_bytes()),
        Format::Json => json_line(&mut io::stdout(), &Wrapped { error: ErrorReport::new(error.as_ref()) }),
    };
}

/// An error and its causes, each on its own line; problems of a file are shown with their places.
pub(crate) fn error_text(error: &(dyn Error + 'static)) -> String {
    let mut text = String::new();
    for (depth, cause) in distinct(error).into_iter().enumerate() {
        let head = match depth {
            0 => format!("{ERROR}error{ERROR:#}: "),
            _ => format!("  {DIM}because{DIM:#}: "),
        };
        text += &match problems(cause) {
            Some(problems) => format!("{head}{}\n\n{}", headline(problems), problems.render(colour())),
            None => format!("{head}{cause}\n"),
        };
    }
    text
}

/// The chain without causes that only repeat what was said: transparent layers.
fn distinct<'a>(error: &'a (dyn Error + 'static)) -> Vec<&'a (dyn Error + 'static)> {
    let mut chain: Vec<&(dyn Error + 'static)> = Vec::new();
    for cause in Chain::new(error) {
        if chain.last().is_none_or(|last| last.to_string() != cause.to_string()) {
            chain.push(cause);
        }
    }
    chain
}

fn problems<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Problems> {
    match error.downcast_ref::<ReadError>() {
        Some(ReadError::Invalid(problems)) => Some(problems),
        _ => error.downcast_ref::<Problems>(),
    }
}

fn headline(problems: &Problems) -> String {
    format!("`{}` has {}", problems.file, count(problems.problems.len(), "problem"))
}

fn colour() -> Colour {
    if is_coloured() { Colour::Ansi } else { Colour::Plain }
}

/// Whether standard error shows colours.
pub(crate) fn is_coloured() -> bool {
    !matches!(anstream::AutoStream::choice(&io::stderr()), anstream::ColorChoice::Never)
}

/// Whether an error is only that nobody reads our output any more, as in `rimward status | head -1`.
pub(crate) fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}

/// A time as people read it: `850 µs`, `12 ms`, `3.4 s`.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    match seconds {
        ..0.001 => format!("{:.0} µs", seconds * 1e6),
        ..0.01 => format!("{:.1} ms", seconds * 1e3),
        ..1.0 => format!("{:.0} ms", seconds * 1e3),
        ..100.0 => format!("{seconds:.1} s"),
        _ => format!("{seconds:.0} s"),
    }
}

/// A size as people read it: `512 B`, `81 KiB`, `1.5 GiB`.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1024.0 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = if value < 10.0 { 1 } else { 0 };
    format!("{value:.digits$} {}", UNITS[unit])
}

/// `1 route`, `2 routes`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Text from outside without what could steer a terminal.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    let steers = |character: char| character.is_control() && character != '\t';
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    text.chars().map(|c| if steers(c) { c.escape_default().to_string() } else { c.to_string() }).collect()
}

/// The first digits of a digest: enough for people to tell revisions apart.
pub(crate) fn short(digest: &str) -> &str {
    let hex = digest.strip_prefix("sha256:").unwrap_or(digest);
    hex.get(..12).unwrap_or(hex)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    fn plain(error: &anyhow::Error) -> String {
        anstream::adapter::strip_str(&error_text(error.as_ref())).to_string()
    }

    #[test]
    fn an_error_is_told_cause_by_cause() {
        let error = Err::<(), _>(io::Error::other("no room")).context("cannot write `x`").unwrap_err();
        assert_eq!(plain(&error), "error: cannot write `x`\n  because: no room\n");
    }

    #[test]
    fn a_cause_that_only_repeats_is_left_out() {
        let error = Err::<(), _>(io::Error::other("no room")).context("no room").unwrap_err();
        assert_eq!(plain(&error), "error: no room\n");
    }

    #[test]
    fn problems_of_a_file_are_shown_with_their_places() {
        let problems =
            rimward_manifest::App::parse("[app]\nnaem = 1\n[function.x]\ncomponent = \"x\"\n").unwrap_err();
        let error = anyhow::Error::new(ReadError::Invalid(problems)).context("the app cannot be read");
        let text = plain(&error);
        let head = "error: the app cannot be read\n  because: `rimward.toml` has 2 problems\n\nrimward.toml:";
        assert!(text.starts_with(head), "{text}");
        assert!(text.contains("did you mean `name`?"), "{text}");
        let report = serde_json::to_value(ErrorReport::new(error.as_ref())).unwrap();
        assert_eq!(report["message"], "the app cannot be read");
        assert_eq!(report["problems"]["problems"].as_array().map(Vec::len), Some(2));
    }

    #[test]
    fn times_have_two_digits_that_matter() {
        let check = |micros, text| assert_eq!(duration(Duration::from_micros(micros)), text);
        check(85, "85 µs");
        check(1_234, "1.2 ms");
        check(56_789, "57 ms");
        check(3_400_000, "3.4 s");
        check(250_000_000, "250 s");
    }

    #[test]
    fn sizes_have_two_digits_that_matter() {
        let check = |size, text| assert_eq!(bytes(size), text);
        check(1_023, "1023 B");
        check(1_536, "1.5 KiB");
        check(83_000, "81 KiB");
        check(24 << 30, "24 GiB");
    }

    #[test]
    fn text_from_outside_cannot_steer_the_terminal() {
        assert_eq!(printable("plain \u{e9}\t"), "plain \u{e9}\t");
        assert_eq!(printable("\u{1b}[2Jx\n"), "\\u{1b}[2Jx\\n");
    }
}
