//! The resources of the admin API, as they are written in JSON. Fields are added, never renamed or removed, within `/v1`.

mod fault;
mod model;
mod outbox;
mod upstream;

pub use fault::{FaultRule, Faults, NewFaults};
pub use model::{Comparison, Decision, LocalModel, Measured, Model, Models, RemoteModel};
pub use outbox::{CallState, DeferredCall, DeferredCalls, Done, Outbox, Outboxes};
pub use upstream::{
    Breaker, BreakerChange, BreakerState, Endpoint, ForcedBreaker, Latency, Upstream, UpstreamCache,
    Upstreams,
};

use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use utoipa::ToSchema;

/// A node, at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Status {
    /// The version of the program.
    pub version: String,
    /// What it is doing.
    pub state: NodeState,
    /// Seconds since it started.
    pub uptime_s: u64,
    /// Where it listens.
    pub addresses: Addresses,
    /// Cores that serve requests.
    pub cores: usize,
    /// Invocations that may run at once.
    pub permits: u32,
    /// Invocations under way.
    pub running: u32,
    /// Requests that wait for a permit.
    pub waiting: u32,
    /// Open client connections.
    pub connections: i64,
    /// Instances that the pool holds; absent where every instance gets memory of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool_slots: Option<u32>,
    /// What came of the last reload; absent where there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_reload: Option<LastReload>,
    /// The apps, by tenant and name.
    pub apps: Vec<App>,
}

/// What came of a reload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LastReload {
    /// Why nothing was changed; absent where all was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// What a reload changed, by tenant and app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reload {
    /// Apps that are new, or run on another revision, other settings or other secrets.
    pub installed: Vec<String>,
    /// Apps that stay as they were.
    pub kept: Vec<String>,
    /// Apps that are no longer listed.
    pub retired: Vec<String>,
}

/// A restart that was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Restart {
    /// The node restarts when open requests have their replies.
    pub restarts: bool,
}

/// What a node is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NodeState {
    /// It takes requests.
    Serving,
    /// It finishes open requests and takes no new ones.
    Draining,
}

/// Where a node listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Addresses {
    /// Requests in cleartext.
    #[schema(value_type = Vec<String>)]
    pub http: Vec<SocketAddr>,
    /// Requests over TLS.
    #[schema(value_type = Vec<String>)]
    pub https: Vec<SocketAddr>,
    /// Models for other machines, in cleartext.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub models: Vec<SocketAddr>,
    /// Models for other machines, over TLS.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<String>)]
    pub models_tls: Vec<SocketAddr>,
    /// Metrics and health.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub ops: Option<SocketAddr>,
}

/// An app, at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct App {
    /// Its owner.
    pub tenant: String,
    /// Its name.
    pub app: String,
    /// The label of what is deployed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What is deployed, by digest.
    pub revision: String,
    /// What it answers.
    pub routes: Vec<String>,
    /// Its functions.
    pub functions: Vec<Function>,
}

/// A function, at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Function {
    /// Its full name: tenant, app and function.
    pub id: String,
    /// Which `wasi:http` it speaks.
    pub abi: String,
    /// Requests since the node started.
    pub requests: u64,
    /// Invocations under way.
    pub running: i64,
    /// Memory that an instance may have, bytes.
    pub memory_bytes_max: u64,
    /// Time it has to answer, milliseconds.
    pub wall_ms: u64,
    /// CPU time it may spend, milliseconds.
    pub cpu_ms: u64,
}

/// Every function of the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Functions {
    /// By full name.
    pub functions: Vec<Function>,
}

/// What a drain came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Drain {
    /// How it ended.
    pub state: DrainState,
    /// Connections that are still open.
    pub connections: usize,
}

/// How a drain ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DrainState {
    /// Every open request was finished.
    Finished,
    /// Time ran out first.
    CutOff,
}

/// Why a request was refused (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// For people.
    pub title: String,
    /// The status of the reply.
    pub status: u16,
    /// Stable, for programs.
    pub code: String,
    /// What exactly is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl From<rimward_node::Reloaded> for Reload {
    fn from(done: rimward_node::Reloaded) -> Self {
        let rimward_node::Reloaded { installed, kept, retired } = done;
        Self { installed, kept, retired }
    }
}

impl From<rimward_node::Status> for Status {
    fn from(status: rimward_node::Status) -> Self {
        let rimward_node::Addresses { http, https, models, models_tls, ops } = status.addresses;
        Self {
            version: status.version.to_owned(),
            state: status.state.into(),
            uptime_s: status.uptime_s,
            addresses: Addresses { http, https, models, models_tls, ops },
            cores: status.cores,
            permits: status.permits,
            running: status.running,
            waiting: status.waiting,
            connections: status.connections,
            pool_slots: status.pool_slots,
            last_reload: status.last_reload.map(|last| LastReload { problem: last.problem }),
            apps: status.apps.into_iter().map(App::from).collect(),
        }
    }
}

impl From<rimward_node::NodeState> for NodeState {
    fn from(state: rimward_node::NodeState) -> Self {
        match state {
            rimward_node::NodeState::Serving => Self::Serving,
            rimward_node::NodeState::Draining => Self::Draining,
        }
    }
}

impl From<rimward_node::AppStatus> for App {
    fn from(app: rimward_node::AppStatus) -> Self {
        Self {
            tenant: app.tenant,
            app: app.app,
            version: app.version,
            revision: app.revision,
            routes: app.routes,
            functions: app.functions.into_iter().map(Function::from).collect(),
        }
    }
}

impl From<rimward_node::FunctionStatus> for Function {
    fn from(function: rimward_node::FunctionStatus) -> Self {
        Self {
            id: function.id.to_string(),
            abi: function.abi.to_owned(),
            requests: function.requests,
            running: function.running,
            memory_bytes_max: function.memory_bytes_max,
            wall_ms: function.wall_ms,
            cpu_ms: function.cpu_ms,
        }
    }
}
