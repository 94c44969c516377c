//! `rimward run-models SEATS MEMORY_BYTES CONFINE`: runs models for the node that started it, in a process with limits of its own,
//! until that node ends. Hidden, because people have no use for it.

use super::Verdict;
use anyhow::{Context, Result};
use rimward_confine::Mode;

#[derive(clap::Args)]
#[command(hide = true)]
pub(crate) struct Arguments {
    /// Threads
    seats: usize,
    /// Memory that it may have, bytes
    memory_bytes: u64,
    /// Whether it confines itself: `auto`, `required` or `off`
    confine: Mode,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Verdict> {
    let Arguments { seats, memory_bytes, confine } = *arguments;
    rimward_inference::local::serve(seats, memory_bytes, confine).context("models cannot be run")?;
    Ok(Verdict::Good)
}
