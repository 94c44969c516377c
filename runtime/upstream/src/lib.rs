//! Calls to services outside the node: egress policy, connection pools, named upstreams.
//!
//! The capability crate calls [`Client::send`] for every outgoing request of a function; nothing here knows
//! wasm, functions, tenants or routes. One [`Client`] belongs to one tenant on one core and is never shared
//! between tenants, so neither connections nor TLS sessions cross that line.
//!
//! A call to a named upstream goes through its policy first: [`call()`] is the whole of it, and [`State`] what it knows from
//! earlier calls. Its tries, and requests to other hosts, go to the client.
//!
//! A request goes through these steps, each in a file of its own: where to and by whose policy (`route`), what is
//! put on the wire (`head`, `upload`), a pooled connection or a new one (`pool`, `dial`), the answer in
//! time (`exchange`, `download`). Every bound is in [`limits`]; every failure is one [`Error`].

mod address;
pub mod auth;
pub mod breaker;
pub mod budget;
pub mod bulkhead;
pub mod cache;
mod call;
mod client;
mod connection;
mod deadline;
mod dial;
mod download;
mod egress;
mod ending;
pub mod endpoints;
mod error;
mod exchange;
pub mod fallback;
pub mod fault;
mod head;
pub mod hedge;
pub mod latency;
pub mod limits;
mod origin;
pub mod outbox;
mod pool;
mod random;
mod replay;
mod resolve;
pub mod retry;
mod route;
mod secret;
mod state;
mod steady;
mod task;
mod timeouts;
mod tls;
mod told;
mod transport;
mod trial;
mod upload;
mod upstream;
pub mod watch;
mod witness;

pub use address::{Allowed, AllowedError, Reach, reach};
pub use call::{Answer, Terms, call, call_or_fall_back};
pub use client::{Client, ClientConfig, ClientError};
pub use deadline::grpc_timeout;
pub use egress::{Egress, HostPattern, HostPatternError};
pub use error::{Cause, Error};
pub use exchange::Resend;
pub use random::Random;
pub use resolve::{LookupError, Resolve, Resolver, Resolving, Servers, Setup, SystemResolver};
pub use route::Target;
pub use secret::Secret;
pub use state::{Policy, State};
pub use timeouts::{Timeouts, Wanted};
pub use tls::{Identity, Roots, TlsError};
pub use told::Told;
pub use transport::{Attempt, Transport};
pub use upstream::{Upstream, UpstreamConfig, UpstreamError};

/// A streamed body in either direction: data frames, then perhaps trailers.
pub type Body = http_body_util::combinators::UnsyncBoxBody<bytes::Bytes, Error>;
