//! Where things are in this repository, and how to call cargo in it.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The workspaces of guests, beside the root's: their own lock file, target folder and profile.
pub(crate) const GUESTS: [&str; 2] = ["examples", "tests/guests"];

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a folder of the repository")
}

/// The workspaces of guests that there are, as paths below the root.
pub(crate) fn guest_workspaces() -> impl Iterator<Item = &'static str> {
    GUESTS.into_iter().filter(|folder| root().join(folder).join("Cargo.toml").exists())
}

/// The cargo that runs us, at the root. What it told us about our own package is not passed on: build scripts of others
/// watch those variables, and would run again after every change between `cargo` and `cargo xtask`.
pub(crate) fn cargo(arguments: &[&str]) -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root()).args(arguments);
    for (name, _) in env::vars_os().filter(|(name, _)| is_of_our_package(name)) {
        cargo.env_remove(name);
    }
    cargo
}

fn is_of_our_package(variable: &OsStr) -> bool {
    let variable = variable.to_string_lossy();
    ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_CRATE_", "CARGO_BIN_"]
        .iter()
        .any(|prefix| variable.starts_with(prefix))
}

/// The same cargo in another workspace, with that workspace's own target folder.
pub(crate) fn cargo_in(folder: &str, arguments: &[&str]) -> Command {
    let mut cargo = cargo(arguments);
    cargo.current_dir(root().join(folder)).env_remove("CARGO_TARGET_DIR");
    cargo
}

/// Where cargo puts what it builds at the root.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), |folder| root().join(folder))
}

/// Whether `cargo <subcommand>` is installed.
pub(crate) fn has(subcommand: &str) -> bool {
    cargo(&[subcommand, "--version"]).output().is_ok_and(|output| output.status.success())
}
