//! Who carries deferred calls to the upstream: the port that the node implements with the policy stack.

use super::letter::Id;
use super::status::Answer;
use crate::{Body, Error};
use http::{Request, Response, StatusCode};
use std::pin::Pin;
use std::time::Duration;

/// What an async function of the port returns.
pub type Carrying<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Carries calls to the upstream and answers to a function.
pub trait Courier: Send + Sync {
    /// How long to wait before anything is carried: because the breaker is open, or live calls wait. `None`: go.
    fn hold(&self) -> Option<Duration>;

    /// Delivers one call, once, under the upstream's policy.
    fn carry(&self, parcel: Parcel) -> Carrying<'_, Outcome>;

    /// Tells a function of an answer, once; whether it took it.
    fn tell(&self, answer: Answer) -> Carrying<'_, bool>;
}

/// A call on its way.
#[derive(Debug)]
pub struct Parcel {
    /// Which call it is.
    pub id: Id,
    /// What the function sent, and the `idempotency-key`.
    pub request: Request<Body>,
}

/// What came of carrying a call.
#[derive(Debug)]
pub enum Outcome {
    /// The upstream answered.
    Answered(Response<Body>),
    /// It was not reached, or asked to be left alone: that is no failure of the call.
    Away {
        /// Why, for the operator.
        reason: String,
        /// When to try again, if that is known.
        after: Option<Duration>,
    },
    /// It was reached, and gave no answer.
    Failed(String),
    /// There is no use in another attempt.
    Dead(String),
}

impl Outcome {
    /// Of a call that ended with `error`.
    #[must_use]
    pub fn of_error(error: &Error) -> Self {
        let reason = error.caller_text().to_owned();
        match error {
            // Its own fault: it is the same at the next attempt.
            Error::RequestMethodInvalid
            | Error::RequestUriInvalid
            | Error::RequestUriTooLong
            | Error::RequestHeadersTooLarge
            | Error::RequestBodyLength
            | Error::RequestBodyTooLarge => Self::Dead(reason),
            Error::ConnectionTerminated(_)
            | Error::FirstByteTimeout
            | Error::BetweenBytesTimeout
            | Error::TotalTimeout
            | Error::ResponseIncomplete(_)
            | Error::ResponseHeadersTooLarge
            | Error::ResponseBodyTooLarge
            | Error::ResponseProtocol(_)
            | Error::ResponseUpgrade
            | Error::RequestBody(_) => Self::Failed(reason),
            // No connection, no name, no room, no certificate: nothing was sent.
            _ => Self::Away { reason, after: None },
        }
    }
}

/// What an answer means for the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Delivered,
    /// The upstream asks to be left alone.
    Away(Option<Duration>),
    Failed,
    Dead,
}

/// By status (RFC 9110, section 15): what the upstream itself cannot do now is tried again; what it will not do is not.
pub(super) fn verdict<B>(response: &Response<B>) -> Verdict {
    let after = crate::retry::asked_pause(response.headers());
    match response.status() {
        status if status.is_success() => Verdict::Delivered,
        StatusCode::TOO_MANY_REQUESTS => Verdict::Away(after),
        StatusCode::SERVICE_UNAVAILABLE if after.is_some() => Verdict::Away(after),
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY => Verdict::Failed,
        status if status.is_server_error() => Verdict::Failed,
        _ => Verdict::Dead,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: u16, after: Option<&str>, expected: Verdict) {
        let mut response = Response::builder().status(status);
        if let Some(after) = after {
            response = response.header("retry-after", after);
        }
        assert_eq!(verdict(&response.body(()).unwrap()), expected, "{status}");
    }

    #[test]
    fn a_status_says_whether_another_attempt_is_of_use() {
        check(200, None, Verdict::Delivered);
        check(204, None, Verdict::Delivered);
        check(307, None, Verdict::Dead);
        check(400, None, Verdict::Dead);
        check(404, None, Verdict::Dead);
        check(408, None, Verdict::Failed);
        check(425, None, Verdict::Failed);
        check(429, None, Verdict::Away(None));
        check(429, Some("7"), Verdict::Away(Some(Duration::from_secs(7))));
        check(500, None, Verdict::Failed);
        check(503, None, Verdict::Failed);
        check(503, Some("7"), Verdict::Away(Some(Duration::from_secs(7))));
    }

    #[test]
    fn what_was_never_sent_is_no_failure_of_the_call() {
        assert!(matches!(Outcome::of_error(&Error::ConnectionRefused), Outcome::Away { .. }));
        assert!(matches!(Outcome::of_error(&Error::CircuitOpen), Outcome::Away { .. }));
        assert!(matches!(Outcome::of_error(&Error::DnsTimeout), Outcome::Away { .. }));
        assert!(matches!(Outcome::of_error(&Error::FirstByteTimeout), Outcome::Failed(_)));
        assert!(matches!(Outcome::of_error(&Error::RequestUriTooLong), Outcome::Dead(_)));
    }
}
