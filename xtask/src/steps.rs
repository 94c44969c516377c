//! Runs a chore's steps one after the other and says what each does, how it ended and how long it took.
//!
//! A failed step does not stop the next one: a chore reports all that is wrong, and fails at its end.

use std::fmt;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// The steps of a chore so far.
#[derive(Default)]
pub(crate) struct Steps {
    done: Vec<Step>,
}

struct Step {
    name: String,
    end: End,
    took: Duration,
}

#[derive(Clone, PartialEq)]
enum End {
    Ok,
    Failed,
    NotRun(String),
}

impl Steps {
    /// Runs `command`, with its output where ours goes. Returns whether it succeeded.
    pub(crate) fn run(&mut self, name: &str, command: &mut Command) -> bool {
        self.work(name, || {
            let status = command.status().with_context(|| format!("cannot run `{}`", words(command)))?;
            if status.success() { Ok(()) } else { bail!("`{}` failed: {status}", words(command)) }
        })
    }

    /// Does `work` as a step. Returns whether it succeeded.
    pub(crate) fn work(&mut self, name: &str, work: impl FnOnce() -> Result<()>) -> bool {
        println!("\n==> {name}");
        let started = Instant::now();
        let result = work();
        if let Err(error) = &result {
            eprintln!("error: {error:#}");
        }
        let end = if result.is_ok() { End::Ok } else { End::Failed };
        self.push(name, end, started.elapsed());
        result.is_ok()
    }

    /// Notes that a step was left out.
    pub(crate) fn not_run(&mut self, name: &str, why: &str) {
        println!("\n==> {name}: not run ({why})");
        self.push(name, End::NotRun(why.to_owned()), Duration::ZERO);
    }

    fn push(&mut self, name: &str, end: End, took: Duration) {
        self.done.push(Step { name: name.to_owned(), end, took });
    }

    /// Prints the table of all steps; an error names those that failed.
    pub(crate) fn finish(self) -> Result<()> {
        println!("\n{self}");
        let failed = self.done.iter().filter(|step| step.end == End::Failed);
        let failed: Vec<&str> = failed.map(|step| step.name.as_str()).collect();
        if failed.is_empty() { Ok(()) } else { bail!("failed: {}", failed.join(", ")) }
    }
}

impl fmt::Display for Steps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.done.iter().map(|step| step.name.len()).max().unwrap_or(0);
        for Step { name, end, took } in &self.done {
            let (end, took) = match end {
                End::Ok => ("ok", seconds(*took)),
                End::Failed => ("FAILED", seconds(*took)),
                End::NotRun(why) => ("not run", why.clone()),
            };
            writeln!(f, "{name:width$}  {end:7}  {took}")?;
        }
        Ok(())
    }
}

/// A time as people read it.
pub(crate) fn seconds(took: Duration) -> String {
    let whole = took.as_secs();
    if whole < 60 {
        format!("{:.1} s", took.as_secs_f64())
    } else {
        format!("{} min {} s", whole / 60, whole % 60)
    }
}

fn words(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_does_not_stop_the_next_and_fails_the_chore() {
        let mut steps = Steps::default();
        assert!(!steps.run("first", Command::new("sh").args(["-c", "exit 3"])));
        assert!(steps.run("second", Command::new("sh").args(["-c", "exit 0"])));
        steps.not_run("third", "not installed");
        let table = steps.to_string();
        assert!(table.contains("first   FAILED   0.0 s"), "{table}");
        assert!(table.contains("second  ok       0.0 s"), "{table}");
        assert!(table.contains("third   not run  not installed"), "{table}");
        assert_eq!(steps.finish().unwrap_err().to_string(), "failed: first");
    }

    #[test]
    fn times_are_in_seconds_and_from_a_minute_on_in_minutes() {
        assert_eq!(seconds(Duration::from_millis(1250)), "1.2 s");
        assert_eq!(seconds(Duration::from_secs(125)), "2 min 5 s");
    }
}
