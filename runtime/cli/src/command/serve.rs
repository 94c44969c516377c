//! `rimward serve`: a node in production. It runs what `node.toml` declares, or the one app that the command line names,
//! until it is asked to stop; then it drains. It never builds.

mod confine;
mod flood;
mod log;
mod restart;
mod sockets;

use super::Verdict;
use crate::lines::Lines;
use crate::print::{BOLD, Format, Report, count, duration, report};
use crate::stop::{Again, Asked, Stop};
use crate::{app, limits, listen, local, node_file, runtime};
use anyhow::{Context, Result, bail};
use confine::Confined;
use rimward_admin::Ask;
use rimward_bundle::Bundle;
use rimward_manifest::{NodeFile, limits as manifest_limits};
use rimward_node::{Addresses, Drained, Kept, Node, Placement, Profile, Reloaded, StateChoice};
use serde::Serialize;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// Serve apps in production
///
/// Without APP, serves the apps of node.toml. With APP, serves that one: an app's folder, or a
/// component, which then answers every path; node.toml is read only if --config names it, stores are in memory unless
/// a state folder is named, and metrics are served only where an address for them is named.
///
/// Prints one line on standard output when it is ready; the log goes to standard error, as `[log]` in node.toml says.
/// SIGTERM or Ctrl-C lets open requests finish, at most for the time of --drain; a second one ends it at once. SIGHUP (or
/// `rimward reload`) reads the settings again; SIGUSR2 (or `rimward restart`) restarts it in place, on the program that is
/// there by then, without refusing a connection.
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
    /// Only look at the settings: status 0 if a node would start with them
    #[arg(long, hide = true)]
    check: bool,
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

/// How serving ended.
enum End {
    Stopped,
    Restart(Vec<Kept>),
}

pub(crate) fn run(arguments: Arguments, format: Format) -> Result<Verdict> {
    let given = sockets::given()?;
    let program = restart::program()?;
    let plan = plan(&arguments)?;
    if arguments.check {
        return look(&plan);
    }
    local::raise_descriptor_limit();
    // Before there is a second thread, and before anything is read that others wrote.
    let confined = confine::apply(&plan)?;
    let lines = Lines::start(anstream::stderr()).context("the log's thread did not start")?;
    let log = log::start(&plan.file.log, &lines)?;
    let node = Arc::new(local::start(plan.file.clone(), Profile::Serve, plan.state, log, given)?);
    let serving =
        Serving { arguments: &arguments, plan: &plan, confined: &confined, program: &program, format };
    let ended = runtime::block_on(serving.run(node));
    lines.flush();
    match ended? {
        End::Stopped => Ok(Verdict::Good),
        // The node is gone by now, and so are its threads; what else is open closes when the program is executed.
        End::Restart(sockets) => Err(sockets::execute(&program, sockets, confined.to.as_deref())),
    }
}

/// What is to be served, as it is declared now.
fn plan(arguments: &Arguments) -> Result<Plan> {
    match arguments.app.clone() {
        Some(app) => plan_one(arguments, app),
        None => plan_file(arguments),
    }
}

/// Whether a node would start with these settings: what can be known without starting it.
fn look(plan: &Plan) -> Result<Verdict> {
    rimward_node::check_certificates(&plan.file)?;
    plan.bundles()?;
    Ok(Verdict::Good)
}

impl Plan {
    /// Every app, read from where it lies.
    fn bundles(&self) -> Result<Vec<(Bundle, Placement)>> {
        self.apps.iter().map(|(path, placement)| Ok((app::bundle(path)?, placement.clone()))).collect()
    }
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

/// One life of a node, from its first app to its end.
struct Serving<'a> {
    arguments: &'a Arguments,
    plan: &'a Plan,
    confined: &'a Confined,
    program: &'a Path,
    format: Format,
}

impl Serving<'_> {
    async fn run(&self, node: Arc<Node>) -> Result<End> {
        let plan = self.plan;
        let (mut stop, mut again) = (Stop::listen()?, Again::listen()?);
        let (control, mut asks) = rimward_admin::control();
        let serve_admin = |socket| rimward_admin::serve(node.clone(), socket, control);
        let admin = plan.admin.as_deref().map(serve_admin).transpose()?;
        let installed = tokio::select! {
            installed = install_all(&node, plan) => installed?,
            () = stop.asked() => return Ok(End::Stopped),
        };
        node.loaded();
        confine::tell(self.confined);
        warn_of_no_app(plan);
        report(&ready(plan, &node, installed), self.format)?;
        let restarts = tokio::select! {
            () = stop.asked() => false,
            () = self.changes(&node, &mut again, &mut asks) => true,
        };
        tracing::info!("asked to {}: finishing open requests", if restarts { "restart" } else { "stop" });
        let finishing = async {
            match restarts {
                true => node.hand_over(plan.drain).await,
                false => (node.drain(plan.drain).await, Vec::new()),
            }
        };
        let (drained, sockets) = tokio::select! {
            finished = finishing => finished,
            never = stop.forced() => match never {},
        };
        drop(admin);
        match drained {
            Drained::Finished => tracing::info!("stopped"),
            Drained::CutOff { connections } => tracing::warn!(connections, "stopped with connections open"),
        }
        Ok(if restarts { End::Restart(sockets) } else { End::Stopped })
    }

    /// Carries out what is asked for while the node runs. Returns when it is to restart.
    async fn changes(&self, node: &Node, again: &mut Again, asks: &mut mpsc::Receiver<Ask>) {
        loop {
            let ask = tokio::select! {
                asked = again.asked() => match asked {
                    Asked::Reload => Ask::Reload(oneshot::channel().0),
                    Asked::Restart => Ask::Restart(oneshot::channel().0),
                },
                Some(ask) = asks.recv() => ask,
            };
            // Whoever asked may be gone.
            match ask {
                Ask::Reload(tell) => {
                    let _ = tell.send(self.reload(node).await);
                }
                Ask::Restart(tell) => {
                    let checked = restart::check(self.program).await.map_err(|error| chain(&error));
                    if let Err(problem) = &checked {
                        tracing::error!("not restarted, the node goes on as it was: {problem}");
                    }
                    let restarts = checked.is_ok();
                    let _ = tell.send(checked);
                    if restarts {
                        return;
                    }
                }
            }
        }
    }

    /// Takes over the settings as they are now, or tells why not.
    async fn reload(&self, node: &Node) -> Result<Reloaded, String> {
        let read = || {
            let plan = plan(self.arguments)?;
            Ok((plan.bundles()?, plan.file))
        };
        let reloaded = match read() {
            Ok((apps, file)) => node.reload(file, apps).await.map_err(|error| chain(&error.into())),
            Err(error) => {
                let problem = self.with_reach(&error);
                node.reload_failed(problem.clone());
                Err(problem)
            }
        };
        match &reloaded {
            Ok(Reloaded { installed, kept, retired }) => {
                tracing::info!(?installed, ?retired, kept = kept.len(), "reloaded");
            }
            Err(problem) => tracing::error!("not reloaded, the node goes on as it was: {problem}"),
        }
        reloaded
    }

    /// A confined process cannot reach folders that were named later.
    fn with_reach(&self, error: &anyhow::Error) -> String {
        let denied = error.chain().filter_map(|cause| cause.downcast_ref::<io::Error>());
        let denied = denied.into_iter().any(|cause| cause.kind() == io::ErrorKind::PermissionDenied);
        match denied && self.confined.to.is_some() {
            true => format!(
                "{} (this process reaches the folders that node.toml named when it started; for another one, stop it and start it again)",
                chain(error)
            ),
            false => chain(error),
        }
    }
}

fn warn_of_no_app(plan: &Plan) {
    if plan.apps.is_empty() {
        tracing::warn!(
            "no app is configured, so every request is answered with 503: add `[[app]]` to node.toml"
        );
        if Path::new("rimward.toml").exists() {
            tracing::warn!("`rimward serve .` serves the app in this folder");
        }
    }
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
        let models =
            [urls("http", &self.addresses.models), urls("https", &self.addresses.models_tls)].concat();
        if !models.is_empty() {
            write!(out, "; models on {}", models.join(" "))?;
        }
        if let Some(ops) = self.addresses.ops {
            write!(out, "; metrics on http://{ops}/metrics")?;
        }
        if let Some(admin) = &self.admin {
            write!(out, "; admin socket {}", admin.display())?;
        }
        writeln!(out)
    }
}
