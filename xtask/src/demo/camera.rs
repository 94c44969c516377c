//! `cargo xtask demo`: the example `camera` with its link up, slow, cut, and back.
//!
//! The node at the edge has a small model, the cloud a large one; between them is a link that this program is. Scans of
//! handwritten numbers are sent to the edge at a steady rate, whatever comes of those before, and what is written in them
//! is known. It fails where a scan has no answer, where the answers are late, or where they are wrong.

mod digits;
mod link;
mod phase;

use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::ValueEnum;

use super::cache::Cache;
use super::model_server::{self, ModelServer};
use super::node::{self, Site};
use super::process::Process;
use super::{build_functions, step};
use digits::Scan;
use link::{Link, State};
use phase::{Phase, Report};

/// Handwritten numbers are read at the edge, and in the cloud where that is surer: with the link up, slow, cut, and back.
///
/// Everything runs on this machine, on loopback. What is missing is set up first: the guest toolchain, the function and
/// the node, and scans (from a Rust crate).
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What the cloud is.
    #[arg(long, value_enum, default_value_t = Cloud::Rimward)]
    cloud: Cloud,
    /// Keep the scans and what was read in them in this folder.
    #[arg(long, value_name = "FOLDER")]
    keep: Option<std::path::PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Cloud {
    /// A second node, which serves the large model.
    Rimward,
    /// A KServe model server, from PyPI. Needs Python.
    Kserve,
}

const APP: &str = "examples/camera";
const CLOUD_APP: &str = "examples/camera/cloud";
const SERVER: ModelServer = ModelServer { script: "examples/camera/cloud/server.py", model: "digit" };

/// What the link does, and what that is called. Slow is beyond the model's deadline, there and back.
const PHASES: [(&str, State); 4] = [
    ("up", State::Up),
    ("slow", State::Slow(Duration::from_millis(400))),
    ("cut", State::Cut),
    ("back", State::Up),
];

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let cache = Cache::open()?;
    let scans = step("the scans: numbers that people wrote into forms", || digits::scans(&cache))?;
    let python = match arguments.cloud {
        Cloud::Rimward => None,
        Cloud::Kserve => Some(step("the model server: KServe, from PyPI", || model_server::install(&cache))?),
    };
    step("the function: guest toolchain, then examples/camera", || build_functions(APP))?;
    step("the node: `rimward`", node::build)?;
    let (cloud, port) = step("start the cloud, with the large model", || match &python {
        None => start_cloud(&cache),
        Some(python) => SERVER.start(python, &cache),
    })?;
    let link = Link::start(port)?;
    let site = Site { app: APP, upstream: Some(("cloud", link.port())), inference: None };
    let folder = node::prepare(&cache, "edge", &site)?;
    let (edge, port) = step("start the edge, with the small model", || node::start(&cache, &folder))?;
    let phases = PHASES.map(|(name, state)| {
        link.set(state);
        step(&format!("{} scans of {} digits, the link is {name}", scans.len(), Scan::DIGITS), || {
            Phase::run(name, port, &scans)
        })
    });
    drop((edge, cloud));
    let phases = phases.into_iter().collect::<Result<Vec<_>>>()?;
    if let Some(folder) = &arguments.keep {
        digits::keep(folder, &scans).with_context(|| format!("cannot write to `{}`", folder.display()))?;
    }
    let report = Report(phases);
    println!("\n{report}");
    report.verdict()
}

/// A node that serves the large model to others.
fn start_cloud(cache: &Cache) -> Result<(Process, u16)> {
    let inference = super::process::free_port()?;
    let site = Site { app: CLOUD_APP, upstream: None, inference: Some(inference) };
    let folder = node::prepare(cache, "cloud", &site)?;
    let (process, _) = node::start(cache, &folder)?;
    println!("    http://127.0.0.1:{inference}/v2/models/digit, the Open Inference Protocol v2");
    Ok((process, inference))
}

/// Sleeps until a moment, if it is still to come.
fn sleep_until(moment: std::time::Instant) {
    thread::sleep(moment.saturating_duration_since(std::time::Instant::now()));
}
