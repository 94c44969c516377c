//! `rimward outbox`: what waits in the outboxes of a running node, and what an operator does about it.

use super::Verdict;
use super::status::{age, socket};
use super::upstreams::meant;
use crate::print::{BOLD, DIM, Format, GREEN, RED, Report, YELLOW, bytes, count, report};
use crate::runtime;
use anyhow::Result;
use clap::Subcommand;
use rimward_admin::{CallState, Client, DeferredCall, DeferredCalls, Outbox, Outboxes};
use rimward_node::outbox::Id;
use serde::Serialize;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::Duration;

/// Calls in one request to the node.
const PAGE: usize = 1000;

/// See and correct what waits in the outboxes of a running node
///
/// Asks the node whose admin socket --socket names; else the `rimward dev` of the app in this folder, if it runs; else
/// the node of /etc/rimward/node.toml. OUTBOX is the name of its upstream, or APP/NAME or TENANT/APP/NAME where several
/// have that name. Exits with 1 if there is no such outbox or call.
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
    /// Every outbox: what waits, how old it is, what is dead; or the calls that wait in one
    List {
        /// The outbox; without one, all of them are listed
        outbox: Option<String>,
        /// Calls to show
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
        most: u64,
    },
    /// One call
    Show {
        /// The outbox
        outbox: String,
        /// The call's id
        id: Id,
    },
    /// The dead calls of an outbox, with their reasons
    Dead {
        /// The outbox
        outbox: String,
        /// Calls to show
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
        most: u64,
    },
    /// Have a dead call delivered once more, or a waiting one now
    Retry {
        /// The outbox
        outbox: String,
        /// The call's id
        #[arg(required_unless_present = "all_dead")]
        id: Option<Id>,
        /// Every dead call
        #[arg(long, conflicts_with = "id")]
        all_dead: bool,
    },
    /// Forget a waiting or dead call for good
    Drop {
        /// The outbox
        outbox: String,
        /// The call's id
        #[arg(required_unless_present = "all_dead")]
        id: Option<Id>,
        /// Every dead call
        #[arg(long, conflicts_with = "id")]
        all_dead: bool,
    },
    /// Look for the upstream at once instead of waiting out a pause
    Drain {
        /// The outbox
        outbox: String,
    },
}

const EXAMPLES: &str = "\
Examples:
  rimward outbox list                    every outbox
  rimward outbox list cloud              the calls that wait in one
  rimward outbox dead cloud              those that were given up, and why
  rimward outbox retry cloud --all-dead  and all of them once more
  rimward outbox drop cloud 5e6a1c20-42  forget one call
  rimward outbox drain cloud             the link is back: do not wait
  rimward outbox list --json             for a program";

#[derive(Serialize)]
#[serde(transparent)]
struct All(Outboxes);

#[derive(Serialize)]
#[serde(transparent)]
struct Calls(DeferredCalls);

#[derive(Serialize)]
#[serde(transparent)]
struct One(DeferredCall);

/// What was done to how many calls.
#[derive(Serialize)]
struct Changed {
    outbox: String,
    calls: usize,
    #[serde(skip)]
    what: &'static str,
}

pub(crate) fn run(arguments: &Arguments, format: Format) -> Result<Verdict> {
    let client = Client::new(socket(arguments.socket.as_deref(), arguments.config.as_deref())?);
    runtime::block_on(act(&client, &arguments.action, format))?;
    Ok(Verdict::Good)
}

async fn act(client: &Client, action: &Action, format: Format) -> Result<()> {
    match action {
        Action::List { outbox: None, .. } => report(&All(client.outboxes().await?), format),
        Action::List { outbox: Some(outbox), most } => list(client, outbox, false, *most, format).await,
        Action::Dead { outbox, most } => list(client, outbox, true, *most, format).await,
        Action::Show { outbox, id } => {
            let outbox = find(client, outbox).await?;
            report(&One(client.deferred_call(&outbox, &id.to_string()).await?), format)
        }
        Action::Retry { outbox, id, .. } => {
            let outbox = find(client, outbox).await?;
            let calls = match id {
                Some(id) => vec![id.to_string()],
                None => dead(client, &outbox).await?,
            };
            for call in &calls {
                client.retry(&outbox, call).await?;
            }
            report(&Changed { outbox, calls: calls.len(), what: "will be delivered" }, format)
        }
        Action::Drop { outbox, id, .. } => {
            let outbox = find(client, outbox).await?;
            let calls = match id {
                Some(id) => vec![id.to_string()],
                None => dead(client, &outbox).await?,
            };
            for call in &calls {
                client.discard(&outbox, call).await?;
            }
            report(&Changed { outbox, calls: calls.len(), what: "dropped" }, format)
        }
        Action::Drain { outbox } => {
            let outbox = find(client, outbox).await?;
            client.drain_outbox(&outbox).await?;
            let waiting = client.outboxes().await?.outboxes.into_iter().find(|known| known.id == outbox);
            let calls = waiting.map_or(0, |known| usize::try_from(known.waiting).unwrap_or(usize::MAX));
            report(&Changed { outbox, calls, what: "waiting; the upstream is tried now" }, format)
        }
    }
}

async fn find(client: &Client, name: &str) -> Result<String> {
    let ids: Vec<_> = client.outboxes().await?.outboxes.into_iter().map(|outbox| outbox.id).collect();
    let at = meant("outbox", name, &ids)?;
    Ok(ids[at].clone())
}

async fn list(client: &Client, outbox: &str, is_dead: bool, most: u64, format: Format) -> Result<()> {
    let outbox = find(client, outbox).await?;
    let most = usize::try_from(most).unwrap_or(usize::MAX);
    report(&Calls(pages(client, &outbox, is_dead, most).await?), format)
}

/// The ids of all dead calls.
async fn dead(client: &Client, outbox: &str) -> Result<Vec<String>> {
    let all = pages(client, outbox, true, usize::MAX).await?;
    Ok(all.calls.into_iter().map(|call| call.id).collect())
}

/// At most so many calls; `next` is there where there may be more.
async fn pages(client: &Client, outbox: &str, is_dead: bool, most: usize) -> Result<DeferredCalls> {
    let mut all = DeferredCalls { calls: Vec::new(), next: None };
    loop {
        let room = (most - all.calls.len()).min(PAGE);
        let page = client.deferred_calls(outbox, is_dead, all.next.as_deref(), room).await?;
        all.calls.extend(page.calls);
        all.next = page.next;
        if all.next.is_none() || all.calls.len() >= most {
            return Ok(all);
        }
    }
}

impl Report for All {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self(Outboxes { outboxes }) = self;
        if outboxes.is_empty() {
            return writeln!(
                out,
                "no app that serves has an outbox: `outbox = {{}}` on an upstream makes one"
            );
        }
        outboxes.iter().try_for_each(|outbox| outbox_text(outbox, out))
    }
}

fn outbox_text(outbox: &Outbox, out: &mut dyn Write) -> io::Result<()> {
    let waiting = if outbox.waiting > 0 { YELLOW } else { GREEN };
    write!(out, "{BOLD}{}{BOLD:#}  {waiting}{} waiting{waiting:#}", outbox.id, outbox.waiting)?;
    if outbox.waiting > 0 {
        let oldest = age(Duration::from_millis(outbox.oldest_ms));
        write!(out, ", the oldest for {oldest}; {} of {}", bytes(outbox.bytes), bytes(outbox.bytes_max))?;
    }
    if outbox.dead > 0 {
        write!(out, "; {RED}{} dead{RED:#}", outbox.dead)?;
    }
    writeln!(out)?;
    writeln!(
        out,
        "  {DIM}since the node started: {} accepted, {} delivered, {} died, {} dropped, {} refused{DIM:#}",
        outbox.deferred, outbox.delivered, outbox.died, outbox.dropped, outbox.refused
    )?;
    if let Some(problem) = &outbox.problem {
        writeln!(out, "  {RED}refuses calls{RED:#}: {problem}")?;
    }
    for file in &outbox.set_aside {
        writeln!(out, "  {YELLOW}a damaged file was set aside{YELLOW:#}: {file}")?;
    }
    Ok(())
}

impl Report for Calls {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self(DeferredCalls { calls, next }) = self;
        if calls.is_empty() {
            return writeln!(out, "none");
        }
        for call in calls {
            line(call, out)?;
        }
        match next {
            Some(_) => writeln!(out, "{DIM}there may be more: --most{DIM:#}"),
            None => Ok(()),
        }
    }
}

fn line(call: &DeferredCall, out: &mut dyn Write) -> io::Result<()> {
    let since = age(Duration::from_millis(call.age_ms));
    write!(out, "{BOLD}{}{BOLD:#}  {} {}  {DIM}{since}{DIM:#}", call.id, call.method, call.path)?;
    if let Some(key) = &call.order_key {
        write!(out, "  key {key}")?;
    }
    if call.attempts > 0 {
        write!(out, "  {}", count(call.attempts as usize, "attempt"))?;
    }
    match &call.reason {
        Some(reason) => writeln!(out, "  {reason}"),
        None => writeln!(out),
    }
}

impl Report for One {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self(call) = self;
        let (style, state) = match call.state {
            CallState::Waiting => (YELLOW, "waiting"),
            CallState::Delivered => (GREEN, "delivered"),
            CallState::Dead => (RED, "dead"),
        };
        let since = age(Duration::from_millis(call.age_ms));
        writeln!(out, "{BOLD}{}{BOLD:#}  {style}{state}{style:#} for {since}", call.id)?;
        writeln!(out, "  {} {}", call.method, call.path)?;
        writeln!(out, "  idempotency-key: {}", call.idempotency_key)?;
        if let Some(key) = &call.order_key {
            writeln!(out, "  rimward-order-key: {key}")?;
        }
        if let Some(size) = call.body_bytes {
            writeln!(out, "  body: {}", bytes(size))?;
        }
        writeln!(out, "  {}", count(call.attempts as usize, "attempt"))?;
        if let Some(next) = call.next_try_ms {
            writeln!(out, "  due in {}", age(Duration::from_millis(next)))?;
        }
        if let Some(reason) = &call.reason {
            writeln!(out, "  the last one: {reason}")?;
        }
        match call.answer_status {
            Some(status) => writeln!(out, "  answered with {status}"),
            None => Ok(()),
        }
    }
}

impl Report for Changed {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{BOLD}{}{BOLD:#}: {} {}", self.outbox, count(self.calls, "call"), self.what)
    }
}
