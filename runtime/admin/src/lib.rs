//! The admin API of a node: HTTP/1.1 and JSON on a unix socket, `/v1`. Every handler knows who asks ([`Identity`]); on the
//! socket that is the peer's user. The OpenAPI document is generated from the handlers and pinned.
//!
//! [`serve`] is started by the command line beside the node and stopped by dropping what it returns. [`Client`] is the
//! other end, for `rimward status` and everything else that talks to a running node.

mod api;
mod client;
mod control;
mod identity;
pub mod limits;
mod resource;
mod server;

pub use api::openapi;
pub use client::{Client, ClientError};
pub use control::{Ask, Control, control};
pub use identity::Identity;
pub use resource::{
    Addresses, App, Breaker, BreakerChange, BreakerState, CallState, Comparison, Decision, DeferredCall,
    DeferredCalls, Done, Drain, DrainState, Endpoint, FaultRule, Faults, ForcedBreaker, Function, Functions,
    LastReload, Latency, LocalModel, Measured, Model, Models, NewFaults, NodeState, Outbox, Outboxes,
    Problem, Reload, RemoteModel, Restart, Status, Upstream, UpstreamCache, Upstreams,
};
pub use server::{ServeError, Server, serve};
