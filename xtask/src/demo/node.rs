//! The node of a demo: the `rimward` of this checkout with one app, its upstream bound to a port of loopback. What it
//! keeps is in a folder of the demo's cache that is emptied at each start, so that every demo begins with a node that knows
//! nothing and has compiled nothing.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
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
    /// The name of its upstream, and the upstream's port on loopback.
    pub(super) upstream: Option<(&'static str, u16)>,
    /// The port of loopback on which it serves its models.
    pub(super) inference: Option<u16>,
}

/// The folder of a node that knows nothing yet, with its node.toml.
pub(super) fn prepare(cache: &Cache, name: &str, site: &Site) -> Result<PathBuf> {
    let folder = cache.path(name);
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
    let name = folder.file_name().unwrap_or_default().display();
    let mut process = Process::start("the node", &mut command, cache.path(&format!("{name}.log")))?;
    let port = process.wait(NODE_START_MAX, port_of)?;
    println!("    the node serves on http://127.0.0.1:{port}");
    Ok((process, port))
}

/// Has the node of a folder deliver now what waits in an outbox.
pub(super) fn drain(folder: &Path, outbox: &str) -> Result<()> {
    let mut drain = rimward();
    drain.args(["outbox", "drain", outbox, "--config", FILE]).current_dir(folder).stdout(Stdio::null());
    let drained = drain.status().context("cannot run `rimward outbox drain`")?;
    ensure!(drained.success(), "`rimward outbox drain` failed");
    Ok(())
}

/// The `rimward` of this checkout.
fn rimward() -> Command {
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
    let Site { app, upstream, inference } = site;
    let bound = upstream.map(|(name, port)| {
        format!(
            "\n[app.bind.upstream.{name}]\nurl   = \"http://127.0.0.1:{port}\"\nallow = [\"127.0.0.1/32:{port}\"]\n"
        )
    });
    let models = inference.map(|port| format!("\n[trigger.inference]\nlisten = [\"127.0.0.1:{port}\"]\n"));
    format!(
        r#"[node]
state  = {:?}
cache  = {:?}
listen = ["127.0.0.1:0"]

[ops]
listen = "off"
{}
[[app]]
path = {:?}
{}"#,
        folder.join("state"),
        folder.join("code"),
        models.unwrap_or_default(),
        root().join(app),
        bound.unwrap_or_default()
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
        let site = Site { app: "examples/read-text", upstream: Some(("ocr", 7)), inference: Some(8) };
        let text = settings(Path::new("/a \"b\""), &site);
        assert!(text.contains(r#"state  = "/a \"b\"/state""#), "{text}");
        assert!(text.contains("[app.bind.upstream.ocr]\n"), "{text}");
        assert!(text.contains(r#"allow = ["127.0.0.1/32:7"]"#), "{text}");
        assert!(text.contains("[trigger.inference]\nlisten = [\"127.0.0.1:8\"]"), "{text}");
    }
}
