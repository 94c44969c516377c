//! `rimward compile-component GENERATION CPU_S MEMORY_BYTES CONFINE`: compiles the component on standard input and writes the
//! code to standard output. Started by a node, in a process with limits of its own; hidden, because people have no use for it. Exit
//! status 1 and the reason on standard error when the component is refused.

use super::Verdict;
use anyhow::{Context, Result};
use rimward_confine::Mode;
use rimward_engine::{ChildLimits, CompileError, Generation, compile_stdio};
use std::time::Duration;

#[derive(clap::Args)]
#[command(hide = true)]
pub(crate) struct Arguments {
    /// The engine that is to run it: `plain` or `concurrent`
    generation: String,
    /// CPU time that it may take, seconds
    cpu_s: u64,
    /// Address space that it may take, bytes
    memory_bytes: u64,
    /// Whether it confines itself: `auto`, `required` or `off`
    confine: Mode,
}

pub(crate) fn run(arguments: &Arguments) -> Result<Verdict> {
    let generation = Generation::parse(&arguments.generation).context("there is no such generation")?;
    let limits = ChildLimits {
        cpu: Duration::from_secs(arguments.cpu_s),
        memory_bytes: arguments.memory_bytes,
        confine: arguments.confine,
        ..ChildLimits::default()
    };
    match compile_stdio(generation, limits) {
        Ok(()) => Ok(Verdict::Good),
        // The node shows the reason as the cause of its own error, so it stands alone.
        Err(CompileError::Refused(reason)) => {
            eprintln!("{reason}");
            Ok(Verdict::Bad)
        }
        Err(error) => Err(error.into()),
    }
}
