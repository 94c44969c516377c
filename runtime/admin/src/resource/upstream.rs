//! Upstreams, as the admin API shows them.

use rimward_node::{KnownUpstream, upstream::breaker};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};
use tokio::time::Instant;
use utoipa::ToSchema;

/// The upstreams of the apps that serve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Upstreams {
    /// By tenant, app and name.
    pub upstreams: Vec<Upstream>,
}

/// A service outside the node, as its calls find it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Upstream {
    /// Its full name: tenant, app and upstream.
    pub id: String,
    /// Where it is.
    pub url: String,
    /// Its circuit breaker.
    pub breaker: Breaker,
    /// Calls under way.
    pub running: u32,
    /// Calls that wait for their turn.
    pub waiting: u32,
    /// Calls that may be under way at once now.
    pub limit: u32,
    /// How full the budget for retries is, from 0 to 1.
    pub retry_budget: f64,
    /// How long answers took lately, until their head, in milliseconds; absent without answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// Tries since the node started, by how they ended.
    pub tries: BTreeMap<String, u64>,
    /// Calls that were refused before they were tried, by reason.
    pub shed: BTreeMap<String, u64>,
    /// Tries that followed a failed one.
    pub retries: u64,
    /// Second tries beside slow ones.
    pub hedges: u64,
    /// Its places, where it has several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub endpoints: Vec<Endpoint>,
    /// Calls that a fallback answered.
    #[serde(default)]
    pub fallbacks: u64,
    /// Its cache, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<UpstreamCache>,
    /// Tries that met a fault which was put there on purpose.
    #[serde(default)]
    pub injected_faults: u64,
}

/// One of several places of an upstream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Endpoint {
    /// Where it is.
    pub url: String,
    /// Whether it is not used for a while, because it kept failing.
    pub ejected: bool,
    /// What its health checks say; true without checks.
    pub healthy: bool,
    /// Tries under way.
    pub in_flight: u32,
    /// What an answer takes there, about, in milliseconds; absent before the first one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<f64>,
}

/// The kept answers of an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct UpstreamCache {
    /// How many URIs have some.
    pub answers: u64,
    /// What they take in memory.
    pub bytes: u64,
    /// Calls that they answered.
    pub hits: u64,
    /// Calls that they did not.
    pub misses: u64,
}

/// Percentiles, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Latency {
    /// Half of the answers came within this.
    pub p50_ms: f64,
    /// 95 of a hundred.
    pub p95_ms: f64,
    /// 99 of a hundred.
    pub p99_ms: f64,
}

/// A circuit breaker, at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Breaker {
    /// What it does with calls.
    pub state: BreakerState,
    /// What an operator made of it; absent where it decides for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forced: Option<ForcedBreaker>,
    /// When it lets a call through again, in milliseconds; only while it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opens_in_ms: Option<u64>,
    /// Tries that ended within its window.
    pub calls: u32,
    /// Those that failed.
    pub failures: u32,
    /// Those that were slow.
    pub slow: u32,
    /// Its last changes, the oldest first.
    pub history: Vec<BreakerChange>,
}

/// What a circuit breaker does with calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum BreakerState {
    /// Lets them through.
    Closed,
    /// Lets a few through, to see.
    HalfOpen,
    /// Refuses them.
    Open,
}

/// What an operator makes of a circuit breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ForcedBreaker {
    /// Everything is refused.
    Open,
    /// Everything is let through.
    Closed,
}

/// A change of a circuit breaker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct BreakerChange {
    /// When, in milliseconds since 1970.
    pub at_ms: u64,
    /// What it was.
    pub from: BreakerState,
    /// What it became.
    pub to: BreakerState,
    /// Why, for people.
    pub reason: String,
}

impl From<breaker::Phase> for BreakerState {
    fn from(phase: breaker::Phase) -> Self {
        match phase {
            breaker::Phase::Closed => Self::Closed,
            breaker::Phase::HalfOpen => Self::HalfOpen,
            breaker::Phase::Open => Self::Open,
        }
    }
}

impl From<KnownUpstream> for Upstream {
    fn from(known: KnownUpstream) -> Self {
        let KnownUpstream { tenant, app, name, url, state, tally } = known;
        let now = Instant::now();
        let percentile =
            |share| state.latency().percentile(share, 1, now).map(|took| took.as_secs_f64() * 1e3);
        let latency = || {
            Some(Latency { p50_ms: percentile(0.5)?, p95_ms: percentile(0.95)?, p99_ms: percentile(0.99)? })
        };
        let counts = |counts: &mut dyn Iterator<Item = (&'static str, u64)>| {
            counts.map(|(name, count)| (name.to_owned(), count)).collect()
        };
        Self {
            id: format!("{tenant}/{app}/{name}"),
            url,
            breaker: Breaker::of(state.breaker(), now),
            running: state.bulkhead().taken(),
            waiting: state.bulkhead().waiting(),
            limit: state.bulkhead().limit(),
            retry_budget: state.retries().level(),
            latency: latency(),
            tries: counts(&mut tally.tries()),
            shed: counts(&mut tally.shed()),
            retries: tally.retries(),
            hedges: tally.hedges(),
            endpoints: state.endpoints().seen(now).into_iter().map(Endpoint::from).collect(),
            fallbacks: tally.fallbacks(),
            cache: state.cache().map(|cache| {
                let ((answers, bytes), (hits, misses)) = (cache.size(), tally.cache());
                UpstreamCache { answers: answers as u64, bytes, hits, misses }
            }),
            injected_faults: tally.injected(),
        }
    }
}

impl From<rimward_node::upstream::endpoints::Seen> for Endpoint {
    fn from(seen: rimward_node::upstream::endpoints::Seen) -> Self {
        Self {
            url: seen.url.into(),
            ejected: seen.is_ejected,
            healthy: seen.is_healthy,
            in_flight: seen.in_flight,
            latency_ms: seen.latency.map(|took| took.as_secs_f64() * 1e3),
        }
    }
}

impl Breaker {
    fn of(breaker: &breaker::Breaker, now: Instant) -> Self {
        let phase = breaker.phase(now);
        let until = breaker.opens_until().filter(|_| phase == breaker::Phase::Open);
        let in_window = breaker.counts(now);
        Self {
            state: phase.into(),
            forced: match breaker.forced() {
                breaker::Forced::No => None,
                breaker::Forced::Open => Some(ForcedBreaker::Open),
                breaker::Forced::Closed => Some(ForcedBreaker::Closed),
            },
            opens_in_ms: until.map(|until| millis(until.saturating_duration_since(now))),
            calls: in_window.calls,
            failures: in_window.failures,
            slow: in_window.slow,
            history: breaker.history().into_iter().map(BreakerChange::from).collect(),
        }
    }
}

impl From<breaker::Change> for BreakerChange {
    fn from(change: breaker::Change) -> Self {
        Self {
            at_ms: millis(change.at.duration_since(UNIX_EPOCH).unwrap_or_default()),
            from: change.from.into(),
            to: change.to.into(),
            reason: change.reason.to_string(),
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
