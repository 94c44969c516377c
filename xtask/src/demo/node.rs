//! The node of a demo: the `rimward` of this checkout with one app, its upstream bound to a port of loopback. What it
//! keeps is in a folder of the demo's cache that is emptied at each start, so that every demo begins with a node that knows
//! nothing and has compiled nothing.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use super::cache::Cache;
use super::limits::NODE_START_MAX;
use super::process::Process;
use crate::workspace::{cargo, root, target};

/// The settings, in the node's folder.
pub(super) const FILE: &str = "node.toml";

/// Builds `rimward` as the tests do.
pub(super) fn build() -> Result<()> {
    let status = cargo(&["build", "--package", "rimward"]).status().context("cannot run cargo")?;
    if !status.success() {
        bail!("cargo could not build `rimward`");
    }
    Ok(())
}

/// An app, and where its upstream is.
pub(super) struct Site {
    /// The app's folder, below the root.
    pub(super) app: &'static str,
    /// The name of its upstream.
    pub(super) upstream: &'static str,
    /// The upstream's port on loopback.
    pub(super) port: u16,
}

/// The folder of a node that knows nothing yet, with its node.toml.
pub(super) fn prepare(cache: &Cache, site: &Site) -> Result<PathBuf> {
    let folder = cache.path("node");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot empty `{}`", folder.display()))?;
    }
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(FILE), settings(&folder, site))?;
    Ok(folder)
}

/// Starts the node of a folder, and waits until it serves its app. Returns its port too.
pub(super) fn start(cache: &Cache, folder: &Path) -> Result<(Process, u16)> {
    let mut command = rimward();
    command.args(["--json", "serve", "--config", FILE]).current_dir(folder);
    let mut process = Process::start("the node", &mut command, cache.path("node.log"))?;
    let port = process.wait(NODE_START_MAX, port_of)?;
    println!("    the node serves on http://127.0.0.1:{port}");
    Ok((process, port))
}

/// The `rimward` of this checkout.
pub(super) fn rimward() -> Command {
    Command::new(target().join("debug/rimward"))
}

/// The line that `rimward --json serve` prints when its apps are installed.
#[derive(Deserialize)]
struct Ready {
    addresses: Addresses,
}

#[derive(Deserialize)]
struct Addresses {
    http: Vec<SocketAddr>,
}

fn port_of(log: &str) -> Option<u16> {
    let ready: Ready = log.lines().find_map(|line| serde_json::from_str(line).ok())?;
    Some(ready.addresses.http.first()?.port())
}

/// Debug formatting of a path or text is a TOML string too.
fn settings(folder: &Path, site: &Site) -> String {
    let Site { app, upstream, port } = site;
    format!(
        r#"[node]
state  = {:?}
cache  = {:?}
listen = ["127.0.0.1:0"]

[ops]
listen = "off"

[[app]]
path = {:?}

[app.bind.upstream.{upstream}]
url   = "http://127.0.0.1:{port}"
allow = ["127.0.0.1/32:{port}"]
"#,
        folder.join("state"),
        folder.join("code"),
        root().join(app)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_in_the_line_that_says_ready() {
        let check = |log: &str, port| assert_eq!(port_of(log), port, "{log}");
        check("", None);
        check("2026-11-22 INFO serving\n{\"event\":\"other\"}\n", None);
        check(
            "INFO\n{\"event\":\"ready\",\"addresses\":{\"http\":[\"127.0.0.1:81\"],\"https\":[]}}\nINFO",
            Some(81),
        );
    }

    #[test]
    fn the_settings_are_toml_whatever_the_paths_are() {
        let site = Site { app: "examples/read-text", upstream: "ocr", port: 7 };
        let text = settings(Path::new("/a \"b\""), &site);
        assert!(text.contains(r#"state  = "/a \"b\"/state""#), "{text}");
        assert!(text.contains(r#"allow = ["127.0.0.1/32:7"]"#), "{text}");
    }
}
