//! Whose fault it was that a request was not answered by its function, and what the caller reads of it. One enum, one
//! table: status, stable code, error type of RFC 9209, and the text. What the operator reads is the chain of causes.

use http::StatusCode;
use rimward_capability::{AnswerBlame, GuestFailure, answer_blame, answer_text};
use rimward_engine::Starved;

/// Whose fault a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Blame {
    /// The client's, or its tenant's quota.
    Caller,
    /// The function's.
    Guest,
    /// That of a service which the function called.
    Upstream,
    /// The node's.
    Node,
}

/// Why a request was not answered by its function.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The request is malformed.
    #[error("the request is malformed: {0}")]
    BadRequest(&'static str),
    /// No function answers this host and path.
    #[error("no route matches the host and path")]
    NoRoute,
    /// Functions answer this path, but not with this method.
    #[error("the path does not take this method")]
    Method {
        /// Methods that it takes.
        allow: Vec<http::Method>,
    },
    /// The body is over the function's limit.
    #[error("the request body is over the limit of {max} bytes")]
    BodyTooLarge {
        /// The limit.
        max: u64,
    },
    /// The body came too slowly, or not at all.
    #[error("the request body stopped coming")]
    BodyTimeout,
    /// The body is not framed as its protocol says, or ended too early.
    #[error("the request body is malformed or incomplete")]
    BodyMalformed,
    /// The function or its tenant already runs as many invocations as it may.
    #[error("the {what} already runs as many invocations as it may")]
    Quota {
        /// `function` or `tenant`.
        what: &'static str,
    },
    /// Functions call each other in a loop.
    #[error("functions call each other more than {max} calls deep")]
    Depth {
        /// The limit.
        max: u8,
    },
    /// The function failed.
    #[error("the function failed")]
    Guest(#[source] GuestFailure),
    /// Nothing is installed yet.
    #[error("no app is installed yet")]
    NoApp,
    /// The node already runs as many invocations as it may.
    #[error("the node already runs as many invocations as it may")]
    Full,
    /// The machine runs out of memory.
    #[error("the machine runs out of memory")]
    ShortOfMemory,
    /// A panic of ours.
    #[error("the node failed")]
    Panic,
}

/// One row of the table: what a caller reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// Stable, for programs.
    pub code: &'static str,
    /// The reply's status.
    pub status: u16,
    /// The error type of RFC 9209, section 2.3.
    pub proxy_error: &'static str,
    /// For people.
    pub title: &'static str,
    /// Whose fault it is.
    pub blame: Blame,
}

macro_rules! codes {
    ($($name:ident: $blame:ident $code:literal $status:literal $proxy:literal $title:literal;)*) => {
        $(const $name: Code = Code {
            code: $code, status: $status, proxy_error: $proxy, title: $title, blame: Blame::$blame,
        };)*
        /// Every code that a node answers with, for the documentation.
        pub const CODES: &[Code] = &[$($name),*];
    };
}

codes! {
    BAD_REQUEST: Caller "rimward.caller.bad-request" 400 "http_request_error" "the request is malformed";
    NO_ROUTE: Caller "rimward.caller.no-route" 404 "destination_not_found" "no function answers this host and path";
    METHOD: Caller "rimward.caller.method" 405 "http_request_error" "this path does not take this method";
    BODY_TOO_LARGE: Caller "rimward.caller.body-too-large" 413 "http_request_error" "the request body is too large";
    BODY_TIMEOUT: Caller "rimward.caller.body-timeout" 408 "http_request_error" "the request body stopped coming";
    QUOTA: Caller "rimward.caller.quota" 429 "connection_limit_reached" "too many requests run at once";
    DEPTH: Guest "rimward.guest.depth" 508 "proxy_loop_detected" "functions call each other too deep";
    CPU: Guest "rimward.guest.cpu" 504 "http_response_timeout" "the function used up its CPU time";
    WALL: Guest "rimward.guest.wall" 504 "http_response_timeout" "the function did not answer in time";
    MEMORY: Guest "rimward.guest.memory" 500 "proxy_internal_error" "the function ran out of memory";
    TRAP: Guest "rimward.guest.trap" 500 "proxy_internal_error" "the function crashed";
    EXIT: Guest "rimward.guest.exit" 500 "proxy_internal_error" "the function exited";
    NO_RESPONSE: Guest "rimward.guest.no-response" 500 "http_response_incomplete" "the function sent no response";
    ERROR: Guest "rimward.guest.error" 500 "proxy_internal_error" "the function answered with an error";
    STREAM: Guest "rimward.guest.stream" 504 "http_response_timeout" "the function's reply stood still";
    UNREACHABLE: Upstream "rimward.upstream.unreachable" 502 "destination_unavailable" "a service that the function calls failed";
    UPSTREAM_TIMEOUT: Upstream "rimward.upstream.timeout" 504 "http_response_timeout" "a service that the function calls did not answer in time";
    NO_APP: Node "rimward.node.no-app" 503 "destination_unavailable" "no app is installed yet";
    NODE_MEMORY: Node "rimward.node.memory" 503 "connection_limit_reached" "the node is short of memory";
    FULL: Node "rimward.node.full" 503 "connection_limit_reached" "the node is at its limit";
    STOPPING: Node "rimward.node.stopping" 503 "destination_unavailable" "the node is stopping";
    PANIC: Node "rimward.node.internal" 500 "proxy_internal_error" "the node failed";
}

impl Failure {
    /// The row of the table.
    pub fn code(&self) -> Code {
        match self {
            Self::BadRequest(_) | Self::BodyMalformed => BAD_REQUEST,
            Self::NoRoute => NO_ROUTE,
            Self::Method { .. } => METHOD,
            Self::BodyTooLarge { .. } => BODY_TOO_LARGE,
            Self::BodyTimeout => BODY_TIMEOUT,
            Self::Quota { .. } => QUOTA,
            Self::Depth { .. } => DEPTH,
            Self::Guest(failure) => guest_code(failure),
            Self::NoApp => NO_APP,
            Self::Full => FULL,
            Self::ShortOfMemory => NODE_MEMORY,
            Self::Panic => PANIC,
        }
    }

    /// The reply's status.
    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.code().status).expect("the table has valid statuses")
    }

    /// The error type of RFC 9209: that of the row, or more exactly what the function answered with.
    pub(crate) fn proxy_error(&self) -> &'static str {
        match self {
            Self::Guest(GuestFailure::Answered(error)) => answer_text(error),
            _ => self.code().proxy_error,
        }
    }

    /// Whether the function had been called when it failed: its own record tells of the end then.
    pub(crate) fn of_a_called_function(&self) -> bool {
        matches!(self, Self::Guest(_) | Self::BodyTooLarge { .. } | Self::BodyTimeout | Self::BodyMalformed)
    }

    /// Whether what the client still sends cannot be told from its next request, or is not wanted: nothing more is read.
    pub(crate) fn ends_connection(&self) -> bool {
        matches!(
            self,
            Self::BadRequest(_) | Self::BodyMalformed | Self::BodyTooLarge { .. } | Self::BodyTimeout
        )
    }

    /// Whether another attempt may find room.
    pub(crate) fn retry_after(&self) -> bool {
        matches!(self.code().status, 429 | 503)
    }
}

pub(crate) fn guest_code(failure: &GuestFailure) -> Code {
    match failure {
        GuestFailure::Cpu => CPU,
        GuestFailure::Wall(_) => WALL,
        GuestFailure::Memory(_) => MEMORY,
        GuestFailure::Starved(Starved::Share, _) => QUOTA,
        GuestFailure::Starved(Starved::Node, _) => NODE_MEMORY,
        GuestFailure::Trap(_) => TRAP,
        GuestFailure::Exit(_) => EXIT,
        GuestFailure::NoResponse => NO_RESPONSE,
        GuestFailure::Answered(error) => match answer_blame(error) {
            AnswerBlame::Guest => ERROR,
            AnswerBlame::UpstreamUnreachable => UNREACHABLE,
            AnswerBlame::UpstreamTimeout => UPSTREAM_TIMEOUT,
        },
        GuestFailure::Idle | GuestFailure::TooSlow | GuestFailure::TooLong => STREAM,
        GuestFailure::PoolFull(_) => FULL,
        GuestFailure::Host(rimward_engine::Lost::Panicked) => PANIC,
        GuestFailure::Host(rimward_engine::Lost::Stopped) => STOPPING,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn codes_are_unique_and_name_their_blame() {
        let unique: BTreeSet<_> = CODES.iter().map(|row| row.code).collect();
        assert_eq!(unique.len(), CODES.len());
        for row in CODES {
            let blame = format!("rimward.{}.", format!("{:?}", row.blame).to_lowercase());
            assert!(row.code.starts_with(&blame), "{}", row.code);
            assert!(StatusCode::from_u16(row.status).is_ok());
        }
    }
}
