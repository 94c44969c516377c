//! Models: tensors, the Open Inference Protocol, and the backends that answer for a model.
//!
//! Knows no WebAssembly and no sockets: what is sent to a server goes through whatever the caller gives.

pub mod confidence;
mod datatype;
pub mod endpoint;
mod error;
pub mod limits;
#[cfg(feature = "local")]
pub mod local;
mod model;
pub mod remote;
mod signature;
mod tally;
mod tensor;
mod wire;

pub mod oip;
pub mod place;

pub use datatype::Datatype;
pub use error::{Error, Kind};
pub use model::{Answer, Comparison, Confidence, Measured, Mode, Model};
pub use signature::{Port, Shape, Signature};
pub use tally::Tally;
pub use tensor::Tensor;
