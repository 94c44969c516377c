//! What of a function's request is kept, and what the request says about how to keep it.
//!
//! Called by the capability crate for a request to an upstream that has an outbox. Pure.
//!
//! | header of the request | meaning |
//! |---|---|
//! | `prefer: respond-async` (RFC 7240, section 4.1) | defer it; the preference is not sent on |
//! | `idempotency-key` | names the call: a second one with the same key is the first one; sent on |
//! | `rimward-order-key` | calls with the same one are delivered in order; not sent on |
//! | `priority: u=1` (RFC 9218, section 4.1) | how urgent it is, 0 to 7, 3 by default; sent on |

use super::letter::{Draft, Id};
use crate::head::strip_hop_by_hop;
use crate::limits;
use crate::outbox::IDEMPOTENCY_KEY;
use http::header::{CONTENT_LENGTH, EXPECT, HOST, HeaderName};
use http::{HeaderMap, HeaderValue, request::Parts};

const PREFER: HeaderName = HeaderName::from_static("prefer");
const ORDER_KEY: HeaderName = HeaderName::from_static("rimward-order-key");
const PRIORITY: HeaderName = HeaderName::from_static("priority");
const RESPOND_ASYNC: &str = "respond-async";

/// Why a request cannot be kept: it is malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DraftError {
    /// A key is no text, too long, or there are several.
    #[error("header `{0}` is not one value of visible characters, at most 255 of them")]
    Key(&'static str),
    /// The path is too long.
    #[error("the request's path is too long")]
    Path,
    /// The headers are too large.
    #[error("the request's headers are too large")]
    Headers,
}

/// Whether the request asks to be deferred.
#[must_use]
pub fn is_deferred(headers: &HeaderMap) -> bool {
    headers.get_all(PREFER).iter().any(|value| preferences(value).any(is_respond_async))
}

/// What of a request is kept, all but its body.
///
/// # Errors
/// The request is malformed.
pub fn draft(parts: &Parts) -> Result<Draft, DraftError> {
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let mut headers = parts.headers.clone();
    let key = taken(&mut headers, &IDEMPOTENCY_KEY, "idempotency-key")?;
    let lane = taken(&mut headers, &ORDER_KEY, "rimward-order-key")?;
    strip_hop_by_hop(&mut headers);
    for name in [HOST, CONTENT_LENGTH, EXPECT] {
        headers.remove(name);
    }
    keep_other_preferences(&mut headers);
    if path.len() > limits::PATH_BYTES_MAX {
        return Err(DraftError::Path);
    }
    let size: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if size > limits::REQUEST_HEADERS_BYTES_MAX {
        return Err(DraftError::Headers);
    }
    let urgency = urgency(&headers);
    Ok(Draft { method: parts.method.clone(), path: path.to_owned(), headers, key, lane, urgency })
}

/// The id in the path of a status resource, `/<id>`.
#[must_use]
pub fn id_in(path: &str) -> Option<Id> {
    path.strip_prefix('/')?.parse().ok()
}

fn taken(
    headers: &mut HeaderMap,
    name: &HeaderName,
    shown: &'static str,
) -> Result<Option<String>, DraftError> {
    let mut values = headers.get_all(name).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return if headers.contains_key(name) { Err(DraftError::Key(shown)) } else { Ok(None) };
    };
    let text = value.to_str().map_err(|_| DraftError::Key(shown))?.to_owned();
    if text.is_empty() || text.len() > limits::outbox::KEY_BYTES_MAX {
        return Err(DraftError::Key(shown));
    }
    headers.remove(name);
    Ok(Some(text))
}

fn preferences(value: &HeaderValue) -> impl Iterator<Item = &str> {
    value.to_str().unwrap_or_default().split(',').map(str::trim).filter(|one| !one.is_empty())
}

fn is_respond_async(preference: &str) -> bool {
    let name = preference.split([';', '=']).next().unwrap_or_default();
    name.trim().eq_ignore_ascii_case(RESPOND_ASYNC)
}

fn keep_other_preferences(headers: &mut HeaderMap) {
    let values = headers.get_all(PREFER).iter().flat_map(preferences);
    let others: Vec<&str> = values.filter(|one| !is_respond_async(one)).collect();
    match HeaderValue::from_str(&others.join(", ")) {
        Ok(value) if !value.is_empty() => headers.insert(PREFER, value),
        _ => headers.remove(PREFER),
    };
}

fn urgency(headers: &HeaderMap) -> u8 {
    let asked = headers.get(PRIORITY).and_then(|value| value.to_str().ok()).and_then(|text| {
        let urgency = text.split(',').find_map(|one| one.trim().strip_prefix("u="))?;
        urgency.parse().ok().filter(|urgency| *urgency <= limits::outbox::URGENCY_MAX)
    });
    asked.unwrap_or(limits::outbox::URGENCY_DEFAULT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::Request;

    fn parts(headers: &[(&str, &str)]) -> Parts {
        let request = Request::post("http://cloud.upstream.internal/readings?a=1");
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn a_request_is_deferred_if_it_prefers_so() {
        let check = |prefer: &str, expected: bool| {
            assert_eq!(is_deferred(&parts(&[("prefer", prefer)]).headers), expected, "{prefer}");
        };
        check("respond-async", true);
        check("wait=10, Respond-Async", true);
        check("respond-async;x=1", true);
        check("return=minimal", false);
        check("no-respond-async", false);
        assert!(!is_deferred(&HeaderMap::new()));
    }

    #[test]
    fn only_what_is_for_the_upstream_is_kept() {
        let kept = draft(&parts(&[
            ("prefer", "respond-async, return=minimal"),
            ("idempotency-key", "k1"),
            ("rimward-order-key", "sensor-7"),
            ("priority", "u=1, i"),
            ("connection", "x-hop"),
            ("x-hop", "1"),
            ("content-length", "5"),
            ("host", "evil"),
            ("content-type", "text/plain"),
        ]))
        .unwrap();
        assert_eq!(kept.key.as_deref(), Some("k1"));
        assert_eq!(kept.lane.as_deref(), Some("sensor-7"));
        assert_eq!(kept.urgency, 1);
        assert_eq!(kept.path, "/readings?a=1");
        let mut names: Vec<_> = kept.headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["content-type", "prefer", "priority"]);
        assert_eq!(kept.headers["prefer"], "return=minimal");
    }

    #[test]
    fn a_key_may_fill_its_bound_and_no_more() {
        let with = |bytes: usize| draft(&parts(&[("idempotency-key", &"k".repeat(bytes))]));
        assert!(with(limits::outbox::KEY_BYTES_MAX).is_ok());
        assert_eq!(with(limits::outbox::KEY_BYTES_MAX + 1).unwrap_err(), DraftError::Key("idempotency-key"));
        assert_eq!(with(0).unwrap_err(), DraftError::Key("idempotency-key"));
        let two = parts(&[("rimward-order-key", "a"), ("rimward-order-key", "b")]);
        assert_eq!(draft(&two).unwrap_err(), DraftError::Key("rimward-order-key"));
    }

    #[test]
    fn an_urgency_that_is_none_is_the_usual_one() {
        for (priority, expected) in [("u=0", 0), ("u=7", 7), ("u=8", 3), ("i", 3), ("u=x", 3), ("i, u=5", 5)]
        {
            assert_eq!(draft(&parts(&[("priority", priority)])).unwrap().urgency, expected, "{priority}");
        }
    }

    #[test]
    fn headers_and_path_may_fill_their_bounds_and_no_more() {
        let with = |bytes: usize| draft(&parts(&[("x", &"v".repeat(bytes - 1))]));
        assert!(with(limits::REQUEST_HEADERS_BYTES_MAX).is_ok());
        assert_eq!(with(limits::REQUEST_HEADERS_BYTES_MAX + 1).unwrap_err(), DraftError::Headers);
        let path = |bytes: usize| {
            let request = Request::get(format!("/{}", "p".repeat(bytes - 1))).body(()).unwrap();
            draft(&request.into_parts().0)
        };
        assert!(path(limits::PATH_BYTES_MAX).is_ok());
        assert_eq!(path(limits::PATH_BYTES_MAX + 1).unwrap_err(), DraftError::Path);
    }
}
