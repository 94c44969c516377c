//! How many calls to an upstream are under way at a time, as declared.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::Serialize;

use crate::document::Table;
use crate::duration::Duration;

/// How many calls are under way at a time, and how many wait for their turn.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Bulkhead {
    /// Calls at a time, until their answers have been read [default: 256].
    pub concurrent: Option<NonZeroU32>,
    /// Calls that may wait for their turn [default: 256].
    pub queue: Option<u32>,
    /// How long one may wait [default: 100ms].
    pub queue_wait: Option<Duration>,
    /// Lets the number of calls at a time follow what the upstream bears, between this and `concurrent`
    /// [default: it does not].
    pub adaptive_min: Option<NonZeroU32>,
}

impl Bulkhead {
    pub(crate) fn read(table: &mut Table<'_>) -> Option<Self> {
        let bulkhead = Self {
            concurrent: table.optional("concurrent"),
            queue: table.optional("queue"),
            queue_wait: table.optional("queue-wait"),
            adaptive_min: table.optional("adaptive-min"),
        };
        let most = bulkhead.concurrent.unwrap_or(crate::limits::BULKHEAD_CONCURRENT);
        if bulkhead.adaptive_min.is_some_and(|least| least > most) {
            table.problem_at("adaptive-min", format!("`adaptive-min` is more than `concurrent`, {most}"), "");
        }
        Some(bulkhead)
    }
}
