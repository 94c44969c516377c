//! `rimward reload`: asks a running node, through its admin socket, to read its settings again.

use super::Verdict;
use super::status::socket;
use crate::print::{Format, Report, report};
use crate::runtime;
use anyhow::Result;
use rimward_admin::{Client, Reload};
use serde::Serialize;
use std::io::{self, Write};
use std::path::PathBuf;

/// Have a running node read its settings again
///
/// Takes over what can change while a node runs: apps and their bindings, tenants, secrets, certificates. Everything is
/// checked first; on any problem nothing changes and the problem is told. Exits with 1 then, or if no node answers.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The node's admin socket
    #[arg(long, value_name = "PATH", conflicts_with = "config")]
    socket: Option<PathBuf>,
    /// The node.toml of the node
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  rimward reload
  rimward reload --config node.toml";

/// What the node answered.
#[derive(Serialize)]
#[serde(transparent)]
struct Answer(Reload);

pub(crate) fn run(arguments: &Arguments, format: Format) -> Result<Verdict> {
    let client = Client::new(socket(arguments.socket.as_deref(), arguments.config.as_deref())?);
    runtime::block_on(async { report(&Answer(client.reload().await?), format) })?;
    Ok(Verdict::Good)
}

impl Report for Answer {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Reload { installed, kept, retired } = &self.0;
        for (what, apps) in [("installed", installed), ("kept", kept), ("retired", retired)] {
            if !apps.is_empty() {
                writeln!(out, "{what}: {}", apps.join(", "))?;
            }
        }
        writeln!(out, "the settings are in force")
    }
}
