//! The servers of a comparison and how each is started: the bare one, the node in two ways, and `wasmtime serve` in three
//! where there is one. All serve the same component on a free port of the loopback interface, with everything on that is
//! on by default; the node also serves its metrics.

use crate::apps::{Apps, Instances, REUSES};
use anyhow::{Context, Result, ensure};
use serde::Serialize;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A free port, where only this machine can reach it.
pub const ANY_PORT: &str = "127.0.0.1:0";

/// What is compared.
#[derive(Debug, Clone)]
pub struct Programs {
    /// The `rimward` command.
    pub rimward: PathBuf,
    /// The server without functions.
    pub bare_hyper: PathBuf,
    /// The `wasmtime` command, where there is one.
    pub wasmtime: Option<PathBuf>,
    /// The component that all of them serve.
    pub component: PathBuf,
}

/// The servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Which {
    /// hyper alone, the limit.
    Bare,
    /// The node, an instance for each request.
    Fresh,
    /// The node, instances reused.
    Reused,
    /// `wasmtime serve` as it is.
    Wasmtime,
    /// `wasmtime serve` with the settings that measured best.
    WasmtimeTuned,
    /// `wasmtime serve` with instances reused.
    WasmtimeReused,
}

/// A server that takes part.
pub struct Contestant {
    /// Which.
    pub which: Which,
    program: PathBuf,
    arguments: Vec<OsString>,
}

impl Which {
    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare hyper",
            Self::Fresh => "rimward, fresh instances",
            Self::Reused => "rimward, reused instances",
            Self::Wasmtime => "wasmtime serve",
            Self::WasmtimeTuned => "wasmtime serve, tuned",
            Self::WasmtimeReused => "wasmtime serve, reused",
        }
    }
}

impl Contestant {
    fn new(which: Which, program: &Path, arguments: Vec<OsString>) -> Self {
        Self { which, program: program.to_owned(), arguments }
    }

    /// The command that starts it.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        // A backtrace for each error is nothing that a server in production takes.
        command.args(&self.arguments).env_remove("RUST_BACKTRACE").env_remove("RUST_LOG");
        command
    }
}

/// Everything that takes part.
pub fn contestants(programs: &Programs, apps: &Apps) -> Result<Vec<Contestant>> {
    let Programs { rimward, bare_hyper, wasmtime, component } = programs;
    let fresh = apps.one("fresh", component, Instances::Fresh)?;
    let reused = apps.one("reused", component, Instances::Reused)?;
    let mut all = vec![
        Contestant::new(Which::Bare, bare_hyper, Vec::new()),
        Contestant::new(Which::Fresh, rimward, serve(&fresh, &apps.path("state-fresh"))),
        Contestant::new(Which::Reused, rimward, serve(&reused, &apps.path("state-reused"))),
    ];
    if let Some(wasmtime) = wasmtime {
        all.extend(wasmtimes(wasmtime, component, apps)?);
    }
    Ok(all)
}

/// `rimward serve` with one app, whose compiled code is kept in `state`.
pub fn serve(app: &Path, state: &Path) -> Vec<OsString> {
    let ports = ["--listen", ANY_PORT, "--ops-listen", ANY_PORT, "--state"].map(OsString::from);
    ["serve".into(), app.into()].into_iter().chain(ports).chain([state.into()]).collect()
}

/// wasmtime in three ways, each with code that was compiled before, as the node has it in its cache.
fn wasmtimes(wasmtime: &Path, component: &Path, apps: &Apps) -> Result<[Contestant; 3]> {
    /// The pages that a guest touched are found by asking the kernel, and what stays resident is as much as the node's.
    const TUNED: &str = "-Opooling-pagemap-scan=auto,pooling-memory-keep-resident=10485760,\
                         pooling-table-keep-resident=1048576";
    let compiled = compile(wasmtime, component, &apps.path("hello.cwasm"))?;
    let reuses = format!("--max-instance-reuse-count={REUSES}");
    let serve = |which, settings: &[&str]| {
        let first = ["serve", "--allow-precompiled", "-Scli", "--addr", ANY_PORT];
        let arguments = first.iter().chain(settings).map(OsString::from).chain([compiled.clone().into()]);
        Contestant::new(which, wasmtime, arguments.collect())
    };
    Ok([
        serve(Which::Wasmtime, &[]),
        serve(Which::WasmtimeTuned, &[TUNED]),
        serve(Which::WasmtimeReused, &[&reuses]),
    ])
}

fn compile(wasmtime: &Path, component: &Path, compiled: &Path) -> Result<PathBuf> {
    let mut command = Command::new(wasmtime);
    command.arg("compile").arg(component).arg("-o").arg(compiled);
    let status = command.status().with_context(|| format!("cannot run `{}`", wasmtime.display()))?;
    ensure!(status.success(), "`wasmtime compile` failed: {status}");
    Ok(compiled.to_owned())
}
