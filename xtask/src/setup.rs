//! `cargo xtask setup`: gets a machine ready to test and to run the examples.
//!
//! Idempotent, and quick when nothing changed: the guest toolchain is found, and cargo sees that guests are current.

use std::path::Path;

use anyhow::{Result, bail};
use rimward_toolchain::{GuestToolchain, Step, TARGET};

use crate::foreign;
use crate::steps::{Steps, seconds};
use crate::workspace::{guest_workspaces, root};

/// Gets this machine ready: the guest toolchain, the test guests, the examples, and components of other people's tools.
///
/// The guest toolchain is the default one if it has the target wasm32-wasip2. Otherwise it is downloaded with rustup
/// or, where that is not possible, assembled from Debian's packages, once, and kept in the cache folder.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Change nothing: say what is missing, and fail if something is.
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    if arguments.check {
        return check();
    }
    let mut steps = Steps::default();
    set_up(&mut steps);
    steps.finish()
}

/// Does what is missing, as steps of a chore. Returns whether all of it worked.
pub(crate) fn set_up(steps: &mut Steps) -> bool {
    let mut toolchain = None;
    steps.work("guest toolchain", || {
        let found = rimward_toolchain::install(&mut print)?;
        println!("    {}", found.describe());
        toolchain = Some(found);
        Ok(())
    });
    let Some(toolchain) = toolchain else { return false };
    let mut all = true;
    for folder in guest_workspaces() {
        all &= steps.work(&format!("guests in {folder}"), || build(&toolchain, folder));
    }
    all & foreign::set_up(steps)
}

fn build(toolchain: &GuestToolchain, folder: &str) -> Result<()> {
    Ok(toolchain.build(&root().join(folder), ["--workspace"])?)
}

fn print(step: Step<'_>) {
    match step {
        Step::Started(what) => println!("    {what} ..."),
        Step::Done(what, took) => println!("    {what}: done in {}", seconds(took)),
        Step::Failed(what, took) => println!("    {what}: failed after {}", seconds(took)),
    }
}

fn check() -> Result<()> {
    let toolchain = rimward_toolchain::find();
    match &toolchain {
        Ok(found) => println!("guest toolchain: {}", found.describe()),
        Err(error) => println!("guest toolchain: missing: {error}"),
    }
    let mut ready = toolchain.is_ok();
    for folder in guest_workspaces() {
        let built = has_components(&root().join(folder));
        println!("guests in {folder}: {}", if built { "built" } else { "not built" });
        ready &= built;
    }
    let foreign = foreign::is_ready();
    println!("components of other tools: {}", if foreign { "made" } else { "not made" });
    ready &= foreign;
    if ready { Ok(()) } else { bail!("something is missing: run `cargo xtask setup`") }
}

fn has_components(workspace: &Path) -> bool {
    let Ok(files) = workspace.join("target").join(TARGET).join("release").read_dir() else { return false };
    files.flatten().any(|file| file.path().extension().is_some_and(|extension| extension == "wasm"))
}
