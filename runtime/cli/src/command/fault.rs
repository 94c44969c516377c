//! `rimward fault`: faults put into the calls of a running node, to see what an app makes of them.

use super::Verdict;
use super::status::socket;
use crate::print::{BOLD, DIM, Format, RED, Report, YELLOW, note, report};
use crate::runtime;
use anyhow::{Result, bail};
use clap::Subcommand;
use rimward_admin::{Client, Faults, NewFaults};
use rimward_manifest::{FaultRule, FaultTarget};
use serde::Serialize;
use std::io::{self, Write};
use std::path::PathBuf;

/// Put faults into the calls of a running node to its upstreams
///
/// For `rimward dev`, and for nodes whose node.toml has `node.fault-injection = true`. A fault is met by tries, between
/// the policies (retries, breaker, hedges, outbox) and the network, so that these do about it what they would do about
/// a real one. UPSTREAM is a name, APP/NAME, TENANT/APP/NAME, or `*` for all. Faults end with the node.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
    /// The node's admin socket
    #[arg(long, value_name = "PATH", conflicts_with = "config", global = true)]
    socket: Option<PathBuf>,
    /// The node.toml of the node
    #[arg(long, value_name = "FILE", global = true)]
    config: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Action {
    /// Have calls to an upstream meet faults, in place of those that it meets now
    Set {
        /// UPSTREAM=FAULT, or several with commas: vision=latency:300ms±100ms,error:503@20%
        #[arg(value_name = "UPSTREAM=FAULT", required_unless_present = "offline")]
        rules: Vec<FaultRule>,
        /// No upstream can be reached
        #[arg(long)]
        offline: bool,
        /// Draw the same faults again as another run with this number
        #[arg(long, value_name = "NUMBER")]
        seed: Option<u64>,
    },
    /// End the faults of some upstreams, or all of them
    Clear {
        /// The upstreams, as they were named in `set`; without one, everything
        upstreams: Vec<FaultTarget>,
    },
    /// What calls meet now
    List,
}

/// What faults there are, for `--help` here and of `rimward dev`.
const EXAMPLES: &str = "\
Faults, each for all tries or for a share of them (@20%):
  latency:300ms, latency:300ms±100ms    an answer takes longer
  error:503                             any status from 400 to 599
  reset, refuse, unreachable            the connection ends, or there is none
  timeout, connect-timeout              no answer in time
  dns, tls                              no such name, a bad certificate
  cut, drip:1KiB                        the answer ends early, or comes at so many bytes in a second

Examples:
  rimward fault set vision=latency:300ms±100ms,error:503@20%,reset@5%
  rimward fault set --offline           no upstream can be reached
  rimward fault list                    what calls meet now
  rimward fault clear vision            that upstream is as it is
  rimward fault clear                   all of them are";

#[derive(Serialize)]
#[serde(transparent)]
struct Now(Faults);

pub(crate) fn run(arguments: &Arguments, format: Format) -> Result<Verdict> {
    let client = Client::new(socket(arguments.socket.as_deref(), arguments.config.as_deref())?);
    runtime::block_on(async {
        let faults = match &arguments.action {
            Action::List => client.faults().await?,
            Action::Clear { upstreams } if upstreams.is_empty() => {
                client.set_faults(&NewFaults::default()).await?
            }
            Action::Clear { upstreams } => {
                let mut faults = client.faults().await?.into();
                upstreams.iter().try_for_each(|target| take(&mut faults, target))?;
                client.set_faults(&faults).await?
            }
            Action::Set { rules, offline, seed } => {
                let mut faults = NewFaults::from(client.faults().await?);
                rules.iter().for_each(|rule| put(&mut faults, rule));
                faults.offline |= offline;
                faults.seed = seed.or(faults.seed);
                client.set_faults(&faults).await?
            }
        };
        warn_of_strangers(&faults);
        report(&Now(faults), format)
    })?;
    Ok(Verdict::Good)
}

fn is_of(rule: &str, target: &FaultTarget) -> bool {
    rule.parse::<FaultRule>().is_ok_and(|rule| rule.target == *target)
}

fn put(faults: &mut NewFaults, rule: &FaultRule) {
    faults.rules.retain(|old| !is_of(old, &rule.target));
    faults.rules.push(rule.to_string());
}

fn take(faults: &mut NewFaults, target: &FaultTarget) -> Result<()> {
    let before = faults.rules.len();
    faults.rules.retain(|old| !is_of(old, target));
    if faults.rules.len() == before {
        bail!("no fault was set for `{target}`: `rimward fault list` shows those that are");
    }
    Ok(())
}

/// A rule that means nobody is most likely a slip.
fn warn_of_strangers(faults: &Faults) {
    for rule in faults.rules.iter().filter(|rule| rule.upstreams.is_empty()) {
        note!("{YELLOW}warning{YELLOW:#}: no app that serves has the upstream of `{}`", rule.rule);
    }
}

impl Report for Now {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self(Faults { offline, rules, seed }) = self;
        if !offline && rules.is_empty() {
            return writeln!(out, "calls meet no faults");
        }
        if *offline {
            writeln!(out, "{RED}offline{RED:#}: no upstream can be reached")?;
        }
        for rule in rules {
            let (target, faults) = rule.rule.split_once('=').unwrap_or((&rule.rule, ""));
            writeln!(out, "{BOLD}{target}{BOLD:#}  {}", faults.replace(',', ", "))?;
        }
        match seed {
            Some(seed) => writeln!(out, "{DIM}seed {seed}{DIM:#}"),
            None => Ok(()),
        }
    }
}
