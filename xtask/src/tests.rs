//! `cargo xtask test`: sets up what is missing and runs every test that this machine can run.
//!
//! Everything is built by one cargo command, so that tests and the `rimward` binary they start share every dependency.
//! Tests that need a server which the machine lacks append a line to the file that `RIMWARD_TEST_SKIPS` names; the last
//! lines of the run list them. Tests in a module called `slow` run with `--slow` only.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::setup::set_up;
use crate::steps::Steps;
use crate::workspace::{cargo, cargo_in, guest_workspaces, has, target};

/// Where tests name what they could not test.
const SKIPS: &str = "RIMWARD_TEST_SKIPS";

/// Sets up what is missing, builds the binary, and runs the tests.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Run the tests that take minutes too.
    #[arg(long)]
    slow: bool,

    /// Run only tests whose name contains one of these; without documentation's examples and the examples' tests.
    filters: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let skips = fresh_skips()?;
    let mut steps = Steps::default();
    set_up(&mut steps);
    if steps.run("build", &mut cargo(&["build", "--workspace", "--all-targets"])) {
        for (name, mut command) in tests(arguments) {
            steps.run(name, command.env(SKIPS, &skips));
        }
        if arguments.filters.is_empty() {
            steps.run("tests in documentation", cargo(&["test", "--workspace", "--doc"]).env(SKIPS, &skips));
            steps.run("tests of the SDK with logging", &mut cargo(&SDK_WITH_LOGGING));
        }
    }
    if arguments.filters.is_empty() && guest_workspaces().any(|folder| folder == "examples") {
        steps.run("tests of the examples", &mut cargo_in("examples", &["test", "--workspace"]));
    }
    let result = steps.finish();
    print_skips(&skips)?;
    result
}

/// What `rimward new` switches on, and what no build of the workspace has.
const SDK_WITH_LOGGING: [&str; 5] = ["test", "--package", "rimward-sdk", "--features", "logging"];

/// The commands that run all tests: nextest, which runs them side by side, or else cargo itself. The tests that need the
/// machine for themselves have a command of their own then.
fn tests(arguments: &Arguments) -> Vec<(&'static str, Command)> {
    let mut commands = if has("nextest") {
        let mut nextest = cargo(&["nextest", "run", "--workspace"]);
        nextest.args(env::var_os("CI").map(|_| "--profile=ci"));
        nextest.args(arguments.slow.then_some("--ignore-default-filter"));
        nextest.arg("--");
        vec![("tests", nextest)]
    } else {
        let test = |side_by_side: &[&str]| {
            let mut test =
                cargo(&["test", "--workspace", "--lib", "--bins", "--tests", "--no-fail-fast", "--"]);
            test.args(side_by_side).args(if arguments.slow { [].as_slice() } else { &["--skip", "slow::"] });
            test
        };
        match arguments.filters.is_empty() {
            true => vec![
                ("tests", test(&["--skip", "heavy::"])),
                ("tests that need the machine for themselves", test(&["heavy::", "--test-threads=1"])),
            ],
            false => vec![("tests", test(&[]))],
        }
    };
    for (_, command) in &mut commands {
        command.args(&arguments.filters);
    }
    commands
}

fn fresh_skips() -> Result<PathBuf> {
    let file = target().join("tests-not-run.txt");
    fs::write(&file, "").with_context(|| format!("cannot write `{}`", file.display()))?;
    Ok(file)
}

fn print_skips(file: &Path) -> Result<()> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read `{}`", file.display()))?;
    let skipped = sorted(&text);
    if skipped.is_empty() {
        return Ok(());
    }
    println!("{} tests did not run, because this machine lacks what they need:", skipped.len());
    skipped.iter().for_each(|line| println!("  {line}"));
    Ok(())
}

/// Tests run side by side, so their lines come in any order.
fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines.sort_unstable();
    lines.dedup();
    lines
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn tests_that_did_not_run_are_listed_once_and_in_order() {
        assert_eq!(sorted("b: no kserve\na: no nats\n\nb: no kserve\n"), ["a: no nats", "b: no kserve"]);
    }
}
