//! A node: what all cores share, how it starts, and how it stops. It starts from the bottom (engine, stores, listeners,
//! cores) and stops in reverse; its threads are joined by whoever drops it last.

mod start;

pub use start::StartError;

use crate::admission::Admission;
use crate::arrival::Arrival;
use crate::connection::Handed;
use crate::core::{Core, Load};
use crate::crowd::Crowd;
use crate::inference::InferenceDoor;
use crate::install::{InstallError, Installed, Placement, install};
use crate::limits::{DRAIN_POLL, INVOKE_REPLY_BYTES};
use crate::listen::GivenSocket;
use crate::metrics::Metrics;
use crate::models::Models;
use crate::observe::Observer;
use crate::outboxes::{Delivery, Outboxes};
use crate::pressure::{MemorySource, Pressure};
use crate::revision::{Deployed, Revision, WarmRoom};
use crate::routes::Routes;
use crate::status::{AppStatus, FunctionStatus, LastReload, NodeState, Status};
use crate::tenants::TenantShare;
use crate::tls::Certificates;
use crate::upstreams::{States, Unwatched};
use crate::{Addresses, FunctionId, answer};
use arc_swap::{ArcSwap, Guard};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use rimward_bundle::Bundle;
use rimward_capability::{Abi, ClientScheme, Linkers, ModelGrant};
use rimward_engine::{Budget, Compiler, Engine, Pooling};
use rimward_inference::local::Launcher;
use rimward_manifest::{App, Bind, Name, NodeFile, Tenant};
use rimward_store::Stores;
use rimward_upstream::ClientConfig;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, mpsc, watch};

/// How a node is started.
pub struct Options {
    /// What the operator declared.
    pub file: NodeFile,
    /// For whom it runs.
    pub profile: Profile,
    /// Where stores live.
    pub state: StateChoice,
    /// How components are compiled. Without one, apps bring the code that `rimward build --precompile` made.
    pub compiler: Option<Compiler>,
    /// How the processes are started that run models; without it they run in this one.
    pub model_launcher: Option<Launcher>,
    /// Hears of requests and of what functions log.
    pub observer: Arc<dyn Observer>,
    /// Where it reads how much memory is left: [`machine_memory`](crate::machine_memory).
    pub memory: MemorySource,
    /// Sockets that listen already: of the service manager, or of the process that this one was before a restart.
    pub given: Vec<GivenSocket>,
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
    pub(crate) shared: Arc<Shared>,
    addresses: Addresses,
    threads: Mutex<Vec<JoinHandle<()>>>,
    stop: watch::Sender<bool>,
    /// The listening sockets once more, so that they stay open when the cores let go of theirs.
    sockets: Mutex<Vec<Kept>>,
}

/// A listening socket and what it serves: `http`, `https`, `models`, `models-tls` or `ops`.
pub type Kept = (&'static str, TcpListener);

/// What all cores share.
pub(crate) struct Shared {
    pub(crate) engine: Arc<Engine>,
    pub(crate) linkers: Linkers,
    /// As it was when the node started: for what a running node does not change.
    pub(crate) file: NodeFile,
    pub(crate) settings: ArcSwap<Settings>,
    pub(crate) certificates: Option<Arc<Certificates>>,
    pub(crate) profile: Profile,
    pub(crate) warm_room: Arc<WarmRoom>,
    /// Memory of all live instances.
    pub(crate) memory: Arc<Budget>,
    /// Whether the machine runs out of it.
    pub(crate) pressure: Pressure,
    pub(crate) admission: Admission,
    pub(crate) connections: Arc<Semaphore>,
    /// How many of them each client address has.
    pub(crate) crowd: Arc<Crowd>,
    /// Permits of connections in a TLS handshake.
    pub(crate) handshakes: Semaphore,
    pub(crate) metrics: Metrics,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) stores: Stores,
    pub(crate) memory_stores: Stores,
    pub(crate) client_config: ClientConfig,
    /// What is known of upstreams.
    pub(crate) upstreams: States,
    /// Models on this node.
    pub(crate) models: Models,
    /// The listener for models, if there is one.
    pub(crate) inference: Option<InferenceDoor>,
    /// Calls that wait for theirs.
    pub(crate) outboxes: Outboxes,
    pub(crate) core_count: usize,
    pub(crate) drain: watch::Sender<bool>,
    /// Whether it drains, for requests.
    pub(crate) draining: AtomicBool,
    /// Whether connections are accepted yet: on sockets that were given, clients wait until the apps are there.
    pub(crate) open: watch::Sender<bool>,
    /// Tasks that accept connections.
    pub(crate) accepting: AtomicUsize,
    cores: OnceLock<Vec<CorePort>>,
    next_core: AtomicUsize,
    routes: ArcSwap<Routes>,
    apps: Mutex<Apps>,
    /// One change at a time: an installation, or a reload.
    pub(crate) changing: tokio::sync::Mutex<()>,
    last_reload: Mutex<Option<LastReload>>,
    started: Instant,
    /// What is to be served from the start is there.
    loaded: AtomicBool,
}

pub(crate) type Apps = BTreeMap<(Name, Name), Placed>;

/// An app that serves, and what it was made from.
#[derive(Clone)]
pub(crate) struct Placed {
    pub(crate) revision: Arc<Revision>,
    pub(crate) app: Arc<App>,
    pub(crate) bind: Arc<Bind>,
    /// The values of its secrets: a change of one makes a new revision of the running app.
    pub(crate) secrets: Arc<BTreeMap<Name, String>>,
    /// What is delivered with from the outboxes of its upstreams.
    pub(crate) deliveries: Arc<BTreeMap<Name, Arc<Delivery>>>,
    /// Its models, for other machines.
    pub(crate) models: Arc<BTreeMap<Name, ModelGrant>>,
    /// The upstreams, until somebody asks their places whether they are well.
    pub(crate) unwatched: Arc<Unwatched>,
}

/// What the operator declares and may change while the node runs. Looked at when something is installed, never by requests.
pub(crate) struct Settings {
    pub(crate) file: NodeFile,
    pub(crate) tenants: BTreeMap<Name, Tenant>,
    pub(crate) tenant_shares: BTreeMap<Name, Arc<TenantShare>>,
}

impl Settings {
    /// Of a file; tenants whose limits stay keep what they share `before`, and what they use of it.
    pub(crate) fn of(file: NodeFile, memory: &Arc<Budget>, before: Option<&Self>) -> Self {
        let share = |(name, tenant): (&Name, &Tenant)| {
            let kept = before
                .filter(|before| before.tenants.get(name).is_some_and(|old| old.limits == tenant.limits))
                .and_then(|before| before.tenant_shares.get(name).cloned());
            (name.clone(), kept.unwrap_or_else(|| TenantShare::new(&tenant.limits, memory)))
        };
        let tenants = file.tenants.clone();
        Self { tenant_shares: tenants.iter().map(share).collect(), tenants, file }
    }
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
    /// On a thread of its own, because whoever drops a node may be on a runtime that must not be blocked on again.
    fn close_stores(&self) {
        let (stores, outboxes) = (&self.shared.stores, &self.shared.outboxes);
        std::thread::scope(|scope| {
            scope.spawn(|| match tokio::runtime::Builder::new_current_thread().build() {
                Ok(runtime) => runtime.block_on(async {
                    stores.close().await;
                    outboxes.close().await;
                }),
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
        let _alone = self.shared.changing.lock().await;
        install(&self.shared, bundle, placement).await
    }

    /// What is to be served from the start has been installed: from now on `/readyz` says so, and sockets that were given
    /// are accepted on.
    pub fn loaded(&self) {
        self.shared.open.send_replace(true);
        if !self.shared.loaded.swap(true, Relaxed) {
            let shared = self.shared.clone();
            let core = self.shared.core_of_this_thread();
            core.runtime.spawn(async move {
                let _alone = shared.changing.lock().await;
                shared.outboxes.open_left().await;
            });
        }
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
            last_reload: shared.last_reload().clone(),
            apps,
        }
    }

    /// Its metrics, as text.
    pub fn metrics(&self) -> String {
        self.shared.metrics_text()
    }

    /// Takes no new connections, tells the clients of the open ones to go elsewhere, and waits until they have their
    /// replies, at most for `within`. What comes over them meanwhile is answered too.
    pub async fn drain(&self, within: Duration) -> Drained {
        self.sockets().clear();
        self.finish(within).await
    }

    /// Drains, and returns the listening sockets, which stay open: whoever connects meanwhile waits in the kernel's queue
    /// for the process that takes them over.
    pub async fn hand_over(&self, within: Duration) -> (Drained, Vec<Kept>) {
        let drained = self.finish(within).await;
        (drained, std::mem::take(&mut *self.sockets()))
    }

    fn sockets(&self) -> MutexGuard<'_, Vec<Kept>> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn finish(&self, within: Duration) -> Drained {
        self.shared.draining.store(true, Relaxed);
        self.shared.drain.send_replace(true);
        let deadline = Instant::now() + within;
        loop {
            let accepting = self.shared.accepting.load(SeqCst);
            match self.shared.open_connections() {
                0 if accepting == 0 => break Drained::Finished,
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

    pub(crate) fn last_reload(&self) -> MutexGuard<'_, Option<LastReload>> {
        self.last_reload.lock().unwrap_or_else(PoisonError::into_inner)
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

    pub(crate) fn metrics_text(&self) -> String {
        for (tenant, share) in &self.settings.load().tenant_shares {
            self.metrics.tenant(tenant, share);
        }
        self.metrics.memory(&self.memory);
        for known in self.known_upstreams() {
            self.metrics.upstream(&known);
        }
        for ((tenant, app), placed) in &*self.apps() {
            placed.models.values().for_each(|grant| self.metrics.model(tenant, app, &grant.model));
        }
        self.metrics.call_memory(&self.models.call_memory);
        for post in self.outboxes.all() {
            self.metrics.outbox(&post.id, &post.outbox.counts(), post.outbox.shut().is_some());
        }
        self.metrics.text(&self.admission)
    }

    /// Instances that wait for their next use are dropped: they hold memory.
    pub(crate) fn drop_warm(&self) {
        let placed: Vec<_> = self.apps().values().map(|placed| placed.revision.clone()).collect();
        placed
            .iter()
            .flat_map(|revision| revision.functions.values())
            .for_each(|function| function.warm.clear());
    }

    pub(crate) fn state(&self) -> NodeState {
        if *self.drain.borrow() { NodeState::Draining } else { NodeState::Serving }
    }

    pub(crate) fn is_loaded(&self) -> bool {
        self.loaded.load(Relaxed)
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
