//! A named model: what answers for it on the node and in the cloud, and when.

use std::fmt;

use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use toml::de::DeValue;

use crate::document::Table;
use crate::duration::Duration;
use crate::name::Name;
use crate::path::AppPath;
use crate::scalar::{Scalar, Trouble, choice, expected};

/// A model that functions ask by its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Model {
    /// Where it is answered: on both sides by policy where it has both, and else on the one that it has.
    pub place: Option<ModelPlace>,
    /// What the two sides are for, with `auto`: `escalate` where there is a `min-confidence`, else `hedge`.
    pub mode: Option<ModelMode>,
    /// How long a call may take; the function's own time bounds it too.
    pub deadline: Option<Duration>,
    /// Below it an answer of the node is escalated.
    pub min_confidence: Option<Confidence>,
    /// How confidence is computed; `maximum` by default.
    pub confidence: Option<ConfidenceRule>,
    /// Of which output; the first one by default.
    pub confidence_output: Option<String>,
    /// Whether inputs may be infinite or no numbers.
    #[serde(default)]
    pub allow_non_finite: bool,
    /// The model in the cloud.
    pub remote: Option<RemoteModel>,
    /// The model on the node.
    pub local: Option<LocalModel>,
}

/// Where a model is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ModelPlace {
    /// On the node.
    Local,
    /// In the cloud.
    Remote,
    /// Where it is answered in time.
    Auto,
}

/// What the two sides of a model are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ModelMode {
    /// The cloud, and the node begins so that the deadline holds.
    Hedge,
    /// The cloud, and the node where it fails.
    Fallback,
    /// The node, and the cloud where the node is not sure.
    Escalate,
}

/// How confidence is computed from an output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ConfidenceRule {
    /// The largest of the probabilities.
    Maximum,
    /// The largest of the probabilities that the softmax of the output is.
    Softmax,
    /// By how much the largest probability is above the second.
    Margin,
    /// One, less the entropy as a part of the most that it could be.
    Entropy,
    /// The output is the number.
    Value,
}

/// A model behind an upstream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RemoteModel {
    /// The upstream.
    pub upstream: Name,
    /// Its name there; the same by default.
    pub model: Option<String>,
    /// Its version there; what the server chooses by default.
    pub version: Option<String>,
    /// How the server is spoken to.
    #[serde(default)]
    pub protocol: ModelProtocol,
    /// Whether tensors are sent as they are, and not as JSON; the server is asked by default.
    pub binary: Option<bool>,
}

/// How a model server is spoken to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ModelProtocol {
    /// The Open Inference Protocol, version 2, over HTTP.
    #[default]
    OipHttp,
    /// The same over gRPC.
    OipGrpc,
}

/// A model on the node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct LocalModel {
    /// An ONNX file in the app's folder.
    pub file: AppPath,
}

/// A number from 0 to 1, in millionths.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Confidence(u32);

impl Confidence {
    /// The number.
    #[must_use]
    pub fn get(self) -> f64 {
        f64::from(self.0) / 1e6
    }
}

impl Model {
    /// The place, by what is declared.
    #[must_use]
    pub fn place(&self) -> ModelPlace {
        self.place.unwrap_or(match (&self.local, &self.remote) {
            (Some(_), Some(_)) => ModelPlace::Auto,
            (Some(_), None) => ModelPlace::Local,
            (None, _) => ModelPlace::Remote,
        })
    }

    /// The mode, by what is declared.
    #[must_use]
    pub fn mode(&self) -> ModelMode {
        self.mode.unwrap_or(match self.min_confidence {
            Some(_) => ModelMode::Escalate,
            None => ModelMode::Hedge,
        })
    }

    /// `upstreams` are those of the app.
    pub(crate) fn read(table: &mut Table<'_>, upstreams: &[&str]) -> Option<Self> {
        let model = Self {
            place: table.optional("place"),
            mode: table.optional("mode"),
            deadline: table.optional("deadline"),
            min_confidence: table.optional("min-confidence"),
            confidence: table.optional("confidence"),
            confidence_output: table.optional("confidence-output"),
            allow_non_finite: table.optional("allow-non-finite").unwrap_or_default(),
            remote: table.table("remote", |table| RemoteModel::read(table, upstreams)),
            local: table.table("local", |table| Some(LocalModel { file: table.required("file")? })),
        };
        // What could not be read has a problem of its own.
        let (has_local, has_remote) = (table.has("local"), table.has("remote"));
        if !has_local && !has_remote {
            return table.missing(
                "local` or `remote",
                "a model is a file of the app, or behind an upstream, or both",
            );
        }
        let needs = match model.place {
            Some(ModelPlace::Local | ModelPlace::Auto) if !has_local => Some("local"),
            Some(ModelPlace::Remote | ModelPlace::Auto) if !has_remote => Some("remote"),
            _ => None,
        };
        if let Some(side) = needs {
            let message = format!("the model has no `{side}`, which this place needs");
            table.problem_at("place", message, "declare it, or leave `place` out");
        }
        let has_both =
            has_local && has_remote && !matches!(model.place, Some(ModelPlace::Local | ModelPlace::Remote));
        for key in ["mode", "min-confidence"] {
            if table.has(key) && !has_both {
                let message = format!("`{key}` is for a model that is answered on both sides");
                table.problem_at(
                    key,
                    message,
                    "declare `local` and `remote`, and no other place than `auto`",
                );
            }
        }
        let is_unused = model.mode == Some(ModelMode::Escalate) && model.min_confidence.is_none();
        if is_unused {
            let hint = "name the `min-confidence` below which an answer is escalated";
            table.problem_at("mode", "nothing says when to escalate".into(), hint);
        }
        Some(model)
    }
}

impl RemoteModel {
    fn read(table: &mut Table<'_>, upstreams: &[&str]) -> Option<Self> {
        let upstream = table.required_reference("upstream", "upstream", upstreams);
        let remote = Self {
            model: table.optional("model"),
            version: table.optional("version"),
            protocol: table.optional("protocol").unwrap_or_default(),
            binary: table.optional("binary"),
            upstream: upstream?,
        };
        for (key, name) in [("model", &remote.model), ("version", &remote.version)] {
            if name.as_ref().is_some_and(String::is_empty) {
                table.problem_at(key, format!("`{key}` is empty"), "leave it out");
            }
        }
        if remote.binary.is_some() && remote.protocol == ModelProtocol::OipGrpc {
            let why = "over gRPC tensors are always sent as they are".to_owned();
            table.problem_at("binary", why, "leave it out");
        }
        Some(remote)
    }
}

impl Scalar for ModelPlace {
    fn scalar(value: &DeValue<'_>) -> Result<Self, Trouble> {
        choice(value, &[("local", Self::Local), ("remote", Self::Remote), ("auto", Self::Auto)])
    }
}

impl Scalar for ModelMode {
    fn scalar(value: &DeValue<'_>) -> Result<Self, Trouble> {
        choice(value, &[("hedge", Self::Hedge), ("fallback", Self::Fallback), ("escalate", Self::Escalate)])
    }
}

impl Scalar for ConfidenceRule {
    fn scalar(value: &DeValue<'_>) -> Result<Self, Trouble> {
        let rules = [
            ("maximum", Self::Maximum),
            ("softmax", Self::Softmax),
            ("margin", Self::Margin),
            ("entropy", Self::Entropy),
            ("value", Self::Value),
        ];
        choice(value, &rules)
    }
}

impl Scalar for ModelProtocol {
    fn scalar(value: &DeValue<'_>) -> Result<Self, Trouble> {
        choice(value, &[("oip-http", Self::OipHttp), ("oip-grpc", Self::OipGrpc)])
    }
}

impl Scalar for Confidence {
    const HINT: &'static str = "a number from 0 to 1, as in `0.7`";

    fn scalar(value: &DeValue<'_>) -> Result<Self, Trouble> {
        let text = match value {
            DeValue::Float(number) => number.as_str().to_owned(),
            DeValue::Integer(number) if number.radix() == 10 => number.as_str().to_owned(),
            other => return Err(expected("a number", other)),
        };
        let number = text.parse::<f64>().ok().filter(|number| (0.0..=1.0).contains(number));
        let number = number.ok_or_else(|| Trouble::new(format!("`{text}` is not between 0 and 1")))?;
        Ok(Self((number * 1e6).round() as u32))
    }
}

impl fmt::Display for Confidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.get().fmt(f)
    }
}

impl Serialize for Confidence {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.get())
    }
}

impl JsonSchema for Confidence {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Confidence".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "number", "minimum": 0, "maximum": 1 })
    }
}
