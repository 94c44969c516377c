//! `rimward serve`: a node in production. It runs what `node.toml` declares, or the one app that the command line names,
//! until it is asked to stop; then it drains. It never builds.

mod confine;
mod log;

use super::Verdict;
use crate::lines::Lines;
use crate::print::{BOLD, Format, Report, count, duration, report};
use crate::stop::Stop;
use crate::{app, limits, listen, local, node_file, runtime};
use anyhow::{Context, Result, bail};
use confine::Confined;
use rimward_bundle::Bundle;
use rimward_manifest::{NodeFile, limits as manifest_limits};
use rimward_node::{Addresses, Drained, Node, Placement, Profile, StateChoice};
use serde::Serialize;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Serve apps in production
///
/// Without APP, serves the apps of node.toml. With APP, serves that one: an app's folder, or a
/// component, which then answers every path; node.toml is read only if --config names it, stores are in memory unless
/// a state folder is named, and metrics are served only where an address for them is named.
///
/// Prints one line on standard output when it is ready; the log goes to standard error, as `[log]` in node.toml says.
/// SIGTERM or Ctrl-C lets open requests finish, at most for the time of --drain; a second one ends it at once.
///
/// Each setting is taken from the command line, else from the environment (RIMWARD_STATE, RIMWARD_CACHE, RIMWARD_LISTEN,
/// RIMWARD_CORES, RIMWARD_WASI_HTTP_03, RIMWARD_CONFINE, RIMWARD_OPS_LISTEN, RIMWARD_ADMIN_SOCKET, RIMWARD_LOG_FORMAT,
/// RIMWARD_LOG_LEVEL, RIMWARD_LOG_REQUESTS), else from node.toml, else it is the default.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// An app's folder, or a component
    app: Option<PathBuf>,
    /// The node's settings [default: /etc/rimward/node.toml if it is there, and no APP is given]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where requests arrive; may be repeated [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS", value_parser = listen::address)]
    listen: Vec<SocketAddr>,
    /// Where metrics and health are served [default: 127.0.0.1:9464, or nowhere with APP]
    #[arg(long, value_name = "ADDRESS", value_parser = listen::address)]
    ops_listen: Option<SocketAddr>,
    /// The folder of what the node must remember [default: /var/lib/rimward, or nothing with APP]
    #[arg(long, value_name = "FOLDER")]
    state: Option<PathBuf>,
    /// Serve components of wasi:http 0.3 too
    #[arg(long = "wasi-http-03")]
    wasi_http_03: bool,
    /// How long open requests may take after the node was asked to stop, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = limits::DRAIN.as_secs())]
    drain: u64,
}

const EXAMPLES: &str = "\
Examples:
  rimward serve                                         what /etc/rimward/node.toml declares
  rimward serve --config node.toml                      what another file declares
  rimward serve app.wasm --listen 0.0.0.0:8080          one component, at every path
  rimward serve /srv/shop --state /var/lib/rimward      one app, with its stores on disk";

/// What is to be served, and how.
struct Plan {
    file: NodeFile,
    /// Where the file was read from.
    config: Option<PathBuf>,
    state: StateChoice,
    admin: Option<PathBuf>,
    apps: Vec<(PathBuf, Placement)>,
    drain: Duration,
}

#[derive(Serialize)]
struct Ready {
    event: &'static str,
    version: &'static str,
    addresses: Addresses,
    admin: Option<PathBuf>,
    apps: Vec<String>,
}

pub(crate) fn run(arguments: Arguments, format: Format) -> Result<Verdict> {
    let plan = match arguments.app.clone() {
        Some(app) => plan_one(&arguments, app)?,
        None => plan_file(&arguments)?,
    };
    local::raise_descriptor_limit();
    // Before there is a second thread, and before anything is read that others wrote.
    let confined = confine::apply(&plan)?;
    let lines = Lines::start(anstream::stderr()).context("the log's thread did not start")?;
    let log = log::start(&plan.file.log, &lines)?;
    let node = Arc::new(local::start(plan.file.clone(), Profile::Serve, plan.state, log)?);
    let result = runtime::block_on(serve(&plan, node, &confined, format));
    lines.flush();
    result
}

/// What the operator's file declares.
fn plan_file(arguments: &Arguments) -> Result<Plan> {
    let mut file = node_file::read(arguments.config.as_deref())?;
    override_file(&mut file, arguments);
    if let Some(state) = &arguments.state {
        keep_in(&mut file, state);
    }
    let apps = file.apps.iter();
    let apps =
        apps.map(|app| (app.path.clone(), Placement { tenant: app.tenant.clone(), bind: app.bind.clone() }));
    let apps = apps.collect();
    Ok(Plan {
        admin: Some(file.admin_socket()),
        state: StateChoice::Durable,
        apps,
        drain: drain(arguments),
        config: node_file::path(arguments.config.as_deref()),
        file,
    })
}

/// One app, on a node of its own.
fn plan_one(arguments: &Arguments, app: PathBuf) -> Result<Plan> {
    let mut file = match &arguments.config {
        Some(config) => NodeFile::read(config)?,
        None => NodeFile { ops: local::quiet_file(Path::new("")).ops, ..NodeFile::default() },
    };
    file.apps.clear();
    let mut file = node_file::with_environment(file)?;
    override_file(&mut file, arguments);
    let named = (file.node.state != Path::new(manifest_limits::NODE_STATE)).then(|| file.node.state.clone());
    let durable = arguments.state.clone().or(named);
    keep_in(&mut file, &durable.clone().unwrap_or_else(local::scratch));
    Ok(Plan {
        admin: durable.is_some().then(|| file.admin_socket()),
        state: if durable.is_some() { StateChoice::Durable } else { StateChoice::Memory },
        apps: vec![(app, local::as_declared())],
        drain: drain(arguments),
        config: arguments.config.clone(),
        file,
    })
}

fn drain(arguments: &Arguments) -> Duration {
    Duration::from_secs(arguments.drain)
}

fn override_file(file: &mut NodeFile, arguments: &Arguments) {
    if !arguments.listen.is_empty() {
        file.node.listen.clone_from(&arguments.listen);
    }
    file.ops.listen = arguments.ops_listen.or(file.ops.listen);
    file.node.wasi_http_03 |= arguments.wasi_http_03;
}

/// Keeps everything in `state`; compiled code too, unless the operator has a place for it.
fn keep_in(file: &mut NodeFile, state: &Path) {
    file.node.state = state.to_owned();
    if file.node.cache == Path::new(manifest_limits::NODE_CACHE) {
        file.node.cache = state.join("code");
    }
}

async fn serve(plan: &Plan, node: Arc<Node>, confined: &Confined, format: Format) -> Result<Verdict> {
    let mut stop = Stop::listen()?;
    let admin = plan.admin.as_deref().map(|socket| rimward_admin::serve(node.clone(), socket)).transpose()?;
    let installed = tokio::select! {
        installed = install_all(&node, plan) => installed?,
        () = stop.asked() => return Ok(Verdict::Good),
    };
    node.loaded();
    confine::tell(confined);
    if plan.apps.is_empty() {
        tracing::warn!(
            "no app is configured, so every request is answered with 503: add `[[app]]` to node.toml"
        );
        if Path::new("rimward.toml").exists() {
            tracing::warn!("`rimward serve .` serves the app in this folder");
        }
    }
    report(&ready(plan, &node, installed), format)?;
    stop.asked().await;
    tracing::info!("asked to stop: finishing open requests");
    let drained = tokio::select! {
        drained = node.drain(plan.drain) => drained,
        never = stop.forced() => match never {},
    };
    drop(admin);
    match drained {
        Drained::Finished => tracing::info!("stopped"),
        Drained::CutOff { connections } => tracing::warn!(connections, "stopped with connections open"),
    }
    Ok(Verdict::Good)
}

fn ready(plan: &Plan, node: &Node, apps: Vec<String>) -> Ready {
    Ready {
        event: "ready",
        version: env!("CARGO_PKG_VERSION"),
        addresses: node.addresses().clone(),
        admin: plan.admin.clone(),
        apps,
    }
}

/// Installs every app and returns their names. One that is broken does not keep the others from being served; that none
/// could be is an error, and so is the only one.
async fn install_all(node: &Node, plan: &Plan) -> Result<Vec<String>> {
    let mut installed = Vec::new();
    for (path, placement) in &plan.apps {
        match install(node, path, placement.clone()).await {
            Ok(name) => installed.push(name),
            Err(error) if plan.apps.len() == 1 => return Err(error),
            Err(error) => tracing::error!(app = %path.display(), "not served: {}", chain(&error)),
        }
    }
    if installed.is_empty() && !plan.apps.is_empty() {
        bail!("none of the {} could be served", count(plan.apps.len(), "app"));
    }
    Ok(installed)
}

async fn install(node: &Node, path: &Path, placement: Placement) -> Result<String> {
    let bundle: Bundle = app::bundle(path)?;
    let name = format!("{}/{}", placement.tenant, bundle.app.name);
    let done = node.install(bundle, placement).await?;
    tracing::info!(
        app = name,
        revision = done.revision,
        compiled = done.compiled,
        prepare = duration(done.prepare),
        "serving"
    );
    Ok(name)
}

fn chain(error: &anyhow::Error) -> String {
    format!("{error:#}")
}

impl Report for Ready {
    fn text(&self, out: &mut dyn Write) -> io::Result<()> {
        let urls = |scheme: &str, addresses: &[SocketAddr]| {
            addresses.iter().map(|address| format!("{scheme}://{address}")).collect::<Vec<_>>()
        };
        let served = [urls("http", &self.addresses.http), urls("https", &self.addresses.https)].concat();
        let apps = match &self.apps[..] {
            [] => "no app yet".to_owned(),
            apps => apps.join(", "),
        };
        write!(out, "{BOLD}rimward {}{BOLD:#} serves {apps} on {}", self.version, served.join(" "))?;
        if let Some(ops) = self.addresses.ops {
            write!(out, "; metrics on http://{ops}/metrics")?;
        }
        if let Some(admin) = &self.admin {
            write!(out, "; admin socket {}", admin.display())?;
        }
        writeln!(out)
    }
}
