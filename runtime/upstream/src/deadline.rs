//! The time of one call, and how the upstream hears of what is left of it.
//!
//! Sent as `grpc-timeout` with gRPC (the protocol's own header) and as Envoy's `x-envoy-expected-rq-timeout-ms` with
//! everything else, because no standard has one and Envoy's is the most widely understood. A caller that says so itself,
//! and wants less, keeps its word.

use crate::Timeouts;
use crate::call::Terms;
use http::header::{CONTENT_TYPE, Entry};
use http::{HeaderMap, HeaderName, HeaderValue};
use std::time::Duration;
use tokio::time::Instant;

/// For everything but gRPC: milliseconds.
const EXPECTED: HeaderName = HeaderName::from_static("x-envoy-expected-rq-timeout-ms");
/// For gRPC: up to eight digits and a unit (gRPC over HTTP/2, "Timeout").
const GRPC: HeaderName = HeaderName::from_static("grpc-timeout");
/// What eight digits hold.
const GRPC_MAX: u64 = 99_999_999;

/// When a call began, and when it must be over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Time {
    pub(crate) start: Instant,
    pub(crate) timeouts: Timeouts,
    /// The caller's own, for the head of the answer.
    pub(crate) deadline: Option<Instant>,
    /// The end of everything, bodies included.
    pub(crate) end: Instant,
    pub(crate) is_probe: bool,
}

impl Time {
    pub(crate) fn start(terms: Terms) -> Self {
        let start = Instant::now();
        let timeouts = terms.timeouts.clamped();
        let Terms { deadline, is_probe, .. } = terms;
        Self { start, timeouts, deadline, end: start + timeouts.total, is_probe }
    }

    /// When the head of the answer must be there.
    pub(crate) fn head_by(&self) -> Instant {
        self.deadline.map_or(self.end, |deadline| deadline.min(self.end))
    }

    pub(crate) fn is_over(&self, now: Instant) -> bool {
        now >= self.head_by()
    }

    /// What is left of the caller's own time, where it has a limit.
    pub(crate) fn left(&self, now: Instant) -> Option<Duration> {
        self.deadline.map(|_| self.head_by().saturating_duration_since(now))
    }
}

/// Tells the upstream how much time is `left`.
pub(crate) fn tell(headers: &mut HeaderMap, left: Duration) {
    let ms = u64::try_from(left.as_millis()).unwrap_or(u64::MAX);
    let is_grpc =
        headers.get(CONTENT_TYPE).is_some_and(|content| content.as_bytes().starts_with(b"application/grpc"));
    if is_grpc {
        if headers.get(GRPC).and_then(grpc_timeout).is_none_or(|own| own > left) {
            let text = format!("{}m", ms.min(GRPC_MAX));
            headers.insert(GRPC, HeaderValue::try_from(text).expect("digits and a letter"));
        }
    } else {
        let own = |value: &HeaderValue| value.to_str().ok()?.parse::<u64>().ok();
        match headers.entry(EXPECTED) {
            Entry::Vacant(place) => drop(place.insert(HeaderValue::from(ms))),
            Entry::Occupied(mut place) if own(place.get()).is_none_or(|own| own > ms) => {
                place.insert(HeaderValue::from(ms));
            }
            Entry::Occupied(_) => {}
        }
    }
}

/// The time that a `grpc-timeout` says (gRPC over HTTP/2, "Timeout").
#[must_use]
pub fn grpc_timeout(value: &HeaderValue) -> Option<Duration> {
    let (number, unit) = value.to_str().ok()?.split_at_checked(value.len().checked_sub(1)?)?;
    let number: u64 = number.parse().ok().filter(|number| *number <= GRPC_MAX)?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &'static str, own: Option<&'static str>, content: &'static str, expected: &str) {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content));
        if let Some(own) = own {
            headers.insert(name, HeaderValue::from_static(own));
        }
        tell(&mut headers, Duration::from_millis(1500));
        assert_eq!(headers[name], expected, "{own:?}");
        assert_eq!(headers.len(), 2);
    }

    /// C10: the time that is left goes along, and a caller that wants less is heard.
    #[test]
    fn the_upstream_hears_how_much_time_is_left() {
        let plain = |own, expected| check("x-envoy-expected-rq-timeout-ms", own, "text/plain", expected);
        plain(None, "1500");
        plain(Some("1499"), "1499");
        plain(Some("1501"), "1500");
        plain(Some("soon"), "1500");
        let grpc = |own, expected| check("grpc-timeout", own, "application/grpc+proto", expected);
        grpc(None, "1500m");
        grpc(Some("1S"), "1S");
        grpc(Some("2S"), "1500m");
        grpc(Some("1500000u"), "1500000u");
        grpc(Some("1H"), "1500m");
        grpc(Some("999999999m"), "1500m");
        grpc(Some(""), "1500m");
    }

    #[test]
    fn a_timeout_is_read_in_each_unit() {
        for (header, wanted) in [
            ("1H", Some(Duration::from_secs(3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("99999999S", Some(Duration::from_secs(99_999_999))),
            ("150m", Some(Duration::from_millis(150))),
            ("7u", Some(Duration::from_micros(7))),
            ("8n", Some(Duration::from_nanos(8))),
            ("999999999S", None),
            ("S", None),
            ("", None),
            ("-1S", None),
            ("1d", None),
            ("1\u{e9}", None),
        ] {
            assert_eq!(grpc_timeout(&HeaderValue::from_str(header).unwrap()), wanted, "{header}");
        }
    }

    #[test]
    fn more_than_eight_digits_are_never_sent() {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        tell(&mut headers, Duration::from_millis(GRPC_MAX + 1));
        assert_eq!(headers[GRPC], "99999999m");
    }
}
