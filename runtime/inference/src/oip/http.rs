//! Calls and answers as HTTP bodies: JSON, and behind it the tensors that are sent as they are.
//!
//! What comes from a caller is [`Kind::InvalidArgument`] where it is wrong; what comes from a
//! server, [`Kind::Protocol`].

use super::header::{self, Declared, TensorParameters, Text};
use super::{InferRequest, InferResponse, Wanted, data};
use crate::limits::TENSORS_MAX;
use crate::tensor::check_name;
use crate::{Error, Kind, Tensor};
use bytes::Bytes;
use serde::Deserialize;

/// The header that says how many bytes of the body are JSON, where tensors are behind it.
pub const HEADER_LENGTH: &str = "inference-header-content-length";

/// A message as it is sent.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// The value of [`HEADER_LENGTH`], where tensors are behind the JSON.
    pub header_length: Option<usize>,
    /// The body: the JSON, and then each tensor.
    pub parts: Vec<Bytes>,
}

impl Encoded {
    /// Its `content-type`, which is another one where tensors are behind the JSON.
    #[must_use]
    pub fn content_type(&self) -> &'static str {
        if self.header_length.is_some() { "application/octet-stream" } else { "application/json" }
    }

    /// How many bytes it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.parts.iter().map(Bytes::len).sum()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[derive(Deserialize)]
struct Request<'a> {
    id: Option<Text>,
    #[serde(default)]
    parameters: Option<Parameters>,
    #[serde(borrow, default)]
    inputs: Vec<Declared<'a>>,
    #[serde(default)]
    outputs: Option<Vec<Output>>,
}

#[derive(Default, Deserialize)]
struct Parameters {
    binary_data_output: Option<bool>,
}

#[derive(Deserialize)]
struct Output {
    name: String,
    #[serde(default)]
    parameters: Option<TensorParameters>,
}

#[derive(Deserialize)]
struct Response<'a> {
    model_name: Option<Text>,
    model_version: Option<Text>,
    id: Option<Text>,
    #[serde(borrow, default)]
    outputs: Vec<Declared<'a>>,
}

/// Reads a call.
///
/// # Errors
/// It is not what the protocol says, its tensors are not what it says of them, or it is over a bound.
pub fn read_request(body: Bytes, header_length: Option<&str>) -> Result<InferRequest, Error> {
    let (json, behind) = header::split(body, header_length)?;
    let request: Request<'_> = header::json(&json)?;
    let outputs = request.outputs.unwrap_or_default();
    if outputs.len() > TENSORS_MAX {
        return Err(Error::too_large(format!(
            "there are {} outputs, and {TENSORS_MAX} are the most",
            outputs.len()
        )));
    }
    Ok(InferRequest {
        id: text(request.id, "the request")?,
        inputs: header::tensors(request.inputs, behind)?,
        outputs: outputs.into_iter().map(wanted).collect::<Result<_, _>>()?,
        wants_binary: request
            .parameters
            .and_then(|parameters| parameters.binary_data_output)
            .unwrap_or_default(),
    })
}

fn wanted(output: Output) -> Result<Wanted, Error> {
    check_name("an output", &output.name)?;
    let parameters = output.parameters.unwrap_or_default();
    parameters.check()?;
    if parameters.classification.is_some() {
        return Err(Error::new(
            Kind::Unsupported,
            "`classification` of outputs is not done here: ask for the tensor",
        ));
    }
    Ok(Wanted { name: output.name, wants_binary: parameters.binary_data })
}

fn text(text: Option<Text>, what: &str) -> Result<Option<String>, Error> {
    text.map_or(Ok(None), |text| text.into_option(what))
}

/// Reads a server's answer.
///
/// # Errors
/// It is not what the protocol says, or over a bound.
pub fn read_response(body: Bytes, header_length: Option<&str>) -> Result<InferResponse, Error> {
    let read = || {
        let (json, behind) = header::split(body, header_length)?;
        let response: Response<'_> = header::json(&json)?;
        Ok(InferResponse {
            model: text(response.model_name, "the model")?.unwrap_or_default(),
            version: text(response.model_version, "the version")?,
            id: text(response.id, "the request")?,
            outputs: header::tensors(response.outputs, behind)?,
        })
    };
    read().map_err(Error::of_server)
}

/// What a server says is wrong, out of an answer whose status is an error's.
#[must_use]
pub fn read_error(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Problem {
        #[serde(alias = "detail")]
        error: String,
    }
    let problem: Problem = serde_json::from_slice(body).ok()?;
    Some(problem.error.chars().take(512).collect())
}

/// Writes a call under `id`; `is_binary` puts its tensors behind the JSON, and asks for the same of the answer.
///
/// # Errors
/// A tensor has no form in JSON.
pub fn write_request(request: &InferRequest, id: Option<&str>, is_binary: bool) -> Result<Encoded, Error> {
    let mut json = Vec::with_capacity(256);
    json.push(b'{');
    if let Some(id) = id {
        field(&mut json, "id", id);
        json.push(b',');
    }
    if is_binary {
        json.extend_from_slice(br#""parameters":{"binary_data_output":true},"#);
    }
    if !request.outputs.is_empty() {
        json.extend_from_slice(br#""outputs":["#);
        for (index, wanted) in request.outputs.iter().enumerate() {
            json.extend_from_slice(if index > 0 { b",{" } else { b"{" });
            field(&mut json, "name", &wanted.name);
            json.push(b'}');
        }
        json.extend_from_slice(b"],");
    }
    json.extend_from_slice(br#""inputs":["#);
    let behind = tensors(&mut json, &request.inputs, |_| is_binary)?;
    json.extend_from_slice(b"]}");
    Ok(encoded(json, behind))
}

/// Writes an answer; `is_binary` says of each output whether it goes behind the JSON.
///
/// # Errors
/// A tensor has no form in JSON.
pub fn write_response(response: &InferResponse, is_binary: impl Fn(&str) -> bool) -> Result<Encoded, Error> {
    let mut json = Vec::with_capacity(256);
    json.push(b'{');
    field(&mut json, "model_name", &response.model);
    for (name, value) in [("model_version", &response.version), ("id", &response.id)] {
        if let Some(value) = value {
            json.push(b',');
            field(&mut json, name, value);
        }
    }
    json.extend_from_slice(br#","outputs":["#);
    let behind = tensors(&mut json, &response.outputs, |tensor| is_binary(tensor.name()))?;
    json.extend_from_slice(b"]}");
    Ok(encoded(json, behind))
}

/// What is wrong, as JSON.
#[must_use]
pub fn write_error(message: &str) -> Vec<u8> {
    let mut json = vec![b'{'];
    field(&mut json, "error", message);
    json.push(b'}');
    json
}

fn encoded(json: Vec<u8>, behind: Vec<Bytes>) -> Encoded {
    let header_length = (!behind.is_empty()).then_some(json.len());
    let mut parts = vec![Bytes::from(json)];
    parts.extend(behind);
    Encoded { header_length, parts }
}

/// Declares `tensors`, and returns what goes behind the JSON.
fn tensors(
    json: &mut Vec<u8>,
    tensors: &[Tensor],
    is_binary: impl Fn(&Tensor) -> bool,
) -> Result<Vec<Bytes>, Error> {
    let mut behind = Vec::new();
    for (index, tensor) in tensors.iter().enumerate() {
        json.extend_from_slice(if index > 0 { b",{" } else { b"{" });
        field(json, "name", tensor.name());
        json.push(b',');
        field(json, "shape", tensor.shape());
        json.push(b',');
        field(json, "datatype", tensor.datatype().name());
        if is_binary(tensor) {
            json.extend_from_slice(br#","parameters":{"#);
            field(json, "binary_data_size", &tensor.bytes().len());
            json.push(b'}');
            behind.push(tensor.bytes().clone());
        } else {
            json.extend_from_slice(br#","data":"#);
            data::write(tensor, json)?;
        }
        json.push(b'}');
    }
    Ok(behind)
}

fn field<T: serde::Serialize + ?Sized>(json: &mut Vec<u8>, name: &str, value: &T) {
    json.push(b'"');
    json.extend_from_slice(name.as_bytes());
    json.extend_from_slice(b"\":");
    serde_json::to_writer(json, value).expect("texts and numbers can be written to memory");
}

#[cfg(test)]
mod tests;
