//! Why a call has no answer. The host makes these from the error codes of `wasi:http`, which are the error types of RFC
//! 9209; what a function may do about each stands beside it. Which reply an error becomes is decided in `blame`.

use std::error::Error as StdError;

use thiserror::Error;

use crate::StatusCode;

type Cause = Box<dyn StdError + Send + Sync>;

/// Why a call has no answer. As an error of a function, [`CallError::Timeout`] becomes a 504 reply, a call that was not
/// taken ([`CallError::CircuitOpen`], [`CallError::TooMany`], [`CallError::NotAccepted`]) 503, a failure on the other
/// side 502, and a mistake on ours 500.
///
/// ```
/// use rimward_sdk::call::{CallError, TimedOut, upstream};
///
/// async fn label() -> String {
///     match upstream("vision").get("/label").send().await {
///         Ok(answer) => format!("the answer is {}", answer.status()),
///         Err(CallError::CircuitOpen) => "it keeps failing, so it is left alone for a while".to_owned(),
///         Err(CallError::TooMany) => "it has enough to do".to_owned(),
///         Err(CallError::Timeout(TimedOut::Answer)) => "it was reached and did not answer".to_owned(),
///         Err(error) => error.to_string(),
///     }
/// }
///
/// // In a test, an upstream fails as the test says.
/// use rimward_sdk::test::{Host, get};
/// let host = Host::new().failing_upstream("vision", || CallError::CircuitOpen);
/// assert!(host.run(label, get("/")).text().contains("left alone"));
/// ```
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CallError {
    /// No upstream, function or origin can have this name.
    #[error("`{0}` names nothing that can be called")]
    Name(String),
    /// The request could not be built: a path or header that HTTP does not allow.
    #[error("the request cannot be built")]
    Request(#[source] Cause),
    /// The request's body could not be made.
    #[error("the request's body cannot be written as JSON")]
    Json(#[source] serde_json::Error),
    /// rimward.toml does not grant it, or the node refuses the address.
    #[error("the call was refused: it is not granted")]
    Denied,
    /// The node did not try: the upstream's circuit breaker is open, because it failed too often of late; or the node has
    /// no credentials for it.
    #[error("the circuit breaker is open")]
    CircuitOpen,
    /// As many calls are under way as may be: the upstream's `bulkhead` is full, or the function's own `outgoing`.
    #[error("too many calls are under way")]
    TooMany,
    /// Time ran out.
    #[error("no answer came in time: {0}")]
    Timeout(TimedOut),
    /// Nobody could be reached: name, address, TLS.
    #[error("no connection: {0}")]
    Unreachable(String),
    /// The connection or the protocol broke off before the answer.
    #[error("the exchange broke off: {0}")]
    Broken(String),
    /// The request is larger than it may be: its body, where the limit is known, or its head.
    #[error("the request is too large")]
    TooLarge {
        /// The limit of the body in bytes, where it is told.
        bytes_max: Option<u64>,
    },
    /// The node could not take the call, for example because the outbox is full; the text says why.
    #[error("the call was not accepted: {0}")]
    NotAccepted(String),
    /// The answer says that it is an error
    /// ([`error_for_status`](crate::ResponseExt::error_for_status)).
    #[error("the answer was `{0}`")]
    Status(StatusCode),
}

/// Which time ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TimedOut {
    /// That for looking up the name.
    #[error("the name was not found in time")]
    Lookup,
    /// That for connecting (`timeout.connect`).
    #[error("no connection in time")]
    Connect,
    /// That for the head of the answer: `timeout.first-byte`, `timeout.total`, or the function's own `wall`.
    #[error("connected, and no answer")]
    Answer,
    /// That between two parts of what is sent or received. In the answer's body this is
    /// [`BodyFault::Timeout`](crate::BodyFault::Timeout).
    #[error("the exchange stood still")]
    Transfer,
    /// That which the call itself was given ([`Call::timeout`](super::Call::timeout)).
    #[error("the time that the call was given is up")]
    Given,
}
