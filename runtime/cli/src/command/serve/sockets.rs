//! Sockets that outlive a process: taken from the service manager, or from the process that this one was before a restart,
//! and handed on to the program that is executed in its place. Both use the protocol of `sd_listen_fds(3)`.

use anyhow::{Context, Error, Result};
use command_fds::{CommandFdExt, FdMapping};
use listenfd::ListenFd;
use rimward_node::{GivenSocket, Kept, Unwanted};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// The first descriptor that is handed on.
const FIRST: i32 = 3;

/// Set for the program that a node executes in its own place.
const RESTARTED: &str = "RIMWARD_RESTARTED";

/// The sockets that this process was given. To be called once, before there are threads.
pub(super) fn given() -> Result<Vec<GivenSocket>> {
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':').map(str::to_owned);
    let unwanted = match std::env::var_os(RESTARTED) {
        Some(_) => Unwanted::Closed,
        None => Unwanted::Error,
    };
    let mut given = ListenFd::from_env();
    let mut sockets = Vec::new();
    for index in 0..given.len() {
        let listener = given.take_tcp_listener(index).context(
            "a descriptor that was handed to this process (LISTEN_FDS) is no TCP socket: a socket unit needs `ListenStream=` with an address and a port",
        )?;
        let name = names.next().unwrap_or_default();
        sockets.extend(listener.map(|listener| GivenSocket { name, listener, unwanted }));
    }
    Ok(sockets)
}

/// Executes `program` in the place of this process, with the same arguments and these sockets. Returns only if it fails.
pub(super) fn execute(program: &Path, sockets: Vec<Kept>, confined: Option<&str>) -> Error {
    let (names, listeners): (Vec<_>, Vec<_>) = sockets.into_iter().unzip();
    let numbered = (FIRST..).zip(listeners);
    let mappings: Vec<_> =
        numbered.map(|(child_fd, listener)| FdMapping { parent_fd: listener.into(), child_fd }).collect();
    let mut command = Command::new(program);
    command
        .args(std::env::args_os().skip(1))
        .env("LISTEN_FDS", mappings.len().to_string())
        .env("LISTEN_PID", std::process::id().to_string())
        .env("LISTEN_FDNAMES", names.join(":"))
        .env(RESTARTED, "1");
    if let Some(confined) = confined {
        command.env(super::confine::CONFINED, confined);
    }
    match command.fd_mappings(mappings) {
        Ok(command) => Error::new(command.exec()).context(format!("cannot execute `{}`", program.display())),
        Err(collision) => collision.into(),
    }
}
