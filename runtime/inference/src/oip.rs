//! The Open Inference Protocol, version 2, as reading and writing of messages: nothing is sent from here.
//!
//! Sources: the protocol's [specification](https://github.com/kserve/open-inference-protocol), and for tensors behind the
//! JSON the [binary tensor data extension](https://github.com/triton-inference-server/server/blob/main/docs/protocol/extension_binary_data.md).

mod data;
pub mod grpc;
mod header;
pub mod http;
mod metadata;

pub use metadata::{ModelMetadata, ServerMetadata};

use crate::Tensor;

/// A call of a model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InferRequest {
    /// What the caller names it, for the answer.
    pub id: Option<String>,
    /// What it gives to the model.
    pub inputs: Vec<Tensor>,
    /// What it wants of the model; nothing for all that there is.
    pub outputs: Vec<Wanted>,
    /// Whether outputs that do not say so themselves come behind the JSON.
    pub wants_binary: bool,
}

/// An output that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// Whether it comes behind the JSON; `None` where the request says that for all.
    pub wants_binary: Option<bool>,
}

impl InferRequest {
    /// Whether the output `name` is to come behind the JSON.
    #[must_use]
    pub fn wants_binary(&self, name: &str) -> bool {
        let wanted = self.outputs.iter().find(|wanted| wanted.name == name);
        wanted.and_then(|wanted| wanted.wants_binary).unwrap_or(self.wants_binary)
    }

    /// Whether the output `name` is asked for.
    #[must_use]
    pub fn wants(&self, name: &str) -> bool {
        self.outputs.is_empty() || self.outputs.iter().any(|wanted| wanted.name == name)
    }
}

/// The answer to a call.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct InferResponse {
    /// The model that answered.
    pub model: String,
    /// Its version.
    pub version: Option<String>,
    /// What the caller named the call.
    pub id: Option<String>,
    /// What the model gives.
    pub outputs: Vec<Tensor>,
}
