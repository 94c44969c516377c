//! `rimward test`: runs the project's native tests. No component is built and no node runs; the SDK has a host of its
//! own for tests.

use super::Verdict;
use crate::print::{BOLD, Format, Report, note, report};
use crate::{app, sdk, shell};
use anyhow::{Context, Result, bail};
use rimward_manifest::App;
use serde::Serialize;
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Run the tests of the app's Rust code, natively
///
/// Runs `cargo test` wherever a function of rimward.toml is built from Rust, with the machine's default toolchain. Plain
/// `cargo test` does the same where `.cargo/config.toml` is in place; this makes it where it is missing.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The app's folder, or one below it
    #[arg(long, short = 'C', value_name = "FOLDER", default_value = ".")]
    dir: PathBuf,
    /// What `cargo test` is given
    #[arg(last = true, value_name = "ARGUMENTS")]
    arguments: Vec<String>,
}

const EXAMPLES: &str = "\
Examples:
  rimward test                      all tests
  rimward test -- greets            only those whose name has `greets` in it
  rimward test -- -- --nocapture    with what they print";

/// Which crates were tested. Tests that fail are an error.
#[derive(Serialize)]
struct Tested {
    crates: Vec<PathBuf>,
}

pub(crate) fn run(arguments: &Arguments, format: Format) -> Result<Verdict> {
    let folder = app::folder(&arguments.dir)?;
    let app = App::read(&folder.join("rimward.toml"))?;
    let crates = crates(&folder, &app);
    if crates.is_empty() {
        bail!(
            "no function of this app is built where there is a `Cargo.toml`: run its tests with its own tools"
        );
    }
    for dir in &crates {
        test(dir, &arguments.arguments)?;
    }
    report(&Tested { crates: crates.into_iter().collect() }, format)?;
    Ok(Verdict::Good)
}

/// Where the app's Rust code is.
fn crates(folder: &Path, app: &App) -> BTreeSet<PathBuf> {
    let dirs = app.functions.values().filter_map(|function| function.build.as_ref());
    dirs.map(|build| shell::dir(folder, build)).filter(|dir| dir.join("Cargo.toml").is_file()).collect()
}

fn test(dir: &Path, arguments: &[String]) -> Result<()> {
    sdk::provide(dir)?;
    note!("{BOLD}cargo test{BOLD:#} in {}", shell::shown(dir));
    let mut cargo = shell::host_cargo();
    cargo.arg("test").args(arguments).current_dir(dir).stdout(io::stderr());
    let status = cargo.status().context("cannot run `cargo`: install Rust with rustup")?;
    if !status.success() {
        bail!("the tests in `{}` failed ({status})", shell::shown(dir));
    }
    Ok(())
}

impl Report for Tested {
    fn text(&self, _: &mut dyn Write) -> io::Result<()> {
        // Cargo has said it already.
        Ok(())
    }
}
