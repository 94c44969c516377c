//! One stored answer: whether it may be stored (RFC 9111, section 3), how long it is fresh (section 4.2), for which requests
//! (section 4.1).

use super::directives::Said;
use super::is_authorized;
use super::status::Status;
use crate::{Body, limits};
use bytes::Bytes;
use http::header::{
    AGE, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, DATE, ETAG, EXPIRES, IF_MODIFIED_SINCE,
    IF_NONE_MATCH, LAST_MODIFIED, SET_COOKIE, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, request};
use http_body_util::{BodyExt as _, Empty, Full};
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// Whole answers that mean something by themselves. 206 is a part; others are about the moment.
const STORED: [u16; 10] = [200, 203, 204, 300, 301, 308, 404, 405, 410, 414];

#[derive(Clone, Debug)]
pub(super) struct Entry {
    status: StatusCode,
    headers: HeaderMap,
    pub(super) body: Bytes,
    /// What the request had under the names of `Vary`.
    vary: Vec<(HeaderName, Vec<HeaderValue>)>,
    said: Said,
    lifetime: Duration,
    /// When it came, and how old it was then.
    came: Instant,
    age: Duration,
}

/// How fresh an answer is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Freshness {
    pub(super) age: Duration,
    pub(super) lifetime: Duration,
    /// Whether it may be given past its time, to those who take it.
    pub(super) may_be_stale: bool,
    /// Whether it is never given without asking.
    pub(super) must_ask: bool,
}

impl Entry {
    /// The head of an answer that may be stored, asked for at `start`; its body is still to come.
    pub(super) fn of(
        request: &request::Parts,
        response: &Response<Body>,
        start: Instant,
        now: Instant,
    ) -> Option<Self> {
        let headers = response.headers();
        let said = Said::of(headers);
        let is_for_all =
            !is_authorized(request) || said.public || said.must_revalidate || said.s_maxage.is_some();
        let is_whole = STORED.contains(&response.status().as_u16()) && !headers.contains_key(SET_COOKIE);
        if said.no_store || said.private || !is_for_all || !is_whole {
            return None;
        }
        let lifetime = lifetime(&said, headers);
        let has_validator = headers.contains_key(ETAG) || headers.contains_key(LAST_MODIFIED);
        if lifetime.is_zero() && !has_validator {
            return None;
        }
        let entry = Self {
            status: response.status(),
            vary: selecting(headers, &request.headers)?,
            age: corrected_age(headers, start, now),
            headers: headers.clone(),
            body: Bytes::new(),
            said,
            lifetime,
            came: now,
        };
        Some(entry)
    }

    /// The same answer with what a 304 says about it (section 3.2): the body stays, and so does what describes it.
    pub(super) fn freshened(&self, news: &HeaderMap, start: Instant, now: Instant) -> Self {
        let mut headers = self.headers.clone();
        headers.remove(AGE);
        for name in
            news.keys().filter(|name| ![CONTENT_LENGTH, CONTENT_ENCODING, CONTENT_RANGE].contains(name))
        {
            headers.remove(name);
            news.get_all(name).iter().for_each(|value| {
                headers.append(name, value.clone());
            });
        }
        let said = Said::of(&headers);
        let lifetime = lifetime(&said, &headers);
        Self { age: corrected_age(news, start, now), headers, said, lifetime, came: now, ..self.clone() }
    }

    pub(super) fn freshness(&self, now: Instant) -> Freshness {
        Freshness {
            age: self.age_at(now),
            lifetime: self.lifetime,
            may_be_stale: self.said.may_be_stale(),
            must_ask: self.said.no_cache,
        }
    }

    fn age_at(&self, now: Instant) -> Duration {
        self.age.saturating_add(now.saturating_duration_since(self.came))
    }

    /// Whether it may be given in place of an answer that there is none of, so long past its time: by the operator's word, or
    /// by the upstream's own (RFC 5861, section 4).
    pub(super) fn may_stand_in(&self, extended: Option<Duration>, now: Instant) -> bool {
        let past = self.age_at(now).saturating_sub(self.lifetime);
        let by_whom = [extended, self.said.stale_if_error];
        self.said.may_be_stale() && by_whom.into_iter().flatten().any(|most| past <= most)
    }

    pub(super) fn hit(&self, now: Instant) -> Status {
        let Freshness { age, lifetime, .. } = self.freshness(now);
        let ttl = i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX)
            - i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
        Status::Hit { ttl }
    }

    pub(super) fn response(&self, now: Instant, method: &Method) -> Response<Body> {
        let body: Body = match *method == Method::HEAD {
            true => Empty::new().map_err(|never| match never {}).boxed_unsync(),
            false => Full::new(self.body.clone()).map_err(|never| match never {}).boxed_unsync(),
        };
        let mut response = Response::new(body);
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.clone_from(&self.headers);
        headers.insert(AGE, HeaderValue::from(self.age_at(now).as_secs()));
        if !headers.contains_key(CONTENT_LENGTH) && self.status != StatusCode::NO_CONTENT {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(self.body.len()));
        }
        response
    }

    /// Adds what asks whether it is still good (section 4.3.1). Returns which headers.
    pub(super) fn ask_again(&self, headers: &mut HeaderMap) -> Vec<HeaderName> {
        let pairs = [(ETAG, IF_NONE_MATCH), (LAST_MODIFIED, IF_MODIFIED_SINCE)];
        let added = pairs.into_iter().filter_map(|(of, condition)| {
            headers.insert(&condition, self.headers.get(of)?.clone());
            Some(condition)
        });
        added.collect()
    }

    /// Whether it is an answer to a request with these headers.
    fn is_for(&self, headers: &HeaderMap) -> bool {
        self.vary.iter().all(|(name, values)| headers.get_all(name).iter().eq(values))
    }

    pub(super) fn bytes(&self) -> u64 {
        let heads =
            self.headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 64).sum::<usize>();
        let vary =
            self.vary.iter().flat_map(|(_, values)| values).map(|value| value.len() + 64).sum::<usize>();
        (self.body.len() + heads + vary + limits::CACHE_ENTRY_OVERHEAD) as u64
    }
}

/// Section 4.2.1. `Expires` counts from the upstream's own `Date`.
fn lifetime(said: &Said, headers: &HeaderMap) -> Duration {
    if let Some(told) = said.s_maxage.or(said.max_age) {
        return told;
    }
    let date = |name: HeaderName| {
        let mut values = headers.get_all(name).iter();
        let only = values.next().filter(|_| values.next().is_none())?;
        httpdate::parse_http_date(only.to_str().ok()?).ok()
    };
    let Some(expires) = date(EXPIRES) else { return Duration::ZERO };
    expires.duration_since(date(DATE).unwrap_or_else(SystemTime::now)).unwrap_or_default()
}

/// Section 4.2.3, by `Age` and by how long the answer took.
fn corrected_age(headers: &HeaderMap, start: Instant, now: Instant) -> Duration {
    let told = headers.get(AGE).and_then(|age| age.to_str().ok()?.trim().parse().ok()).unwrap_or(0);
    Duration::from_secs(told).saturating_add(now.saturating_duration_since(start))
}

/// What a request must have in common with this one (section 4.1); `None` where that cannot be said.
fn selecting(answer: &HeaderMap, request: &HeaderMap) -> Option<Vec<(HeaderName, Vec<HeaderValue>)>> {
    let mut vary = Vec::new();
    for value in answer.get_all(VARY) {
        for name in value.to_str().ok()?.split(',').map(str::trim).filter(|name| !name.is_empty()) {
            if name == "*" {
                return None;
            }
            let name: HeaderName = name.parse().ok()?;
            let values = request.get_all(&name).iter().cloned().collect();
            vary.push((name, values));
        }
    }
    Some(vary)
}

/// The answers under one URI, the newest first.
#[derive(Debug)]
pub(super) struct Variants(Vec<Arc<Entry>>);

impl Variants {
    /// `entry` in place of the one that it replaces; the oldest go where there are too many.
    pub(super) fn with(others: Option<&Self>, entry: Arc<Entry>) -> Self {
        let is_other = |other: &&Arc<Entry>| other.vary != entry.vary;
        let others = others.iter().flat_map(|others| &others.0).filter(is_other).cloned();
        let all = std::iter::once(entry.clone()).chain(others).take(limits::CACHE_VARIANTS_MAX).collect();
        Self(all)
    }

    pub(super) fn find(&self, headers: &HeaderMap) -> Option<Arc<Entry>> {
        self.0.iter().find(|entry| entry.is_for(headers)).cloned()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.0.iter().map(|entry| entry.bytes()).sum()
    }
}
