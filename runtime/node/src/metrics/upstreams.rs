//! How calls to upstreams go. Read off their states when somebody asks; nothing is counted twice.

use super::outboxes::UpstreamLabels;
use crate::upstreams::{KnownUpstream, UpstreamId};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use rimward_upstream::breaker::Phase;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tokio::time::Instant;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    tenant: String,
    app: String,
    upstream: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReasonLabels {
    tenant: String,
    app: String,
    upstream: String,
    reason: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QuantileLabels {
    tenant: String,
    app: String,
    upstream: String,
    quantile: &'static str,
}

type Ratio = Gauge<f64, AtomicU64>;

/// Of the answers of the last half minute.
const QUANTILES: [(f64, &str); 3] = [(0.5, "0.5"), (0.95, "0.95"), (0.99, "0.99")];

#[derive(Default)]
pub(super) struct Upstreams {
    tries: Family<OutcomeLabels, Counter>,
    shed: Family<ReasonLabels, Counter>,
    retries: Family<UpstreamLabels, Counter>,
    budget_spent: Family<UpstreamLabels, Counter>,
    hedges: Family<UpstreamLabels, Counter>,
    hedges_won: Family<UpstreamLabels, Counter>,
    fallbacks: Family<UpstreamLabels, Counter>,
    injected: Family<UpstreamLabels, Counter>,
    cache_hits: Family<UpstreamLabels, Counter>,
    cache_misses: Family<UpstreamLabels, Counter>,
    cache_bytes: Family<UpstreamLabels, Gauge>,
    breaker: Family<UpstreamLabels, Gauge>,
    running: Family<UpstreamLabels, Gauge>,
    waiting: Family<UpstreamLabels, Gauge>,
    budget: Family<UpstreamLabels, Ratio>,
    latency: Family<QuantileLabels, Ratio>,
}

impl Upstreams {
    pub(super) fn register(&self, r: &mut Registry) {
        r.register("upstream_tries", "Tries of calls to an upstream, by outcome", self.tries.clone());
        let shed = "Calls to an upstream that were refused before they were tried, by reason";
        r.register("upstream_shed_calls", shed, self.shed.clone());
        r.register("upstream_retries", "Tries that followed a failed one", self.retries.clone());
        let spent = "Failed tries that none followed, because the retry budget was spent";
        r.register("upstream_retry_budget_spent", spent, self.budget_spent.clone());
        r.register("upstream_hedges", "Second tries beside slow ones", self.hedges.clone());
        r.register("upstream_hedges_won", "Second tries that answered first", self.hedges_won.clone());
        let fallbacks = "Calls that a fallback answered in the upstream's place";
        r.register("upstream_fallbacks", fallbacks, self.fallbacks.clone());
        let injected = "Tries that met a fault which was put there on purpose";
        r.register("upstream_injected_faults", injected, self.injected.clone());
        r.register("upstream_cache_hits", "Calls that the cache answered", self.cache_hits.clone());
        r.register("upstream_cache_misses", "Calls that it did not answer", self.cache_misses.clone());
        let kept = "What the kept answers of an upstream take in memory";
        r.register_with_unit("upstream_cache", kept, Unit::Bytes, self.cache_bytes.clone());
        let breaker = "The circuit breaker: 0 closed, 1 half open, 2 open";
        r.register("upstream_breaker", breaker, self.breaker.clone());
        r.register("upstream_running", "Calls to an upstream under way", self.running.clone());
        r.register("upstream_waiting", "Calls to an upstream that wait for their turn", self.waiting.clone());
        r.register("upstream_retry_budget", "How full the retry budget is, from 0 to 1", self.budget.clone());
        let latency = "How long answers took lately, until their head";
        r.register_with_unit("upstream_latency", latency, Unit::Seconds, self.latency.clone());
    }

    pub(super) fn set(&self, known: &KnownUpstream) {
        let KnownUpstream { tenant, app, name, state, tally, .. } = known;
        let id = UpstreamId { tenant: tenant.clone(), app: app.clone(), upstream: name.clone() };
        let labels = UpstreamLabels::of(&id);
        let (tenant, app, upstream) = (|| tenant.to_string(), || app.to_string(), || name.to_string());
        for (outcome, count) in tally.tries() {
            let labels = OutcomeLabels { tenant: tenant(), app: app(), upstream: upstream(), outcome };
            self.tries.get_or_create(&labels).inner().store(count, Relaxed);
        }
        for (reason, count) in tally.shed() {
            let labels = ReasonLabels { tenant: tenant(), app: app(), upstream: upstream(), reason };
            self.shed.get_or_create(&labels).inner().store(count, Relaxed);
        }
        let counter = |counters: &Family<UpstreamLabels, Counter>, count: u64| {
            counters.get_or_create(&labels).inner().store(count, Relaxed);
        };
        counter(&self.retries, tally.retries());
        counter(&self.budget_spent, tally.budget_spent());
        counter(&self.hedges, tally.hedges());
        counter(&self.hedges_won, tally.hedges_won());
        counter(&self.fallbacks, tally.fallbacks());
        counter(&self.injected, tally.injected());
        if let Some(cache) = state.cache() {
            let (hits, misses) = tally.cache();
            counter(&self.cache_hits, hits);
            counter(&self.cache_misses, misses);
            let bytes = i64::try_from(cache.size().1).unwrap_or(i64::MAX);
            self.cache_bytes.get_or_create(&labels).set(bytes);
        }
        let now = Instant::now();
        self.breaker.get_or_create(&labels).set(match state.breaker().phase(now) {
            Phase::Closed => 0,
            Phase::HalfOpen => 1,
            Phase::Open => 2,
        });
        self.running.get_or_create(&labels).set(state.bulkhead().taken().into());
        self.waiting.get_or_create(&labels).set(state.bulkhead().waiting().into());
        self.budget.get_or_create(&labels).set(state.retries().level());
        for (share, quantile) in QUANTILES {
            let labels = QuantileLabels { tenant: tenant(), app: app(), upstream: upstream(), quantile };
            let latency = state.latency().percentile(share, 1, now);
            self.latency.get_or_create(&labels).set(latency.map_or(0.0, |took| took.as_secs_f64()));
        }
    }
}
