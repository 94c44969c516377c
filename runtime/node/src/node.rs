//! A node: what all cores share, how it starts, and how it stops. It starts from the bottom (engine, stores, listeners,
//! cores) and stops in reverse; its threads are joined by whoever drops it last.

use crate::admission::Admission;
use crate::arrival::Arrival;
use crate::connection::{self, Handed, Transport};
use crate::core::{Core, Load};
use crate::failure::Failure;
use crate::install::{InstallError, Installed, Placement, install};
use crate::limits::{CORE_STACK_BYTES, DRAIN_POLL, INVOKE_REPLY_BYTES, REUSE_CHECK_TIME};
use crate::listen::{self, ListenError};
use crate::metrics::Metrics;
use crate::observe::Observer;
use crate::revision::{Deployed, Revision, WarmRoom};
use crate::routes::Routes;
use crate::status::{AppStatus, FunctionStatus, NodeState, Status};
use crate::tls::{Certificates, TlsError};
use crate::{Addresses, FunctionId, answer, ops};
use arc_swap::{ArcSwap, Guard};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use rimward_bundle::Bundle;
use rimward_capability::{Abi, ClientScheme, Linkers};
use rimward_engine::{Cache, CacheError, Engine, EngineError, Machine, PoolSize, Pooling, Settings};
use rimward_manifest::{App, Name, NodeFile, Tenant};
use rimward_store::Stores;
use rimward_upstream::{ClientConfig, ClientError, Roots};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::io;
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};

/// How a node is started.
pub struct Options {
    /// What the operator declared.
    pub file: NodeFile,
    /// For whom it runs.
    pub profile: Profile,
    /// Where stores live.
    pub state: StateChoice,
    /// How components are compiled.
    #[cfg(feature = "compile")]
    pub compiler: rimward_engine::Compiler,
    /// Hears of requests and of what functions log.
    pub observer: Arc<dyn Observer>,
}

/// For whom a node runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Profile {
    /// For its operator: what node.toml does not allow is refused.
    Serve,
    /// For a developer: `wasi:http` 0.3 is on, and upstreams may be at the loopback or private address that they are
    /// declared with.
    Dev,
}

/// Where stores live, and whether compiled code is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateChoice {
    /// In the state directory.
    Durable,
    /// In memory, gone with the node. Compiled code is kept all the same.
    Memory,
}

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
    #[error("the compile cache cannot be used")]
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
    /// A thread could not be started.
    #[error("a thread could not be started")]
    Thread(#[source] io::Error),
    /// Outgoing calls cannot be set up.
    #[error("outgoing calls cannot be set up")]
    Client(#[from] ClientError),
}

/// What a drain came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// Every open request was finished.
    Finished,
    /// Time ran out with this many connections open; they were closed.
    CutOff {
        /// Connections that were still open.
        connections: usize,
    },
}

/// A running node. Dropping it ends it at once; [`Node::drain`] lets open requests finish.
pub struct Node {
    shared: Arc<Shared>,
    addresses: Addresses,
    threads: Mutex<Vec<JoinHandle<()>>>,
    stop: watch::Sender<bool>,
}

/// What all cores share.
pub(crate) struct Shared {
    pub(crate) engine: Arc<Engine>,
    pub(crate) linkers: Linkers,
    pub(crate) file: NodeFile,
    pub(crate) profile: Profile,
    pub(crate) warm_room: Arc<WarmRoom>,
    pub(crate) tenants: BTreeMap<Name, Tenant>,
    pub(crate) tenant_permits: BTreeMap<Name, Arc<Semaphore>>,
    pub(crate) admission: Admission,
    pub(crate) connections: Arc<Semaphore>,
    pub(crate) metrics: Metrics,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) stores: Stores,
    pub(crate) memory_stores: Stores,
    pub(crate) client_config: ClientConfig,
    pub(crate) core_count: usize,
    pub(crate) drain: watch::Sender<bool>,
    cores: OnceLock<Vec<CorePort>>,
    next_core: AtomicUsize,
    routes: ArcSwap<Routes>,
    apps: Mutex<Apps>,
    started: Instant,
}

type Apps = BTreeMap<(Name, Name), Placed>;

/// An app that serves.
#[derive(Clone)]
pub(crate) struct Placed {
    pub(crate) revision: Arc<Revision>,
    pub(crate) app: Arc<App>,
}

/// How other cores reach a core.
pub(crate) struct CorePort {
    pub(crate) load: Arc<Load>,
    pub(crate) handed: mpsc::UnboundedSender<Handed>,
    /// Set once the core runs.
    pub(crate) core: OnceLock<Arc<Core>>,
}

thread_local! {
    /// Which core this thread is.
    static THIS_CORE: Cell<Option<usize>> = const { Cell::new(None) };
}

impl Node {
    /// Starts a node: binds its addresses and starts a thread for each core. No app is installed yet; requests are
    /// answered with 404 until one is.
    pub fn start(options: Options) -> Result<Self, StartError> {
        let cores = options.file.node.cores.map_or_else(available_cores, |cores| cores.get() as usize);
        let mut addresses = Addresses::default();
        let certificates =
            options.file.tls.as_ref().map(|tls| Certificates::read(tls.certificates.clone())).transpose()?;
        let bound = bind_all(&options.file, certificates.as_ref(), cores, &mut addresses)?;
        let (ops, listeners) = (bound.ops, bound.by_core);
        let shared = Arc::new(shared(options, cores, &addresses)?);
        let (stop, stopping) = watch::channel(false);
        let node = Self { shared, addresses, threads: Mutex::default(), stop };
        node.start_cores(listeners, ops, certificates, &stopping)?;
        Ok(node)
    }

    fn start_cores(
        &self,
        listeners: Vec<Vec<(TcpListener, Transport)>>,
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

    /// On a thread of its own, because whoever drops a node may be on a runtime that must not be blocked on again.
    fn close_stores(&self) {
        let stores = &self.shared.stores;
        std::thread::scope(|scope| {
            scope.spawn(|| match tokio::runtime::Builder::new_current_thread().build() {
                Ok(runtime) => runtime.block_on(stores.close()),
                Err(error) => tracing::error!(%error, "the stores could not be closed"),
            });
        });
    }

    fn threads(&self) -> MutexGuard<'_, Vec<JoinHandle<()>>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where it listens.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// Puts a bundle into service, replacing what its app had. Requests under way finish on what they began with.
    pub async fn install(&self, bundle: Bundle, placement: Placement) -> Result<Installed, InstallError> {
        install(&self.shared, bundle, placement).await
    }

    /// Calls one function without a connection. The reply is collected.
    pub async fn invoke(
        &self,
        function: &FunctionId,
        request: http::Request<Bytes>,
    ) -> Result<http::Response<Bytes>, InvokeFailure> {
        let found = self.shared.find(function).ok_or_else(|| InvokeFailure::NoFunction(function.clone()))?;
        let core = self.shared.core_of_this_thread();
        let runtime = core.runtime.clone();
        let running = runtime.spawn(async move {
            let request = request.map(Full::new);
            let arrival = Arrival::of(&request);
            let called = answer::call(&core, &found, request, &arrival, ClientScheme::Http, 0).await;
            let mut reply = called.unwrap_or_else(|failure| crate::reply::problem(&failure, &arrival));
            crate::reply::stamp(&mut reply, &arrival);
            let (parts, body) = reply.into_parts();
            let body = Limited::new(body, INVOKE_REPLY_BYTES).collect().await;
            body.map(|body| http::Response::from_parts(parts, body.to_bytes()))
        });
        let collected = running.await.map_err(|_| InvokeFailure::Stopped)?;
        collected.map_err(|error| InvokeFailure::CutShort(answer::chain(&*error)))
    }

    /// Answers one request as if it had come over a connection: routed, admitted, called.
    pub async fn answer(
        &self,
        request: http::Request<Bytes>,
    ) -> Result<rimward_capability::Reply, InvokeFailure> {
        let core = self.shared.core_of_this_thread();
        let runtime = core.runtime.clone();
        let running = runtime
            .spawn(async move { answer::answer(&core, request.map(Full::new), ClientScheme::Http).await });
        running.await.map_err(|_| InvokeFailure::Stopped)
    }

    /// What it is doing.
    pub fn status(&self) -> Status {
        let shared = &self.shared;
        let apps = shared
            .apps()
            .iter()
            .map(|((tenant, app), placed)| app_status(tenant, app, &placed.revision))
            .collect();
        Status {
            version: env!("CARGO_PKG_VERSION"),
            state: shared.state(),
            uptime_s: shared.started.elapsed().as_secs(),
            addresses: self.addresses.clone(),
            cores: shared.core_count,
            permits: shared.admission.permits(),
            running: shared.admission.running(),
            waiting: shared.admission.waiting(),
            connections: shared.metrics.connections.get(),
            pool_slots: match shared.engine.pooling() {
                Pooling::Slots(slots) => Some(slots),
                Pooling::OnDemand => None,
            },
            apps,
        }
    }

    /// Its metrics, as text.
    pub fn metrics(&self) -> String {
        self.shared.metrics.text(&self.shared.admission)
    }

    /// Takes no new connections and no new requests, and waits for the open ones, at most for `within`. Afterwards the
    /// node is still there, but answers nothing.
    pub async fn drain(&self, within: Duration) -> Drained {
        self.shared.drain.send_replace(true);
        let deadline = Instant::now() + within;
        loop {
            match self.shared.open_connections() {
                0 => break Drained::Finished,
                connections if Instant::now() >= deadline => break Drained::CutOff { connections },
                _ => tokio::time::sleep(DRAIN_POLL).await,
            }
        }
    }
}

/// Why a function could not be called directly.
#[derive(Debug, thiserror::Error)]
pub enum InvokeFailure {
    /// It is not installed.
    #[error("there is no function `{0}`")]
    NoFunction(FunctionId),
    /// The reply was cut short or is too large.
    #[error("the reply could not be collected: {0}")]
    CutShort(String),
    /// The node stopped meanwhile.
    #[error("the node stopped")]
    Stopped,
}

/// Cores end, then whatever they shared: what functions stored is on disk when this returns.
impl Drop for Node {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        for thread in std::mem::take(&mut *self.threads()) {
            // A panic of a core was reported when it happened.
            let _ = thread.join();
        }
        self.close_stores();
    }
}

impl Shared {
    pub(crate) fn routes(&self) -> Guard<Arc<Routes>> {
        self.routes.load()
    }

    pub(crate) fn replace_routes(&self, routes: Routes) {
        self.routes.store(Arc::new(routes));
    }

    pub(crate) fn apps(&self) -> MutexGuard<'_, Apps> {
        self.apps.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn cores(&self) -> &[CorePort] {
        self.cores.get().map_or(&[], Vec::as_slice)
    }

    /// The core whose thread this is; any other thread's work goes to one core after the other.
    pub(crate) fn core_of_this_thread(&self) -> Arc<Core> {
        let cores = self.cores();
        let index = THIS_CORE.get().unwrap_or_else(|| self.next_core.fetch_add(1, Relaxed) % cores.len());
        cores[index].core.get().expect("a node that has started has its cores").clone()
    }

    pub(crate) fn state(&self) -> NodeState {
        if *self.drain.borrow() { NodeState::Draining } else { NodeState::Serving }
    }

    pub(crate) fn check_serving(&self) -> Result<(), Failure> {
        match self.state() {
            NodeState::Serving => Ok(()),
            NodeState::Draining => Err(Failure::Draining),
        }
    }

    fn find(&self, id: &FunctionId) -> Option<Arc<Deployed>> {
        let apps = self.apps();
        let placed = apps.get(&(id.tenant.clone(), id.app.clone()))?;
        placed.revision.functions.get(&id.function).cloned()
    }

    fn open_connections(&self) -> usize {
        self.cores().iter().map(|core| core.load.connections.load(Relaxed)).sum()
    }
}

fn app_status(tenant: &Name, app: &Name, revision: &Revision) -> AppStatus {
    let function = |function: &Arc<Deployed>| FunctionStatus {
        id: function.id.clone(),
        abi: match function.function.abi() {
            Abi::Wasi02 => "wasi:http 0.2",
            Abi::Wasi03 => "wasi:http 0.3",
        },
        requests: function.metrics.requests(),
        running: function.metrics.running(),
        memory_bytes_max: function.limits.memory_bytes_max,
        wall_ms: u64::try_from(function.limits.wall.as_millis()).unwrap_or(u64::MAX),
        cpu_ms: u64::try_from(function.limits.cpu.as_millis()).unwrap_or(u64::MAX),
    };
    AppStatus {
        tenant: tenant.to_string(),
        app: app.to_string(),
        version: revision.version.clone(),
        revision: revision.digest.to_string(),
        routes: revision.routes.clone(),
        functions: revision.functions.values().map(function).collect(),
    }
}

fn available_cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

struct Bound {
    by_core: Vec<Vec<(TcpListener, Transport)>>,
    ops: Option<TcpListener>,
}

fn bind_all(
    file: &NodeFile,
    certificates: Option<&Arc<Certificates>>,
    cores: usize,
    addresses: &mut Addresses,
) -> Result<Bound, StartError> {
    let mut by_core: Vec<Vec<_>> = (0..cores).map(|_| Vec::new()).collect();
    let mut bind = |address, transport: &Transport| {
        let (bound, listeners) = listen::bind(address, cores)?;
        for (core, listener) in by_core.iter_mut().zip(listeners) {
            core.push((listener, transport.clone()));
        }
        Ok::<_, StartError>(bound)
    };
    for address in &file.node.listen {
        addresses.http.push(bind(*address, &Transport::Clear)?);
    }
    if let (Some(tls), Some(certificates)) = (&file.tls, certificates) {
        let transport = Transport::Tls(certificates.server_config()?);
        for address in &tls.listen {
            addresses.https.push(bind(*address, &transport)?);
        }
    }
    let ops = file.ops.listen.map(|address| listen::bind(address, 1)).transpose()?;
    let ops = ops.map(|(bound, mut listeners)| {
        addresses.ops = Some(bound);
        listeners.remove(0)
    });
    Ok(Bound { by_core, ops })
}

fn shared(options: Options, cores: usize, addresses: &Addresses) -> Result<Shared, StartError> {
    let file = options.file;
    let cache = Cache::open(&file.node.cache, &file.node.state.join("keys/cache.key"), Cache::BYTES_MAX)?;
    let settings = engine_settings(&file, options.profile, cores);
    let engine = Engine::new(
        &settings,
        cache,
        #[cfg(feature = "compile")]
        options.compiler,
    )?;
    let state = |source| StartError::State { path: file.node.state.clone(), source };
    let stores = match options.state {
        StateChoice::Durable => Stores::durable(&file.node.state).map_err(state)?,
        StateChoice::Memory => Stores::memory(),
    };
    let mut client_config = ClientConfig::new(Roots::system());
    client_config.own = addresses.all().into();
    client_config.idle_per_host_max = (client_config.idle_per_host_max / cores).max(1);
    let tenants = file.tenants.clone();
    let (permits, warm) = shares(engine.pooling(), file.limits.concurrency.get());
    if permits < file.limits.concurrency.get() {
        tracing::warn!(
            wanted = file.limits.concurrency.get(),
            permits,
            "this machine holds fewer instances than `limits.concurrency` asks for"
        );
    }
    let quota = |(name, tenant): (&Name, &Tenant)| {
        let permits = tenant.limits.concurrency?;
        Some((name.clone(), Arc::new(Semaphore::new(permits.get() as usize))))
    };
    Ok(Shared {
        linkers: Linkers::new(&engine).map_err(|error| StartError::Link(format!("{error:#}")))?,
        engine,
        profile: options.profile,
        tenant_permits: tenants.iter().filter_map(quota).collect(),
        tenants,
        warm_room: WarmRoom::new(warm as usize),
        admission: Admission::new(permits, file.limits.queue, file.limits.queue_wait.get()),
        connections: Arc::new(Semaphore::new(file.limits.connections.get() as usize)),
        metrics: Metrics::new(),
        observer: options.observer,
        stores,
        memory_stores: Stores::memory(),
        client_config,
        core_count: cores,
        drain: watch::channel(false).0,
        cores: OnceLock::new(),
        next_core: AtomicUsize::new(0),
        routes: ArcSwap::default(),
        apps: Mutex::default(),
        started: Instant::now(),
        file,
    })
}

/// Room for every permit, and for some instances that wait for their next use.
fn engine_settings(file: &NodeFile, profile: Profile, cores: usize) -> Settings {
    let mut settings = Settings::default();
    if let Some(memory) = file.limits.memory {
        settings.memory_budget_bytes = memory.get();
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
    listeners: Vec<(TcpListener, Transport)>,
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
    for (listener, transport) in listeners {
        let core = core.clone();
        tokio::spawn(async move {
            if let Err(error) = connection::accept(core, listener, transport).await {
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

/// Sends two requests to one instance of a function that asks for reuse. Some guests answer only once.
pub(crate) async fn check_reuse(node: &Arc<Shared>, function: &Arc<Deployed>) -> Result<(), String> {
    if !function.warm.is_wanted() {
        return Ok(());
    }
    let core = node.core_of_this_thread();
    let runtime = core.runtime.clone();
    let (core, function) = (core.clone(), function.clone());
    let checking = runtime.spawn(async move {
        for (uses, attempt) in [(1, "first"), (2, "second")] {
            let request = http::Request::builder()
                .uri("/")
                .header(http::header::HOST, "reuse-check.invalid")
                .body(Full::new(Bytes::new()))
                .expect("the request is a constant");
            let arrival = Arrival::of(&request);
            let called = answer::call(&core, &function, request, &arrival, ClientScheme::Http, 0).await;
            let reply =
                called.map_err(|failure| format!("the {attempt} request: {}", answer::chain(&failure)))?;
            reply.into_body().collect().await.map_err(|error| answer::chain(&error))?;
            // The next request is for the same instance. It comes back when its guest has ended, after the reply.
            while !function.warm.is_back(core.index, uses) {
                tokio::time::sleep(DRAIN_POLL).await;
            }
        }
        // Callers begin with an instance that nobody has used.
        drop(function.warm.take(core.index));
        Ok(())
    });
    match tokio::time::timeout(REUSE_CHECK_TIME, checking).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err("the node stopped".to_owned()),
        Err(_) => Err("it took too long".to_owned()),
    }
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
}
