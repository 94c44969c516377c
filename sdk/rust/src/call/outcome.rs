//! What became of a call besides its answer: how often the upstream was tried, and what answered in its place. The node
//! says so in two headers of the answer, `rimward-upstream` (a dictionary, RFC 9651) and `cache-status` (RFC 9211), and
//! takes away what an upstream sends under the first name. An answer of the first try has neither. What cannot be read
//! counts as not said: a newer node may say more than this SDK knows.

use crate::{HeaderMap, HeaderName, header};

const TOLD: HeaderName = HeaderName::from_static("rimward-upstream");
const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// That something answered in the upstream's place, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fallback {
    /// What answered.
    pub by: FallbackBy,
    /// Why the upstream did not.
    pub reason: FallbackReason,
}

/// What answered in an upstream's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FallbackBy {
    /// A function of the app (`fallback.function`).
    Function,
    /// The fixed reply.
    Static,
    /// An answer that was kept.
    Cache,
    /// Something that this SDK has no name for.
    Other,
}

/// Why an upstream did not answer itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FallbackReason {
    /// Its circuit breaker is open.
    CircuitOpen,
    /// Too many calls are under way.
    BulkheadFull,
    /// The function's own time was up.
    Deadline,
    /// It did not answer in time.
    Timeout,
    /// It could not be reached, or its answer was none.
    Error,
    /// The node has nothing that proves to it who calls.
    Credentials,
    /// It answered with a status that is a failure.
    Status,
    /// Something that this SDK has no name for.
    Other,
}

/// How often the upstream was tried.
pub(crate) fn tries(headers: &HeaderMap) -> u32 {
    match told(headers, "tries") {
        Some(Some(tries)) => tries.parse().unwrap_or(1),
        // A kept answer that stands in for another one comes after a try.
        _ if is_from_cache(headers) && fallback(headers).is_none() => 0,
        _ => 1,
    }
}

pub(crate) fn is_hedged(headers: &HeaderMap) -> bool {
    told(headers, "hedged").is_some()
}

pub(crate) fn fallback(headers: &HeaderMap) -> Option<Fallback> {
    let by = match told(headers, "fallback")?? {
        "function" => FallbackBy::Function,
        "static" => FallbackBy::Static,
        "cached" => FallbackBy::Cache,
        _ => FallbackBy::Other,
    };
    let reason = match told(headers, "reason").flatten() {
        Some("circuit-open") => FallbackReason::CircuitOpen,
        Some("bulkhead-full") => FallbackReason::BulkheadFull,
        Some("deadline") => FallbackReason::Deadline,
        Some("timeout") => FallbackReason::Timeout,
        Some("error") => FallbackReason::Error,
        Some("credentials") => FallbackReason::Credentials,
        Some("status") => FallbackReason::Status,
        _ => FallbackReason::Other,
    };
    Some(Fallback { by, reason })
}

/// The cache nearest to the function is the last one in the list, and the node's own calls itself `rimward`. A cache of
/// the upstream's may stand before it.
pub(crate) fn is_from_cache(headers: &HeaderMap) -> bool {
    let mut caches = headers.get_all(CACHE_STATUS).iter().filter_map(|value| value.to_str().ok());
    let Some(last) = caches.next_back().and_then(|list| list.rsplit(',').next()) else { return false };
    let mut parameters = last.split(';').map(str::trim);
    let is_ours =
        parameters.next().is_some_and(|name| name.trim_matches('"').eq_ignore_ascii_case("rimward"));
    is_ours && parameters.any(|parameter| parameter == "hit" || parameter == "hit=?1")
}

/// An entry of the node's dictionary: none if it is not there, and its value where it has one.
fn told<'h>(headers: &'h HeaderMap, name: &str) -> Option<Option<&'h str>> {
    let text = headers.get(TOLD)?.to_str().ok()?;
    let entries = text.split(',').map(|entry| entry.split(';').next().unwrap_or_default().trim());
    let mut entries = entries.map(|entry| match entry.split_once('=') {
        Some((key, value)) => (key, Some(value)),
        None => (entry, None),
    });
    entries.find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// The id of a deferred call, out of the answer that accepted it.
pub(crate) fn deferred_id(headers: &HeaderMap) -> Option<&str> {
    let is_applied = headers.get("preference-applied")?.as_bytes() == b"respond-async";
    let id = headers.get(header::LOCATION)?.to_str().ok()?.strip_prefix("http://outbox.internal/")?;
    (is_applied && !id.is_empty()).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HeaderValue;

    fn headers(name: &'static str, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(HeaderName::from_static(name), HeaderValue::from_static(value))])
    }

    #[test]
    fn an_answer_of_the_first_try_has_nothing_to_tell() {
        let plain = HeaderMap::new();
        assert_eq!((tries(&plain), is_hedged(&plain), fallback(&plain)), (1, false, None));
        assert!(!is_from_cache(&plain));
    }

    #[test]
    fn tries_and_hedges_are_read() {
        let check = |value, expected: (u32, bool)| {
            let headers = headers("rimward-upstream", value);
            assert_eq!((tries(&headers), is_hedged(&headers)), expected, "{value}");
        };
        check("tries=3", (3, false));
        check("tries=2, hedged", (2, true));
        check("hedged", (1, true));
        check("tries=0, fallback=static, reason=circuit-open", (0, false));
        check("tries=many", (1, false));
        check("hedged;after=200", (1, true));
    }

    #[test]
    fn a_fallback_says_what_answered_and_why() {
        use {FallbackBy as By, FallbackReason as Why};
        let check = |value, by, reason| {
            assert_eq!(
                fallback(&headers("rimward-upstream", value)),
                Some(Fallback { by, reason }),
                "{value}"
            );
        };
        check("fallback=static, reason=circuit-open", By::Static, Why::CircuitOpen);
        check("tries=3, fallback=function, reason=status", By::Function, Why::Status);
        check("fallback=cached, reason=bulkhead-full", By::Cache, Why::BulkheadFull);
        check("fallback=static, reason=deadline", By::Static, Why::Deadline);
        check("fallback=static, reason=timeout", By::Static, Why::Timeout);
        check("fallback=static, reason=error", By::Static, Why::Error);
        check("fallback=static, reason=credentials", By::Static, Why::Credentials);
        check("fallback=oracle, reason=boredom", By::Other, Why::Other);
        check("fallback=static", By::Static, Why::Other);
        assert_eq!(fallback(&headers("rimward-upstream", "tries=2")), None);
    }

    #[test]
    fn only_the_nodes_own_cache_counts() {
        let check = |value, expected| {
            assert_eq!(is_from_cache(&headers("cache-status", value)), expected, "{value}");
        };
        check("rimward; hit; ttl=30", true);
        check("Rimward;hit", true);
        check("\"cdn\"; hit, rimward; fwd=miss; stored", false);
        check("cdn; fwd=miss, rimward; hit; ttl=-5", true);
        check("cdn; hit", false);
        assert_eq!(tries(&headers("cache-status", "rimward; hit")), 0);
        let mut stale = headers("cache-status", "rimward; hit; detail=stale-if-error");
        stale.insert("rimward-upstream", HeaderValue::from_static("fallback=cached, reason=status"));
        assert_eq!(tries(&stale), 1);
    }

    #[test]
    fn the_id_of_a_deferred_call_is_in_its_location() {
        let mut headers = headers("location", "http://outbox.internal/5e6a1c20-42");
        assert_eq!(deferred_id(&headers), None);
        headers.insert("preference-applied", HeaderValue::from_static("respond-async"));
        assert_eq!(deferred_id(&headers), Some("5e6a1c20-42"));
        headers.insert("location", HeaderValue::from_static("https://elsewhere.example/5e6a1c20-42"));
        assert_eq!(deferred_id(&headers), None);
    }
}
