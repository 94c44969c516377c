//! A process that the demo starts, waits for and stops: the model server and the node. What it prints goes to a log
//! file, whose end an error shows. Dropping it stops it: it is asked to, and killed when it takes too long.

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::limits::{LOG_LINES_SHOWN, POLL, STOP_MAX};

pub(crate) struct Process {
    name: &'static str,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts a command. `name` is for error messages.
    pub(crate) fn start(name: &'static str, command: &mut Command, log: PathBuf) -> Result<Self> {
        let out = File::create(&log).with_context(|| format!("cannot write `{}`", log.display()))?;
        let err = out.try_clone().context("cannot share the log file")?;
        let child = command.stdin(Stdio::null()).stdout(out).stderr(err).spawn();
        let child = child.with_context(|| format!("cannot start `{}`", command.get_program().display()))?;
        Ok(Self { name, child, log })
    }

    /// The process's id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits until it is ready: until `ready`, which is given all that the process printed so far, has an answer.
    pub(crate) fn wait<T>(&mut self, at_most: Duration, ready: impl Fn(&str) -> Option<T>) -> Result<T> {
        let end = Instant::now() + at_most;
        loop {
            if let Some(answer) = ready(&fs::read_to_string(&self.log).unwrap_or_default()) {
                return Ok(answer);
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status}{}", self.name, end_of(&self.log));
            }
            if Instant::now() > end {
                bail!("{} was not ready after {} s{}", self.name, at_most.as_secs(), end_of(&self.log));
            }
            thread::sleep(POLL);
        }
    }

    /// Ends it as a power cut would: it gets no chance to put anything in order.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.child.kill().context("cannot kill the process")?;
        self.child.wait().context("cannot wait for the process")?;
        Ok(())
    }

    fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)) | Err(_))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.has_ended() {
            return;
        }
        let asked = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let end = Instant::now() + STOP_MAX;
        while asked.is_ok() && !self.has_ended() && Instant::now() < end {
            thread::sleep(POLL);
        }
        // It is gone now, or has to be.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The last lines of a log file, for an error message.
pub(crate) fn end_of(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let shown = &lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..];
    format!(". The end of `{}`:\n{}", log.display(), shown.join("\n"))
}

/// A port of loopback that is free now. Another program could take it before its owner does, which then says so and
/// ends.
pub(crate) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot listen on loopback")?;
    Ok(listener.local_addr()?.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::target;

    fn shell(log: &str, script: &str) -> Process {
        let folder = target().join("demo-tests");
        fs::create_dir_all(&folder).unwrap();
        Process::start("the shell", Command::new("sh").args(["-c", script]), folder.join(log)).unwrap()
    }

    #[test]
    fn a_process_is_ready_when_it_says_so() {
        let mut process = shell("ready", "echo port 7; exec tail -f /dev/null");
        let port = process.wait(STOP_MAX, |log| log.strip_prefix("port ")?.trim().parse::<u16>().ok());
        assert_eq!(port.unwrap(), 7);
    }

    #[test]
    fn a_process_that_ends_early_is_reported_with_what_it_said() {
        let mut process = shell("ends", "echo no such model >&2; exit 3");
        let error = process.wait(STOP_MAX, |_| None::<()>).unwrap_err().to_string();
        assert!(error.starts_with("the shell ended with exit status: 3"), "{error}");
        assert!(error.ends_with("no such model"), "{error}");
    }

    #[test]
    fn a_process_that_is_never_ready_is_stopped_at_the_bound() {
        let started = Instant::now();
        let mut process = shell("stays", "exec tail -f /dev/null");
        let error = process.wait(Duration::ZERO, |_| None::<()>).unwrap_err().to_string();
        assert!(error.starts_with("the shell was not ready after 0 s"), "{error}");
        drop(process);
        assert!(started.elapsed() < STOP_MAX);
    }
}
