//! What a server says of itself, and of a model.

use super::header;
use crate::limits::{NAME_BYTES_MAX, RANK_MAX, TENSORS_MAX};
use crate::{Error, Port, Signature};
use serde::{Deserialize, Serialize};

/// A server: `GET /v2`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerMetadata {
    /// What it is called.
    #[serde(default)]
    pub name: String,
    /// Its version.
    #[serde(default)]
    pub version: String,
    /// Which extensions of the protocol it has.
    #[serde(default)]
    pub extensions: Vec<String>,
}

impl ServerMetadata {
    /// The name of the extension for tensors behind the JSON.
    pub const BINARY: &str = "binary_tensor_data";

    /// Whether tensors may come behind the JSON.
    #[must_use]
    pub fn has_binary(&self) -> bool {
        self.extensions.iter().any(|extension| extension == Self::BINARY)
    }

    /// Reads a server's answer.
    ///
    /// # Errors
    /// It is not what the protocol says.
    pub fn read(body: &[u8]) -> Result<Self, Error> {
        header::json(body).map_err(Error::of_server)
    }
}

/// A model: `GET /v2/models/MODEL`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelMetadata {
    /// Its name.
    pub name: String,
    /// Its versions, if the server says.
    pub versions: Vec<String>,
    /// What runs it: `onnx_rten`, `onnxruntime_onnx`.
    pub platform: String,
    /// What it takes and gives.
    pub signature: Signature,
}

#[derive(Serialize, Deserialize)]
struct Written {
    name: String,
    #[serde(default)]
    versions: Option<Vec<String>>,
    #[serde(default)]
    platform: Option<String>,
    #[serde(default)]
    inputs: Vec<WrittenPort>,
    #[serde(default)]
    outputs: Vec<WrittenPort>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct WrittenPort {
    pub(super) name: String,
    pub(super) datatype: String,
    #[serde(default)]
    pub(super) shape: Option<Vec<i64>>,
}

impl ModelMetadata {
    /// Reads a server's answer.
    ///
    /// # Errors
    /// It is not what the protocol says, or says more than it may.
    pub fn read(body: &[u8]) -> Result<Self, Error> {
        let read = || {
            let written: Written = header::json(body)?;
            Ok(Self {
                signature: Signature { inputs: ports(written.inputs)?, outputs: ports(written.outputs)? },
                name: written.name,
                versions: written.versions.unwrap_or_default(),
                platform: written.platform.unwrap_or_default(),
            })
        };
        read().map_err(Error::of_server)
    }

    /// As JSON.
    #[must_use]
    pub fn write(&self) -> Vec<u8> {
        let port = |port: &Port| WrittenPort {
            name: port.name.clone(),
            datatype: port.datatype.name().to_owned(),
            shape: port.shape.as_ref().map(|shape| {
                shape
                    .iter()
                    .map(|size| size.and_then(|size| i64::try_from(size).ok()).unwrap_or(-1))
                    .collect()
            }),
        };
        let written = Written {
            name: self.name.clone(),
            versions: Some(self.versions.clone()).filter(|versions| !versions.is_empty()),
            platform: Some(self.platform.clone()),
            inputs: self.signature.inputs.iter().map(port).collect(),
            outputs: self.signature.outputs.iter().map(port).collect(),
        };
        serde_json::to_vec(&written).expect("texts and numbers can be written")
    }
}

pub(super) fn ports(written: Vec<WrittenPort>) -> Result<Vec<Port>, Error> {
    if written.len() > TENSORS_MAX {
        return Err(Error::too_large(format!("{} tensors, and {TENSORS_MAX} are the most", written.len())));
    }
    let port = |port: WrittenPort| {
        if port.name.len() > NAME_BYTES_MAX || port.shape.as_ref().is_some_and(|shape| shape.len() > RANK_MAX)
        {
            return Err(Error::too_large("a tensor's name or shape is too long"));
        }
        Ok(Port {
            datatype: port.datatype.parse()?,
            name: port.name,
            // Servers that do not know a dimension say -1; some say 0.
            shape: port.shape.map(|shape| {
                shape.iter().map(|size| u64::try_from(*size).ok().filter(|size| *size > 0)).collect()
            }),
        })
    };
    written.into_iter().map(port).collect()
}
