//! What the outboxes hold and what became of their calls. Read off them when somebody asks; nothing is counted twice.

use crate::upstreams::UpstreamId;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use rimward_upstream::outbox::Counts;
use std::sync::atomic::Ordering::Relaxed;

/// Which upstream.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct UpstreamLabels {
    tenant: String,
    app: String,
    upstream: String,
}

impl UpstreamLabels {
    pub(super) fn of(id: &UpstreamId) -> Self {
        Self { tenant: id.tenant.to_string(), app: id.app.to_string(), upstream: id.upstream.to_string() }
    }
}

type Gauges = Family<UpstreamLabels, Gauge>;
type Counters = Family<UpstreamLabels, Counter>;

#[derive(Default)]
pub(super) struct Outboxes {
    waiting: Gauges,
    bytes: Gauges,
    oldest: Gauges,
    dead: Gauges,
    is_shut: Gauges,
    deferred: Counters,
    delivered: Counters,
    died: Counters,
    dropped: Counters,
    buried: Counters,
    refused: Counters,
    failures: Counters,
    damaged: Counters,
}

impl Outboxes {
    pub(super) fn register(&self, r: &mut Registry) {
        r.register("outbox_waiting_calls", "Deferred calls that wait", self.waiting.clone());
        let bytes = "What waiting calls take of their outbox";
        r.register_with_unit("outbox_waiting", bytes, Unit::Bytes, self.bytes.clone());
        let oldest = "How long the oldest waiting call has waited";
        r.register_with_unit("outbox_oldest", oldest, Unit::Seconds, self.oldest.clone());
        r.register(
            "outbox_dead_calls",
            "Calls that are not delivered any more, and are kept",
            self.dead.clone(),
        );
        let is_shut = "1 where the outbox refuses calls because its file cannot be used";
        r.register("outbox_is_shut", is_shut, self.is_shut.clone());
        r.register("outbox_deferred_calls", "Calls that were accepted", self.deferred.clone());
        r.register("outbox_delivered_calls", "Calls that the upstream took", self.delivered.clone());
        r.register("outbox_died_calls", "Calls that came to their end undelivered", self.died.clone());
        let dropped = "Waiting calls that made room for others, or that were taken back";
        r.register("outbox_dropped_calls", dropped, self.dropped.clone());
        let buried = "Dead calls that were too old or too many to be kept";
        r.register("outbox_buried_calls", buried, self.buried.clone());
        let refused = "Calls that were not accepted: no room, too large, or the disk failed";
        r.register("outbox_refused_calls", refused, self.refused.clone());
        r.register("outbox_failures", "Failures of an outbox's disk or file", self.failures.clone());
        r.register("outbox_damaged", "Files that were damaged and set aside", self.damaged.clone());
    }

    pub(super) fn set(&self, id: &UpstreamId, counts: &Counts, is_shut: bool) {
        let labels = UpstreamLabels::of(id);
        let gauge = |gauges: &Gauges, value: u64| {
            gauges.get_or_create(&labels).set(i64::try_from(value).unwrap_or(i64::MAX));
        };
        gauge(&self.waiting, counts.waiting);
        gauge(&self.bytes, counts.bytes);
        gauge(&self.oldest, counts.oldest_ms / 1000);
        gauge(&self.dead, counts.dead);
        gauge(&self.is_shut, is_shut.into());
        let counter = |counters: &Counters, value: u64| {
            counters.get_or_create(&labels).inner().store(value, Relaxed);
        };
        counter(&self.deferred, counts.deferred);
        counter(&self.delivered, counts.delivered);
        counter(&self.died, counts.died);
        counter(&self.dropped, counts.dropped);
        counter(&self.buried, counts.buried);
        counter(&self.refused, counts.refused);
        counter(&self.failures, counts.failures);
        counter(&self.damaged, counts.damaged);
    }
}
