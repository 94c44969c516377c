//! `rimward dev`: the author's loop. Builds the app, serves it from a node in this process, and does both again when a
//! file changes. The running node is never restarted: a new revision replaces the old one between two requests, and a
//! build that fails leaves the old one serving.

mod event;
mod session;
mod watch;

use super::Verdict;
use crate::mock::{Mocks, Stand};
use crate::print::Format;
use crate::stop::Stop;
use crate::{app, limits, listen, local, mock, runtime};
use anyhow::Result;
use event::{Event, Events};
use rimward_manifest::{App, FaultRule, NodeFile};
use rimward_node::{Drained, Faults, Node, Profile, StateChoice};
use session::Session;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where `rimward dev` listens.
pub(crate) const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 3000);

/// Build the app in this folder, serve it, and do both again when a file changes
///
/// Changes of rimward.toml and of what `build.watch` names build again; the new revision replaces the old one without
/// dropping a request, and a build that fails leaves the old one serving. Each request and each line that a function
/// logs is shown.
///
/// Upstreams may be at the private addresses that rimward.toml names. A secret is read from .rimward/secrets/NAME or
/// from the environment's variable NAME. Stores and compiled code are kept in .rimward, which may be deleted. Ctrl-C
/// lets open requests finish; a second one ends them.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Arguments {
    /// The app's folder, or one below it
    #[arg(long, short = 'C', value_name = "FOLDER", default_value = ".")]
    dir: PathBuf,
    /// Where requests arrive: an address and a port, or a port; port 0 picks a free one
    #[arg(long, short, value_name = "ADDRESS", default_value_t = LISTEN, value_parser = listen::address)]
    listen: SocketAddr,
    /// Have calls to an upstream meet faults: vision=latency:300ms±100ms,error:503@20%; `rimward fault --help` names them
    #[arg(long = "fault", value_name = "UPSTREAM=FAULT")]
    faults: Vec<FaultRule>,
    /// Let no upstream be reached; `rimward fault clear` ends it
    #[arg(long)]
    offline: bool,
    /// Answer calls to an upstream from a file of replies: vision=fixtures/vision.toml
    #[arg(long = "mock", value_name = "UPSTREAM=FILE")]
    mocks: Vec<Stand>,
    /// Ask the upstream, and add its replies to a file that `--mock` gives again
    #[arg(long = "record", value_name = "UPSTREAM=FILE")]
    records: Vec<Stand>,
    /// Draw the same faults again as another run with this number
    #[arg(long, value_name = "NUMBER")]
    fault_seed: Option<u64>,
}

const EXAMPLES: &str = "\
Examples:
  rimward dev                             on http://127.0.0.1:3000
  rimward dev --listen 0.0.0.0:3000       for other machines, too
  rimward dev --offline                   as if the link were down
  rimward dev --fault vision=reset@5%     as if it were bad
  rimward dev --record vision=vision.toml with the real one, whose replies are written down
  rimward dev --mock vision=vision.toml   without it, from those replies
  rimward dev --json                      every event as a line of JSON, for a program";

pub(crate) fn run(arguments: &Arguments, format: Format) -> Result<Verdict> {
    let folder = app::folder(&arguments.dir)?;
    let app = App::read(&folder.join("rimward.toml"))?;
    // Changes are told by absolute paths.
    let folder = folder.canonicalize()?;
    local::raise_descriptor_limit();
    let events = Events::start(format)?;
    let file = file(&app, &folder, arguments.listen);
    let socket = file.admin_socket();
    let node = local::start(file, Profile::Dev, StateChoice::Durable, Arc::new(events.clone()), Vec::new())?;
    let mut faults = Faults { offline: arguments.offline, seed: arguments.fault_seed, ..Faults::default() };
    arguments.faults.iter().for_each(|rule| faults.put(rule.clone()));
    node.set_faults(faults)?;
    let stands = (&*arguments.mocks, &*arguments.records);
    let result = runtime::block_on(dev(folder, app, Arc::new(node), &socket, events.clone(), stands));
    events.flush();
    result
}

fn file(app: &App, folder: &Path, listen: SocketAddr) -> NodeFile {
    let mut file = local::quiet_file(&folder.join(local::STATE));
    file.node.listen = vec![listen];
    local::bind_secrets(&mut file, app, folder);
    file
}

async fn dev(
    folder: PathBuf,
    app: App,
    node: Arc<Node>,
    socket: &Path,
    events: Events,
    (mocks, records): (&[Stand], &[Stand]),
) -> Result<Verdict> {
    let mut stop = Stop::listen()?;
    let teller = events.clone();
    let tell: mock::Tell = Arc::new(move |error| teller.tell(&Event::warning(error)));
    let mocks = Mocks::start(&app, &folder, mocks, records, &tell).await?;
    events.tell(&Event::Listening { app: app.name.clone(), addresses: node.addresses().clone() });
    let faults = node.faults();
    if faults.offline || !faults.rules.is_empty() {
        events.tell(&Event::Faults { faults: faults.to_string() });
    }
    for (upstream, address, is_recorded) in mocks.each() {
        events.tell(&Event::StandIn { upstream, address, is_recorded });
    }
    // Only `rimward status` misses it.
    let admin = rimward_admin::serve(node.clone(), socket, rimward_admin::control().0);
    if let Err(error) = &admin {
        events.tell(&Event::warning(error));
    }
    let mut session = Session::new(folder, app, node.clone(), events.clone(), mocks)?;
    tokio::select! {
        failed = session.run() => failed.map(|never| match never {})?,
        () = stop.asked() => {}
    }
    events.tell(&Event::Draining);
    let drained = tokio::select! {
        drained = node.drain(limits::DRAIN) => drained,
        never = stop.forced() => match never {},
    };
    events.tell(&Event::Stopped {
        cut_off: if let Drained::CutOff { connections } = drained { connections } else { 0 },
    });
    Ok(Verdict::Good)
}
