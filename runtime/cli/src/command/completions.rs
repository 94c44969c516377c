//! `rimward completions SHELL`: prints a script that completes `rimward`'s commands in a shell.

use super::Verdict;
use anyhow::Result;
use clap::CommandFactory;
use clap_complete::Shell;
use std::io::Write;

/// Print a script that completes commands in your shell
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The shell
    shell: Shell,
}

const EXAMPLES: &str = "\
Examples:
  rimward completions bash > ~/.local/share/bash-completion/completions/rimward
  rimward completions zsh > ~/.zfunc/_rimward
  rimward completions fish > ~/.config/fish/completions/rimward.fish";

pub(crate) fn run(arguments: &Arguments) -> Result<Verdict> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut crate::Arguments::command(), "rimward", &mut script);
    std::io::stdout().write_all(&script)?;
    Ok(Verdict::Good)
}
