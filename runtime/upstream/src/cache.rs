//! Answers of an upstream, kept and given again as RFC 9111 allows it to a shared cache.
//!
//! One cache for each upstream that declares it, in memory and bounded in bytes, shared by all cores. [`look`](Cache::look)
//! runs before anything else of a call; [`kept`](Cache::kept) takes an answer on its way to the caller, and a body is stored
//! when its end has passed. What the RFC leaves open is decided for machines: freshness is what the upstream says and never
//! guessed (section 4.2.2), the local clock is not trusted (section 4.2.3: ages come from `Age` and from time that has passed
//! here), answers with `Set-Cookie` are not kept, and neither are answers to ranges. What the node itself adds to calls
//! (credentials) is the same for all of them, so it does not count as the caller's `Authorization`; the state of an upstream
//! whose declaration changed begins with an empty cache.

mod directives;
mod entry;
mod keeping;
mod status;

pub use status::{Fwd, Status};

use crate::{Body, limits};
use directives::Asked;
use entry::{Entry, Variants};
use http::header::{
    AUTHORIZATION, CONTENT_LOCATION, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE, LOCATION, RANGE,
};
use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode, Uri, request};
use http_body_util::{BodyExt as _, Empty};
use quick_cache::sync::Cache as Store;
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// What is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Bytes of all answers together, their heads included.
    pub bytes: u64,
    /// The largest body of one answer.
    pub body_bytes: usize,
    /// Stands for everything that is declared of calls (where they go, what is added): answers to others are not given.
    pub scope: String,
}

impl Default for Policy {
    fn default() -> Self {
        Self { bytes: limits::CACHE_BYTES, body_bytes: limits::CACHE_BODY_BYTES, scope: String::new() }
    }
}

/// See the file's head.
#[derive(Debug)]
pub struct Cache {
    policy: Policy,
    store: Store<Arc<str>, Arc<Variants>, Weight>,
}

#[derive(Clone, Debug)]
struct Weight;

impl Weighter<Arc<str>, Arc<Variants>> for Weight {
    fn weight(&self, key: &Arc<str>, variants: &Arc<Variants>) -> u64 {
        (key.len() + limits::CACHE_ENTRY_OVERHEAD) as u64 + variants.bytes()
    }
}

/// What is known of a request before it is sent.
#[derive(Debug)]
pub(crate) enum Looked {
    /// The answer is here.
    Here(Response<Body>, Status),
    /// The upstream has to be asked.
    Ask(Asking),
}

/// A request on its way to the upstream.
#[derive(Debug)]
pub(crate) struct Asking {
    key: Arc<str>,
    /// Why it is asked.
    pub(crate) fwd: Fwd,
    /// What is here and may not be given as it is.
    stale: Option<Arc<Entry>>,
    /// Headers that were added, to ask whether that is still good.
    added: Vec<HeaderName>,
    may_store: bool,
    start: Instant,
}

/// Conditions and ranges of a caller's own: they are between it and the upstream.
const OWN_CONDITIONS: [HeaderName; 6] =
    [RANGE, IF_RANGE, IF_MATCH, IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_UNMODIFIED_SINCE];

impl Cache {
    /// An empty one.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        let options = OptionsBuilder::new()
            .weight_capacity(policy.bytes)
            .estimated_items_capacity(
                usize::try_from(policy.bytes / limits::CACHE_ENTRY_USUAL).unwrap_or(0).max(16),
            )
            .shards(1)
            .build()
            .expect("both bounds are set");
        let store = Store::with_options(options, Weight, DefaultHashBuilder::default(), Default::default());
        Self { policy, store }
    }

    /// The policy it serves.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Answers in it, and what they take in bytes.
    #[must_use]
    pub fn size(&self) -> (usize, u64) {
        (self.store.len(), self.store.weight())
    }

    /// What to do about a request for `uri`, the path below the upstream.
    pub(crate) fn look(&self, request: &mut Request<Body>, uri: &Uri, now: Instant) -> Looked {
        let key: Arc<str> = uri.path_and_query().map_or("/", |path| path.as_str()).into();
        let headers = request.headers();
        let asked = Asked::of(headers);
        let mut asking =
            Asking { key, fwd: Fwd::Method, stale: None, added: Vec::new(), may_store: false, start: now };
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return Looked::Ask(asking);
        }
        if asked.no_store || OWN_CONDITIONS.iter().any(|name| headers.contains_key(name)) {
            asking.fwd = Fwd::Bypass;
            return Looked::Ask(asking);
        }
        asking.may_store = *request.method() == Method::GET;
        let variants = self.store.get(&asking.key);
        let found = variants.as_ref().and_then(|variants| variants.find(headers));
        asking.fwd = match (&found, variants) {
            (Some(entry), _) if asked.accepts(entry.freshness(now)) => {
                return Looked::Here(entry.response(now, request.method()), entry.hit(now));
            }
            (Some(_), _) if asked.is_stricter => Fwd::Request,
            (Some(_), _) => Fwd::Stale,
            (None, Some(_)) => Fwd::VaryMiss,
            (None, None) => Fwd::UriMiss,
        };
        if asked.only_if_cached {
            return Looked::Here(nothing_here(), Status::Nothing);
        }
        if asking.may_store
            && let Some(entry) = found
        {
            asking.added = entry.ask_again(request.headers_mut());
            asking.stale = Some(entry);
        }
        Looked::Ask(asking)
    }

    /// The answer to what was asked, as the caller gets it; what may be kept is kept when its end has passed.
    pub(crate) fn kept(
        self: &Arc<Self>,
        asking: &Asking,
        request: &request::Parts,
        response: Response<Body>,
    ) -> (Response<Body>, Status) {
        let now = Instant::now();
        if request.method.is_safe() {
            if let Some(entry) =
                asking.stale.as_ref().filter(|_| response.status() == StatusCode::NOT_MODIFIED)
            {
                return self.still_good(asking, entry, &response, now);
            }
        } else if response.status().is_success() || response.status().is_redirection() {
            self.invalidate(&asking.key, response.headers());
        }
        let entry = match asking.may_store {
            true => Entry::of(request, &response, asking.start, now),
            false => None,
        };
        let is_stored = entry.is_some();
        let response = match entry {
            Some(entry) => keeping::keeping(self.clone(), asking.key.clone(), entry, response),
            None => response,
        };
        (response, Status::Asked { fwd: asking.fwd, answered: None, is_stored })
    }

    /// The stored answer with the head of the one that says that it is still good (section 4.3.4).
    fn still_good(
        &self,
        asking: &Asking,
        entry: &Arc<Entry>,
        response: &Response<Body>,
        now: Instant,
    ) -> (Response<Body>, Status) {
        let entry = Arc::new(entry.freshened(response.headers(), asking.start, now));
        let status =
            Status::Asked { fwd: asking.fwd, answered: Some(StatusCode::NOT_MODIFIED), is_stored: true };
        let answer = entry.response(now, &Method::GET);
        self.put(asking.key.clone(), entry);
        (answer, status)
    }

    /// The stored answer where the upstream gave none, if it may be given `extended` past its time.
    pub(crate) fn instead(&self, asking: &Asking, extended: Option<Duration>) -> Option<Response<Body>> {
        let now = Instant::now();
        let entry = asking.stale.as_ref().filter(|entry| entry.may_stand_in(extended, now))?;
        Some(entry.response(now, &Method::GET))
    }

    fn put(&self, key: Arc<str>, entry: Arc<Entry>) {
        if entry.bytes() > self.policy.bytes {
            return;
        }
        let others = self.store.get(&key);
        self.store.insert(key, Arc::new(Variants::with(others.as_deref(), entry)));
    }

    /// What an unsafe request may have changed (section 4.4): its own URI, and those that its answer names.
    fn invalidate(&self, key: &Arc<str>, answer: &HeaderMap) {
        self.store.remove(key);
        for name in [LOCATION, CONTENT_LOCATION] {
            let uri = answer.get(name).and_then(|value| value.to_str().ok()?.parse::<Uri>().ok());
            if let Some(path) = uri.as_ref().and_then(Uri::path_and_query) {
                self.store.remove(path.as_str());
            }
        }
    }
}

impl Asking {
    /// The request as its caller sent it.
    pub(crate) fn undo(&self, headers: &mut HeaderMap) {
        for name in &self.added {
            headers.remove(name);
        }
    }
}

/// Section 5.2.1.7.
fn nothing_here() -> Response<Body> {
    let mut response = Response::new(Empty::new().map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = StatusCode::GATEWAY_TIMEOUT;
    response
}

/// Whether the caller proves who it is, by itself.
fn is_authorized(request: &request::Parts) -> bool {
    request.headers.contains_key(AUTHORIZATION)
}

#[cfg(test)]
mod tests;
