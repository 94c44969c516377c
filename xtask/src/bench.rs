//! `cargo xtask bench`: builds the node, the measuring programs and a component, and compares the node with servers beside
//! it on this machine. Peers are built here and only if asked for, into the user's cache folder; tests never need them.

use std::env;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use rimward_toolchain::TARGET;

use crate::steps::Steps;
use crate::workspace::{cargo, root, target};

/// The workspace of the component that all servers of the comparison serve.
pub(crate) const GUEST: &str = "benches/guests/hello";

/// The version that the node is compared with: the one whose engine it has.
const WASMTIME: &str = "48.0.8";

/// Compares the node with a server without functions, and with `wasmtime serve` where there is one.
///
/// Prints one table: throughput, CPU time, latencies, start and memory of each, and the ratios that are meant to hold. Seven
/// rounds take about six minutes. Do nothing else on the machine meanwhile: the ratios stand some of it, the figures none.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Build `wasmtime` first, once, into the cache folder; otherwise one on the PATH takes part.
    #[arg(long)]
    peers: bool,

    /// How often everything is measured.
    #[arg(long, default_value_t = 7)]
    rounds: u32,

    /// Write every figure here, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,

    /// Only see that everything works: one short round.
    #[arg(long, conflicts_with = "rounds")]
    quick: bool,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let mut steps = Steps::default();
    let mut ready = steps.work("component", build_guest);
    for package in ["rimward", "rimward-benches"] {
        // One after the other: together they would share features that the shipped binary does not have.
        ready &=
            steps.run(&format!("build {package}"), &mut cargo(&["build", "--release", "--package", package]));
    }
    if arguments.peers {
        ready &= steps.work("wasmtime", install_wasmtime);
    }
    if ready {
        steps.work("comparison", || compare(arguments));
    }
    steps.finish()
}

fn build_guest() -> Result<()> {
    let toolchain = rimward_toolchain::find()?;
    Ok(toolchain.build(&root().join(GUEST), ["--locked"])?)
}

fn install_wasmtime() -> Result<()> {
    let peers = peers()?;
    let version = ["--version", WASMTIME, "--locked", "--root"];
    let mut install = cargo(&["install", "wasmtime-cli"]);
    let status = install.args(version).arg(&peers).status().context("cannot run `cargo install`")?;
    ensure!(status.success(), "wasmtime {WASMTIME} could not be built: {status}");
    Ok(())
}

fn compare(arguments: &Arguments) -> Result<()> {
    let built = |name: &str| target().join("release").join(name);
    let mut compare = Command::new(built("rimward-bench"));
    compare.arg("compare");
    compare.arg("--rimward").arg(built("rimward")).arg("--bare-hyper").arg(built("bare-hyper"));
    compare.arg("--component").arg(root().join(GUEST).join("target").join(TARGET).join("release/hello.wasm"));
    match wasmtime() {
        Some(wasmtime) => _ = compare.arg("--wasmtime").arg(wasmtime),
        None => println!(
            "`wasmtime` is not installed and does not take part: `cargo xtask bench --peers` builds it"
        ),
    }
    if let Some(file) = &arguments.json {
        compare.arg("--json").arg(file);
    }
    let rounds = if arguments.quick { 1 } else { arguments.rounds };
    compare.arg("--rounds").arg(rounds.to_string()).args(arguments.quick.then_some("--quick"));
    let status = compare.status().context("cannot run the comparison")?;
    ensure!(status.success(), "the comparison failed: {status}");
    Ok(())
}

/// The one that was built for comparisons, or one that is installed.
fn wasmtime() -> Option<PathBuf> {
    let built = peers().ok().map(|peers| peers.join("bin"));
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = built.into_iter().chain(env::split_paths(&path).collect::<Vec<_>>());
    folders.map(|folder| folder.join("wasmtime")).find(|program| program.is_file())
}

fn peers() -> Result<PathBuf> {
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")));
    Ok(base.context("there is no cache folder: set `HOME` or `XDG_CACHE_HOME`")?.join("rimward/peers"))
}
