//! What the cache did about a request, as `Cache-Status` tells it (RFC 9211).

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use std::fmt;

const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// What the cache did about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It had the answer, which is fresh for so many seconds more.
    Hit {
        /// Seconds; less than none where the caller took a stale one.
        ttl: i64,
    },
    /// It had an answer past its time, and the upstream gave none.
    Stale,
    /// It had no answer, and the caller wanted no other one.
    Nothing,
    /// The upstream was asked.
    Asked {
        /// Why.
        fwd: Fwd,
        /// Its status, where the caller got another one.
        answered: Option<StatusCode>,
        /// Whether its answer is kept, once it has come whole.
        is_stored: bool,
    },
}

/// Why the upstream was asked (section 2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fwd {
    /// Answers to such requests are not kept: conditions of the caller's own, or `no-store`.
    Bypass,
    /// Nor those to this method.
    Method,
    /// Nothing is here for this URI.
    UriMiss,
    /// What is here was for requests with other headers.
    VaryMiss,
    /// What is here was not good enough for this request.
    Request,
    /// What is here is past its time.
    Stale,
}

impl Status {
    /// Whether the caller got what was here without the upstream being asked.
    #[must_use]
    pub fn is_hit(self) -> bool {
        matches!(self, Self::Hit { .. })
    }

    /// Tells it behind what other caches on the way have told.
    pub(crate) fn mark(self, headers: &mut HeaderMap) {
        if let Ok(value) = HeaderValue::try_from(self.to_string()) {
            headers.append(CACHE_STATUS, value);
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hit { ttl } => write!(f, "rimward; hit; ttl={ttl}"),
            Self::Stale => f.write_str("rimward; hit; detail=stale-if-error"),
            Self::Nothing => f.write_str("rimward; detail=only-if-cached"),
            Self::Asked { fwd, answered, is_stored } => {
                write!(f, "rimward; fwd={fwd}")?;
                if let Some(status) = answered {
                    write!(f, "; fwd-status={}", status.as_u16())?;
                }
                if *is_stored { f.write_str("; stored") } else { Ok(()) }
            }
        }
    }
}

impl fmt::Display for Fwd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bypass => "bypass",
            Self::Method => "method",
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Request => "request",
            Self::Stale => "stale",
        })
    }
}
