//! Models that rimward.toml declares and grants with the function's `models`. The node decides for each call whether its own
//! model answers or the one in the cloud; the [`Answer`] says which it was. Spoken is the Open Inference Protocol, version
//! 2, over HTTP, with tensors as they are in memory.

mod error;
mod message;
mod tensor;

use std::time::Duration;

use http::{HeaderMap, StatusCode};

use crate::limits::ANSWER_BYTES_MAX;
use crate::{Bytes, Response, call};

pub use error::ModelError;
pub use tensor::{Datatype, Element, NamedTensor, ShapeError, Tensor};

#[cfg(not(target_family = "wasm"))]
pub(crate) use message::{Asked, HEAD_BYTES};

/// Which side answered, why, and how sure it is.
pub(crate) const TOLD: &str = "rimward-model";

/// The model of this name.
///
/// ```
/// use rimward_sdk::model::{NamedTensor, Side, Tensor, model};
/// use rimward_sdk::{Json, Result};
///
/// async fn classify(Json(pixels): Json<Vec<f32>>) -> Result<String> {
///     let x = Tensor::<f32>::from_shape([1, pixels.len()], pixels)?;
///     let answer = model("classifier").run([x.named("x")]).await?;
///     let class = answer.tensor::<f32>("probabilities")?.largest().unwrap_or(0);
///     Ok(format!("class {class}, says the {:?} model", answer.side()))
/// }
///
/// // In a test, a model is a closure.
/// use rimward_sdk::test::{Host, post};
/// let host = Host::new().model("classifier", |_| {
///     let probabilities = Tensor::from_shape([1, 3], vec![0.1_f32, 0.7, 0.2]).unwrap();
///     Ok(vec![probabilities.named("probabilities")])
/// });
/// assert_eq!(host.run(classify, post("/", "[0, 1]")).text(), "class 1, says the Local model");
/// ```
pub fn model(name: &str) -> Model {
    Model { name: name.to_owned(), outputs: Vec::new(), timeout: None }
}

/// A call of a model on its way.
#[derive(Debug, Clone)]
#[must_use = "a model answers nothing until it is run"]
pub struct Model {
    name: String,
    outputs: Vec<String>,
    timeout: Option<Duration>,
}

impl Model {
    /// Asks for these outputs only. Without it all of them come.
    pub fn outputs<I: Into<String>>(self, names: impl IntoIterator<Item = I>) -> Self {
        Self { outputs: names.into_iter().map(Into::into).collect(), ..self }
    }

    /// How long the function waits. It can only be shorter than the model's `deadline` and the function's `wall`.
    pub fn timeout(self, time: Duration) -> Self {
        Self { timeout: Some(time), ..self }
    }

    /// Asks, and waits for the whole answer. Dropping the future gives the call up.
    pub async fn run(self, inputs: impl IntoIterator<Item = NamedTensor>) -> Result<Answer, ModelError> {
        let inputs: Vec<NamedTensor> = inputs.into_iter().collect();
        let (head_bytes, body) = message::request(&inputs, &self.outputs);
        let call = call::model_host(&self.name).post(&format!("/v2/models/{}/infer", self.name));
        let call = call.header(message::HEAD_BYTES, head_bytes).body(body);
        let call = match self.timeout {
            Some(time) => call.timeout(time),
            None => call,
        };
        let (head, body) = call.send().await?.into_parts();
        let body = body.bytes_up_to(ANSWER_BYTES_MAX).await?;
        if head.status != StatusCode::OK {
            return Err(ModelError::of(head.status, &body));
        }
        let outputs = message::answer(&head.headers, body).map_err(ModelError::Answer)?;
        Ok(Answer { outputs, ..Answer::told(&head.headers) })
    }

    /// Whether a call can be answered now: the model is on the node, or its server says that it is ready.
    pub async fn is_ready(&self) -> Result<bool, ModelError> {
        let path = format!("/v2/models/{}/ready", self.name);
        let answer: Response = call::model_host(&self.name).get(&path).send().await?;
        Ok(answer.status() == StatusCode::OK)
    }
}

/// Which of a model's two sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The model on the node.
    Local,
    /// The model in the cloud.
    Remote,
}

/// What a model said, and how the answer came about.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    side: Side,
    instead_of: Option<Side>,
    confidence: Option<f64>,
    reason: Option<String>,
    outputs: Vec<NamedTensor>,
}

impl Answer {
    /// Who answered.
    pub fn side(&self) -> Side {
        self.side
    }

    /// The side that was asked first and did not answer, if there is one.
    pub fn instead_of(&self) -> Option<Side> {
        self.instead_of
    }

    /// How sure the node's model is of its answer, by the model's `confidence`; nothing where none is computed, and where
    /// the cloud answered.
    pub fn confidence(&self) -> Option<f64> {
        self.confidence
    }

    /// Why the node began with the side that it began with: `in-time`, `late`, `breaker-open`, `too-short`, `probe`,
    /// `unknown`. Nothing where it had no choice.
    pub fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// All outputs, in the model's order.
    pub fn outputs(&self) -> &[NamedTensor] {
        &self.outputs
    }

    /// The output of this name as numbers of this type.
    pub fn tensor<T: Element>(&self, name: &str) -> Result<Tensor<T>, ModelError> {
        let output = self.outputs.iter().find(|output| output.name() == name);
        let output = output.ok_or_else(|| ModelError::Answer(format!("there is no output `{name}`")))?;
        output.tensor().ok_or_else(|| {
            ModelError::Answer(format!("the output `{name}` is {}, not {}", output.datatype(), T::DATATYPE))
        })
    }

    /// Without outputs: what the node says in the head. What cannot be read counts as not said; a server that stands in for
    /// a node, in tests or elsewhere, says nothing.
    fn told(headers: &HeaderMap) -> Self {
        let told = headers.get(TOLD).and_then(|told| told.to_str().ok()).unwrap_or_default();
        let mut parts = told.split(';').map(str::trim);
        let side = parts.next().and_then(Side::parse).unwrap_or(Side::Local);
        let mut answer = Self { side, instead_of: None, confidence: None, reason: None, outputs: Vec::new() };
        for (key, value) in parts.filter_map(|part| part.split_once('=')) {
            match key {
                "reason" => answer.reason = Some(value.to_owned()),
                "confidence" => answer.confidence = value.parse().ok(),
                "instead-of" => answer.instead_of = Side::parse(value),
                _ => {}
            }
        }
        answer
    }
}

impl Side {
    fn parse(text: &str) -> Option<Self> {
        match text {
            "local" => Some(Self::Local),
            "remote" => Some(Self::Remote),
            _ => None,
        }
    }

    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Remote => "remote",
        }
    }
}

/// A length as a header says it.
fn head_bytes(headers: &HeaderMap) -> Option<usize> {
    headers.get(message::HEAD_BYTES)?.to_str().ok()?.parse().ok()
}

/// Takes `length` bytes from the front, if there are as many.
fn split(bytes: &mut Bytes, length: usize) -> Option<Bytes> {
    (length <= bytes.len()).then(|| bytes.split_to(length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::{Host, Reply, get};
    use crate::{HeaderValue, Json, Result, StatusCode};
    use serde_json::json;

    fn told(text: &'static str) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert(TOLD, HeaderValue::from_static(text));
        Answer::told(&headers)
    }

    #[test]
    fn an_answer_tells_how_it_came_about() {
        let answer = told("local; reason=late; confidence=0.934; instead-of=remote");
        assert_eq!((answer.side(), answer.instead_of()), (Side::Local, Some(Side::Remote)));
        assert_eq!((answer.reason(), answer.confidence()), (Some("late"), Some(0.934)));
        let answer = told("remote");
        assert_eq!((answer.side(), answer.instead_of()), (Side::Remote, None));
        assert_eq!((answer.reason(), answer.confidence()), (None, None));
        assert_eq!(told("nobody; reason").reason(), None);
    }

    /// Asks the model `m` for the doubles of these numbers.
    fn asks(host: &Host, numbers: &'static [f32]) -> Reply {
        let asks = async || -> Result<Json<Vec<f32>>> {
            let x = Tensor::from_shape([numbers.len()], numbers.to_vec())?;
            Ok(Json(model("m").run([x.named("x")]).await?.tensor::<f32>("y")?.into_values()))
        };
        host.run(asks, get("/"))
    }

    #[test]
    fn a_model_of_a_test_gets_tensors_and_gives_tensors() {
        let host = Host::new().model("m", |inputs| {
            let x = inputs[0].tensor::<f32>().ok_or_else(|| ModelError::Refused("x is FP32".into()))?;
            let doubles = x.values().iter().map(|value| value * 2.0).collect();
            Ok(vec![Tensor::from_shape(x.shape(), doubles).unwrap().named("y")])
        });
        assert_eq!(
            asks(&host, &[1.0, -2.5, f32::MAX]).json::<Vec<Option<f32>>>()[..2],
            [Some(2.0), Some(-5.0)]
        );
        assert_eq!(asks(&host, &[]).text(), "[]");
    }

    #[test]
    fn only_the_outputs_that_were_asked_for_come() {
        let host = Host::new().model("m", |_| {
            let one = |name| Tensor::from_shape([1], vec![1_i64]).unwrap().named(name);
            Ok(vec![one("a"), one("b"), one("c")])
        });
        let asks = async || -> Result<String> {
            let answer = model("m").outputs(["c", "a"]).run([]).await?;
            Ok(answer.outputs().iter().map(NamedTensor::name).collect())
        };
        assert_eq!(host.run(asks, get("/")).text(), "ac");
    }

    #[test]
    fn a_reply_follows_from_what_failed() {
        let check = |error: fn() -> ModelError, status: u16| {
            let host = Host::new().model("m", move |_| Err(error()));
            assert_eq!(asks(&host, &[1.0]).status(), status, "{:?}", error());
        };
        check(|| ModelError::Refused("no such input".into()), 500);
        check(|| ModelError::Busy("64 calls wait".into()), 503);
        check(|| ModelError::Late("nobody answered".into()), 504);
        check(|| ModelError::Failed("it lies".into()), 502);
        check(|| ModelError::Call(call::CallError::CircuitOpen), 503);
        assert_eq!(asks(&Host::new(), &[1.0]).status(), 500, "it was not granted");
    }

    #[test]
    fn what_the_node_says_of_a_mistake_is_told() {
        let host = Host::new().model("m", |_| Err(ModelError::Refused("input `x` is [1,3]".into())));
        assert_eq!(asks(&host, &[1.0]).status(), 500);
        assert_eq!(host.log(), ["answered 500: the model refused the call: input `x` is [1,3]"]);
    }

    #[test]
    fn an_output_of_another_name_or_type_is_named() {
        let host =
            Host::new().model("m", |_| Ok(vec![Tensor::from_shape([1], vec![7_u8]).unwrap().named("class")]));
        let asks = async || -> Result<String> {
            let answer = model("m").run([]).await?;
            let wrong =
                [answer.tensor::<f32>("class").unwrap_err(), answer.tensor::<u8>("klass").unwrap_err()];
            Ok(wrong.map(|error| error.to_string()).join("; "))
        };
        assert_eq!(
            host.run(asks, get("/")).text(),
            "the answer is not what was expected: the output `class` is UINT8, not FP32; \
             the answer is not what was expected: there is no output `klass`"
        );
    }

    #[test]
    fn a_server_that_answers_in_json_is_refused_and_not_taken_for_a_tensor() {
        let json =
            async || Json(json!({"outputs": [{"name": "y", "datatype": "FP32", "shape": [1], "data": [1]}]}));
        let host = Host::new().origin("m.model.internal", json);
        assert_eq!(asks(&host, &[1.0]).status(), 502);
        let ready = async || -> Result<String> { Ok(model("m").is_ready().await?.to_string()) };
        assert_eq!(host.run(ready, get("/")).text(), "true");
        let gone = Host::new().origin("m.model.internal", async || StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(gone.run(ready, get("/")).text(), "false");
    }

    #[test]
    fn a_name_cannot_turn_a_call_to_another_host() {
        let asks = async || model("m.model.internal/evil?").run([]).await.unwrap_err().to_string();
        assert!(Host::new().run(asks, get("/")).text().contains("names nothing that can be called"));
    }
}
