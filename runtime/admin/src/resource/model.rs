//! Models, as the admin API shows them.

use rimward_inference::place::Side;
use rimward_inference::{Comparison as NodeComparison, Measured as NodeMeasured, Mode, Signature};
use rimward_node::{KnownModel, ModelProtocol};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;
use utoipa::ToSchema;

/// The models of the apps that serve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Models {
    /// By tenant, app and name.
    pub models: Vec<Model>,
}

/// A model, and how its calls go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Model {
    /// Its full name: tenant, app and model.
    pub id: String,
    /// What the two sides are for: `hedge`, `fallback` or `escalate`; absent where there is one side.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// How long a call may take, milliseconds, where the model says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_ms: Option<u64>,
    /// The model on the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<LocalModel>,
    /// The model in the cloud.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<RemoteModel>,
    /// The side whose answers are wanted as things are, where there are two: `remote` while the cloud is in time, else `local`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen: Option<String>,
    /// Calls that were answered since the node started, by side and reason: `remote in-time`.
    pub answers: BTreeMap<String, u64>,
    /// Calls that were not, by kind.
    pub errors: BTreeMap<String, u64>,
}

/// The side on the node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct LocalModel {
    /// Its file in the app.
    pub file: String,
    /// What it takes: `x: FP32 [-1, 3]`.
    pub inputs: Vec<String>,
    /// What it gives.
    pub outputs: Vec<String>,
    /// How long its answers took lately; absent without answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<super::Latency>,
}

/// The side in the cloud.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct RemoteModel {
    /// The upstream.
    pub upstream: String,
    /// Its name there.
    pub model: String,
    /// How it is spoken to: `oip-http` or `oip-grpc`.
    pub protocol: String,
    /// How long its answers took lately; absent without answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<super::Latency>,
}

/// How long each side of a model takes, and what would be decided from that.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Comparison {
    /// The model's full name.
    pub id: String,
    /// What the two sides are for; absent where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<String>,
    /// Bytes of the inputs of a call. They are zeros; dimensions of any size have one element.
    pub bytes: u64,
    /// How long a call may take, milliseconds.
    pub deadline_ms: u64,
    /// The model on the node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub local: Option<Measured>,
    /// The model in the cloud.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<Measured>,
    /// Where the next call would go, where there are two sides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
}

/// What came of calls of one side.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Measured {
    /// Calls that were answered.
    pub answered: u32,
    /// Calls that were not.
    pub failed: u32,
    /// Why the last of those was not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How long the answered ones took; absent without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<super::Latency>,
}

/// Where a call would go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Decision {
    /// Whose answer is wanted: `local` or `remote`.
    pub first: String,
    /// Why.
    pub reason: String,
    /// After how many milliseconds the other side is asked too, if there is no answer yet; absent for never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub other_after_ms: Option<f64>,
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn latency(percentile: impl Fn(f64) -> Option<Duration>) -> Option<super::Latency> {
    let percentile = |share| percentile(share).map(ms);
    Some(super::Latency { p50_ms: percentile(0.5)?, p95_ms: percentile(0.95)?, p99_ms: percentile(0.99)? })
}

fn ports(signature: &Signature) -> [Vec<String>; 2] {
    [&signature.inputs, &signature.outputs].map(|ports| {
        let port = |port: &rimward_inference::Port| {
            let size = |size: &Option<u64>| size.map_or("-1".to_owned(), |size| size.to_string());
            let shape =
                port.shape.as_ref().map(|shape| shape.iter().map(size).collect::<Vec<_>>().join(", "));
            format!("{}: {} [{}]", port.name, port.datatype, shape.as_deref().unwrap_or("..."))
        };
        ports.iter().map(port).collect()
    })
}

/// What a model's two sides are for.
fn mode(model: &rimward_inference::Model) -> Option<String> {
    let has_both = model.local_signature().is_some() && model.remote.is_some();
    let mode = match model.mode {
        Mode::Hedge => "hedge",
        Mode::Fallback => "fallback",
        Mode::Escalate => "escalate",
    };
    has_both.then(|| mode.to_owned())
}

impl From<KnownModel> for Model {
    fn from(known: KnownModel) -> Self {
        let KnownModel { tenant, app, name, declared, model } = known;
        let now = Instant::now();
        let of_side = |side| latency(|share| model.latency(side, share, now));
        let local = declared.local.as_ref().zip(model.local_signature()).map(|(local, signature)| {
            let [inputs, outputs] = ports(signature);
            LocalModel { file: local.file.to_string(), inputs, outputs, latency: of_side(Side::Local) }
        });
        let remote = declared.remote.as_ref().filter(|_| model.remote.is_some()).map(|remote| RemoteModel {
            upstream: remote.upstream.to_string(),
            model: remote.model.clone().unwrap_or_else(|| name.to_string()),
            protocol: match remote.protocol {
                ModelProtocol::OipHttp => "oip-http".to_owned(),
                ModelProtocol::OipGrpc => "oip-grpc".to_owned(),
            },
            latency: of_side(Side::Remote),
        });
        let mode = mode(&model);
        let answers = model.tally.answers().filter(|(.., count)| *count > 0);
        Self {
            id: format!("{tenant}/{app}/{name}"),
            chosen: mode.as_ref().map(|_| model.chosen().to_string()),
            mode,
            deadline_ms: model
                .deadline
                .map(|deadline| u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX)),
            local,
            remote,
            answers: answers.map(|(side, reason, count)| (format!("{side} {reason}"), count)).collect(),
            errors: model
                .tally
                .errors()
                .filter(|(_, count)| *count > 0)
                .map(|(kind, count)| (kind.to_owned(), count))
                .collect(),
        }
    }
}

impl Comparison {
    pub(crate) fn of(known: &KnownModel, comparison: NodeComparison) -> Self {
        let NodeComparison { local, remote, decision, bytes, deadline } = comparison;
        let KnownModel { tenant, app, name, model, .. } = known;
        Self {
            id: format!("{tenant}/{app}/{name}"),
            mode: mode(model),
            bytes,
            deadline_ms: u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX),
            local: local.map(Measured::from),
            remote: remote.map(Measured::from),
            decision: decision.map(|decision| Decision {
                first: decision.first.to_string(),
                reason: decision.reason.to_string(),
                other_after_ms: decision.other_after.map(ms),
            }),
        }
    }
}

impl From<NodeMeasured> for Measured {
    fn from(measured: NodeMeasured) -> Self {
        Self {
            answered: u32::try_from(measured.took.len()).unwrap_or(u32::MAX),
            failed: measured.failed,
            latency: latency(|share| measured.percentile(share)),
            error: measured.error.map(|error| error.to_string()),
        }
    }
}
