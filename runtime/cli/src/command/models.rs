//! `rimward models`: the models of a running node, how their calls go, and how long each side takes.

use super::Verdict;
use super::status::socket;
use super::upstreams::meant;
use crate::print::{BOLD, DIM, Format, GREEN, RED, Report, YELLOW, bytes, report};
use crate::runtime;
use anyhow::Result;
use clap::Subcommand;
use rimward_admin::{Client, Comparison, Latency, Measured, Model, Models};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;

/// See how the models of a node answer, and compare their two sides
///
/// Without a subcommand: a table of the models of the node that --socket names; else of the `rimward dev` of the app in this
/// folder, if it runs; else of the node of /etc/rimward/node.toml. NAME is the model, or APP/NAME or TENANT/APP/NAME where
/// several have that name.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Option<Action>,
    /// The node's admin socket
    #[arg(long, value_name = "PATH", conflicts_with = "config", global = true)]
    socket: Option<PathBuf>,
    /// The node.toml of the node
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Action {
    /// The models, one a line: what is done without a subcommand
    List,
    /// Everything about one model: what it takes and gives, both sides, and how its calls went
    Show {
        /// The model
        name: String,
    },
    /// Have each side answer calls of zeros, and say how long they took and where a call would go
    Bench {
        /// The model
        name: String,
        /// Calls of each side, one after the other
        #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
        calls: u32,
    },
}

const EXAMPLES: &str = "\
Examples:
  rimward models                        a table
  rimward models show classifier        one of them, with what it takes and gives
  rimward models bench classifier       how long the node takes, how long the cloud takes, and who would be asked
  rimward models --json                 for a program";

#[derive(Serialize)]
#[serde(transparent)]
struct Table(Models);

#[derive(Serialize)]
#[serde(transparent)]
struct One(Model);

#[derive(Serialize)]
#[serde(transparent)]
struct Compared(Comparison);

pub(crate) fn run(arguments: &Arguments, format: Format) -> Result<Verdict> {
    let client = Client::new(socket(arguments.socket.as_deref(), arguments.config.as_deref())?);
    runtime::block_on(async {
        match &arguments.action {
            None | Some(Action::List) => report(&Table(client.models().await?), format),
            Some(Action::Show { name }) => report(&One(find(&client, name).await?), format),
            Some(Action::Bench { name, calls }) => {
                let found = find(&client, name).await?;
                report(&Compared(client.compare(&found.id, *calls).await?), format)
            }
        }
    })?;
    Ok(Verdict::Good)
}

async fn find(client: &Client, name: &str) -> Result<Model> {
    let all = client.models().await?.models;
    let ids: Vec<_> = all.iter().map(|model| model.id.clone()).collect();
    let at = meant("model", name, &ids)?;
    Ok(all.into_iter().nth(at).expect("it is one of them"))
}

fn sides(model: &Model) -> &str {
    match (&model.local, &model.remote) {
        (Some(_), Some(_)) => model.mode.as_deref().unwrap_or("both"),
        (Some(_), None) => "local",
        (None, _) => "remote",
    }
}

fn p95(latency: Option<&Latency>) -> String {
    latency.map_or_else(|| "-".to_owned(), |latency| format!("{:.1}", latency.p95_ms))
}

fn of_side(answers: &BTreeMap<String, u64>, side: &str) -> u64 {
    answers.iter().filter(|(answer, _)| answer.starts_with(side)).map(|(_, count)| count).sum()
}

impl Report for Table {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self(Models { models }) = self;
        if models.is_empty() {
            return writeln!(out, "no app that serves has a model");
        }
        let width = models.iter().map(|model| model.id.len()).max().unwrap_or(0).max(5);
        writeln!(
            out,
            "{DIM}{:width$}  {:8}  {:6}  {:>9}  {:>9}  {:>7}  {:>12}  {:>12}{DIM:#}",
            "model", "sides", "wanted", "by node", "by cloud", "errors", "node p95 ms", "cloud p95 ms"
        )?;
        for model in models {
            let errors: u64 = model.errors.values().sum();
            let style = if errors > 0 { YELLOW } else { anstyle::Style::new() };
            writeln!(
                out,
                "{BOLD}{:width$}{BOLD:#}  {:8}  {:6}  {:>9}  {:>9}  {style}{errors:>7}{style:#}  {:>12}  {:>12}",
                model.id,
                sides(model),
                model.chosen.as_deref().unwrap_or("-"),
                of_side(&model.answers, "local"),
                of_side(&model.answers, "remote"),
                p95(model.local.as_ref().and_then(|local| local.latency.as_ref())),
                p95(model.remote.as_ref().and_then(|remote| remote.latency.as_ref())),
            )?;
        }
        Ok(())
    }
}

fn took(latency: Option<&Latency>) -> String {
    let Some(Latency { p50_ms, p95_ms, p99_ms }) = latency else { return "no answers lately".to_owned() };
    format!("{p50_ms:.2} ms in the middle, p95 {p95_ms:.2} ms, p99 {p99_ms:.2} ms")
}

impl Report for One {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self(model) = self;
        let deadline = model.deadline_ms.map(|ms| format!(", within {ms} ms")).unwrap_or_default();
        writeln!(out, "{BOLD}{}{BOLD:#}  {}{deadline}", model.id, sides(model))?;
        if let Some(local) = &model.local {
            writeln!(out, "  node: {}; {}", local.file, took(local.latency.as_ref()))?;
            local.inputs.iter().try_for_each(|input| writeln!(out, "    takes {input}"))?;
            local.outputs.iter().try_for_each(|output| writeln!(out, "    gives {output}"))?;
        }
        if let Some(remote) = &model.remote {
            writeln!(
                out,
                "  cloud: `{}` of the upstream {}, {}; {}",
                remote.model,
                remote.upstream,
                remote.protocol,
                took(remote.latency.as_ref())
            )?;
        }
        if let Some(chosen) = &model.chosen {
            let (style, now) = match (chosen.as_str(), model.mode.as_deref()) {
                ("remote", Some("escalate")) => (GREEN, "what the node is not sure of goes to the cloud"),
                ("remote", _) => (GREEN, "the cloud is asked first"),
                _ => (YELLOW, "the node answers alone: the cloud was late or failed"),
            };
            writeln!(out, "  now: {style}{now}{style:#}")?;
        }
        let counts = |counts: &BTreeMap<String, u64>| {
            let texts: Vec<_> = counts.iter().map(|(name, count)| format!("{count} {name}")).collect();
            if texts.is_empty() { "none".to_owned() } else { texts.join(", ") }
        };
        writeln!(out, "  answers: {}", counts(&model.answers))?;
        writeln!(out, "  errors: {}", counts(&model.errors))
    }
}

impl Report for Compared {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self(compared) = self;
        writeln!(
            out,
            "{BOLD}{}{BOLD:#}  {} of zeros a call, within {} ms",
            compared.id,
            bytes(compared.bytes),
            compared.deadline_ms
        )?;
        for (who, side) in [("node", &compared.local), ("cloud", &compared.remote)] {
            let Some(side) = side else { continue };
            let Measured { answered, failed, error, latency } = side;
            match latency {
                Some(_) => writeln!(out, "  {who:6} {answered} answered: {}", took(latency.as_ref()))?,
                None => writeln!(out, "  {who:6} none answered")?,
            }
            if let Some(error) = error {
                writeln!(out, "         {RED}{failed} failed{RED:#}, the last one because: {error}")?;
            }
        }
        let Some(decision) = &compared.decision else { return Ok(()) };
        let after = decision.other_after_ms.unwrap_or(0.0);
        let what = match (decision.first.as_str(), compared.mode.as_deref()) {
            ("remote", Some("escalate")) => "asks the cloud where the node is not sure".to_owned(),
            ("remote", Some("fallback")) => {
                format!(
                    "asks the cloud, and the node where that fails or has not answered after {after:.0} ms"
                )
            }
            ("remote", _) => {
                format!("asks the cloud, and the node too after {after:.0} ms without an answer")
            }
            _ => "has the node answer alone".to_owned(),
        };
        writeln!(out, "  `auto` {BOLD}{what}{BOLD:#} ({})", decision.reason)
    }
}
