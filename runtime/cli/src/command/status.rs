//! `rimward status`: asks a running node, through its admin socket, what it is doing.

use super::Verdict;
use crate::limits::WATCH_INTERVAL;
use crate::print::{BOLD, DIM, Format, GREEN, Report, YELLOW, bytes, report, short};
use crate::{app, local, node_file, runtime};
use anyhow::Result;
use rimward_admin::{App, Client, NodeState, Status};
use serde::Serialize;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Ask a running node what it is doing
///
/// Asks the node whose admin socket --socket names; else the `rimward dev` of the app in this folder, if it runs; else
/// the node of /etc/rimward/node.toml. Exits with 1 if no node answers.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The node's admin socket
    #[arg(long, value_name = "PATH", conflicts_with = "config")]
    socket: Option<PathBuf>,
    /// The node.toml of the node
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Ask again every second, until Ctrl-C
    #[arg(long, short)]
    watch: bool,
}

const EXAMPLES: &str = "\
Examples:
  rimward status
  rimward status --socket /var/lib/rimward/admin.sock
  rimward status --watch --json         one JSON document per second";

/// What the node answered.
#[derive(Serialize)]
#[serde(transparent)]
struct Answer(Status);

pub(crate) fn run(arguments: &Arguments, format: Format) -> Result<Verdict> {
    let client = Client::new(socket(arguments.socket.as_deref(), arguments.config.as_deref())?);
    runtime::block_on(async {
        loop {
            report(&Answer(client.status().await?), format)?;
            if !arguments.watch {
                return Ok(Verdict::Good);
            }
            tokio::time::sleep(WATCH_INTERVAL).await;
        }
    })
}

/// The socket that was named, or that of the node that is meant.
pub(super) fn socket(socket: Option<&Path>, config: Option<&Path>) -> Result<PathBuf> {
    if let Some(socket) = socket {
        return Ok(socket.to_owned());
    }
    let of_dev = || Some(app::folder(Path::new(".")).ok()?.join(local::STATE).join("admin.sock"));
    let of_dev = of_dev().filter(|socket| config.is_none() && socket.exists());
    match of_dev {
        Some(socket) => Ok(socket),
        None => Ok(node_file::read(config)?.admin_socket()),
    }
}

impl Report for Answer {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let Self(status) = self;
        let (style, state) = match status.state {
            NodeState::Serving => (GREEN, "serving"),
            NodeState::Draining => (YELLOW, "draining"),
        };
        let uptime = age(Duration::from_secs(status.uptime_s));
        writeln!(out, "{BOLD}rimward {}{BOLD:#}  {style}{state}{style:#} for {uptime}", status.version)?;
        let addresses = &status.addresses;
        let http = addresses.http.iter().map(|address| format!("http://{address}"));
        let https = addresses.https.iter().map(|address| format!("https://{address}"));
        let ops = addresses.ops.iter().map(|address| format!("http://{address}/metrics"));
        let models = addresses.models.iter().map(|address| format!("http://{address}/v2"));
        let models_tls = addresses.models_tls.iter().map(|address| format!("https://{address}/v2"));
        let all = http.chain(https).chain(models).chain(models_tls).chain(ops);
        writeln!(out, "  {}", all.collect::<Vec<_>>().join("  "))?;
        writeln!(
            out,
            "  {} running of {}, {} waiting, {} connections, {} cores, {}",
            status.running,
            status.permits,
            status.waiting,
            status.connections,
            status.cores,
            status.pool_slots.map_or("no instance pool".into(), |slots| format!("pool of {slots} instances")),
        )?;
        if let Some(problem) = status.last_reload.as_ref().and_then(|last| last.problem.as_ref()) {
            writeln!(out, "{YELLOW}the last reload changed nothing{YELLOW:#}: {problem}")?;
        }
        status.apps.iter().try_for_each(|app| app_text(app, out))
    }
}

fn app_text(app: &App, out: &mut dyn Write) -> io::Result<()> {
    let version = app.version.as_ref().map(|version| format!(" {version}")).unwrap_or_default();
    writeln!(out)?;
    writeln!(out, "{BOLD}{}/{}{BOLD:#}{version}  {DIM}{}{DIM:#}", app.tenant, app.app, short(&app.revision))?;
    writeln!(out, "  routes: {}", if app.routes.is_empty() { "none".into() } else { app.routes.join(", ") })?;
    for function in &app.functions {
        let name = function.id.rsplit('/').next().unwrap_or(&function.id);
        writeln!(
            out,
            "  {name}: {} requests, {} running, {}; at most {} of memory, {} ms of CPU, {} ms to answer",
            function.requests,
            function.running,
            function.abi,
            bytes(function.memory_bytes_max),
            function.cpu_ms,
            function.wall_ms,
        )?;
    }
    Ok(())
}

/// A time span in its two largest units: `3 d 4 h`, `12 s`.
pub(super) fn age(span: Duration) -> String {
    let seconds = span.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds / 3600 % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_has_its_two_largest_units() {
        let check = |seconds, text| assert_eq!(age(Duration::from_secs(seconds)), text);
        check(59, "59 s");
        check(61, "1 min 1 s");
        check(7_320, "2 h 2 min");
        check(90_000, "1 d 1 h");
    }
}
