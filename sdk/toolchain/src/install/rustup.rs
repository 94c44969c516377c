//! The first way: rustup downloads Rust's own build of the target. Works wherever rustup's server can be reached.

use std::process::Command;

use super::{Doing, Progress, WayError};
use crate::TARGET;
use crate::command::run;
use crate::environment::clean;
use crate::limits::{QUERY, RUSTUP_DOWNLOAD};

/// Adds the target to the default toolchain.
pub(super) fn add_target(progress: &mut Progress<'_>) -> Result<(), WayError> {
    progress.step(&format!("rustup target add {TARGET}"), || {
        run(rustup().args(["target", "add", TARGET]), RUSTUP_DOWNLOAD).map(drop).doing("add the target")
    })
}

/// Makes `name` a rustup toolchain that lives in `dir`.
pub(super) fn link(name: &str, dir: &std::path::Path) -> Result<(), WayError> {
    run(rustup().args(["toolchain", "link", name]).arg(dir), QUERY).map(drop).doing("link the toolchain")
}

fn rustup() -> Command {
    let mut rustup = Command::new("rustup");
    // Its errors are quoted to people.
    clean(&mut rustup).env("RUST_BACKTRACE", "0");
    rustup
}
