//! The node of the demo: the `rimward` of this checkout with one app, its upstream bound to the model server. Its
//! state is a folder in the cache that is emptied at each start, so that every demo begins with a node that knows
//! nothing; what it compiled is kept.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::APP;
use super::cache::Cache;
use super::limits::NODE_START_MAX;
use super::process::{Process, free_port};
use crate::workspace::{cargo, root, target};

/// Builds `rimward` as the tests do.
pub(super) fn build() -> Result<()> {
    let status = cargo(&["build", "--package", "rimward"]).status().context("cannot run cargo")?;
    if !status.success() {
        bail!("cargo could not build `rimward`");
    }
    Ok(())
}

/// Starts the node, and waits until it listens.
pub(super) fn start(cache: &Cache, model_server: u16) -> Result<Process> {
    let folder = cache.path("node");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot empty `{}`", folder.display()))?;
    }
    fs::create_dir_all(&folder)?;
    let port = free_port()?;
    let file = folder.join("node.toml");
    fs::write(&file, settings(&folder.join("state"), &cache.path("node-cache"), port, model_server))?;
    let mut command = Command::new(target().join("debug/rimward"));
    command.arg("serve").arg("--config").arg(&file).current_dir(&folder);
    let process = Process::start("the node", &mut command, port, cache.path("node.log"))?;
    let process =
        process.wait(NODE_START_MAX, |port| TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok())?;
    println!("    http://127.0.0.1:{port} runs {APP}; its upstream `ocr` is the model server");
    Ok(process)
}

/// Debug formatting of a path or text is a TOML string too.
fn settings(state: &Path, cache: &Path, port: u16, model_server: u16) -> String {
    format!(
        r#"[node]
state  = {state:?}
cache  = {cache:?}
listen = ["127.0.0.1:{port}"]

[ops]
listen = "off"

[[app]]
path = {:?}

[app.bind.upstream.ocr]
url   = "http://127.0.0.1:{model_server}"
allow = ["127.0.0.1/32:{model_server}"]
"#,
        root().join(APP)
    )
}
