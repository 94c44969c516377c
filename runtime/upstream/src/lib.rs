//! Calls to services outside the node: egress policy, connection pools, named upstreams.
//!
//! The capability crate calls [`Client::send`] for every outgoing request of a function; nothing here knows
//! wasm, functions, tenants or routes. One [`Client`] belongs to one tenant on one core and is never shared
//! between tenants, so neither connections nor TLS sessions cross that line.
//!
//! A request goes through these steps, each in a file of its own: where to and by whose policy (`route`), what is
//! put on the wire (`head`, `upload`), a pooled connection or a new one (`pool`, `dial`), the answer in
//! time (`exchange`, `download`). Every bound is in [`limits`]; every failure is one [`Error`].

mod address;
mod client;
mod connection;
mod dial;
mod download;
mod egress;
mod error;
mod exchange;
mod head;
pub mod limits;
mod origin;
mod pool;
mod resolve;
mod route;
mod secret;
mod steady;
mod task;
mod timeouts;
mod tls;
mod upload;
mod upstream;
mod witness;

pub use address::{Allowed, AllowedError, Reach, reach};
pub use client::{Client, ClientConfig, ClientError};
pub use egress::{Egress, HostPattern, HostPatternError};
pub use error::{Cause, Error};
pub use resolve::{Resolve, Resolving, SystemResolver};
pub use route::Target;
pub use secret::Secret;
pub use timeouts::{Timeouts, Wanted};
pub use tls::{Identity, Roots, TlsError};
pub use upstream::{Upstream, UpstreamConfig, UpstreamError};

/// A streamed body in either direction: data frames, then perhaps trailers.
pub type Body = http_body_util::combinators::UnsyncBoxBody<bytes::Bytes, Error>;
