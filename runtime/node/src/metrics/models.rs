//! How calls of models go. Read off their tallies when somebody asks; nothing is counted twice.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use rimward_inference::Model;
use rimward_inference::place::Side;
use rimward_manifest::Name;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tokio::time::Instant;

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AnswerLabels {
    tenant: String,
    app: String,
    model: String,
    side: String,
    reason: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SideLabels {
    tenant: String,
    app: String,
    model: String,
    side: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ErrorLabels {
    tenant: String,
    app: String,
    model: String,
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QuantileLabels {
    tenant: String,
    app: String,
    model: String,
    side: String,
    quantile: &'static str,
}

type Ratio = Gauge<f64, AtomicU64>;

/// Of the calls of the last half minute.
const QUANTILES: [(f64, &str); 3] = [(0.5, "0.5"), (0.95, "0.95"), (0.99, "0.99")];

#[derive(Default)]
pub(super) struct Models {
    answers: Family<AnswerLabels, Counter>,
    instead: Family<SideLabels, Counter>,
    errors: Family<ErrorLabels, Counter>,
    latency: Family<QuantileLabels, Ratio>,
    call_memory_used: Gauge,
    call_memory_max: Gauge,
}

impl Models {
    pub(super) fn register(&self, r: &mut Registry) {
        let answers = "Calls of a model that were answered, by the side that did and why it was asked first";
        r.register("model_answers", answers, self.answers.clone());
        let instead = "Calls that a side answered although the other one was asked first";
        r.register("model_answers_instead", instead, self.instead.clone());
        r.register("model_errors", "Calls of a model that were not answered, by kind", self.errors.clone());
        let latency = "How long each side of a model took lately";
        r.register_with_unit("model_latency", latency, Unit::Seconds, self.latency.clone());
        let used = "What calls of models under way hold now";
        r.register_with_unit("model_call_memory_used", used, Unit::Bytes, self.call_memory_used.clone());
        let max = "What they may hold together";
        r.register_with_unit("model_call_memory_max", max, Unit::Bytes, self.call_memory_max.clone());
    }

    pub(super) fn set(&self, tenant: &Name, app: &Name, model: &Model) {
        let (tenant, app, name) = (|| tenant.to_string(), || app.to_string(), || model.name.clone());
        for (side, reason, count) in model.tally.answers().filter(|(.., count)| *count > 0) {
            let side = side.to_string();
            let labels = AnswerLabels { tenant: tenant(), app: app(), model: name(), side, reason };
            self.answers.get_or_create(&labels).inner().store(count, Relaxed);
        }
        for (side, count) in model.tally.instead() {
            let labels = SideLabels { tenant: tenant(), app: app(), model: name(), side: side.to_string() };
            self.instead.get_or_create(&labels).inner().store(count, Relaxed);
        }
        for (kind, count) in model.tally.errors() {
            let labels = ErrorLabels { tenant: tenant(), app: app(), model: name(), kind };
            self.errors.get_or_create(&labels).inner().store(count, Relaxed);
        }
        let now = Instant::now();
        for side in [Side::Local, Side::Remote] {
            for (share, quantile) in QUANTILES {
                let side_label = side.to_string();
                let labels = QuantileLabels {
                    tenant: tenant(),
                    app: app(),
                    model: name(),
                    side: side_label,
                    quantile,
                };
                let latency = model.latency(side, share, now);
                self.latency.get_or_create(&labels).set(latency.map_or(0.0, |took| took.as_secs_f64()));
            }
        }
    }

    pub(super) fn memory(&self, used: u64, max: u64) {
        self.call_memory_used.set(i64::try_from(used).unwrap_or(i64::MAX));
        self.call_memory_max.set(i64::try_from(max).unwrap_or(i64::MAX));
    }
}
