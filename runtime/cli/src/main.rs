//! The `rimward` command: parses the command line, runs one command, and says how it ended.
//!
//! The only crate that prints. Every command is a file in `command/`; errors come back here as chains of causes and are
//! printed in one place ([`print::error`]). Exit status: 0 when it worked, 1 when it failed, 2 when the command line
//! was wrong.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line talks to people")]

mod app;
mod command;
mod compiler;
#[cfg(feature = "compile")]
mod embedded;
mod limits;
mod lines;
mod listen;
mod local;
#[cfg(feature = "compile")]
mod mock;
mod models;
mod node_file;
mod print;
mod runtime;
#[cfg(feature = "compile")]
mod sdk;
#[cfg(feature = "compile")]
mod shell;
mod stop;

use clap::Parser;
use command::{Command, Verdict};
use print::Format;
use std::process::ExitCode;

/// Runs serverless functions at the edge: WebAssembly components, sandboxed, beside the machines that make the data.
#[derive(Parser)]
#[command(name = "rimward", version, max_term_width = 100, after_help = AFTER_HELP)]
struct Arguments {
    /// Print results and errors as JSON, for programs
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[cfg(feature = "compile")]
const AFTER_HELP: &str = "\
Examples:
  rimward new hello               make a project
  cd hello && rimward dev         build it, serve it on http://127.0.0.1:3000, rebuild on change
  rimward check                   is it right? without running it
  rimward serve app.wasm          serve one component, in production
  rimward doctor                  is this machine ready?

`rimward help COMMAND` says more about each. The exit status is 0 if it worked, 1 if it failed and \
2 if the command line was wrong. Colours follow NO_COLOR and CLICOLOR_FORCE.";

#[cfg(not(feature = "compile"))]
const AFTER_HELP: &str = "\
Examples:
  rimward serve                   serve what /etc/rimward/node.toml declares
  rimward serve /srv/shop         serve one app
  rimward doctor                  is this machine ready?

This build has no compiler: it serves apps that were built with `rimward build --precompile`.
`rimward help COMMAND` says more about each. The exit status is 0 if it worked, 1 if it failed and \
2 if the command line was wrong. Colours follow NO_COLOR and CLICOLOR_FORCE.";

fn main() -> ExitCode {
    let Arguments { json, command } = Arguments::parse();
    let format = if json { Format::Json } else { Format::Text };
    match command.run(format) {
        Ok(Verdict::Good) => ExitCode::SUCCESS,
        Ok(Verdict::Bad) => ExitCode::FAILURE,
        Err(error) if print::is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            print::error(&error, format);
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_command_has_examples() {
        let command = Arguments::command();
        let without: Vec<_> = command
            .get_subcommands()
            .filter(|command| !command.is_hide_set())
            .filter(|command| {
                !command.get_after_help().is_some_and(|help| help.to_string().contains("Examples:"))
            })
            .map(clap::Command::get_name)
            .collect();
        assert!(without.is_empty(), "{without:?}");
    }
}
