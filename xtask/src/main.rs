//! The chores of this repository, run as `cargo xtask <chore>`.
//!
//! For people and for `.ci/run`; nothing here is needed by a running node. Each chore is one file, runs ordinary
//! commands in the order it prints them, and exits with a failure when one of them failed.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line talks to people")]

mod bench;
mod ci;
mod demo;
mod faults;
mod foreign;
mod fuzz;
mod links;
mod setup;
mod soak;
mod steps;
mod tests;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Chores of the Rimward repository.
#[derive(Parser)]
#[command(bin_name = "cargo xtask", version, max_term_width = 100, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

const EXAMPLES: &str = "\
Examples:
  cargo xtask setup             get this machine ready: guest toolchain, test guests, examples
  cargo xtask test              everything that can be tested on this machine
  cargo xtask test router       only the tests whose name has `router` in it
  cargo xtask demo              a small model at the edge, a large one in the cloud, a link that fails
  cargo xtask demo --cloud kserve   the same with a KServe model server as the cloud
  cargo xtask read-text         a photo, a sandboxed function, a model server
  cargo xtask voice-gate        a microphone at the edge: only speech leaves it
  cargo xtask offline           an hour without a link, shortened: nothing lost, once each, in order
  cargo xtask bench --peers     compare the node with bare hyper and `wasmtime serve`
  cargo xtask fuzz component    look for bytes that break a reader, with cargo-fuzz and nightly
  cargo xtask soak --minutes 30  mixed load, and whether memory, descriptors and threads stay what they were
  cargo xtask faults -v         what can go wrong, and which tests show what happens then
  cargo xtask ci                formatting, links, lints, documentation, licences";

#[derive(Subcommand)]
enum Chore {
    Setup(setup::Arguments),
    Test(tests::Arguments),
    Demo(demo::camera::Arguments),
    ReadText(demo::read_text::Arguments),
    VoiceGate(demo::voice_gate::Arguments),
    Offline(demo::offline::Arguments),
    Bench(bench::Arguments),
    Fuzz(fuzz::Arguments),
    Soak(soak::Arguments),
    Faults(faults::Arguments),
    Ci(ci::Arguments),
}

fn main() -> ExitCode {
    let result = match Arguments::parse().chore {
        Chore::Setup(arguments) => setup::run(&arguments),
        Chore::Test(arguments) => tests::run(&arguments),
        Chore::Demo(arguments) => demo::camera::run(&arguments),
        Chore::ReadText(arguments) => demo::read_text::run(&arguments),
        Chore::VoiceGate(arguments) => demo::voice_gate::run(&arguments),
        Chore::Offline(arguments) => demo::offline::run(&arguments),
        Chore::Bench(arguments) => bench::run(&arguments),
        Chore::Fuzz(arguments) => fuzz::run(&arguments),
        Chore::Soak(arguments) => soak::run(&arguments),
        Chore::Faults(arguments) => faults::run(&arguments),
        Chore::Ci(arguments) => ci::run(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
