//! What a process of a node gives up before it meets anything hostile: files, system calls, privileges. It is the second
//! wall: the first is the sandbox of WebAssembly, and this one holds where that one has a defect.
//!
//! Two profiles. [`server`] is for `rimward serve`: files by a list, and no system call that a server never needs.
//! [`worker`] is for the processes that compile one component or run models: no files, no sockets, no programs; what it has is the
//! descriptors it was started with. Both are called while the process has one thread, because the kernel confines
//! threads; those that are started later inherit it, and so does every program that is executed. There is no way back.
//!
//! Knows no wasm, no node and no configuration. Where the kernel lacks a part, [`Mode`] decides: go on without it and say
//! so, or fail.

mod calls;
mod files;
pub mod limits;
mod network;
mod process;

pub use files::Reach;

use std::fmt;
use std::str::FromStr;

/// What happens where the kernel lacks a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Without it, and the report says so.
    #[default]
    Auto,
    /// It is an error.
    Required,
    /// Nothing is confined.
    Off,
}

impl Mode {
    /// As it is written in node.toml and on command lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Required => "required",
            Self::Off => "off",
        }
    }
}

/// The text is no mode.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`auto`, `required` or `off`")]
pub struct NoMode;

impl FromStr for Mode {
    type Err = NoMode;

    fn from_str(text: &str) -> Result<Self, NoMode> {
        [Self::Auto, Self::Required, Self::Off].into_iter().find(|mode| mode.name() == text).ok_or(NoMode)
    }
}

/// One wall: whether it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What it keeps from the process.
    pub name: &'static str,
    /// Why it does not stand.
    pub missing: Option<String>,
}

/// What was applied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Every part of the profile; none where confining is switched off.
    pub parts: Vec<Part>,
}

impl Report {
    /// The parts that do not stand.
    pub fn missing(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().filter(|part| part.missing.is_some())
    }
}

/// Words for a log line: each part that stands, and each that does not with the reason.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.parts.is_empty() {
            return f.write_str("off");
        }
        for (index, part) in self.parts.iter().enumerate() {
            f.write_str(if index == 0 { "" } else { ", " })?;
            match &part.missing {
                None => f.write_str(part.name)?,
                Some(reason) => write!(f, "no {} ({reason})", part.name)?,
            }
        }
        Ok(())
    }
}

/// A part is required and does not stand.
#[derive(Debug, thiserror::Error)]
#[error("this process cannot be confined as `required`: no {part} ({reason})")]
pub struct ConfineError {
    part: &'static str,
    reason: String,
}

/// Confines a server to `reach` and to the system calls of one. What the process did before in this program stays: a
/// program that executes itself is confined already, and may not be again with more.
pub fn server(mode: Mode, reach: &Reach) -> Result<Report, ConfineError> {
    confine(
        mode,
        vec![
            ("new privileges", &process::no_new_privileges),
            ("core dumps", &process::no_core_dump),
            ("files", &|| files::restrict(reach)),
            ("system calls", &calls::of_a_server),
        ],
    )
}

/// Confines a process that computes, and so compiles a component or runs models: it keeps the descriptors that it has, and
/// its memory.
pub fn worker(mode: Mode) -> Result<Report, ConfineError> {
    // Not a wall for itself, and not allowed inside of a confined server: without `socket` there is nothing to isolate.
    if mode != Mode::Off {
        let _ = network::of_its_own();
    }
    confine(
        mode,
        vec![
            ("new privileges", &process::no_new_privileges),
            ("core dumps", &process::no_core_dump),
            ("descriptors", &process::few_descriptors),
            ("files", &|| files::restrict(&Reach::default())),
            ("system calls", &calls::of_a_compiler),
        ],
    )
}

/// Which parts this kernel has, without applying any.
pub fn support() -> Report {
    let part = |name, found: Result<(), String>| Part { name, missing: found.err() };
    Report { parts: vec![part("files", files::supported()), part("system calls", calls::supported())] }
}

type Step<'a> = (&'static str, &'a dyn Fn() -> Result<(), String>);

fn confine(mode: Mode, steps: Vec<Step<'_>>) -> Result<Report, ConfineError> {
    let mut report = Report::default();
    if mode == Mode::Off {
        return Ok(report);
    }
    for (name, step) in steps {
        let missing = step().err();
        if let (Mode::Required, Some(reason)) = (mode, &missing) {
            return Err(ConfineError { part: name, reason: reason.clone() });
        }
        report.parts.push(Part { name, missing });
    }
    Ok(report)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lacking() -> Result<(), String> {
        Err("the kernel has none".into())
    }

    #[test]
    fn a_part_that_is_missing_is_said_and_is_an_error_only_where_it_is_required() {
        let steps: fn() -> Vec<Step<'static>> = || vec![("a", &|| Ok(())), ("b", &lacking)];
        let report = confine(Mode::Auto, steps()).unwrap();
        assert_eq!(report.to_string(), "a, no b (the kernel has none)");
        assert_eq!(report.missing().count(), 1);
        let error = confine(Mode::Required, steps()).unwrap_err().to_string();
        assert!(error.contains("no b (the kernel has none)"), "{error}");
        assert_eq!(confine(Mode::Off, steps()).unwrap().to_string(), "off");
    }

    #[test]
    fn a_mode_is_read_as_it_is_written() {
        for mode in [Mode::Auto, Mode::Required, Mode::Off] {
            assert_eq!(mode.name().parse(), Ok(mode));
        }
        assert_eq!("on".parse::<Mode>(), Err(NoMode));
    }
}
