//! `rimward restart`: asks a running node, through its admin socket, to become the program that lies where it was started from.

use super::Verdict;
use super::status::socket;
use crate::print::{Format, Report, report};
use crate::runtime;
use anyhow::Result;
use rimward_admin::{Client, Restart};
use serde::Serialize;
use std::io::{self, Write};
use std::path::PathBuf;

/// Have a running node restart in place, without refusing a connection
///
/// The node first asks the program that is now where it was started from whether it accepts the settings. If so it answers
/// what is open and becomes that program; its sockets stay open. If not, it goes on and the problem is told.
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
  rimward restart
  rimward restart --config node.toml";

/// What the node answered.
#[derive(Serialize)]
#[serde(transparent)]
struct Answer(Restart);

pub(crate) fn run(arguments: &Arguments, format: Format) -> Result<Verdict> {
    let client = Client::new(socket(arguments.socket.as_deref(), arguments.config.as_deref())?);
    runtime::block_on(async { report(&Answer(client.restart().await?), format) })?;
    Ok(Verdict::Good)
}

impl Report for Answer {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "the node restarts when open requests have their replies")
    }
}
