//! `cargo xtask demo`: the main job end to end, on this machine and on real input.
//!
//! Sets up what is missing: a photo, a KServe model server in a virtual environment, the guest toolchain, the
//! function, the node; what may fail for want of a network comes first. Starts the server and the node on loopback,
//! sends the photo twice, and prints what came of it. It stops at the first step that fails, and fails too where the
//! answer is wrong. Both processes are stopped at its end; a Ctrl-C reaches them as it reaches us. What was fetched
//! is kept in the cache folder; bounds are in [`limits`].

mod cache;
mod http;
mod limits;
mod model_server;
mod node;
pub(crate) mod offline;
mod photo;
pub(crate) mod process;
mod report;

use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result};
use rimward_toolchain::Step;

use crate::steps::seconds;
use crate::workspace::root;
use cache::Cache;
use node::Site;
use report::{Exchange, Report};

/// Runs the main job end to end: a photo is read by a sandboxed function and a KServe model server.
///
/// Everything runs on this machine, on loopback. What is missing is set up first: the guest toolchain, the function
/// and the node, a photo (from a Rust crate), and KServe with its model (from PyPI, in a virtual environment in the
/// cache folder).
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Send this JPEG or PNG instead. Its text is printed, not checked.
    #[arg(long, value_name = "FILE")]
    photo: Option<PathBuf>,
}

/// Where the app is, below the root.
const APP: &str = "examples/read-text";

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let cache = Cache::open()?;
    let photo = step("the photo", || match &arguments.photo {
        Some(file) => fs::read(file).with_context(|| format!("cannot read `{}`", file.display())),
        None => photo::fetch(&cache),
    })?;
    let python = step("the model server: KServe and its model, from PyPI", || model_server::install(&cache))?;
    step("the function: guest toolchain, then examples/read-text", || build_functions(APP))?;
    step("the node: `rimward`", node::build)?;
    let (server, port) = step("start the model server", || model_server::start(&python, &cache))?;
    let site = Site { app: APP, upstream: "ocr", port };
    let (node, port) = step("start the node", || node::start(&cache, &node::prepare(&cache, &site)?))?;
    let exchanges =
        step("send the photo, twice", || Ok([Exchange::send(port, &photo)?, Exchange::send(port, &photo)?]))?;
    drop((node, server));
    let truth = arguments.photo.is_none().then_some(&photo::TRUTH[..]);
    let report = Report::new(exchanges, truth);
    println!("\n{report}");
    report.verdict()
}

fn build_functions(app: &str) -> Result<()> {
    let toolchain = rimward_toolchain::install(&mut |step| match step {
        Step::Started(what) => println!("    {what} ..."),
        Step::Done(what, took) => println!("    {what}: done in {}", seconds(took)),
        Step::Failed(what, took) => println!("    {what}: failed after {}", seconds(took)),
    })?;
    println!("    {}", toolchain.describe());
    Ok(toolchain.build(&root().join(app), [""; 0])?)
}

/// Says what is done, does it, and says how long it took. An error names the step.
fn step<T>(name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
    println!("\n==> {name}");
    let started = Instant::now();
    let done = work().with_context(|| format!("the demo stopped at \"{name}\""))?;
    println!("    {}", seconds(started.elapsed()));
    Ok(done)
}
