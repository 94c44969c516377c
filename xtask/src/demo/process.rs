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

pub(super) struct Process {
    name: &'static str,
    child: Child,
    port: u16,
    log: PathBuf,
}

impl Process {
    /// Starts a command that is to listen on `port` of loopback.
    pub(super) fn start(name: &'static str, command: &mut Command, port: u16, log: PathBuf) -> Result<Self> {
        let out = File::create(&log).with_context(|| format!("cannot write `{}`", log.display()))?;
        let err = out.try_clone().context("cannot share the log file")?;
        let child = command.stdin(Stdio::null()).stdout(out).stderr(err).spawn();
        let child = child.with_context(|| format!("cannot start `{}`", command.get_program().display()))?;
        Ok(Self { name, child, port, log })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Waits until `is_ready` says so of its port.
    pub(super) fn wait(mut self, at_most: Duration, is_ready: impl Fn(u16) -> bool) -> Result<Self> {
        let end = Instant::now() + at_most;
        while !is_ready(self.port) {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status}{}", self.name, self.end_of_log());
            }
            if Instant::now() > end {
                bail!("{} was not ready after {} s{}", self.name, at_most.as_secs(), self.end_of_log());
            }
            thread::sleep(POLL);
        }
        Ok(self)
    }

    /// What it printed last, for an error message.
    pub(super) fn end_of_log(&self) -> String {
        end_of(&self.log)
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
pub(super) fn end_of(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let shown = &lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..];
    format!(". The end of `{}`:\n{}", log.display(), shown.join("\n"))
}

/// A port of loopback that is free now. Another program could take it before its owner does, which then says so and
/// ends.
pub(super) fn free_port() -> Result<u16> {
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
        Process::start("the shell", Command::new("sh").args(["-c", script]), 0, folder.join(log)).unwrap()
    }

    #[test]
    fn a_process_that_ends_early_is_reported_with_what_it_said() {
        let error = shell("ends", "echo no such model >&2; exit 3")
            .wait(STOP_MAX, |_| false)
            .err()
            .unwrap()
            .to_string();
        assert!(error.starts_with("the shell ended with exit status: 3"), "{error}");
        assert!(error.ends_with("no such model"), "{error}");
    }

    #[test]
    fn a_process_that_is_never_ready_is_stopped_at_the_bound() {
        let started = Instant::now();
        let error = shell("stays", "exec tail -f /dev/null")
            .wait(Duration::ZERO, |_| false)
            .err()
            .unwrap()
            .to_string();
        assert!(error.starts_with("the shell was not ready after 0 s"), "{error}");
        assert!(started.elapsed() < STOP_MAX);
    }
}
