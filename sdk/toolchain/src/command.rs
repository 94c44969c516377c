//! Runs a command to its end, or to its time limit.
//!
//! For commands whose output is read rather than shown. A command that fails is an error that names the command and
//! quotes the end of what it said.

use std::io::{self, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::limits::QUOTED_LINES;

/// How often a running command is looked at.
const POLL: Duration = Duration::from_millis(10);

/// A command did not do what it was run for.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// It is not installed, or may not be run.
    #[error("cannot run `{command}`")]
    Start {
        /// The program and its arguments.
        command: String,
        /// What the system said.
        source: io::Error,
    },
    /// It did not end in time and was stopped.
    #[error("`{command}` was stopped after {} seconds", limit.as_secs())]
    Late {
        /// The program and its arguments.
        command: String,
        /// How long it had.
        limit: Duration,
    },
    /// It ended with a failure.
    #[error("`{command}` failed ({status}): {said}")]
    Failed {
        /// The program and its arguments.
        command: String,
        /// Its exit status.
        status: ExitStatus,
        /// The end of what it printed.
        said: String,
    },
}

/// Runs `command` and returns its standard output.
pub(crate) fn run(command: &mut Command, limit: Duration) -> Result<String, CommandError> {
    let name = rendered(command);
    let start = |source| CommandError::Start { command: name.clone(), source };
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(start)?;
    let out = drain(child.stdout.take().expect("standard output is piped"));
    let err = drain(child.stderr.take().expect("standard error is piped"));
    let Some(status) = wait(&mut child, limit).map_err(start)? else {
        return Err(CommandError::Late { command: name, limit });
    };
    let (out, err) = (text(out), text(err));
    if status.success() {
        return Ok(out);
    }
    let said = tail(if err.trim().is_empty() { &out } else { &err });
    Err(CommandError::Failed { command: name, status, said })
}

/// The exit status, or `None` when the child had to be stopped.
fn wait(child: &mut Child, limit: Duration) -> io::Result<Option<ExitStatus>> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if started.elapsed() >= limit {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(POLL);
    }
}

/// Reads on a thread of its own, so that a full pipe never stops the child.
fn drain(mut pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        // What was read before an error is all there is to show.
        let _ = pipe.read_to_end(&mut bytes);
        bytes
    })
}

fn text(reader: JoinHandle<Vec<u8>>) -> String {
    String::from_utf8_lossy(&reader.join().unwrap_or_default()).into_owned()
}

fn tail(said: &str) -> String {
    let lines: Vec<&str> = said.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(QUOTED_LINES)..].join("\n")
}

/// The command as one would type it.
pub(crate) fn rendered(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, limit: Duration) -> Result<String, CommandError> {
        run(Command::new("sh").args(["-c", script]), limit)
    }

    #[test]
    fn a_commands_output_is_returned_even_when_it_fills_pipes() {
        let said = sh("yes out | head -n 50000; yes err | head -n 50000 >&2", Duration::from_secs(60));
        assert_eq!(said.unwrap().lines().count(), 50_000);
    }

    #[test]
    fn a_failure_quotes_the_end_of_what_was_said() {
        let error = sh("seq 100; seq 100 >&2; exit 3", Duration::from_secs(60)).unwrap_err();
        let CommandError::Failed { said, .. } = &error else { panic!("{error}") };
        assert_eq!(said.lines().count(), QUOTED_LINES);
        assert!(said.ends_with("\n100"));
        assert!(error.to_string().starts_with("`sh -c seq 100"));
    }

    #[test]
    fn a_command_that_does_not_end_is_stopped() {
        let error = sh("exec sleep 600", Duration::from_millis(50)).unwrap_err();
        assert!(matches!(error, CommandError::Late { .. }), "{error}");
    }

    #[test]
    fn a_command_that_is_not_there_is_named() {
        let error = run(&mut Command::new("no-such-program-here"), Duration::from_secs(1)).unwrap_err();
        assert_eq!(error.to_string(), "cannot run `no-such-program-here`");
    }
}
