//! `cargo xtask ci`: everything that CI checks beside the tests, in the order of what fails fastest.

use std::fs;

use anyhow::{Context, Result, ensure};

use crate::bench;
use crate::faults;
use crate::links;
use crate::steps::Steps;
use crate::workspace::{cargo, cargo_in, guest_workspaces, has, root};

/// Checks formatting, links, lints, documentation, the build without a compiler, licences and sources.
#[derive(clap::Args)]
pub(crate) struct Arguments {}

pub(crate) fn run(_: &Arguments) -> Result<()> {
    let mut steps = Steps::default();
    format(&mut steps);
    steps.work("links of pages", || links::check(root()));
    steps.work("faults and their tests", faults::check);
    dependencies(&mut steps);
    lints(&mut steps);
    steps.run(
        "documentation",
        cargo(&["doc", "--workspace", "--no-deps", "--document-private-items"])
            .env("RUSTDOCFLAGS", "-D warnings"),
    );
    steps.run("build without a compiler", &mut cargo(&["build", "--no-default-features"]));
    steps.work("no compiler in it", no_compiler);
    steps.finish()
}

fn format(steps: &mut Steps) {
    steps.run("format", &mut cargo(&["fmt", "--all", "--check"]));
    for folder in guest_workspaces().chain([bench::GUEST]) {
        steps.run(&format!("format of {folder}"), &mut cargo_in(folder, &["fmt", "--all", "--check"]));
    }
}

/// TLS libraries and providers beside rustls with *ring*. `deny.toml` bans them too; this holds where cargo-deny is
/// not installed.
const BANNED: [&str; 5] = ["aws-lc-rs", "aws-lc-sys", "native-tls", "openssl", "openssl-sys"];

fn dependencies(steps: &mut Steps) {
    steps.work("one TLS stack", || {
        let lock = fs::read_to_string(root().join("Cargo.lock"))?;
        let banned = banned(&lock);
        ensure!(
            banned.is_empty(),
            "Cargo.lock has {}: find who brings it with `cargo tree -i`",
            banned.join(", ")
        );
        Ok(())
    });
    const NAME: &str = "cargo-deny";
    if has("deny") {
        steps.run(NAME, &mut cargo(&["deny", "--offline", "check", "bans", "licenses", "sources"]));
    } else {
        steps.not_run(NAME, "not installed");
    }
}

fn banned(lock: &str) -> Vec<&'static str> {
    BANNED.into_iter().filter(|name| lock.lines().any(|line| line == format!("name = \"{name}\""))).collect()
}

/// The examples also build for this machine, where their own tests run. The other guests are wasm only, and the
/// guest toolchain may have no clippy.
fn lints(steps: &mut Steps) {
    const SDK_WITH_LOGGING: [&str; 9] = [
        "clippy",
        "--package",
        "rimward-sdk",
        "--features",
        "logging",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ];
    const CLIPPY: [&str; 6] = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    steps.run("lints", &mut cargo(&CLIPPY));
    steps.run("lints of the SDK with logging", &mut cargo(&SDK_WITH_LOGGING));
    if guest_workspaces().any(|folder| folder == "examples") {
        steps.run("lints of examples", &mut cargo_in("examples", &CLIPPY));
    }
}

/// What a node without a compiler is made of.
fn no_compiler() -> Result<()> {
    let mut tree = cargo(&["tree", "--package", "rimward", "--no-default-features", "--edges", "normal"]);
    let tree = tree.output().context("cannot run `cargo tree`")?;
    ensure!(tree.status.success(), "`cargo tree` failed: {}", String::from_utf8_lossy(&tree.stderr).trim());
    let tree = String::from_utf8_lossy(&tree.stdout);
    ensure!(!tree.contains("cranelift-codegen v"), "a feature that is always on brings the compiler along");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_banned_crate_is_found_by_its_whole_name() {
        let lock = "[[package]]\nname = \"openssl-probe\"\n[[package]]\nname = \"openssl-sys\"\n";
        assert_eq!(banned(lock), ["openssl-sys"]);
    }
}
