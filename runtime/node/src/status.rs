//! What a node says of itself, for `rimward status` and the admin API.

use crate::{Addresses, FunctionId};
use serde::Serialize;

/// A node, at one moment.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Status {
    /// The version of the program.
    pub version: &'static str,
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
    /// Instances that the pool holds; none where every instance gets memory of its own.
    pub pool_slots: Option<u32>,
    /// What came of the last reload; none where there was none.
    pub last_reload: Option<LastReload>,
    /// The apps, by tenant and name.
    pub apps: Vec<AppStatus>,
}

/// What came of a reload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct LastReload {
    /// Why nothing was changed; none where all was.
    pub problem: Option<String>,
}

/// What a node is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum NodeState {
    /// It takes requests.
    Serving,
    /// It finishes open requests and takes no new ones.
    Draining,
}

/// An app, at one moment.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct AppStatus {
    /// Its owner.
    pub tenant: String,
    /// Its name.
    pub app: String,
    /// The label of what is deployed.
    pub version: Option<String>,
    /// What is deployed.
    pub revision: String,
    /// What it answers.
    pub routes: Vec<String>,
    /// Its functions.
    pub functions: Vec<FunctionStatus>,
}

/// A function, at one moment.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct FunctionStatus {
    /// Its full name.
    #[serde(serialize_with = "as_text")]
    pub id: FunctionId,
    /// Which `wasi:http` it speaks.
    pub abi: &'static str,
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

fn as_text<S: serde::Serializer>(id: &FunctionId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(id)
}
