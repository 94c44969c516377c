//! A restart in place: the new program is asked whether it accepts the settings, and only then does this process stop
//! accepting, answer what is open, close its stores and execute that program with the listening sockets in its hands. It
//! is one process all along, because a store belongs to one process: two nodes could not overlap. Whoever connects
//! meanwhile waits in the kernel's queue.

use crate::limits::RESTART_CHECK;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use tokio::process::Command;

/// The flag with which `serve` only looks at its settings.
pub(super) const CHECK: &str = "--check";

/// Where this program was started from. Another may lie there when it is time to restart, so it is asked for at start.
pub(super) fn program() -> Result<PathBuf> {
    std::env::current_exe().context("the path of this program is unknown")
}

/// Whether the program that is at that path now would start with the settings as they are now.
pub(super) async fn check(program: &Path) -> Result<()> {
    let mut command = Command::new(program);
    // What it says is for people.
    let arguments = std::env::args_os().skip(1).filter(|argument| argument != "--json");
    command.args(arguments).arg(CHECK);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let asking = command.output();
    let output = tokio::time::timeout(RESTART_CHECK, asking)
        .await
        .with_context(|| format!("`{}` did not look at the settings in time", program.display()))?
        .with_context(|| format!("cannot execute `{}`", program.display()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` does not accept the settings ({}): {}", program.display(), output.status, said.trim());
    }
    Ok(())
}
