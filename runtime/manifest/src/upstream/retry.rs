//! How failed calls are tried again, as declared.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::Serialize;

use super::percent::Percent;
use crate::document::Table;
use crate::duration::{Duration, DurationError};
use crate::limits::RETRY_ATTEMPTS_MAX;
use crate::text::text_type;

/// How failed calls are tried again. Only calls that may be sent twice are: those with an idempotent method or an
/// `Idempotency-Key`, and those that never reached the upstream.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Retry {
    /// Tries of one call, the first one included; 1 for no retry [default: 3].
    #[schemars(range(min = 1, max = 10))]
    pub attempts: Option<NonZeroU32>,
    /// The pause before the first retry is up to the first time, and doubles up to the second [default: 50ms..2s].
    pub backoff: Option<Backoff>,
    /// Which failures are tried again [default: connect, timeout, reset, refused-stream, 429, 502, 503, 504].
    pub on: Option<Vec<RetryOn>>,
    /// Retries for each successful call [default: 20%].
    pub budget: Option<Percent>,
}

impl Retry {
    pub(crate) fn read(table: &mut Table<'_>) -> Option<Self> {
        let attempts: Option<NonZeroU32> = table.optional("attempts");
        if attempts.is_some_and(|attempts| attempts.get() > RETRY_ATTEMPTS_MAX) {
            let message = format!("`attempts` is more than {RETRY_ATTEMPTS_MAX}");
            table.problem_at("attempts", message, "a call that fails so often is better refused");
        }
        Some(Self {
            attempts,
            backoff: table.optional("backoff"),
            on: table.optional_list("on"),
            budget: table.optional("budget"),
        })
    }
}

/// Two times: the pause before the first retry, at the most, and the longest pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// Before the first retry.
    pub first: Duration,
    /// Before any.
    pub longest: Duration,
}

/// Why a text is not a backoff.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BackoffError {
    /// There are no two dots in it.
    #[error("`{0}` is not two times with `..` between them")]
    Dots(String),
    /// One of the times is none.
    #[error(transparent)]
    Duration(#[from] DurationError),
    /// The second is shorter than the first.
    #[error("the longest pause of `{0}` is shorter than the first")]
    Order(String),
}

impl FromStr for Backoff {
    type Err = BackoffError;

    fn from_str(text: &str) -> Result<Self, BackoffError> {
        let (first, longest) = text.split_once("..").ok_or_else(|| BackoffError::Dots(text.into()))?;
        let (first, longest): (Duration, Duration) = (first.trim().parse()?, longest.trim().parse()?);
        if longest < first { Err(BackoffError::Order(text.into())) } else { Ok(Self { first, longest }) }
    }
}

impl fmt::Display for Backoff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.first, self.longest)
    }
}

text_type!(
    Backoff,
    pattern: r"^[0-9]+ *(ms|s|m|h|d) *\.\. *[0-9]+ *(ms|s|m|h|d)$",
    hint: "a backoff is the first pause and the longest one, as in `50ms..2s`"
);

/// A kind of failure that is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetryOn {
    /// No connection: the name, the network, nobody listening, not in time.
    Connect,
    /// No answer in time.
    Timeout,
    /// The connection ended before the answer.
    Reset,
    /// The server did not take the request.
    RefusedStream,
    /// An answer with this status.
    Status(u16),
    /// An answer with a status of this hundred.
    Class(u16),
}

/// A text that is no kind of failure.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no failure that can be tried again")]
pub struct RetryOnError(String);

impl RetryOn {
    /// The statuses that it stands for.
    pub fn statuses(self) -> std::ops::Range<u16> {
        match self {
            Self::Status(status) => status..status + 1,
            Self::Class(hundred) => hundred * 100..hundred * 100 + 100,
            _ => 0..0,
        }
    }
}

impl FromStr for RetryOn {
    type Err = RetryOnError;

    fn from_str(text: &str) -> Result<Self, RetryOnError> {
        let refused = || RetryOnError(text.into());
        match text {
            "connect" => Ok(Self::Connect),
            "timeout" => Ok(Self::Timeout),
            "reset" => Ok(Self::Reset),
            "refused-stream" => Ok(Self::RefusedStream),
            "4xx" => Ok(Self::Class(4)),
            "5xx" => Ok(Self::Class(5)),
            _ if text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_digit()) => {
                let status = text.parse().ok().filter(|status| (400..600).contains(status));
                status.map(Self::Status).ok_or_else(refused)
            }
            _ => Err(refused()),
        }
    }
}

impl fmt::Display for RetryOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect => f.write_str("connect"),
            Self::Timeout => f.write_str("timeout"),
            Self::Reset => f.write_str("reset"),
            Self::RefusedStream => f.write_str("refused-stream"),
            Self::Status(status) => write!(f, "{status}"),
            Self::Class(hundred) => write!(f, "{hundred}xx"),
        }
    }
}

text_type!(
    RetryOn,
    pattern: "^(connect|timeout|reset|refused-stream|[45]xx|[45][0-9]{2})$",
    hint: "`connect`, `timeout`, `reset`, `refused-stream`, a status such as `503`, or `5xx`"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backoff_is_two_times() {
        let backoff: Backoff = "50ms .. 2s".parse().unwrap();
        assert_eq!(backoff.to_string(), "50ms..2s");
        let check = |text: &str, says: &str| {
            assert_eq!(text.parse::<Backoff>().unwrap_err().to_string(), says);
        };
        check("50ms", "`50ms` is not two times with `..` between them");
        check("2s..1s", "the longest pause of `2s..1s` is shorter than the first");
        check("..1s", "the duration `` does not start with a whole number");
        assert!("1s..1s".parse::<Backoff>().is_ok());
    }

    #[test]
    fn a_failure_is_a_word_or_a_status() {
        for text in ["connect", "timeout", "reset", "refused-stream", "400", "599", "5xx", "4xx"] {
            assert_eq!(text.parse::<RetryOn>().unwrap().to_string(), text);
        }
        for text in ["", "399", "600", "200", "2xx", "xx", "50", "5000", "Connect", "tls"] {
            assert!(text.parse::<RetryOn>().is_err(), "{text}");
        }
        assert_eq!("5xx".parse::<RetryOn>().unwrap().statuses(), 500..600);
        assert_eq!("503".parse::<RetryOn>().unwrap().statuses(), 503..504);
        assert!(RetryOn::Reset.statuses().is_empty());
    }
}
