//! The commands, one file each. The authors' commands need a compiler and are left out of a build without one: this is
//! the one place that decides which.

#[cfg(feature = "compile")]
mod build;
#[cfg(feature = "compile")]
mod check;
#[cfg(feature = "compile")]
mod compile_component;
mod completions;
#[cfg(feature = "compile")]
mod dev;
mod doctor;
mod fault;
mod invoke;
mod models;
#[cfg(feature = "compile")]
mod new;
mod outbox;
mod reload;
mod restart;
mod run_models;
mod serve;
mod status;
#[cfg(feature = "compile")]
mod test;
mod upstreams;

use crate::print::Format;
use anyhow::Result;
use clap::Subcommand;

/// What a command came to, where it has said so itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// All is well.
    Good,
    /// It found something wrong, and printed it.
    Bad,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    #[cfg(feature = "compile")]
    New(new::Arguments),
    #[cfg(feature = "compile")]
    Build(build::Arguments),
    #[cfg(feature = "compile")]
    Check(check::Arguments),
    #[cfg(feature = "compile")]
    Test(test::Arguments),
    #[cfg(feature = "compile")]
    Dev(dev::Arguments),
    Invoke(invoke::Arguments),
    Serve(serve::Arguments),
    Status(status::Arguments),
    Upstreams(upstreams::Arguments),
    Models(models::Arguments),
    Outbox(outbox::Arguments),
    Fault(fault::Arguments),
    Reload(reload::Arguments),
    Restart(restart::Arguments),
    Doctor(doctor::Arguments),
    Completions(completions::Arguments),
    #[cfg(feature = "compile")]
    CompileComponent(compile_component::Arguments),
    RunModels(run_models::Arguments),
}

impl Command {
    pub(crate) fn run(self, format: Format) -> Result<Verdict> {
        match self {
            #[cfg(feature = "compile")]
            Self::New(arguments) => new::run(&arguments, format),
            #[cfg(feature = "compile")]
            Self::Build(arguments) => build::run(&arguments, format),
            #[cfg(feature = "compile")]
            Self::Check(arguments) => check::run(&arguments, format),
            #[cfg(feature = "compile")]
            Self::Test(arguments) => test::run(&arguments, format),
            #[cfg(feature = "compile")]
            Self::Dev(arguments) => dev::run(&arguments, format),
            Self::Invoke(arguments) => invoke::run(&arguments, format),
            Self::Serve(arguments) => serve::run(arguments, format),
            Self::Status(arguments) => status::run(&arguments, format),
            Self::Upstreams(arguments) => upstreams::run(&arguments, format),
            Self::Models(arguments) => models::run(&arguments, format),
            Self::Outbox(arguments) => outbox::run(&arguments, format),
            Self::Fault(arguments) => fault::run(&arguments, format),
            Self::Reload(arguments) => reload::run(&arguments, format),
            Self::Restart(arguments) => restart::run(&arguments, format),
            Self::Doctor(arguments) => doctor::run(&arguments, format),
            Self::Completions(arguments) => completions::run(&arguments),
            #[cfg(feature = "compile")]
            Self::CompileComponent(arguments) => compile_component::run(&arguments),
            Self::RunModels(arguments) => run_models::run(&arguments),
        }
    }
}
