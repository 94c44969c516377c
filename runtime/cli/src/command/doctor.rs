//! `rimward doctor`: looks at this machine and says what is fine, what limits a node here, and what to do about it.
//! Changes nothing, except with `--fix`, which sets up the guest toolchain.

mod machine;
mod places;
#[cfg(feature = "compile")]
mod toolchain;

use super::Verdict;
use crate::node_file;
use crate::print::{BOLD, DIM, Format, GREEN, RED, Report, YELLOW, report};
use anyhow::Result;
use serde::Serialize;
use std::io::{self, Write};
use std::path::PathBuf;

/// Look at this machine: is it ready, and what are its limits?
///
/// Looks at the toolchain for components, the ports that are listened on by default, cores, memory, address space and
/// file descriptors, the kernel, and the folders that a node writes to. Exits with 1 if something has to be done.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// Judge the ports and folders that this node.toml names [default: /etc/rimward/node.toml if it is there]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Set up the guest toolchain if it is missing: with rustup, or from Debian's packages
    #[cfg(feature = "compile")]
    #[arg(long)]
    fix: bool,
}

#[cfg(feature = "compile")]
const EXAMPLES: &str = "\
Examples:
  rimward doctor
  rimward doctor --fix            also set up what is missing to build components
  rimward doctor --json           for a program";

#[cfg(not(feature = "compile"))]
const EXAMPLES: &str = "\
Examples:
  rimward doctor
  rimward doctor --json           for a program";

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    /// What.
    name: &'static str,
    state: State,
    /// What was found.
    found: String,
    /// What to do, unless all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
enum State {
    /// As it should be.
    Fine,
    /// It works, with less than there could be.
    Limited,
    /// Something does not work.
    Wrong,
}

impl Finding {
    fn fine(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, state: State::Fine, found: found.into(), remedy: None }
    }

    fn limited(name: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { name, state: State::Limited, found: found.into(), remedy: Some(remedy.into()) }
    }

    fn wrong(name: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { name, state: State::Wrong, found: found.into(), remedy: Some(remedy.into()) }
    }
}

#[derive(Serialize)]
struct Findings {
    version: &'static str,
    findings: Vec<Finding>,
}

pub(crate) fn run(arguments: &Arguments, format: Format) -> Result<Verdict> {
    let file = node_file::read(arguments.config.as_deref())?;
    let mut findings = Vec::new();
    #[cfg(feature = "compile")]
    findings.extend(toolchain::look(arguments.fix));
    findings.extend(machine::look());
    findings.extend(places::look(&file));
    let findings = Findings { version: env!("CARGO_PKG_VERSION"), findings };
    report(&findings, format)?;
    let wrong = findings.findings.iter().any(|finding| finding.state == State::Wrong);
    Ok(if wrong { Verdict::Bad } else { Verdict::Good })
}

impl Report for Findings {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        for Finding { name, state, found, remedy } in &self.findings {
            let (style, word) = match state {
                State::Fine => (GREEN, "fine"),
                State::Limited => (YELLOW, "limited"),
                State::Wrong => (RED, "wrong"),
            };
            writeln!(out, "{style}{word:<8}{style:#} {BOLD}{name:<18}{BOLD:#} {found}")?;
            if let Some(remedy) = remedy {
                writeln!(out, "{:28}{DIM}->{DIM:#} {remedy}", "")?;
            }
        }
        Ok(())
    }
}
