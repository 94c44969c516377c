//! The node of a soak: `rimward serve` with some of the tests' guests, and what it holds at a moment, by `/proc` and by its
//! own metrics.

use crate::demo::process::{Process, free_port};
use crate::workspace::{root, target};
use anyhow::{Context, Result, ensure};
use rimward_toolchain::TARGET;
use serde::Serialize;
use std::fmt;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// How long the node may take until it serves: it compiles its components.
const START_MAX: Duration = Duration::from_secs(180);

/// The guests, and their limits. Each is at the host `NAME.example`.
const APPS: [(&str, &str); 7] = [
    ("hello", ""),
    ("echo", ""),
    ("spin", r#"cpu = "50ms", wall = "200ms""#),
    ("memory-bomb", r#"memory = "32MiB", cpu = "100ms", wall = "300ms""#),
    ("trap", ""),
    ("sleep", r#"wall = "100ms""#),
    ("drips", ""),
];

pub(super) struct Node {
    process: Process,
    port: u16,
    ops: u16,
}

/// What a node holds.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Sample {
    pub(super) memory_bytes: u64,
    pub(super) descriptors: u64,
    pub(super) threads: u64,
    pub(super) permits: u64,
    pub(super) running: u64,
    pub(super) connections: u64,
}

impl Node {
    /// The release build where there is one.
    pub(super) fn start() -> Result<Self> {
        let built = ["release/rimward", "debug/rimward"].map(|path| target().join(path));
        let program = built.iter().find(|program| program.is_file());
        let program =
            program.context("`rimward` is not built: run `cargo build --release --package rimward`")?;
        let folder = target().join("soak");
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("cannot empty `{}`", folder.display()))?;
        }
        fs::create_dir_all(&folder)?;
        let (port, ops) = (free_port()?, free_port()?);
        let file = folder.join("node.toml");
        fs::write(&file, settings(&folder, port, ops)?)?;
        println!("{} with {} apps on 127.0.0.1:{port}", program.display(), APPS.len());
        let mut command = Command::new(program);
        command.args(["--json", "serve", "--config"]).arg(&file).current_dir(&folder);
        let mut process = Process::start("the node", &mut command, folder.join("node.log"))?;
        process.wait(START_MAX, |log| log.contains("\"addresses\"").then_some(()))?;
        Ok(Self { process, port, ops })
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// What it holds now. An error where it is gone.
    pub(super) fn sample(&mut self) -> Result<Sample> {
        let folder = Path::new("/proc").join(self.process.id().to_string());
        let status = fs::read_to_string(folder.join("status")).context("the node is gone")?;
        let field = |name: &str| -> Option<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse().ok()
        };
        let metrics = self.metrics()?;
        Ok(Sample {
            memory_bytes: field("VmRSS:").context("the status has no memory")? << 10,
            descriptors: fs::read_dir(folder.join("fd")).context("the node is gone")?.count() as u64,
            threads: field("Threads:").context("the status has no threads")?,
            permits: sum(&metrics, "rimward_permits_taken"),
            running: sum(&metrics, "rimward_function_running"),
            connections: sum(&metrics, "rimward_connections"),
        })
    }

    fn metrics(&self) -> Result<String> {
        let mut stream =
            TcpStream::connect((Ipv4Addr::LOCALHOST, self.ops)).context("the node has no metrics")?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: ops\r\nconnection: close\r\n\r\n")?;
        let mut text = String::new();
        stream.read_to_string(&mut text).context("the node's metrics cannot be read")?;
        ensure!(text.contains("rimward_permits_taken"), "these are no metrics of a node: {text}");
        Ok(text)
    }
}

/// Over all labels.
fn sum(metrics: &str, name: &str) -> u64 {
    let values = metrics.lines().filter_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        (series.split('{').next() == Some(name)).then(|| value.parse::<u64>().ok())?
    });
    values.sum()
}

fn settings(folder: &Path, port: u16, ops: u16) -> Result<String> {
    // Debug formatting of a path is a TOML string too.
    let mut text = format!(
        "[node]\nstate = {:?}\ncache = {:?}\nlisten = [\"127.0.0.1:{port}\"]\n\n[ops]\nlisten = \"127.0.0.1:{ops}\"\n",
        folder.join("state"),
        folder.join("code"),
    );
    for (name, limits) in APPS {
        let component = root().join("tests/guests/target").join(TARGET).join(format!("release/{name}.wasm"));
        ensure!(component.is_file(), "the guest `{name}` is not built: run `cargo xtask setup`");
        let app = folder.join(name);
        fs::create_dir_all(&app)?;
        // Into the app's folder: a node that serves is confined to it.
        fs::copy(&component, app.join("function.wasm"))?;
        let declared = format!(
            "[app]\nname = {name:?}\n\n[function.{name}]\ncomponent = \"function.wasm\"\nlimits = {{ {limits} }}\n\n\
             [[trigger.http]]\nroute = \"/*rest\"\nhost = \"{name}.example\"\nfunction = {name:?}\n"
        );
        fs::write(app.join("rimward.toml"), declared)?;
        text += &format!("\n[[app]]\npath = {app:?}\n");
    }
    Ok(text)
}

impl Sample {
    pub(super) fn is_idle(&self) -> bool {
        self.permits == 0 && self.running == 0 && self.connections == 0
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { memory_bytes, descriptors, threads, permits, running, connections } = self;
        let mib = memory_bytes >> 20;
        write!(f, "{mib} MiB, {descriptors} descriptors, {threads} threads, {permits} permits taken, ")?;
        write!(f, "{running} running, {connections} connections")
    }
}
