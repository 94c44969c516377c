//! Calls and answers as gRPC messages of the service `inference.GRPCInferenceService`.
//!
//! Written and read field by field ([the protocol's file](https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/open_inference_grpc.proto)),
//! so that raw tensors are not copied, and numbers that are sent one by one take no more memory than the shape says. A
//! message comes with the five bytes before it ([gRPC over HTTP/2](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md)).

mod contents;
mod status;

pub use self::status::Status;

use self::contents::Contents;
use super::metadata::{WrittenPort, ports};
use super::{InferRequest, InferResponse, ModelMetadata, ServerMetadata, Wanted};
use crate::limits::{CALL_BYTES_MAX, COPIED_BYTES_MAX, NAME_BYTES_MAX, RANK_MAX, TENSORS_MAX};
use crate::tensor::check_name;
use crate::wire::{Fields, Value, put_bytes, put_head, put_number, put_text, put_varint, varint};
use crate::{Datatype, Error, Kind, Tensor};
use bytes::Bytes;

/// The `content-type` of all messages.
pub const CONTENT_TYPE: &str = "application/grpc";
/// Where the service's methods are.
pub const SERVICE: &str = "/inference.GRPCInferenceService/";
/// The bytes before a message: whether it is compressed, and how long it is.
const PREFIX_BYTES: usize = 5;

/// Whom a message is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Target {
    /// The model.
    pub model: String,
    /// Its version; nothing for whichever there is.
    pub version: Option<String>,
}

/// A message out of a body that has one.
///
/// # Errors
/// It is compressed, too large, or there is not exactly one.
pub fn message(mut body: Bytes) -> Result<Bytes, Error> {
    let Some((prefix, message)) = body.split_first_chunk::<PREFIX_BYTES>() else {
        return Err(Error::invalid("there is no message"));
    };
    let [is_compressed, length @ ..] = *prefix;
    if is_compressed != 0 {
        return Err(Error::new(Kind::Unsupported, "the message is compressed, and nothing is unpacked here"));
    }
    let length = u32::from_be_bytes(length) as usize;
    if length > CALL_BYTES_MAX {
        return Err(too_large(length));
    }
    if length != message.len() {
        return Err(Error::invalid(format!(
            "the message has {length} bytes by its own word, and {} came",
            message.len()
        )));
    }
    Ok(body.split_off(PREFIX_BYTES))
}

fn too_large(bytes: usize) -> Error {
    Error::too_large(format!("the message has {bytes} bytes, and {CALL_BYTES_MAX} are the most"))
}

/// A message on its way: `head`, and behind it each of `raw` as `field`.
fn framed(head: &[u8], field: u64, raw: Vec<Bytes>) -> Vec<Bytes> {
    let mut open = vec![0; PREFIX_BYTES];
    open.extend_from_slice(head);
    let (mut parts, mut length) = (Vec::with_capacity(raw.len() * 2 + 1), 0);
    for bytes in raw {
        put_head(&mut open, field, bytes.len());
        if bytes.len() <= COPIED_BYTES_MAX {
            open.extend_from_slice(&bytes);
        } else {
            length += open.len() + bytes.len();
            parts.extend([Bytes::from(std::mem::take(&mut open)), bytes]);
        }
    }
    length += open.len();
    if !open.is_empty() {
        parts.push(Bytes::from(open));
    }
    // Nobody has another handle to it yet.
    let mut first = Vec::from(std::mem::take(&mut parts[0]));
    first[1..PREFIX_BYTES].copy_from_slice(&((length - PREFIX_BYTES) as u32).to_be_bytes());
    parts[0] = first.into();
    parts
}

/// Reads `ModelInferRequest`.
///
/// # Errors
/// It is not what the protocol says, its tensors are not what it says of them, or it is over a bound.
pub fn read_request(message: &Bytes) -> Result<(Target, InferRequest), Error> {
    let (mut target, mut request) = (Target::default(), InferRequest::default());
    let mut tensors = Tensors::default();
    for field in Fields::of(message) {
        match field? {
            (1, value) => target.model = text(value, "the model")?,
            (2, value) => target.version = Some(text(value, "the version")?).filter(|it| !it.is_empty()),
            (3, value) => request.id = Some(text(value, "the request")?).filter(|id| !id.is_empty()),
            (5, Value::Bytes(input)) => tensors.declare(input)?,
            (6, Value::Bytes(output)) => {
                let name = wanted(output)?;
                request.outputs.push(Wanted { name, wants_binary: None });
                within(request.outputs.len())?;
            }
            (7, Value::Bytes(raw)) => tensors.raw(message.slice_ref(raw))?,
            _ => {}
        }
    }
    request.inputs = tensors.finish()?;
    Ok((target, request))
}

/// Writes `ModelInferRequest` under `id`.
#[must_use]
pub fn write_request(target: &Target, request: &InferRequest, id: Option<&str>) -> Vec<Bytes> {
    let mut head = Vec::with_capacity(256);
    put_text(&mut head, 1, &target.model);
    put_text(&mut head, 2, target.version.as_deref().unwrap_or_default());
    put_text(&mut head, 3, id.unwrap_or_default());
    put_tensors(&mut head, 5, &request.inputs);
    for wanted in &request.outputs {
        let mut output = Vec::with_capacity(32);
        put_text(&mut output, 1, &wanted.name);
        put_bytes(&mut head, 6, &output);
    }
    framed(&head, 7, raw(&request.inputs))
}

/// Reads `ModelInferResponse`, as a server's.
///
/// # Errors
/// It is not what the protocol says, or over a bound.
pub fn read_response(message: &Bytes) -> Result<InferResponse, Error> {
    let read = || {
        let (mut response, mut tensors) = (InferResponse::default(), Tensors::default());
        for field in Fields::of(message) {
            match field? {
                (1, value) => response.model = text(value, "the model")?,
                (2, value) => {
                    response.version = Some(text(value, "the version")?).filter(|it| !it.is_empty());
                }
                (3, value) => response.id = Some(text(value, "the request")?).filter(|id| !id.is_empty()),
                (5, Value::Bytes(output)) => tensors.declare(output)?,
                (6, Value::Bytes(raw)) => tensors.raw(message.slice_ref(raw))?,
                _ => {}
            }
        }
        response.outputs = tensors.finish()?;
        Ok(response)
    };
    read().map_err(Error::of_server)
}

/// Writes `ModelInferResponse`, its tensors raw.
#[must_use]
pub fn write_response(response: &InferResponse) -> Vec<Bytes> {
    let mut head = Vec::with_capacity(256);
    put_text(&mut head, 1, &response.model);
    put_text(&mut head, 2, response.version.as_deref().unwrap_or_default());
    put_text(&mut head, 3, response.id.as_deref().unwrap_or_default());
    put_tensors(&mut head, 5, &response.outputs);
    framed(&head, 6, raw(&response.outputs))
}

/// Reads `ModelReadyRequest` and `ModelMetadataRequest`, which are alike.
///
/// # Errors
/// It is not what the protocol says.
pub fn read_target(message: &[u8]) -> Result<Target, Error> {
    let mut target = Target::default();
    for field in Fields::of(message) {
        match field? {
            (1, value) => target.model = text(value, "the model")?,
            (2, value) => target.version = Some(text(value, "the version")?).filter(|it| !it.is_empty()),
            _ => {}
        }
    }
    Ok(target)
}

/// Writes `ModelReadyRequest` and `ModelMetadataRequest`.
#[must_use]
pub fn write_target(target: &Target) -> Vec<Bytes> {
    let mut head = Vec::new();
    put_text(&mut head, 1, &target.model);
    put_text(&mut head, 2, target.version.as_deref().unwrap_or_default());
    framed(&head, 0, Vec::new())
}

/// Reads what says yes or no in one field: `ModelReadyResponse`.
///
/// # Errors
/// It is not what the protocol says.
pub fn read_flag(message: &[u8]) -> Result<bool, Error> {
    let mut flag = false;
    for field in Fields::of(message) {
        if let (1, Value::Number(number)) = field.map_err(Error::of_server)? {
            flag = number != 0;
        }
    }
    Ok(flag)
}

/// Writes `ServerLiveResponse`, `ServerReadyResponse` and `ModelReadyResponse`.
#[must_use]
pub fn write_flag(flag: bool) -> Vec<Bytes> {
    let mut head = Vec::new();
    put_number(&mut head, 1, u64::from(flag));
    framed(&head, 0, Vec::new())
}

/// Writes `ServerMetadataResponse`.
#[must_use]
pub fn write_server(metadata: &ServerMetadata) -> Vec<Bytes> {
    let mut head = Vec::new();
    put_text(&mut head, 1, &metadata.name);
    put_text(&mut head, 2, &metadata.version);
    metadata.extensions.iter().for_each(|extension| put_text(&mut head, 3, extension));
    framed(&head, 0, Vec::new())
}

/// Reads `ModelMetadataResponse`.
///
/// # Errors
/// It is not what the protocol says, or says more than it may.
pub fn read_metadata(message: &[u8]) -> Result<ModelMetadata, Error> {
    let read = || {
        let mut metadata = ModelMetadata::default();
        let (mut inputs, mut outputs) = (Vec::new(), Vec::new());
        for field in Fields::of(message) {
            match field? {
                (1, value) => metadata.name = text(value, "the model")?,
                (2, value) => {
                    metadata.versions.push(text(value, "the version")?);
                    within(metadata.versions.len())?;
                }
                (3, value) => metadata.platform = text(value, "the platform")?,
                (4, Value::Bytes(port)) => inputs.push(declared(port)?.into_port()),
                (5, Value::Bytes(port)) => outputs.push(declared(port)?.into_port()),
                _ => {}
            }
            within(inputs.len().max(outputs.len()))?;
        }
        metadata.signature.inputs = ports(inputs)?;
        metadata.signature.outputs = ports(outputs)?;
        Ok(metadata)
    };
    read().map_err(Error::of_server)
}

/// Writes `ModelMetadataResponse`.
#[must_use]
pub fn write_metadata(metadata: &ModelMetadata) -> Vec<Bytes> {
    let mut head = Vec::with_capacity(256);
    put_text(&mut head, 1, &metadata.name);
    metadata.versions.iter().for_each(|version| put_text(&mut head, 2, version));
    put_text(&mut head, 3, &metadata.platform);
    for (field, ports) in [(4, &metadata.signature.inputs), (5, &metadata.signature.outputs)] {
        for port in ports {
            // -1 for a size that may be any; as a varint that is all ones.
            let sizes = port.shape.iter().flatten().map(|size| size.unwrap_or(u64::MAX));
            put_declared(&mut head, field, &port.name, port.datatype, sizes);
        }
    }
    framed(&head, 0, Vec::new())
}

fn put_tensors(head: &mut Vec<u8>, field: u64, tensors: &[Tensor]) {
    for tensor in tensors {
        put_declared(head, field, tensor.name(), tensor.datatype(), tensor.shape().iter().copied());
    }
}

fn put_declared(
    head: &mut Vec<u8>,
    field: u64,
    name: &str,
    datatype: Datatype,
    shape: impl Iterator<Item = u64>,
) {
    let (mut tensor, mut sizes) = (Vec::with_capacity(64), Vec::with_capacity(16));
    put_text(&mut tensor, 1, name);
    put_text(&mut tensor, 2, datatype.name());
    shape.for_each(|size| put_varint(&mut sizes, size));
    if !sizes.is_empty() {
        put_bytes(&mut tensor, 3, &sizes);
    }
    put_bytes(head, field, &tensor);
}

fn raw(tensors: &[Tensor]) -> Vec<Bytes> {
    tensors.iter().map(|tensor| tensor.bytes().clone()).collect()
}

/// The tensors of a message, until all of it is read: what is declared may stand before its bytes or behind them.
#[derive(Default)]
struct Tensors<'m> {
    declared: Vec<Declared<'m>>,
    raw: Vec<Bytes>,
}

/// `InferInputTensor`, `InferOutputTensor`, and without contents `TensorMetadata`.
#[derive(Default)]
struct Declared<'m> {
    name: String,
    datatype: String,
    shape: Vec<i64>,
    contents: Option<Contents<'m>>,
}

impl<'m> Tensors<'m> {
    fn declare(&mut self, tensor: &'m [u8]) -> Result<(), Error> {
        self.declared.push(declared(tensor)?);
        within(self.declared.len())
    }

    fn raw(&mut self, bytes: Bytes) -> Result<(), Error> {
        self.raw.push(bytes);
        within(self.raw.len())
    }

    fn finish(self) -> Result<Vec<Tensor>, Error> {
        // Either all of them are raw, or none is.
        if !self.raw.is_empty() && self.raw.len() != self.declared.len() {
            return Err(Error::invalid(format!(
                "there are {} tensors, and the raw contents of {}",
                self.declared.len(),
                self.raw.len()
            )));
        }
        let mut raw = self.raw.into_iter();
        let mut bytes = 0;
        let mut tensors = Vec::with_capacity(self.declared.len());
        for declared in self.declared {
            let name = declared.name.clone();
            let about = |error: Error| error.about(format_args!("tensor `{name}`"));
            let datatype: Datatype = declared.datatype.parse().map_err(about)?;
            let shape = declared.shape()?;
            let contents = match (raw.next(), declared.contents) {
                (Some(_), Some(_)) => {
                    return Err(about(Error::invalid(
                        "it has raw contents and others, and one of both counts",
                    )));
                }
                (Some(raw), None) => raw,
                (None, contents) => contents
                    .unwrap_or_default()
                    .read(datatype, &shape, CALL_BYTES_MAX - bytes)
                    .map_err(about)?,
            };
            bytes += contents.len();
            if bytes > CALL_BYTES_MAX {
                return Err(too_large(bytes));
            }
            tensors.push(Tensor::new(declared.name, datatype, shape, contents)?);
        }
        Ok(tensors)
    }
}

impl Declared<'_> {
    fn shape(&self) -> Result<Vec<u64>, Error> {
        let sizes = self.shape.iter().map(|size| u64::try_from(*size));
        sizes.collect::<Result<_, _>>().map_err(|_| {
            Error::invalid(format!(
                "tensor `{}`: a size of its shape {:?} is negative",
                self.name, self.shape
            ))
        })
    }

    fn into_port(self) -> WrittenPort {
        WrittenPort { name: self.name, datatype: self.datatype, shape: Some(self.shape) }
    }
}

fn declared(tensor: &[u8]) -> Result<Declared<'_>, Error> {
    let mut declared = Declared::default();
    for field in Fields::of(tensor) {
        match field? {
            (1, value) => declared.name = text(value, "a tensor")?,
            (2, value) => declared.datatype = text(value, "a data type")?,
            (3, Value::Number(size)) => declared.shape.push(size as i64),
            (3, Value::Bytes(mut sizes)) => {
                while !sizes.is_empty() && declared.shape.len() <= RANK_MAX {
                    let size = varint(&mut sizes).ok_or_else(|| Error::invalid("a shape is cut off"))?;
                    declared.shape.push(size as i64);
                }
            }
            (4, Value::Bytes(parameter)) => check_parameter(parameter)?,
            (5, Value::Bytes(contents)) if declared.contents.is_none() => {
                declared.contents = Some(Contents::of(contents));
            }
            (5, _) => return Err(Error::invalid("a tensor has its contents twice")),
            _ => {}
        }
        if declared.shape.len() > RANK_MAX {
            return Err(Error::too_large(format!(
                "tensor `{}`: it has more than {RANK_MAX} dimensions",
                declared.name
            )));
        }
    }
    Ok(declared)
}

/// An output that is asked for: its name.
fn wanted(output: &[u8]) -> Result<String, Error> {
    let mut name = String::new();
    for field in Fields::of(output) {
        match field? {
            (1, value) => name = text(value, "an output")?,
            (2, Value::Bytes(parameter)) => check_parameter(parameter)?,
            _ => {}
        }
    }
    check_name("an output", &name)?;
    Ok(name)
}

/// Parameters that nobody here knows are for other servers; those that would change the answer are refused.
fn check_parameter(entry: &[u8]) -> Result<(), Error> {
    for field in Fields::of(entry) {
        let (1, Value::Bytes(key)) = field? else { continue };
        let what = match key {
            b"shared_memory_region" => "no memory is shared with this server",
            b"classification" => "`classification` of outputs is not done here: ask for the tensor",
            _ => continue,
        };
        return Err(Error::new(Kind::Unsupported, what));
    }
    Ok(())
}

fn text(value: Value<'_>, what: &str) -> Result<String, Error> {
    let Value::Bytes(bytes) = value else {
        return Err(Error::invalid(format!("the name of {what} is no text")));
    };
    if bytes.len() > NAME_BYTES_MAX {
        return Err(Error::too_large(format!(
            "the name of {what} has {} bytes, and {NAME_BYTES_MAX} are the most",
            bytes.len()
        )));
    }
    let text = std::str::from_utf8(bytes);
    text.map(str::to_owned).map_err(|_| Error::invalid(format!("the name of {what} is no text")))
}

fn within(tensors: usize) -> Result<(), Error> {
    match tensors {
        ..=TENSORS_MAX => Ok(()),
        _ => Err(Error::too_large(format!("there are more than {TENSORS_MAX} tensors"))),
    }
}

#[cfg(test)]
mod tests;
