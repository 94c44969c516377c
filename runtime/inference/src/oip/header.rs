//! The JSON of a message, and the tensors that it declares: inside of it, or behind it.

use super::data;
use crate::limits::{CALL_BYTES_MAX, TENSORS_MAX};
use crate::tensor::check_name;
use crate::{Datatype, Error, Kind, Tensor};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// A tensor as a message declares it.
#[derive(Deserialize)]
pub(super) struct Declared<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    shape: Vec<u64>,
    #[serde(borrow)]
    datatype: Cow<'a, str>,
    /// KServe says null where it has none.
    #[serde(default)]
    parameters: Option<TensorParameters>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// What is said of one tensor. Parameters that nobody here knows are for other servers.
#[derive(Default, Deserialize)]
pub(super) struct TensorParameters {
    binary_data_size: Option<u64>,
    pub(super) binary_data: Option<bool>,
    pub(super) classification: Option<u64>,
    shared_memory_region: Option<String>,
}

impl TensorParameters {
    /// # Errors
    /// It says that the tensor is in memory that both sides share.
    pub(super) fn check(&self) -> Result<(), Error> {
        match &self.shared_memory_region {
            None => Ok(()),
            Some(_) => Err(Error::new(Kind::Unsupported, "no memory is shared with this server")),
        }
    }
}

/// What may be sent as a string or, by Python's servers, left out as null.
#[derive(Deserialize, Serialize)]
#[serde(transparent)]
pub(super) struct Text(Option<String>);

impl Text {
    /// Nothing where it is empty.
    pub(super) fn into_option(self, what: &str) -> Result<Option<String>, Error> {
        let text = self.0.filter(|text| !text.is_empty());
        if let Some(text) = &text {
            check_name(what, text)?;
        }
        Ok(text)
    }
}

/// Splits a message into its JSON and what is behind it. `header_length` is the header `inference-header-content-length`.
pub(super) fn split(mut body: Bytes, header_length: Option<&str>) -> Result<(Bytes, Bytes), Error> {
    if body.len() > CALL_BYTES_MAX {
        return Err(Error::too_large(format!(
            "the message has {} bytes, and {CALL_BYTES_MAX} are the most",
            body.len()
        )));
    }
    let Some(length) = header_length else { return Ok((body, Bytes::new())) };
    let length: usize =
        length.trim().parse().ok().filter(|length| *length <= body.len()).ok_or_else(|| {
            Error::invalid(format!(
                "`{}: {length}` is not a length within the {} bytes of the message",
                super::http::HEADER_LENGTH,
                body.len()
            ))
        })?;
    if length > crate::limits::HEADER_BYTES_MAX && length < body.len() {
        return Err(Error::too_large(format!(
            "the JSON has {length} bytes, and {} are the most before binary data",
            crate::limits::HEADER_BYTES_MAX
        )));
    }
    let json = body.split_to(length);
    Ok((json, body))
}

/// Reads the JSON of a message.
pub(super) fn json<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, Error> {
    serde_json::from_slice(json)
        .map_err(|error| Error::invalid(format!("the JSON of the message cannot be read: {error}")))
}

/// The tensors that are declared; those that are not inside of the JSON are in `behind`, one after the other.
pub(super) fn tensors(declared: Vec<Declared<'_>>, mut behind: Bytes) -> Result<Vec<Tensor>, Error> {
    if declared.len() > TENSORS_MAX {
        return Err(Error::too_large(format!(
            "there are {} tensors, and {TENSORS_MAX} are the most",
            declared.len()
        )));
    }
    let mut tensors = Vec::with_capacity(declared.len());
    let mut bytes = 0;
    for declared in declared {
        let name = declared.name.clone();
        let tensor = tensor(declared, &mut behind).map_err(|error| {
            match error.to_string().starts_with("tensor `") {
                true => error,
                false => error.about(format_args!("tensor `{}`", shortened(&name))),
            }
        })?;
        // Text can be shorter than what it says.
        bytes += tensor.bytes().len();
        if bytes > CALL_BYTES_MAX {
            return Err(Error::too_large(format!(
                "the tensors have more than {CALL_BYTES_MAX} bytes together"
            )));
        }
        tensors.push(tensor);
    }
    match behind.is_empty() {
        true => Ok(tensors),
        false => Err(Error::invalid(format!("{} bytes are left behind the last tensor", behind.len()))),
    }
}

fn tensor(declared: Declared<'_>, behind: &mut Bytes) -> Result<Tensor, Error> {
    let parameters = declared.parameters.unwrap_or_default();
    parameters.check()?;
    let datatype: Datatype = declared.datatype.parse()?;
    let bytes = match (parameters.binary_data_size, declared.data) {
        (Some(_), Some(_)) => {
            return Err(Error::invalid("it has `data` and a `binary_data_size`, and one of both counts"));
        }
        (None, None) => return Err(Error::invalid("it has neither `data` nor a `binary_data_size`")),
        (None, Some(data)) => data::read(datatype, &declared.shape, data)?,
        (Some(size), None) => {
            let size = usize::try_from(size).ok().filter(|size| *size <= behind.len()).ok_or_else(|| {
                Error::invalid(format!(
                    "it has a `binary_data_size` of {size}, and {} bytes are left of the message",
                    behind.len()
                ))
            })?;
            behind.split_to(size)
        }
    };
    Tensor::new(declared.name, datatype, declared.shape, bytes)
}

fn shortened(name: &str) -> String {
    name.chars().take(64).collect()
}
