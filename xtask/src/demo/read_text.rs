//! `cargo xtask read-text`: the example `read-text` on a real photo and a real model server.
//!
//! Sets up what is missing: a photo, a KServe model server in a virtual environment, the guest toolchain, the
//! function, the node; what may fail for want of a network comes first. Starts the server and the node on loopback,
//! sends the photo twice, and prints what came of it. It stops at the first step that fails, and fails too where the
//! answer is wrong. Both processes are stopped at its end; a Ctrl-C reaches them as it reaches us. What was fetched
//! is kept in the cache folder; bounds are in [`limits`](super::limits).

mod report;

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::cache::Cache;
use super::model_server::{self, ModelServer};
use super::node::{self, Site};
use super::packaged::Packaged;
use super::{build_functions, step};
use report::{Exchange, Report};

/// Runs the example `read-text`: a photo is prepared by a sandboxed function, and a KServe model server reads it.
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

/// The cover of a book on a table.
const PHOTO: Packaged = Packaged {
    name: "ocrs",
    version: "0.13.1",
    file: "examples/rust-book.jpg",
    sha256: "c75afa17582e982a65fb0d00fa0793f74207f1c70dc2e7edf0ba7b8443f2bb33",
    remedy: "To use a photo of your own: `cargo xtask read-text --photo FILE`.",
};

/// What is printed on the cover, from top to bottom.
const TRUTH: [&str; 10] = [
    "THE RUST",
    "PROGRAMMING",
    "LANGUAGE",
    "STEVE KLABNIK and CAROL NICHOLS,",
    "with CONTRIBUTIONS from THE RUST COMMUNITY",
    "COVERS",
    "RUST",
    "2018",
    "no starch",
    "press",
];

const SERVER: ModelServer = ModelServer { script: "examples/read-text/cloud/server.py", model: "ocr" };

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let cache = Cache::open()?;
    let photo = step("the photo", || match &arguments.photo {
        Some(file) => fs::read(file).with_context(|| format!("cannot read `{}`", file.display())),
        None => PHOTO.fetch(&cache),
    })?;
    let python = step("the model server: KServe and its model, from PyPI", || model_server::install(&cache))?;
    step("the function: guest toolchain, then examples/read-text", || build_functions(APP))?;
    step("the node: `rimward`", node::build)?;
    let (server, port) = step("start the model server", || SERVER.start(&python, &cache))?;
    let site = Site { app: APP, upstream: Some(("ocr", port)), inference: None };
    let folder = node::prepare(&cache, "node", &site)?;
    let (node, port) = step("start the node", || node::start(&cache, &folder))?;
    let exchanges =
        step("send the photo, twice", || Ok([Exchange::send(port, &photo)?, Exchange::send(port, &photo)?]))?;
    drop((node, server));
    let truth = arguments.photo.is_none().then_some(&TRUTH[..]);
    let report = Report::new(exchanges, truth);
    println!("\n{report}");
    report.verdict()
}
