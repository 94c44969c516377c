//! What one function may use: as declared, under the tenant's ceiling, and resolved to numbers.
//!
//! The node resolves every function when an app is installed. A declared limit above the ceiling refuses the app;
//! nothing that an author wrote is lowered in silence.

use std::fmt::Display;
use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::Serialize;

use crate::bytes::Bytes;
use crate::document::Table;
use crate::duration::Duration;
use crate::limits;

/// Limits as a file declares them: those of a function, or a tenant's ceiling for them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Limits {
    /// Linear memory of one instance, all its memories together.
    pub memory: Option<Bytes>,
    /// CPU time of one invocation, over its whole life.
    pub cpu: Option<Duration>,
    /// Time from admission to the response's head, without the time spent waiting for the client's body.
    pub wall: Option<Duration>,
    /// Size of a request's body.
    pub request_body: Option<Bytes>,
    /// Invocations at once.
    pub concurrency: Option<NonZeroU32>,
    /// Longest silence on a body after the response's head.
    pub stream_idle: Option<Duration>,
    /// Longest body after the response's head; unlimited by default.
    pub stream_max: Option<Duration>,
    /// Outgoing requests of one instance at once.
    pub outgoing: Option<NonZeroU32>,
    /// Log output per second.
    pub log_rate: Option<Bytes>,
}

/// The limits that hold for one function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FunctionLimits {
    /// Linear memory of one instance, all its memories together, in bytes.
    pub memory_bytes_max: u64,
    /// CPU time of one invocation.
    pub cpu: std::time::Duration,
    /// Time from admission to the response's head.
    pub wall: std::time::Duration,
    /// Size of a request's body, in bytes.
    pub request_body_bytes_max: u64,
    /// Invocations at once.
    pub concurrency: u32,
    /// Longest silence on a body after the response's head.
    pub stream_idle: std::time::Duration,
    /// Longest body after the response's head; `None` is unlimited.
    pub stream_max: Option<std::time::Duration>,
    /// Outgoing requests of one instance at once.
    pub outgoing: u32,
    /// Log output per second, in bytes.
    pub log_bytes_per_second: u64,
}

/// A declared limit that is above the operator's ceiling.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the limit `{key} = {declared}` is above the tenant's ceiling of `{ceiling}`")]
pub struct AboveCeiling {
    /// The limit's key in both files.
    pub key: &'static str,
    /// What the app declares.
    pub declared: String,
    /// What the operator allows.
    pub ceiling: String,
}

impl Limits {
    /// The numbers that hold under `ceiling`. Where nothing is declared the default holds, or the ceiling if that is
    /// lower. Every declared limit above the ceiling is an error.
    pub fn resolve(&self, ceiling: &Self) -> Result<FunctionLimits, Vec<AboveCeiling>> {
        let mut above = Above(Vec::new());
        let resolved = FunctionLimits {
            memory_bytes_max: above.bytes(
                "memory",
                self.memory,
                ceiling.memory,
                limits::FUNCTION_MEMORY_BYTES,
            ),
            cpu: above.duration("cpu", self.cpu, ceiling.cpu, limits::FUNCTION_CPU),
            wall: above.duration("wall", self.wall, ceiling.wall, limits::FUNCTION_WALL),
            request_body_bytes_max: above.bytes(
                "request-body",
                self.request_body,
                ceiling.request_body,
                limits::FUNCTION_REQUEST_BODY_BYTES,
            ),
            concurrency: above.count(
                "concurrency",
                self.concurrency,
                ceiling.concurrency,
                limits::FUNCTION_CONCURRENCY,
            ),
            stream_idle: above.duration(
                "stream-idle",
                self.stream_idle,
                ceiling.stream_idle,
                limits::FUNCTION_STREAM_IDLE,
            ),
            stream_max: above.under("stream-max", self.stream_max, ceiling.stream_max).map(Duration::get),
            outgoing: above.count("outgoing", self.outgoing, ceiling.outgoing, limits::FUNCTION_OUTGOING),
            log_bytes_per_second: above.bytes(
                "log-rate",
                self.log_rate,
                ceiling.log_rate,
                limits::FUNCTION_LOG_BYTES_PER_SECOND,
            ),
        };
        if above.0.is_empty() { Ok(resolved) } else { Err(above.0) }
    }

    pub(crate) fn read(table: &mut Table<'_>) -> Option<Self> {
        table.not_yet(&["stream-min-rate"]);
        Some(Self {
            memory: table.optional("memory"),
            cpu: table.optional("cpu"),
            wall: table.optional("wall"),
            request_body: table.optional("request-body"),
            concurrency: table.optional("concurrency"),
            stream_idle: table.optional("stream-idle"),
            stream_max: table.optional("stream-max"),
            outgoing: table.optional("outgoing"),
            log_rate: table.optional("log-rate"),
        })
    }
}

/// The limits found above their ceiling so far.
struct Above(Vec<AboveCeiling>);

impl Above {
    fn bytes(
        &mut self,
        key: &'static str,
        declared: Option<Bytes>,
        ceiling: Option<Bytes>,
        default: u64,
    ) -> u64 {
        let default = default.min(ceiling.map_or(u64::MAX, Bytes::get));
        self.declared(key, declared, ceiling).map_or(default, Bytes::get)
    }

    fn duration(
        &mut self,
        key: &'static str,
        declared: Option<Duration>,
        ceiling: Option<Duration>,
        default: std::time::Duration,
    ) -> std::time::Duration {
        let default = default.min(ceiling.map_or(std::time::Duration::MAX, Duration::get));
        self.declared(key, declared, ceiling).map_or(default, Duration::get)
    }

    fn count(
        &mut self,
        key: &'static str,
        declared: Option<NonZeroU32>,
        ceiling: Option<NonZeroU32>,
        default: u32,
    ) -> u32 {
        let default = default.min(ceiling.map_or(u32::MAX, NonZeroU32::get));
        self.declared(key, declared, ceiling).map_or(default, NonZeroU32::get)
    }

    /// The declared limit, noted where it is above the ceiling; the ceiling where nothing is declared.
    fn under<T: Ord + Copy + Display>(
        &mut self,
        key: &'static str,
        declared: Option<T>,
        ceiling: Option<T>,
    ) -> Option<T> {
        self.declared(key, declared, ceiling).or(ceiling)
    }

    fn declared<T: Ord + Copy + Display>(
        &mut self,
        key: &'static str,
        declared: Option<T>,
        ceiling: Option<T>,
    ) -> Option<T> {
        if let (Some(declared), Some(ceiling)) = (declared, ceiling)
            && declared > ceiling
        {
            self.0.push(AboveCeiling { key, declared: declared.to_string(), ceiling: ceiling.to_string() });
        }
        declared
    }
}
