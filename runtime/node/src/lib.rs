//! One node: requests come in, functions answer them.
//!
//! The life of a request is one function, [`answer`](answer::answer); around it stand listeners and connections (one
//! runtime for each core), admission, revisions and telemetry. Whatever is deployed comes in through
//! [`Node::install`]. The node knows no fleet and prints nothing: who embeds it brings an [`Observer`].

mod address;
mod admission;
mod answer;
mod arrival;
mod connection;
mod conversation;
mod core;
mod credentials;
mod crowd;
mod descriptors;
#[cfg(test)]
mod documented;
mod failure;
mod faults;
mod id;
mod inference;
mod inspect;
mod install;
mod invoke;
pub mod limits;
mod listen;
mod metrics;
mod models;
mod node;
mod observe;
mod operate;
mod ops;
mod outboxes;
mod patience;
mod pressure;
mod reload;
mod reply;
mod revision;
mod routes;
mod secrets;
mod status;
mod tenants;
mod tls;
#[doc(hidden)]
pub mod untrusted;
mod upstreams;
mod wellformed;

pub use address::Addresses;
pub use descriptors::Spare;
pub use failure::{Blame, CODES, Code, Failure};
pub use faults::{Faults, FaultsError};
pub use id::FunctionId;
pub use install::{InstallError, Installed, Placement};
pub use listen::{GivenSocket, ListenError, Unwanted};
pub use models::ModelError;
pub use node::{Drained, InvokeFailure, Kept, Node, Options, Profile, StartError, StateChoice};
pub use observe::{LogLine, Observer, Outcome, RequestLine, Silent, UpstreamChange, UpstreamLine};
pub use operate::{KnownModel, OpenOutbox};
pub use outboxes::OutboxError;
pub use pressure::{MemoryLeft, MemorySource, machine_memory};
pub use reload::{ReloadError, Reloaded};
pub use rimward_manifest::{FaultError, FaultRule, ModelProtocol};
pub use status::{AppStatus, FunctionStatus, LastReload, NodeState, Status};
pub use tls::{TlsError, check_certificates};
pub use upstreams::{KnownUpstream, Tally};

/// What calls to upstreams are made with: their state is shown to operators.
pub use rimward_upstream as upstream;
/// Where deferred calls wait.
pub use rimward_upstream::outbox;
