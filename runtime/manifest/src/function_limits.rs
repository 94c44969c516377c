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
    /// Bytes of a body per second, on average, while the client waits for it; none by default. As a ceiling: the least
    /// that a function may declare.
    pub stream_min_rate: Option<Bytes>,
    /// Outgoing requests of one instance at once.
    pub outgoing: Option<NonZeroU32>,
    /// Log output per second.
    pub log_rate: Option<Bytes>,
    /// Elements of all tables of one instance together.
    pub table_elements: Option<NonZeroU32>,
    /// Live handles of one instance: resources, streams and futures.
    pub handles: Option<NonZeroU32>,
    /// Strings and lists handed to the node in one call.
    pub host_call: Option<Bytes>,
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
    /// Bytes of a body per second, on average; `None` is any.
    pub stream_bytes_per_second_min: Option<u64>,
    /// Outgoing requests of one instance at once.
    pub outgoing: u32,
    /// Log output per second, in bytes.
    pub log_bytes_per_second: u64,
    /// Elements of all tables of one instance together.
    pub table_elements_max: u32,
    /// Live handles of one instance.
    pub handles_max: u32,
    /// Strings and lists handed to the node in one call, in bytes.
    pub host_call_bytes_max: u64,
}

/// A declared limit that is above the operator's ceiling, or below it where less is looser.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the limit `{key} = {declared}` is {side} the tenant's ceiling of `{ceiling}`")]
pub struct AboveCeiling {
    /// The limit's key in both files.
    pub key: &'static str,
    /// What the app declares.
    pub declared: String,
    /// What the operator allows.
    pub ceiling: String,
    /// `above`, or `below` for a rate that must be kept.
    pub side: &'static str,
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
            stream_bytes_per_second_min: above
                .at_least("stream-min-rate", self.stream_min_rate, ceiling.stream_min_rate)
                .map(Bytes::get),
            outgoing: above.count("outgoing", self.outgoing, ceiling.outgoing, limits::FUNCTION_OUTGOING),
            log_bytes_per_second: above.bytes(
                "log-rate",
                self.log_rate,
                ceiling.log_rate,
                limits::FUNCTION_LOG_BYTES_PER_SECOND,
            ),
            table_elements_max: above.count(
                "table-elements",
                self.table_elements,
                ceiling.table_elements,
                limits::FUNCTION_TABLE_ELEMENTS,
            ),
            handles_max: above.count("handles", self.handles, ceiling.handles, limits::FUNCTION_HANDLES),
            host_call_bytes_max: above.bytes(
                "host-call",
                self.host_call,
                ceiling.host_call,
                limits::FUNCTION_HOST_CALL_BYTES,
            ),
        };
        if above.0.is_empty() { Ok(resolved) } else { Err(above.0) }
    }

    pub(crate) fn read(table: &mut Table<'_>) -> Option<Self> {
        Some(Self {
            memory: table.optional("memory"),
            cpu: table.optional("cpu"),
            wall: table.optional("wall"),
            request_body: table.optional("request-body"),
            concurrency: table.optional("concurrency"),
            stream_idle: table.optional("stream-idle"),
            stream_max: table.optional("stream-max"),
            stream_min_rate: table.optional("stream-min-rate"),
            outgoing: table.optional("outgoing"),
            log_rate: table.optional("log-rate"),
            table_elements: table.optional("table-elements"),
            handles: table.optional("handles"),
            host_call: table.optional("host-call"),
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
            self.note(key, &declared, &ceiling, "above");
        }
        declared
    }

    /// A rate that must be kept, where a higher one is the stricter limit.
    fn at_least(
        &mut self,
        key: &'static str,
        declared: Option<Bytes>,
        least: Option<Bytes>,
    ) -> Option<Bytes> {
        if let (Some(declared), Some(least)) = (declared, least)
            && declared < least
        {
            self.note(key, &declared, &least, "below");
        }
        declared.or(least)
    }

    fn note(&mut self, key: &'static str, declared: &dyn Display, ceiling: &dyn Display, side: &'static str) {
        let (declared, ceiling) = (declared.to_string(), ceiling.to_string());
        self.0.push(AboveCeiling { key, declared, ceiling, side });
    }
}
