#![doc = include_str!("../README.md")]
//!
//! # Where things are
//!
//! | for | see |
//! |---|---|
//! | the entry point | [`function`](macro@function) |
//! | what a function may take and return | [`FromRequest`], [`IntoResponse`] |
//! | bodies, whole or streamed | [`Body`] |
//! | JSON | [`Json`] |
//! | errors that become replies | [`Error`], [`OrStatus`] |
//! | calls to upstreams and to other functions | [`call`] |
//! | what became of a call: tries, fallback, cache | [`ResponseExt`] |
//! | calls that wait for their link | [`call::Deferred`] |
//! | models, on the node or in the cloud | [`model`](mod@model) |
//! | configuration and secrets | [`config`] |
//! | key-value stores | [`keyvalue`] |
//! | logging | the feature `logging`, then `rimward_sdk::tracing` |
//! | tests without wasm | [`test`](mod@test) |

mod body;
pub mod call;
pub mod config;
mod error;
mod function;
mod host;
mod json;
pub mod keyvalue;
pub mod limits;
#[cfg(feature = "logging")]
mod log;
pub mod model;
mod reply;
mod request;
#[cfg(not(target_family = "wasm"))]
pub mod test;

pub use body::{Body, BodyError, BodyFault};
pub use bytes::Bytes;
pub use error::{Error, OrStatus};
pub use function::Function;
pub use http::{self, HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
pub use json::Json;
pub use reply::{IntoResponse, ResponseExt};
pub use request::{FromRequest, RequestExt};
pub use rimward_macros::function;
#[cfg(feature = "logging")]
pub use tracing;

/// A request, by default with the SDK's [`Body`].
pub type Request<B = Body> = http::Request<B>;

/// A reply, or the answer to a call, by default with the SDK's [`Body`].
pub type Response<B = Body> = http::Response<B>;

/// What a function returns when it may fail.
pub type Result<T = Response, E = Error> = std::result::Result<T, E>;

/// What the expansion of [`macro@function`] names. Not for use by hand.
#[doc(hidden)]
pub mod __private {
    pub use crate::function::{returns, takes};
    #[cfg(target_family = "wasm")]
    pub use crate::host::{export, incoming_handler, serve, types, wasip2};
}
