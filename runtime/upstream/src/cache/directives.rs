//! `Cache-Control`, as requests and responses have it (RFC 9111, section 5.2).

use super::entry::Freshness;
use http::HeaderMap;
use http::header::CACHE_CONTROL;
use std::time::Duration;

/// What a request asks of a cache.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) no_store: bool,
    pub(super) only_if_cached: bool,
    no_cache: bool,
    max_age: Option<Duration>,
    min_fresh: Option<Duration>,
    /// `Some(None)`: of any age.
    max_stale: Option<Option<Duration>>,
    /// Whether it wants more than a fresh answer.
    pub(super) is_stricter: bool,
}

/// What a response says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) no_store: bool,
    pub(super) no_cache: bool,
    pub(super) private: bool,
    pub(super) public: bool,
    pub(super) must_revalidate: bool,
    pub(super) proxy_revalidate: bool,
    pub(super) max_age: Option<Duration>,
    pub(super) s_maxage: Option<Duration>,
    pub(super) stale_if_error: Option<Duration>,
}

impl Asked {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut asked = Self::default();
        each(headers, |name, value| match name {
            "no-store" => asked.no_store = true,
            "no-cache" => asked.no_cache = true,
            "only-if-cached" => asked.only_if_cached = true,
            "max-age" => asked.max_age = Some(seconds(value)),
            "min-fresh" => asked.min_fresh = value.map(|_| seconds(value)),
            "max-stale" => asked.max_stale = Some(value.map(|_| seconds(value))),
            _ => {}
        });
        asked.is_stricter = asked.no_cache || asked.max_age.is_some() || asked.min_fresh.is_some();
        asked
    }

    /// Whether an answer of that freshness is good enough as it is.
    pub(super) fn accepts(&self, freshness: Freshness) -> bool {
        let Freshness { age, lifetime, may_be_stale, must_ask } = freshness;
        if self.no_cache || must_ask || self.max_age.is_some_and(|most| age > most) {
            return false;
        }
        match lifetime.checked_sub(age).filter(|left| !left.is_zero()) {
            Some(left) => self.min_fresh.is_none_or(|least| left >= least),
            None => {
                let past = age.saturating_sub(lifetime);
                may_be_stale && self.max_stale.is_some_and(|most| most.is_none_or(|most| past <= most))
            }
        }
    }
}

impl Said {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut said = Self::default();
        each(headers, |name, value| match name {
            "no-store" => said.no_store = true,
            // With the names of headers it means these only (sections 5.2.2.4 and 5.2.2.7); taken as if it meant all.
            "no-cache" => said.no_cache = true,
            "private" => said.private = true,
            "public" => said.public = true,
            "must-revalidate" => said.must_revalidate = true,
            "proxy-revalidate" => said.proxy_revalidate = true,
            "max-age" => least(&mut said.max_age, seconds(value)),
            "s-maxage" => least(&mut said.s_maxage, seconds(value)),
            "stale-if-error" => said.stale_if_error = Some(seconds(value)),
            _ => {}
        });
        said
    }

    /// Whether a stored answer may be given past its time (section 4.2.4).
    pub(super) fn may_be_stale(&self) -> bool {
        !(self.must_revalidate || self.proxy_revalidate || self.no_cache || self.s_maxage.is_some())
    }
}

/// Of one that is said twice the shorter one holds (section 4.2.1).
fn least(held: &mut Option<Duration>, said: Duration) {
    *held = Some(held.map_or(said, |held| held.min(said)));
}

/// Digits; anything else is no time at all (section 4.2.1), and more than fits is very long (section 1.2.2).
fn seconds(value: Option<&str>) -> Duration {
    let digits = value.filter(|text| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()));
    let longest = u64::from(u32::MAX >> 1);
    Duration::from_secs(digits.map_or(0, |text| text.parse().unwrap_or(longest).min(longest)))
}

/// Each directive by its name in lower case. A comma in a quoted text is part of it.
fn each<'a>(headers: &'a HeaderMap, mut take: impl FnMut(&str, Option<&'a str>)) {
    for mut rest in headers.get_all(CACHE_CONTROL).iter().filter_map(|value| value.to_str().ok()) {
        while !rest.is_empty() {
            let mut is_quoted = false;
            let end = rest.find(|c: char| {
                is_quoted ^= c == '"';
                c == ',' && !is_quoted
            });
            let (one, after) = end.map_or((rest, ""), |at| (&rest[..at], &rest[at + 1..]));
            rest = after;
            let (name, value) = one.split_once('=').map_or((one, None), |(name, value)| (name, Some(value)));
            take(&name.trim().to_ascii_lowercase(), value.map(|value| value.trim().trim_matches('"')));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (CACHE_CONTROL, http::HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn directives_are_read_whatever_their_form() {
        let said = |values: &[&'static str]| Said::of(&headers(values));
        let hour = Some(Duration::from_secs(3600));
        assert_eq!(said(&["Max-Age=3600, PUBLIC"]), Said { max_age: hour, public: true, ..Said::default() });
        assert_eq!(said(&["max-age=\"3600\""]).max_age, hour);
        assert_eq!(said(&["public", "max-age=3600"]).max_age, hour);
        assert!(!said(&["private=\"a, no-store\", max-age=1"]).no_store);
        assert!(said(&["private=\"a, b\""]).private);
        assert_eq!(said(&["max-age=3600, max-age=5"]).max_age, Some(Duration::from_secs(5)));
        for none in ["max-age", "max-age=", "max-age=-1", "max-age=1.5", "max-age=x"] {
            assert_eq!(
                Said::of(&HeaderMap::from_iter([(CACHE_CONTROL, none.parse().unwrap())])).max_age,
                Some(Duration::ZERO),
                "{none}"
            );
        }
        assert!(said(&["max-age=99999999999999999999"]).max_age > Some(Duration::from_secs(1 << 30)));
        assert_eq!(said(&[",, ,x-other=1"]), Said::default());
    }
}
