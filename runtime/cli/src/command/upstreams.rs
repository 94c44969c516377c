//! `rimward upstreams`: how the calls of a running node's functions go, and a breaker forced by hand.

use super::Verdict;
use super::status::{age, socket};
use crate::limits::WATCH_INTERVAL;
use crate::print::{BOLD, DIM, Format, GREEN, RED, Report, YELLOW, bytes, count, report};
use crate::runtime;
use anyhow::{Result, bail};
use clap::Subcommand;
use rimward_admin::{BreakerState, Client, ForcedBreaker, Upstream, Upstreams};
use serde::Serialize;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// See how calls to upstreams go, or force a circuit breaker
///
/// Without a subcommand: a table of the upstreams of the node that --socket names; else of the `rimward dev` of the app
/// in this folder, if it runs; else of the node of /etc/rimward/node.toml. NAME is the upstream, or APP/NAME or
/// TENANT/APP/NAME where several have that name.
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
    /// Look again every second, until Ctrl-C
    #[arg(long, short)]
    watch: bool,
}

#[derive(Subcommand)]
enum Action {
    /// Everything about one upstream: latencies, tries, refusals, and its breaker's history
    Show {
        /// The upstream
        name: String,
    },
    /// Force its breaker open: every call is refused until `auto`, or until the node ends
    Open {
        /// The upstream
        name: String,
    },
    /// Force its breaker closed: every call is let through
    Close {
        /// The upstream
        name: String,
    },
    /// Let its breaker decide for itself again
    Auto {
        /// The upstream
        name: String,
    },
}

const EXAMPLES: &str = "\
Examples:
  rimward upstreams                     a table
  rimward upstreams --watch             again every second
  rimward upstreams show vision         one of them, with the history of its breaker
  rimward upstreams open vision         refuse its calls, as before maintenance
  rimward upstreams auto vision         and back
  rimward upstreams --json              for a program";

#[derive(Serialize)]
#[serde(transparent)]
struct Table(Upstreams);

#[derive(Serialize)]
#[serde(transparent)]
struct One(Upstream);

pub(crate) fn run(arguments: &Arguments, format: Format) -> Result<Verdict> {
    let client = Client::new(socket(arguments.socket.as_deref(), arguments.config.as_deref())?);
    runtime::block_on(async {
        match &arguments.action {
            None => table(&client, arguments.watch, format).await,
            Some(Action::Show { name }) => report(&One(find(&client, name).await?), format),
            Some(Action::Open { name }) => force(&client, name, Some(ForcedBreaker::Open), format).await,
            Some(Action::Close { name }) => force(&client, name, Some(ForcedBreaker::Closed), format).await,
            Some(Action::Auto { name }) => force(&client, name, None, format).await,
        }
    })?;
    Ok(Verdict::Good)
}

async fn table(client: &Client, watch: bool, format: Format) -> Result<()> {
    let redraws = watch && format == Format::Text && io::stdout().is_terminal();
    loop {
        let upstreams = client.upstreams().await?;
        if redraws {
            // The screen is cleared, and the next table begins at its top.
            anstream::print!("\x1b[2J\x1b[H");
        }
        report(&Table(upstreams), format)?;
        if !watch {
            return Ok(());
        }
        tokio::time::sleep(WATCH_INTERVAL).await;
    }
}

async fn force(client: &Client, name: &str, forced: Option<ForcedBreaker>, format: Format) -> Result<()> {
    let found = find(client, name).await?;
    report(&One(client.force(&found.id, forced).await?), format)
}

async fn find(client: &Client, name: &str) -> Result<Upstream> {
    let all = client.upstreams().await?.upstreams;
    let ids: Vec<_> = all.iter().map(|upstream| upstream.id.clone()).collect();
    let at = meant("upstream", name, &ids)?;
    Ok(all.into_iter().nth(at).expect("it is one of them"))
}

/// Which of the full names `ids` a person means: a whole one, or its end.
pub(super) fn meant(what: &str, name: &str, ids: &[String]) -> Result<usize> {
    let is_end = |id: &str| id == name || id.strip_suffix(name).is_some_and(|rest| rest.ends_with('/'));
    let found: Vec<_> = ids.iter().enumerate().filter(|(_, id)| is_end(id)).collect();
    match &found[..] {
        [(at, _)] => Ok(*at),
        [] if ids.is_empty() => bail!("the node has no {what}"),
        [] => bail!("the node has no {what} `{name}`: it has {}", ids.join(", ")),
        several => {
            let names: Vec<_> = several.iter().map(|(_, id)| id.as_str()).collect();
            bail!("`{name}` may be any of {}: write the whole name", names.join(", "))
        }
    }
}

impl Report for Table {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self(Upstreams { upstreams }) = self;
        if upstreams.is_empty() {
            return writeln!(out, "no app that serves has an upstream");
        }
        let width = upstreams.iter().map(|upstream| upstream.id.len()).max().unwrap_or(0).max(8);
        writeln!(
            out,
            "{DIM}{:width$}  {:9}  {:>7}  {:>7}  {:>8}  {:>8}  {:>6}  {:>6}{DIM:#}",
            "upstream", "breaker", "running", "failed", "p50 ms", "p99 ms", "budget", "queue"
        )?;
        for upstream in upstreams {
            let (style, state) = state(upstream);
            let share = match upstream.breaker.calls {
                0 => "-".to_owned(),
                calls => format!("{:.0} %", 100.0 * f64::from(upstream.breaker.failures) / f64::from(calls)),
            };
            let ms = |time: fn(&rimward_admin::Latency) -> f64| {
                upstream
                    .latency
                    .as_ref()
                    .map_or_else(|| "-".to_owned(), |latency| format!("{:.1}", time(latency)))
            };
            writeln!(
                out,
                "{BOLD}{:width$}{BOLD:#}  {style}{state:9}{style:#}  {:>7}  {share:>7}  {:>8}  {:>8}  {:>6}  {:>6}",
                upstream.id,
                upstream.running,
                ms(|latency| latency.p50_ms),
                ms(|latency| latency.p99_ms),
                format!("{:.0} %", 100.0 * upstream.retry_budget),
                upstream.waiting,
            )?;
        }
        Ok(())
    }
}

fn state(upstream: &Upstream) -> (anstyle::Style, &'static str) {
    match (upstream.breaker.forced, upstream.breaker.state) {
        (Some(ForcedBreaker::Open), _) => (RED, "FORCED OPEN"),
        (Some(ForcedBreaker::Closed), _) => (YELLOW, "FORCED CLOSED"),
        (None, BreakerState::Closed) => (GREEN, "closed"),
        (None, BreakerState::HalfOpen) => (YELLOW, "half open"),
        (None, BreakerState::Open) => (RED, "open"),
    }
}

fn name(state: BreakerState) -> &'static str {
    match state {
        BreakerState::Closed => "closed",
        BreakerState::HalfOpen => "half open",
        BreakerState::Open => "open",
    }
}

impl Report for One {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self(upstream) = self;
        let (style, state) = state(upstream);
        writeln!(out, "{BOLD}{}{BOLD:#}  {}", upstream.id, upstream.url)?;
        let breaker = &upstream.breaker;
        let again =
            breaker.opens_in_ms.map(|ms| format!(", lets a call through in {:.1} s", ms as f64 / 1e3));
        writeln!(
            out,
            "  breaker: {style}{state}{style:#}{}; {} of the last {} tries failed, {} were slow",
            again.unwrap_or_default(),
            breaker.failures,
            breaker.calls,
            breaker.slow
        )?;
        writeln!(
            out,
            "  calls: {} running of {}, {} waiting; retry budget {:.0} %",
            upstream.running,
            upstream.limit,
            upstream.waiting,
            100.0 * upstream.retry_budget
        )?;
        if let Some(latency) = &upstream.latency {
            let rimward_admin::Latency { p50_ms, p95_ms, p99_ms } = latency;
            writeln!(out, "  latency: {p50_ms:.1} ms in the middle, p95 {p95_ms:.1} ms, p99 {p99_ms:.1} ms")?;
        }
        let counts = |counts: &std::collections::BTreeMap<String, u64>| {
            let counted = counts.iter().filter(|(_, count)| **count > 0);
            let texts: Vec<_> = counted.map(|(name, count)| format!("{count} {name}")).collect();
            if texts.is_empty() { "none".to_owned() } else { texts.join(", ") }
        };
        writeln!(
            out,
            "  tries: {}; {} retries, {} hedges, {} fallbacks",
            counts(&upstream.tries),
            upstream.retries,
            upstream.hedges,
            upstream.fallbacks
        )?;
        writeln!(out, "  refused: {}", counts(&upstream.shed))?;
        if let Some(cache) = &upstream.cache {
            let rimward_admin::UpstreamCache { answers, bytes: taken, hits, misses } = *cache;
            let lookups = hits + misses;
            let kept = count(usize::try_from(answers).unwrap_or(usize::MAX), "answer");
            writeln!(out, "  cache: {kept} in {}, {hits} hits of {lookups} lookups", bytes(taken))?;
        }
        if upstream.injected_faults > 0 {
            writeln!(out, "  {YELLOW}faults put there on purpose: {}{YELLOW:#}", upstream.injected_faults)?;
        }
        for endpoint in &upstream.endpoints {
            let (style, state) = match (endpoint.healthy, endpoint.ejected) {
                (false, _) => (RED, "unhealthy"),
                (true, true) => (YELLOW, "ejected"),
                (true, false) => (GREEN, "well"),
            };
            let took = endpoint.latency_ms.map(|ms| format!(", about {ms:.1} ms")).unwrap_or_default();
            writeln!(
                out,
                "  endpoint {}: {style}{state}{style:#}, {} running{took}",
                endpoint.url, endpoint.in_flight
            )?;
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        for change in breaker.history.iter().rev() {
            let ago = age(now.saturating_sub(Duration::from_millis(change.at_ms)));
            let (from, to) = (name(change.from), name(change.to));
            writeln!(out, "  {DIM}{ago} ago{DIM:#}  {from} -> {to}: {}", change.reason)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_be_the_end_of_a_full_one() {
        let ids = ["default/a/vision", "default/b/vision", "default/b/cloud"].map(String::from);
        let at = |name: &str| meant("upstream", name, &ids).map_err(|error| error.to_string());
        assert_eq!(at("cloud"), Ok(2));
        assert_eq!(at("a/vision"), Ok(0));
        assert_eq!(at("default/b/vision"), Ok(1));
        assert!(at("vision").unwrap_err().contains("default/a/vision, default/b/vision"));
        assert!(at("ision").unwrap_err().contains("no upstream `ision`"));
        assert_eq!(meant("outbox", "x", &[]).unwrap_err().to_string(), "the node has no outbox");
    }
}
