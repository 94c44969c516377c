//! What answers in an upstream's place when it does not: another function of the app, or a fixed reply.
//!
//! A kept answer comes first, where there is a cache, then the function, then the fixed reply. It applies when the upstream could not be asked (the
//! breaker is open, there is no place, no time), and when it failed for good after its retries. It never applies
//! to what the caller did wrong, nor to an answer that is no failure. The caller always learns that it got one
//! ([`Told`](crate::Told)); the `Warning` header, which used to say so, is obsolete (RFC 9111, section 5.5).

use crate::replay::Replay;
use crate::watch::Outcome;
use crate::{Body, Error, retry};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// See the file's head.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// How long past its time a kept answer is still better than none; it is asked for first.
    pub cached: Option<Duration>,
    /// The function that is asked.
    pub function: Option<Arc<str>>,
    /// The reply that is always there.
    pub reply: Option<Reply>,
}

/// A fixed reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// What answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A function of the app.
    Function,
    /// The fixed reply.
    Static,
    /// An answer that was kept, past its time.
    Cached,
}

/// Why the upstream did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Its circuit breaker is open.
    CircuitOpen,
    /// Too many calls are under way.
    BulkheadFull,
    /// The caller's time was up.
    Deadline,
    /// It did not answer in time.
    Timeout,
    /// It could not be reached, or its answer was none.
    Error,
    /// The node has no credentials for it.
    Credentials,
    /// It answered with a status that is a failure.
    Status,
}

/// Asks a function of the app. The node provides it.
pub trait Functions: Sync {
    /// The function's answer to the call; `None` where it has none.
    fn ask<'a>(
        &'a self,
        function: &'a str,
        reason: Reason,
        request: Request<Body>,
    ) -> Pin<Box<dyn Future<Output = Option<Response<Body>>> + Send + 'a>>;
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Function => "function",
            Self::Static => "static",
            Self::Cached => "cached",
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::CircuitOpen => "circuit-open",
            Self::BulkheadFull => "bulkhead-full",
            Self::Deadline => "deadline",
            Self::Timeout => "timeout",
            Self::Error => "error",
            Self::Credentials => "credentials",
            Self::Status => "status",
        })
    }
}

/// Why something else has to answer; `None` where the result stands.
pub(crate) fn reason(result: &Result<Response<Body>, Error>) -> Option<Reason> {
    match result {
        Err(Error::CircuitOpen) => Some(Reason::CircuitOpen),
        Err(Error::BulkheadFull) => Some(Reason::BulkheadFull),
        Err(Error::Deadline) => Some(Reason::Deadline),
        Err(Error::Credentials(_)) => Some(Reason::Credentials),
        // Of no upstream's making, and nothing that the caller could have done otherwise.
        Err(Error::IdleClosed(_) | Error::ConnectionLimit) => Some(Reason::Error),
        _ => match retry::outcome(result) {
            Outcome::Answered | Outcome::Void => None,
            Outcome::TimedOut => Some(Reason::Timeout),
            Outcome::Throttled | Outcome::Failed if result.is_ok() => Some(Reason::Status),
            Outcome::Throttled | Outcome::Failed => Some(Reason::Error),
        },
    }
}

impl Policy {
    /// Whether the request must be kept for it.
    pub(crate) fn needs_request(&self) -> bool {
        self.function.is_some()
    }

    /// What answers, if anything does.
    pub(crate) async fn answer(
        &self,
        reason: Reason,
        replay: &mut Replay,
        functions: &dyn Functions,
    ) -> Option<(Kind, Response<Body>)> {
        // A body that was too large to be kept is gone.
        if let Some(function) = self.function.as_deref().filter(|_| replay.is_possible())
            && let Some(response) = functions.ask(function, reason, replay.request()).await
        {
            return Some((Kind::Function, response));
        }
        Some((Kind::Static, self.reply.as_ref()?.response()))
    }
}

impl Reply {
    fn response(&self) -> Response<Body> {
        let body = Full::new(self.body.clone()).map_err(|never| match never {}).boxed_unsync();
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        *response.headers_mut() = self.headers.clone();
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16) -> Result<Response<Body>, Error> {
        let reply = Reply {
            status: StatusCode::from_u16(status).unwrap(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
        };
        Ok(reply.response())
    }

    /// C8: what has to be answered by something else, and what stands.
    #[test]
    fn a_result_stands_unless_the_upstream_failed() {
        let check = |result, expected| assert_eq!(reason(&result), expected, "{result:?}");
        for status in [200, 204, 301, 304, 400, 404, 409, 501] {
            check(answered(status), None);
        }
        for status in [429, 500, 502, 503, 504] {
            check(answered(status), Some(Reason::Status));
        }
        check(Err(Error::CircuitOpen), Some(Reason::CircuitOpen));
        check(Err(Error::BulkheadFull), Some(Reason::BulkheadFull));
        check(Err(Error::Deadline), Some(Reason::Deadline));
        check(Err(Error::FirstByteTimeout), Some(Reason::Timeout));
        check(
            Err(Error::IdleClosed(std::sync::Arc::new(std::io::Error::other("it ended")))),
            Some(Reason::Error),
        );
        check(Err(Error::ConnectionLimit), Some(Reason::Error));
        check(Err(Error::ConnectionRefused), Some(Reason::Error));
        let unknown = Arc::new(std::io::Error::other("no token"));
        check(Err(Error::Credentials(unknown)), Some(Reason::Credentials));
        check(Err(Error::RequestUriInvalid), None);
        check(Err(Error::RequestHeadersTooLarge), None);
    }
}
