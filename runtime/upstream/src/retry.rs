//! Whether a failed try is followed by another one, and after which pause.
//!
//! Three questions, in this order: is the failure of a kind that may pass (`on`), may the request be sent twice, and is
//! there time, budget and an attempt left. Pure; the loop is in [`call`](crate::call()).

use crate::budget::Share;
use crate::watch::Outcome;
use crate::{Error, Random, limits};
use http::header::{DATE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, Method, Response, StatusCode};
use std::time::{Duration, SystemTime};

/// A request with this header may be sent again: the upstream knows it by its key
/// (draft-ietf-httpapi-idempotency-key-header).
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// How failed tries are repeated.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// Tries of one call, the first one included.
    pub attempts: u8,
    /// The pause before the first retry is up to this; it doubles for each further one.
    pub backoff: Duration,
    /// No pause is longer.
    pub backoff_max: Duration,
    /// Which failures are worth another try.
    pub on: On,
    /// Retries for each successful call.
    pub budget: Share,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            attempts: 3,
            backoff: Duration::from_millis(50),
            backoff_max: Duration::from_secs(2),
            on: On::default(),
            budget: Share::new(0.2),
        }
    }
}

/// Failures that are worth another try.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct On {
    /// No connection: the name, the network, nobody listening, no connection in time.
    pub connect: bool,
    /// No answer in time.
    pub timeout: bool,
    /// The connection ended before the answer.
    pub reset: bool,
    /// The server did not take the request: a refused HTTP/2 stream, a connection that closed before it.
    pub refused_stream: bool,
    /// Answers with these statuses.
    pub statuses: Statuses,
}

impl Default for On {
    /// All kinds, and the statuses by which servers and their proxies say "not now".
    fn default() -> Self {
        let statuses = [429, 502, 503, 504].into_iter().collect();
        Self { connect: true, timeout: true, reset: true, refused_stream: true, statuses }
    }
}

impl On {
    /// No failure at all.
    #[must_use]
    pub fn nothing() -> Self {
        let statuses = Statuses::default();
        Self { connect: false, timeout: false, reset: false, refused_stream: false, statuses }
    }
}

/// A set of HTTP statuses, 100 to 611.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Statuses([u64; 8]);

impl Statuses {
    /// Adds a status. What is no status is ignored.
    pub fn insert(&mut self, status: u16) {
        if let Some(place) = status.checked_sub(100).filter(|place| *place < 512) {
            self.0[usize::from(place / 64)] |= 1 << (place % 64);
        }
    }

    /// Whether it is one of them.
    #[must_use]
    pub fn contains(&self, status: StatusCode) -> bool {
        let place = status.as_u16() - 100;
        place < 512 && self.0[usize::from(place / 64)] & 1 << (place % 64) != 0
    }
}

impl FromIterator<u16> for Statuses {
    fn from_iter<I: IntoIterator<Item = u16>>(statuses: I) -> Self {
        let mut set = Self::default();
        statuses.into_iter().for_each(|status| set.insert(status));
        set
    }
}

/// What a try's result says about the upstream.
pub(crate) fn outcome<B>(result: &Result<Response<B>, Error>) -> Outcome {
    match result {
        Ok(response) => match response.status() {
            StatusCode::TOO_MANY_REQUESTS => Outcome::Throttled,
            StatusCode::SERVICE_UNAVAILABLE if response.headers().contains_key(RETRY_AFTER) => {
                Outcome::Throttled
            }
            StatusCode::NOT_IMPLEMENTED | StatusCode::HTTP_VERSION_NOT_SUPPORTED => Outcome::Answered,
            status if status.is_server_error() => Outcome::Failed,
            _ => Outcome::Answered,
        },
        Err(error) if error.is_upstreams() && error.is_timeout() => Outcome::TimedOut,
        Err(error) if error.is_upstreams() => Outcome::Failed,
        Err(_) => Outcome::Void,
    }
}

impl On {
    /// Whether the result is of a kind that is worth another try.
    pub(crate) fn includes<B>(&self, result: &Result<Response<B>, Error>) -> bool {
        match result {
            Ok(response) => self.statuses.contains(response.status()),
            Err(error) => match error {
                Error::DnsTimeout
                | Error::Dns(_)
                | Error::DestinationUnavailable(_)
                | Error::ConnectionRefused
                | Error::ConnectionTimeout => self.connect,
                Error::FirstByteTimeout => self.timeout,
                Error::ConnectionTerminated(_) | Error::IdleClosed(_) => self.reset,
                Error::Unsent(_) => self.refused_stream,
                _ => false,
            },
        }
    }
}

/// Whether sending the request twice is the same as sending it once (RFC 9110, section 9.2.2), or its sender says so.
pub(crate) fn is_repeatable(method: &Method, headers: &HeaderMap) -> bool {
    method.is_idempotent() || headers.contains_key(IDEMPOTENCY_KEY)
}

impl Policy {
    /// The pause before the next try, after `tries`: full jitter (Brooker, "Exponential Backoff And Jitter", AWS 2015).
    pub(crate) fn backoff(&self, tries: u8, random: &Random) -> Duration {
        let doublings = u32::from(tries.saturating_sub(1)).min(20);
        random.up_to(self.backoff.saturating_mul(1 << doublings).min(self.backoff_max))
    }
}

/// How long the upstream asks to be left alone (RFC 9110, section 10.2.3). A date counts from the response's own `Date`,
/// so that clocks which differ do no harm.
pub(crate) fn retry_after<B>(result: &Result<Response<B>, Error>) -> Option<Duration> {
    asked_pause(result.as_ref().ok()?.headers())
}

/// The pause that `Retry-After` asks for (RFC 9110, section 10.2.3).
pub(crate) fn asked_pause(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a number holds are longer than anybody waits.
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::from(u32::MAX))));
    }
    let date = |text: &str| httpdate::parse_http_date(text).ok();
    let now = headers.get(DATE).and_then(|value| date(value.to_str().ok()?));
    let until = date(text)?;
    Some(until.duration_since(now.unwrap_or_else(SystemTime::now)).unwrap_or_default())
}

/// The tokens that a retry after this outcome costs, in retries: a timeout held the upstream for longer.
pub(crate) fn cost(outcome: Outcome) -> u64 {
    if outcome == Outcome::TimedOut { limits::TIMEOUT_COST } else { 1 }
}

#[cfg(test)]
mod tests;
