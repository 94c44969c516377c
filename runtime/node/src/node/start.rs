//! How a node starts: addresses are bound, the engine and the stores are opened, and each core gets a thread.

use super::{CorePort, Kept, Node, Options, Profile, Settings as Declared, Shared, StateChoice, THIS_CORE};
use crate::admission::{Admission, Room};
use crate::connection::{self, Handed, Serves, Service, Transport};
use crate::core::Core;
use crate::crowd::Crowd;
use crate::inference::InferenceDoor;
use crate::limits::{CORE_STACK_BYTES, DESCRIPTORS_KEPT, DESCRIPTORS_MIN, HANDSHAKES_PART};
use crate::listen::{self, Given, ListenError};
use crate::metrics::Metrics;
use crate::models::Models;
use crate::outboxes::Outboxes;
use crate::pressure::{self, Pressure};
use crate::revision::WarmRoom;
use crate::secrets::SecretError;
use crate::tls::{Certificates, TlsError};
use crate::upstreams::States;
use crate::{Addresses, ops};
use arc_swap::ArcSwap;
use rimward_capability::Linkers;
use rimward_engine::{
    Budget, Cache, CacheError, Engine, EngineError, Machine, PoolSize, Pooling, Settings, StackZeroing,
};
use rimward_manifest::NodeFile;
use rimward_store::Stores;
use rimward_upstream::{ClientConfig, ClientError, Roots};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

/// Why a node did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address is taken or not ours.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A certificate cannot be used.
    #[error("TLS cannot be set up")]
    Tls(#[from] TlsError),
    /// The compile cache cannot be used.
    #[error(
        "the compile cache cannot be used: its folder is `node.cache` (`RIMWARD_CACHE`), its key lies in `node.state` (`RIMWARD_STATE`)"
    )]
    Cache(#[from] CacheError),
    /// The engine did not start.
    #[error("the engine did not start")]
    Engine(#[from] EngineError),
    /// The capabilities contradict each other: a defect.
    #[error("the capabilities cannot be linked: {0}")]
    Link(String),
    /// The state directory cannot be used.
    #[error("the state directory `{}` cannot be used: name another with `node.state` or `RIMWARD_STATE`", path.display())]
    State {
        /// The directory.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// This process may open too few files.
    #[error(
        "this process may have {available} files open and needs {DESCRIPTORS_MIN}: raise `ulimit -n` or LimitNOFILE="
    )]
    Descriptors {
        /// What it may.
        available: u64,
    },
    /// The token of the listener for models cannot be read.
    #[error("the secret of `trigger.inference.token` cannot be read")]
    Token(#[from] SecretError),
    /// The listening sockets cannot be kept for a restart.
    #[error("the listening sockets cannot be kept for a restart")]
    Sockets(#[source] io::Error),
    /// A thread could not be started.
    #[error("a thread could not be started")]
    Thread(#[source] io::Error),
    /// Outgoing calls cannot be set up.
    #[error("outgoing calls cannot be set up")]
    Client(#[from] ClientError),
}

impl Node {
    /// Starts a node: binds its addresses and starts a thread for each core. No app is installed yet; requests are
    /// answered with 503 until one is.
    pub fn start(mut options: Options) -> Result<Self, StartError> {
        check_descriptors(descriptors())?;
        let cores = options.file.node.cores.map_or_else(available_cores, |cores| cores.get() as usize);
        let mut addresses = Addresses::default();
        let certificates =
            options.file.tls.as_ref().map(|tls| Certificates::read(tls.certificates.clone())).transpose()?;
        let given = Given::new(std::mem::take(&mut options.given));
        let open = given.is_empty();
        let bound = bind_all(&options.file, given, certificates.as_ref(), cores, &mut addresses)?;
        let (ops, listeners) = (bound.ops, bound.by_core);
        let sockets = keep(&listeners, ops.as_ref()).map_err(StartError::Sockets)?;
        let memory = options.memory.clone();
        let shared = Arc::new(shared(options, cores, &addresses, certificates.clone())?);
        shared.open.send_replace(open);
        let (stop, stopping) = watch::channel(false);
        let node = Self { shared, addresses, threads: Mutex::default(), stop, sockets: Mutex::new(sockets) };
        node.start_cores(listeners, ops, certificates, &stopping)?;
        node.shared.core_of_this_thread().runtime.spawn(pressure::watch(node.shared.clone(), memory));
        Ok(node)
    }

    fn start_cores(
        &self,
        listeners: Vec<Vec<(TcpListener, Service)>>,
        mut ops: Option<TcpListener>,
        mut certificates: Option<Arc<Certificates>>,
        stopping: &watch::Receiver<bool>,
    ) -> Result<(), StartError> {
        let mut receivers = Vec::new();
        let ports = listeners.iter().map(|_| {
            let (handed, receiver) = mpsc::unbounded_channel();
            receivers.push(receiver);
            CorePort { load: Arc::default(), handed, core: OnceLock::new() }
        });
        let ports = ports.collect();
        assert!(self.shared.cores.set(ports).is_ok(), "cores are started once");
        let mut started = Vec::new();
        for (index, (listeners, receiver)) in listeners.into_iter().zip(receivers).enumerate() {
            let (tell, told) = oneshot::channel();
            started.push(told);
            let starting = CoreStart {
                index,
                node: self.shared.clone(),
                listeners,
                receiver,
                ops: ops.take(),
                certificates: certificates.take(),
                stopping: stopping.clone(),
                tell,
            };
            let thread = std::thread::Builder::new()
                .name(format!("rimward-core-{index}"))
                .stack_size(CORE_STACK_BYTES)
                .spawn(move || run_core(starting))
                .map_err(StartError::Thread)?;
            self.threads().push(thread);
        }
        for told in started {
            match told.blocking_recv() {
                Ok(result) => result?,
                Err(_) => return Err(StartError::Thread(io::Error::other("a core ended while it started"))),
            }
        }
        Ok(())
    }
}

fn keep(by_core: &[Vec<(TcpListener, Service)>], ops: Option<&TcpListener>) -> io::Result<Vec<Kept>> {
    let of_cores = by_core.iter().flatten().map(|(listener, service)| (service.name(), listener));
    of_cores
        .chain(ops.map(|listener| ("ops", listener)))
        .map(|(name, it)| Ok((name, it.try_clone()?)))
        .collect()
}

fn available_cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

struct Bound {
    by_core: Vec<Vec<(TcpListener, Service)>>,
    ops: Option<TcpListener>,
}

fn bind_all(
    file: &NodeFile,
    mut given: Given,
    certificates: Option<&Arc<Certificates>>,
    cores: usize,
    addresses: &mut Addresses,
) -> Result<Bound, StartError> {
    let mut by_core: Vec<Vec<_>> = (0..cores).map(|_| Vec::new()).collect();
    let mut bind = |address: &SocketAddr, transport: &Transport, serves| {
        let service = Service { transport: transport.clone(), serves };
        let given = given.take(*address, service.name(), cores)?;
        let (bound, listeners) = given.map_or_else(|| listen::bind(*address, cores), Ok)?;
        for (index, listener) in listeners.into_iter().enumerate() {
            by_core[index % cores].push((listener, service.clone()));
        }
        Ok::<_, StartError>(bound)
    };
    let inference = file.trigger.inference.as_ref();
    for address in &file.node.listen {
        addresses.http.push(bind(address, &Transport::Clear, Serves::Functions)?);
    }
    for address in inference.iter().flat_map(|inference| &inference.listen) {
        addresses.models.push(bind(address, &Transport::Clear, Serves::Models)?);
    }
    if let (Some(tls), Some(certificates)) = (&file.tls, certificates) {
        let transport = Transport::Tls(certificates.server_config()?);
        for address in &tls.listen {
            addresses.https.push(bind(address, &transport, Serves::Functions)?);
        }
        for address in inference.iter().flat_map(|inference| &inference.tls_listen) {
            addresses.models_tls.push(bind(address, &transport, Serves::Models)?);
        }
    }
    let ops = match file.ops.listen {
        None => None,
        Some(address) => {
            let taken = given.take(address, "ops", 1)?;
            let (bound, mut listeners) = taken.map_or_else(|| listen::bind(address, 1), Ok)?;
            addresses.ops = Some(bound);
            Some(listeners.remove(0))
        }
    };
    given.all_taken()?;
    Ok(Bound { by_core, ops })
}

fn shared(
    options: Options,
    cores: usize,
    addresses: &Addresses,
    certificates: Option<Arc<Certificates>>,
) -> Result<Shared, StartError> {
    let file = options.file;
    let cache = Cache::open(&file.node.cache, &file.node.state.join("keys/cache.key"), Cache::BYTES_MAX)?;
    let settings = engine_settings(&file, options.profile, cores);
    let engine = Engine::new(&settings, cache, options.compiler)?;
    let state = |source| StartError::State { path: file.node.state.clone(), source };
    let stores = match options.state {
        StateChoice::Durable => Stores::durable(&file.node.state).map_err(state)?,
        StateChoice::Memory => Stores::memory(),
    };
    let mut client_config = ClientConfig::new(Roots::system());
    client_config.own = addresses.all().into();
    client_config.idle_per_host_max = (client_config.idle_per_host_max / cores).max(1);
    let (permits, warm) = shares(engine.pooling(), file.limits.concurrency.get());
    if permits < file.limits.concurrency.get() {
        tracing::warn!(
            wanted = file.limits.concurrency.get(),
            permits,
            "this machine holds fewer instances than `limits.concurrency` asks for"
        );
    }
    let connections = connections(file.limits.connections.get(), descriptors());
    if connections < file.limits.connections.get() {
        tracing::warn!(
            wanted = file.limits.connections.get(),
            connections,
            "this process may open fewer files than `limits.connections` asks for: raise `ulimit -n` or LimitNOFILE="
        );
    }
    let inference = file.trigger.inference.clone().map(InferenceDoor::new);
    if let Some(inference) = &inference {
        // So that a token that cannot be read is told at once.
        inference.token(&file)?;
        inference.warn_of_strangers();
    }
    let crowd = Crowd::new(file.limits.connections_per_address, connections);
    let memory = Budget::new(settings.memory_budget_bytes);
    let room = Room {
        permits,
        queue_max: file.limits.queue,
        wait: file.limits.queue_wait.get(),
        tenants: file.tenants.len(),
    };
    Ok(Shared {
        linkers: Linkers::new(&engine).map_err(|error| StartError::Link(format!("{error:#}")))?,
        admission: Admission::new(room, Some(engine.clone())),
        engine,
        profile: options.profile,
        settings: ArcSwap::from_pointee(Declared::of(file.clone(), &memory, None)),
        memory,
        pressure: Pressure::default(),
        warm_room: WarmRoom::new(warm as usize),
        connections: Arc::new(Semaphore::new(connections as usize)),
        crowd: Arc::new(crowd),
        handshakes: Semaphore::new((connections / HANDSHAKES_PART).max(1) as usize),
        metrics: Metrics::new(),
        observer: options.observer.clone(),
        stores,
        memory_stores: Stores::memory(),
        client_config,
        upstreams: States::new(options.observer),
        models: Models::new(&file.models, options.model_launcher),
        inference,
        outboxes: Outboxes::new(match options.state {
            StateChoice::Durable => Some(file.node.state.clone()),
            StateChoice::Memory => None,
        }),
        core_count: cores,
        drain: watch::channel(false).0,
        accepting: AtomicUsize::new(0),
        draining: AtomicBool::new(false),
        open: watch::channel(true).0,
        cores: OnceLock::new(),
        next_core: AtomicUsize::new(0),
        routes: ArcSwap::default(),
        apps: Mutex::default(),
        started: Instant::now(),
        loaded: AtomicBool::new(false),
        changing: tokio::sync::Mutex::default(),
        last_reload: Mutex::default(),
        certificates,
        file,
    })
}

/// Files that this process may have open.
fn descriptors() -> u64 {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current.unwrap_or(u64::MAX)
}

fn check_descriptors(available: u64) -> Result<(), StartError> {
    if available < DESCRIPTORS_MIN { Err(StartError::Descriptors { available }) } else { Ok(()) }
}

/// Client connections that there are descriptors for: some are kept for upstreams, stores and whatever else a node opens,
/// so that clients cannot take them all.
fn connections(wanted: u32, descriptors: u64) -> u32 {
    let kept = DESCRIPTORS_KEPT.min(descriptors / 2);
    wanted.min(u32::try_from(descriptors - kept).unwrap_or(u32::MAX)).max(1)
}

/// Room for every permit, and for some instances that wait for their next use.
fn engine_settings(file: &NodeFile, profile: Profile, cores: usize) -> Settings {
    let mut settings = Settings::default();
    if let Some(memory) = file.limits.memory {
        settings.memory_budget_bytes = memory.get();
    }
    if file.node.stack_zeroing {
        settings.stack_zeroing = StackZeroing::On;
    }
    settings.concurrent = file.node.wasi_http_03 || profile == Profile::Dev;
    let wanted = file.limits.concurrency.get().saturating_add(warm_wanted(file.limits.concurrency.get()));
    settings.pool = PoolSize::Slots(wanted.min(Machine::probe().slots_max()));
    settings.hog_threads = cores;
    settings
}

/// Instances that may wait for their next use beside `permits` that run.
fn warm_wanted(permits: u32) -> u32 {
    permits / 4
}

/// How the pool is shared: so many run at once, so many wait for their next use. What the machine could not hold is
/// taken from both.
fn shares(pooling: Pooling, concurrency: u32) -> (u32, u32) {
    let slots = match pooling {
        Pooling::OnDemand => return (concurrency, warm_wanted(concurrency)),
        Pooling::Slots(slots) => slots,
    };
    let permits = concurrency.min(slots - slots / 5);
    (permits, slots.saturating_sub(permits))
}

/// What a core's thread is given.
struct CoreStart {
    index: usize,
    node: Arc<Shared>,
    listeners: Vec<(TcpListener, Service)>,
    receiver: mpsc::UnboundedReceiver<Handed>,
    ops: Option<TcpListener>,
    certificates: Option<Arc<Certificates>>,
    stopping: watch::Receiver<bool>,
    tell: oneshot::Sender<Result<(), StartError>>,
}

fn run_core(start: CoreStart) {
    THIS_CORE.set(Some(start.index));
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            runtime.block_on(core_main(start));
            // Whatever still runs is dropped with the runtime.
        }
        Err(error) => {
            // The starter is gone only if it failed itself.
            let _ = start.tell.send(Err(StartError::Thread(error)));
        }
    }
}

async fn core_main(start: CoreStart) {
    let CoreStart { index, node, listeners, receiver, ops, certificates, mut stopping, tell } = start;
    let port = &node.cores()[index];
    let core = match Core::new(index, node.clone(), port.load.clone()) {
        Ok(core) => Arc::new(core),
        Err(error) => {
            let _ = tell.send(Err(error.into()));
            return;
        }
    };
    assert!(port.core.set(core.clone()).is_ok(), "a core starts once");
    tokio::spawn(connection::receive(core.clone(), receiver));
    for (listener, service) in listeners {
        let core = core.clone();
        tokio::spawn(async move {
            if let Err(error) = connection::accept(core, listener, service).await {
                tracing::error!(%error, "a listening socket failed");
            }
        });
    }
    if let Some(listener) = ops {
        let node = node.clone();
        tokio::spawn(async move {
            if let Err(error) = ops::serve(node, listener).await {
                tracing::error!(%error, "the ops listener failed");
            }
        });
    }
    if let Some(certificates) = certificates {
        tokio::spawn(certificates.reload());
    }
    let _ = tell.send(Ok(()));
    // An error means that the node is gone already.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pool_is_shared_between_instances_that_run_and_those_that_wait() {
        assert_eq!(shares(Pooling::Slots(160), 128), (128, 32));
        assert_eq!(shares(Pooling::Slots(80), 128), (64, 16));
        assert_eq!(shares(Pooling::Slots(4), 1), (1, 3));
        assert_eq!(shares(Pooling::OnDemand, 128), (128, 32));
    }

    /// H20.
    #[test]
    fn a_node_needs_so_many_descriptors() {
        assert!(check_descriptors(DESCRIPTORS_MIN).is_ok());
        let error = check_descriptors(DESCRIPTORS_MIN - 1).unwrap_err().to_string();
        assert!(error.contains("may have 63 files open and needs 64"), "{error}");
    }

    /// H17.
    #[test]
    fn clients_do_not_get_every_descriptor() {
        assert_eq!(connections(4096, u64::MAX), 4096);
        assert_eq!(connections(4096, 4096 + DESCRIPTORS_KEPT), 4096);
        assert_eq!(connections(4096, 4095 + DESCRIPTORS_KEPT), 4095);
        assert_eq!(connections(4096, 256), 128);
        assert_eq!(connections(4096, 1), 1);
    }
}
