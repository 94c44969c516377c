//! When calls are refused because an upstream keeps failing, as declared.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::Serialize;

use super::percent::Percent;
use crate::document::Table;
use crate::duration::Duration;
use crate::limits::HALF_OPEN_CALLS_MAX;

/// When calls are refused because the upstream keeps failing, and when it is tried again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CircuitBreaker {
    /// Whether there is one [default: true].
    pub enabled: Option<bool>,
    /// The time over which rates are taken [default: 10s].
    pub window: Option<Duration>,
    /// Calls in the window below which there is no rate [default: 20].
    pub minimum_calls: Option<NonZeroU32>,
    /// Share of failed calls that opens it [default: 50%].
    pub failure_rate: Option<Percent>,
    /// Failures in a row that open it while there are too few calls for a rate; 0 for never [default: 5].
    pub consecutive: Option<u32>,
    /// From when on an answer is slow [default: none is].
    pub slow_call: Option<Duration>,
    /// Share of slow calls that opens it, where `slow-call` is set [default: 80%].
    pub slow_rate: Option<Percent>,
    /// How long it stays open the first time; doubled each further time [default: 5s].
    pub open: Option<Duration>,
    /// The longest that it stays open [default: 60s].
    pub open_max: Option<Duration>,
    /// Calls that are let through to see whether the upstream is back [default: 1].
    #[schemars(range(min = 1, max = 1000))]
    pub half_open_calls: Option<NonZeroU32>,
}

impl CircuitBreaker {
    pub(crate) fn read(table: &mut Table<'_>) -> Option<Self> {
        let breaker = Self {
            enabled: table.optional("enabled"),
            window: table.optional("window"),
            minimum_calls: table.optional("minimum-calls"),
            failure_rate: table.optional("failure-rate"),
            consecutive: table.optional("consecutive"),
            slow_call: table.optional("slow-call"),
            slow_rate: table.optional("slow-rate"),
            open: table.optional("open"),
            open_max: table.optional("open-max"),
            half_open_calls: table.optional("half-open-calls"),
        };
        let positive = [("failure-rate", breaker.failure_rate), ("slow-rate", breaker.slow_rate)];
        for (key, _) in positive.iter().filter(|(_, share)| share.is_some_and(Percent::is_zero)) {
            table.problem_at(
                key,
                format!("`{key}` is zero"),
                "it is a share of the calls, from `1%` to `100%`",
            );
        }
        if breaker.slow_rate.is_some() && breaker.slow_call.is_none() {
            let message = "`slow-rate` says nothing without `slow-call`".to_owned();
            table.problem_at(
                "slow-rate",
                message,
                "say from when on a call is slow, as in `slow-call = \"1s\"`",
            );
        }
        if breaker.half_open_calls.is_some_and(|calls| calls.get() > HALF_OPEN_CALLS_MAX) {
            let message = format!("`half-open-calls` is more than {HALF_OPEN_CALLS_MAX}");
            table.problem_at("half-open-calls", message, "a few calls show whether the upstream is back");
        }
        let open = breaker.open.unwrap_or(crate::limits::BREAKER_OPEN);
        if breaker.open_max.is_some_and(|longest| longest < open) {
            table.problem_at("open-max", format!("`open-max` is less than `open`, {open}"), "");
        }
        Some(breaker)
    }
}
