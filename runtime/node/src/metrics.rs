//! What a node counts. Names and labels are public: `rimward_..._total`, `_seconds`, `_bytes`; labels are tenant, app and
//! function, never anything that a client chooses. A function's handles are looked up once, when it is installed.

mod models;
mod outboxes;
mod upstreams;

use crate::FunctionId;
use crate::observe::Outcome;
use crate::tenants::TenantShare;
use crate::upstreams::{KnownUpstream, UpstreamId};
use http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};
use rimward_capability::Offences;
use rimward_capability::models::CallMemory;
use rimward_engine::{Budget, Usage};
use rimward_inference::Model;
use rimward_manifest::Name;
use rimward_upstream::outbox::Counts;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Seconds; from a reply out of memory to a slow upstream.
const DURATION_BUCKETS: [f64; 15] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FunctionLabels {
    tenant: String,
    app: String,
    function: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StatusLabels {
    tenant: String,
    app: String,
    function: String,
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CodeLabels {
    tenant: String,
    app: String,
    function: String,
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OffenceLabels {
    tenant: String,
    app: String,
    function: String,
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NodeCodeLabels {
    code: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TenantLabels {
    tenant: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StartLabels {
    tenant: String,
    app: String,
    function: String,
    start: &'static str,
}

type Seconds = Counter<f64, AtomicU64>;

/// The node's metrics.
pub(crate) struct Metrics {
    registry: Mutex<Registry>,
    requests: Family<StatusLabels, Counter>,
    durations: Family<FunctionLabels, Histogram, fn() -> Histogram>,
    cpu: Family<FunctionLabels, Seconds>,
    memory: Family<FunctionLabels, Gauge>,
    running: Family<FunctionLabels, Gauge>,
    failures: Family<CodeLabels, Counter>,
    offences: Family<OffenceLabels, Counter>,
    instances: Family<StartLabels, Counter>,
    log_dropped: Family<FunctionLabels, Counter>,
    refused: Family<NodeCodeLabels, Counter>,
    pub(crate) connections: Gauge,
    connections_refused: Family<ReasonLabels, Counter>,
    pub(crate) accept_failures: Counter,
    permits: Gauge,
    permits_taken: Gauge,
    waiting: Gauge,
    memory_used: Gauge,
    memory_max: Gauge,
    tenant_memory: Family<TenantLabels, Gauge>,
    tenant_running: Family<TenantLabels, Gauge>,
    tenant_waiting: Family<TenantLabels, Gauge>,
    pub(crate) reloads: Counter,
    pub(crate) reloads_failed: Counter,
    /// 1 where the last reload failed, so that what runs is not what the file says.
    pub(crate) reload_is_failed: Gauge,
    outboxes: outboxes::Outboxes,
    upstreams: upstreams::Upstreams,
    models: models::Models,
}

/// One function's handles.
pub(crate) struct FunctionMetrics {
    requests: [Counter; 6],
    duration: Histogram,
    cpu: Seconds,
    memory: Gauge,
    running: Gauge,
    failures: Family<CodeLabels, Counter>,
    offences: Family<OffenceLabels, Counter>,
    fresh: Counter,
    reused: Counter,
    log_dropped: Counter,
    labels: FunctionLabels,
}

/// Why a client's connection was ended.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RefusedFor {
    /// Its address has as many as it may.
    Address,
    /// As many as may be are in a TLS handshake.
    Handshakes,
    /// Its TLS handshake failed.
    Handshake,
    /// A request that can be read in two ways.
    Malformed,
    /// HTTP/2 frames that only make work.
    Flood,
}

impl RefusedFor {
    fn text(self) -> &'static str {
        match self {
            Self::Address => "address",
            Self::Handshakes => "handshakes",
            Self::Handshake => "handshake",
            Self::Malformed => "malformed",
            Self::Flood => "flood",
        }
    }
}

const STATUSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "abandoned"];

impl Metrics {
    pub(crate) fn new() -> Self {
        let metrics = Self {
            registry: Mutex::new(Registry::with_prefix("rimward")),
            requests: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(DURATION_BUCKETS)),
            cpu: Family::default(),
            memory: Family::default(),
            running: Family::default(),
            failures: Family::default(),
            offences: Family::default(),
            instances: Family::default(),
            log_dropped: Family::default(),
            refused: Family::default(),
            connections: Gauge::default(),
            connections_refused: Family::default(),
            accept_failures: Counter::default(),
            permits: Gauge::default(),
            permits_taken: Gauge::default(),
            waiting: Gauge::default(),
            memory_used: Gauge::default(),
            memory_max: Gauge::default(),
            tenant_memory: Family::default(),
            tenant_running: Family::default(),
            tenant_waiting: Family::default(),
            reloads: Counter::default(),
            reloads_failed: Counter::default(),
            reload_is_failed: Gauge::default(),
            outboxes: outboxes::Outboxes::default(),
            upstreams: upstreams::Upstreams::default(),
            models: models::Models::default(),
        };
        metrics.register();
        metrics
    }

    fn register(&self) {
        let mut registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let r = &mut *registry;
        r.register(
            "requests",
            "Requests that a function was called for, by class of status",
            self.requests.clone(),
        );
        r.register_with_unit(
            "request_duration",
            "From arrival to the end of the reply",
            Unit::Seconds,
            self.durations.clone(),
        );
        r.register_with_unit(
            "function_cpu",
            "CPU time that a function spent",
            Unit::Seconds,
            self.cpu.clone(),
        );
        r.register_with_unit(
            "function_memory_peak",
            "The most linear memory that an instance of a function has held",
            Unit::Bytes,
            self.memory.clone(),
        );
        r.register("function_running", "Invocations of a function under way", self.running.clone());
        r.register("function_failures", "Failures of a function, by code", self.failures.clone());
        r.register(
            "function_offences",
            "What a function did that it may not do, by kind",
            self.offences.clone(),
        );
        r.register(
            "function_instances",
            "Invocations by the instance they got: fresh or reused",
            self.instances.clone(),
        );
        r.register(
            "function_log_lines_dropped",
            "Log lines over a function's rate",
            self.log_dropped.clone(),
        );
        r.register(
            "requests_refused",
            "Requests that no function was called for, by code",
            self.refused.clone(),
        );
        r.register("connections", "Open client connections", self.connections.clone());
        r.register(
            "connections_refused",
            "Client connections that the node ended for what the client did, by reason",
            self.connections_refused.clone(),
        );
        r.register(
            "accept_failures",
            "Attempts to accept a client connection that failed, as for lack of file descriptors",
            self.accept_failures.clone(),
        );
        r.register("permits", "Invocations that may run at once", self.permits.clone());
        r.register("permits_taken", "Invocations under way", self.permits_taken.clone());
        r.register("requests_waiting", "Requests that wait for a permit", self.waiting.clone());
        let bytes = || Unit::Bytes;
        r.register_with_unit(
            "memory_used",
            "Memory that live instances hold",
            bytes(),
            self.memory_used.clone(),
        );
        r.register_with_unit(
            "memory_max",
            "Memory that live instances may hold",
            bytes(),
            self.memory_max.clone(),
        );
        r.register_with_unit(
            "tenant_memory_used",
            "Memory that a tenant's live instances hold",
            bytes(),
            self.tenant_memory.clone(),
        );
        r.register("tenant_running", "Invocations of a tenant under way", self.tenant_running.clone());
        r.register("tenant_waiting", "Requests of a tenant that wait", self.tenant_waiting.clone());
        r.register("reloads", "Reloads of the node's settings", self.reloads.clone());
        r.register(
            "reloads_failed",
            "Reloads that changed nothing, because of a problem",
            self.reloads_failed.clone(),
        );
        r.register(
            "reload_is_failed",
            "1 where the last reload failed, so that the node runs on the settings before it",
            self.reload_is_failed.clone(),
        );
        self.upstreams.register(r);
        self.outboxes.register(r);
        self.models.register(r);
    }

    pub(crate) fn function(&self, id: &FunctionId) -> FunctionMetrics {
        let labels = FunctionLabels {
            tenant: id.tenant.to_string(),
            app: id.app.to_string(),
            function: id.function.to_string(),
        };
        let start = |start| {
            let labels = labels.clone();
            let labels =
                StartLabels { tenant: labels.tenant, app: labels.app, function: labels.function, start };
            self.instances.get_or_create(&labels).clone()
        };
        let requests = STATUSES.map(|status| {
            let labels = labels.clone();
            let labels =
                StatusLabels { tenant: labels.tenant, app: labels.app, function: labels.function, status };
            self.requests.get_or_create(&labels).clone()
        });
        FunctionMetrics {
            requests,
            duration: self.durations.get_or_create(&labels).clone(),
            cpu: self.cpu.get_or_create(&labels).clone(),
            memory: self.memory.get_or_create(&labels).clone(),
            running: self.running.get_or_create(&labels).clone(),
            failures: self.failures.clone(),
            offences: self.offences.clone(),
            fresh: start("fresh"),
            reused: start("reused"),
            log_dropped: self.log_dropped.get_or_create(&labels).clone(),
            labels,
        }
    }

    /// What a tenant uses now.
    pub(crate) fn tenant(&self, tenant: &Name, share: &TenantShare) {
        let labels = TenantLabels { tenant: tenant.to_string() };
        let memory = i64::try_from(share.share.memory_bytes()).unwrap_or(i64::MAX);
        self.tenant_memory.get_or_create(&labels).set(memory);
        self.tenant_running.get_or_create(&labels).set(i64::from(share.running.load(Relaxed)));
        self.tenant_waiting.get_or_create(&labels).set(i64::from(share.waiting.load(Relaxed)));
    }

    /// What all instances hold now.
    pub(crate) fn memory(&self, memory: &Budget) {
        self.memory_used.set(i64::try_from(memory.used_bytes()).unwrap_or(i64::MAX));
        self.memory_max.set(i64::try_from(memory.max_bytes()).unwrap_or(i64::MAX));
    }

    /// How calls to an upstream went.
    pub(crate) fn upstream(&self, known: &KnownUpstream) {
        self.upstreams.set(known);
    }

    /// How calls of a model went.
    pub(crate) fn model(&self, tenant: &Name, app: &Name, model: &Model) {
        self.models.set(tenant, app, model);
    }

    /// What calls of models hold now, and may.
    pub(crate) fn call_memory(&self, memory: &CallMemory) {
        self.models.memory(memory.used(), memory.bytes());
    }

    /// What an outbox holds now.
    pub(crate) fn outbox(&self, id: &UpstreamId, counts: &Counts, is_shut: bool) {
        self.outboxes.set(id, counts, is_shut);
    }

    /// A request was answered without a function.
    pub(crate) fn refused(&self, code: &'static str) {
        self.refused.get_or_create(&NodeCodeLabels { code }).inc();
    }

    /// A connection was ended for what its client did.
    pub(crate) fn connection_refused(&self, reason: RefusedFor) {
        self.connections_refused.get_or_create(&ReasonLabels { reason: reason.text() }).inc();
    }

    /// Everything, as text in the OpenMetrics format; gauges that are derived are brought up to date first.
    pub(crate) fn text(&self, admission: &crate::admission::Admission) -> String {
        self.permits.set(i64::from(admission.permits()));
        self.permits_taken.set(i64::from(admission.running()));
        self.waiting.set(i64::from(admission.waiting()));
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).expect("a string can be written to");
        text
    }
}

impl FunctionMetrics {
    pub(crate) fn started(&self, reused: bool) {
        self.running.inc();
        if reused { &self.reused } else { &self.fresh }.inc();
    }

    pub(crate) fn closed(
        &self,
        status: Option<StatusCode>,
        outcome: Outcome,
        usage: &Usage,
        duration: Duration,
    ) {
        self.running.dec();
        self.duration.observe(duration.as_secs_f64());
        self.cpu.inc_by(usage.cpu().as_secs_f64());
        let peak = i64::try_from(usage.memory_bytes()).unwrap_or(i64::MAX);
        if peak > self.memory.get() {
            self.memory.set(peak);
        }
        let class = match (outcome, status) {
            (Outcome::Abandoned, _) | (_, None) => 5,
            (_, Some(status)) => usize::from(status.as_u16() / 100).clamp(1, 5) - 1,
        };
        self.requests[class].inc();
        if let Outcome::Failed(code) | Outcome::CutShort(code) = outcome {
            self.failed(code);
        }
    }

    /// A request for this function failed before it was called.
    pub(crate) fn failed(&self, code: &'static str) {
        let FunctionLabels { tenant, app, function } = self.labels.clone();
        self.failures.get_or_create(&CodeLabels { tenant, app, function, code }).inc();
    }

    /// What one invocation did that it may not do.
    pub(crate) fn offended(&self, offences: &Offences) {
        for (offence, times) in offences.iter() {
            let FunctionLabels { tenant, app, function } = self.labels.clone();
            let labels = OffenceLabels { tenant, app, function, kind: offence.name() };
            self.offences.get_or_create(&labels).inc_by(u64::from(times));
        }
    }

    pub(crate) fn log_dropped(&self, lines: u64) {
        self.log_dropped.inc_by(lines);
    }

    /// Requests so far, all classes.
    pub(crate) fn requests(&self) -> u64 {
        self.requests.iter().map(Counter::get).sum()
    }

    /// Invocations under way.
    pub(crate) fn running(&self) -> i64 {
        self.running.get()
    }
}
