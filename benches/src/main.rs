//! `rimward-bench`: the comparison, and the load generator alone. Servers are other processes, so that their CPU time is
//! their own. Prints its table at the end, and what it is doing on standard error.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line talks to people")]

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use rimward_benches::apps::Apps;
use rimward_benches::contestants::{Programs, contestants};
use rimward_benches::limits::{CONNECTIONS, ROUNDS};
use rimward_benches::load::{Load, Pace};
use rimward_benches::machine::{self, Machine};
use rimward_benches::report::Report;
use rimward_benches::rounds::Plan;
use rimward_benches::{footprint, rounds};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

/// Measures servers against each other
#[derive(Parser)]
#[command(version, max_term_width = 100)]
struct Arguments {
    #[command(subcommand)]
    command: Subject,
}

#[derive(Subcommand)]
enum Subject {
    Compare(Compare),
    Load(LoadArguments),
}

/// Compare a node with a server without functions, and with `wasmtime serve`
#[derive(clap::Args)]
struct Compare {
    /// The `rimward` command
    #[arg(long, value_name = "FILE")]
    rimward: PathBuf,
    /// The server without functions
    #[arg(long, value_name = "FILE")]
    bare_hyper: PathBuf,
    /// The `wasmtime` command; without it the node is compared with the bare server only
    #[arg(long, value_name = "FILE")]
    wasmtime: Option<PathBuf>,
    /// The component that all of them serve
    #[arg(long, value_name = "FILE")]
    component: PathBuf,
    /// How often everything is measured
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=i64::from(ROUNDS)))]
    rounds: u32,
    /// Write every figure here, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Only see that everything works: the figures mean little
    #[arg(long)]
    quick: bool,
}

/// Send requests to one server, and say how it did
#[derive(clap::Args)]
struct LoadArguments {
    /// The server, such as 127.0.0.1:8080
    address: SocketAddr,
    /// The path of every request
    #[arg(long, default_value = "/")]
    path: String,
    /// Connections, all open at once
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=CONNECTIONS as i64))]
    connections: u32,
    /// How long requests are sent
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// Requests per second, whether or not the server keeps up [default: as fast as they are answered]
    #[arg(long)]
    rate: Option<f64>,
}

fn main() -> ExitCode {
    let result = match Arguments::parse().command {
        Subject::Compare(arguments) => compare(&arguments),
        Subject::Load(arguments) => load(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn compare(arguments: &Compare) -> Result<()> {
    let plan = match arguments.quick {
        true => Plan::quick(arguments.rounds),
        false => Plan::full(arguments.rounds),
    };
    let programs = Programs {
        rimward: arguments.rimward.clone(),
        bare_hyper: arguments.bare_hyper.clone(),
        wasmtime: arguments.wasmtime.clone(),
        component: arguments.component.clone(),
    };
    let report = measure(&programs, &plan)?;
    if let Some(file) = &arguments.json {
        let text = serde_json::to_string_pretty(&report).context("the figures cannot be written as JSON")?;
        fs::write(file, text).with_context(|| format!("cannot write `{}`", file.display()))?;
    }
    println!("{report}");
    Ok(())
}

fn measure(programs: &Programs, plan: &Plan) -> Result<Report> {
    let (apps, before) = (Apps::new()?, machine::load());
    let contestants = contestants(programs, &apps)?;
    eprintln!("starting each server once");
    let measured =
        rounds::run(&contestants, plan, |round| eprintln!("round {} of {}", round + 1, plan.rounds))?;
    eprintln!("the node alone");
    Ok(Report {
        machine: Machine::probe(),
        footprint: footprint::measure(programs, &apps, plan)?,
        load: (before, machine::load()),
        versions: [Some(&programs.rimward), programs.wasmtime.as_ref()]
            .into_iter()
            .flatten()
            .map(version_of)
            .collect(),
        component_bytes: fs::metadata(&programs.component).context("cannot read the component")?.len(),
        connections: plan.connections,
        rate: plan.rate,
        measured,
    })
}

fn version_of(program: impl AsRef<Path>) -> String {
    let program = program.as_ref();
    let said = Command::new(program).arg("--version").output();
    let said = said.ok().and_then(|output| String::from_utf8(output.stdout).ok());
    said.map_or_else(|| program.display().to_string(), |text| text.trim().to_owned())
}

fn load(arguments: &LoadArguments) -> Result<()> {
    let outcome = Load {
        address: arguments.address,
        path: arguments.path.clone(),
        connections: arguments.connections as usize,
        time: Duration::from_secs(arguments.seconds.into()),
        pace: arguments.rate.map_or(Pace::Closed, Pace::Open),
    }
    .run()?;
    let quantile = |share| outcome.latencies.quantile(share).as_secs_f64() * 1e6;
    println!(
        "{:.0} requests/s, {} answered, {} failed",
        outcome.per_second(),
        outcome.latencies.count(),
        outcome.failures
    );
    println!(
        "p50 {:.0} us, p90 {:.0} us, p99 {:.0} us, p99.9 {:.0} us, longest {:.0} us",
        quantile(0.5),
        quantile(0.9),
        quantile(0.99),
        quantile(0.999),
        quantile(1.0)
    );
    if let Some(failure) = &outcome.first_failure {
        println!("the first failure: {failure}");
    }
    Ok(())
}
