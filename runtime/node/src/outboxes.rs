//! The outboxes of the node: one for each (tenant, app, upstream) that declares one. They outlive revisions; each has a
//! task on one core that delivers from it under the policy of the revision that serves now.
//!
//! An installation opens what it needs ([`Outboxes::open`]), off the cores, because opening verifies a whole file. When the
//! snapshot was replaced, [`Outboxes::settle`] gives every outbox what it delivers with from now on; where the upstream is
//! gone, its calls are dead. Closed when the node is dropped: by then everything that was accepted is on disk anyway.

use crate::core::Core;
use crate::invoke::Siblings;
use crate::limits::{LIVE_CALLS_FIRST, OUTBOXES_MAX, TOLD_REPLY_BYTES};
use crate::node::{Apps, Shared};
use crate::upstreams::UpstreamId;
use arc_swap::ArcSwapOption;
use http::{HeaderName, HeaderValue, Request};
use http_body_util::{BodyExt, Full, Limited};
use rimward_capability::Invoke;
use rimward_manifest::Name;
use rimward_upstream::breaker::Phase;
use rimward_upstream::outbox::{
    Answer, Carrying, Courier, Folder, IDEMPOTENCY_KEY, Outbox, Outcome, Parcel, Policy,
};
use rimward_upstream::{Random, Terms, Upstream};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Which deferred call a function is told of.
const OUTBOX_ID: HeaderName = HeaderName::from_static("rimward-outbox-id");
/// The status of the upstream's answer to it.
const OUTBOX_STATUS: HeaderName = HeaderName::from_static("rimward-outbox-status");
/// `whole`, or `omitted` where the answer was too large to be kept.
const OUTBOX_BODY: HeaderName = HeaderName::from_static("rimward-outbox-body");

/// See the file's head.
pub(crate) struct Outboxes {
    /// The state directory; `None` where nothing outlives the process: then there are no outboxes.
    state: Option<PathBuf>,
    posts: Mutex<BTreeMap<UpstreamId, Arc<Post>>>,
}

/// One outbox and who delivers from it.
pub(crate) struct Post {
    pub(crate) id: UpstreamId,
    pub(crate) outbox: Outbox,
    /// What the serving revision delivers with; none while none has the upstream.
    delivery: ArcSwapOption<Delivery>,
    is_delivering: AtomicBool,
}

/// What a revision delivers with.
pub(crate) struct Delivery {
    pub(crate) policy: Policy,
    pub(crate) upstream: Arc<Upstream>,
    /// The function that is told of answers, and how it is called.
    pub(crate) told: Option<(Arc<Siblings>, Name)>,
    /// What all functions of the tenant may have in flight.
    pub(crate) in_flight: Option<Arc<Semaphore>>,
}

/// Why there is no outbox.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    /// Each has two threads and a file.
    #[error("the node has {OUTBOXES_MAX} outboxes already")]
    TooMany,
    /// Its threads did not start.
    #[error("its threads could not be started")]
    Threads(#[source] io::Error),
}

impl Outboxes {
    pub(crate) fn new(state: Option<PathBuf>) -> Self {
        Self { state, posts: Mutex::default() }
    }

    fn posts(&self) -> MutexGuard<'_, BTreeMap<UpstreamId, Arc<Post>>> {
        self.posts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every outbox that is open, by tenant, app and upstream.
    pub(crate) fn all(&self) -> Vec<Arc<Post>> {
        self.posts().values().cloned().collect()
    }

    /// The outbox of `id`, opened if it is not; `None` where the node keeps nothing. One installation at a time asks.
    pub(crate) async fn open(&self, id: &UpstreamId, policy: &Policy) -> Result<Option<Outbox>, OutboxError> {
        let Some(state) = &self.state else { return Ok(None) };
        {
            let posts = self.posts();
            if let Some(post) = posts.get(id) {
                return Ok(Some(post.outbox.clone()));
            }
            if posts.len() >= OUTBOXES_MAX {
                return Err(OutboxError::TooMany);
            }
        }
        let folder = state.join("tenants").join(id.tenant.as_str()).join(id.app.as_str()).join("outbox");
        let (name, shown, policy) = (id.upstream.to_string(), text(id), policy.clone());
        let opening = tokio::task::spawn_blocking(move || {
            let random = Random::unpredictable();
            let mark = (random.number() >> 32) as u32;
            Outbox::open(&shown, Folder::new(&folder, &name, mark), policy, random)
        });
        let outbox = opening.await.map_err(io::Error::other).and_then(|opened| opened);
        let outbox = outbox.map_err(OutboxError::Threads)?;
        if let Some(shut) = outbox.shut() {
            tracing::error!(outbox = text(id), problem = %shut, "an outbox cannot be used: calls to it are refused until it can");
        }
        let post = Arc::new(Post {
            id: id.clone(),
            outbox: outbox.clone(),
            delivery: ArcSwapOption::empty(),
            is_delivering: AtomicBool::new(false),
        });
        self.posts().insert(id.clone(), post);
        Ok(Some(outbox))
    }

    /// Opens the outboxes that are on disk and that no app has any more, or has as yet: their calls wait, and an operator
    /// sees them and may correct them. What cannot be opened is named in the log.
    pub(crate) async fn open_left(&self) {
        let Some(state) = self.state.clone() else { return };
        let found = tokio::task::spawn_blocking(move || on_disk(&state.join("tenants"))).await;
        for id in found.unwrap_or_default() {
            if self.posts().contains_key(&id) {
                continue;
            }
            match self.open(&id, &Policy::default()).await {
                Ok(_) => tracing::warn!(
                    outbox = text(&id),
                    "no app has this outbox; what waits in it is kept, and `rimward outbox` shows it"
                ),
                Err(error) => {
                    tracing::error!(outbox = text(&id), %error, "an outbox that no app has was not opened")
                }
            }
        }
    }

    /// From now on `apps` serve.
    pub(crate) fn settle(&self, node: &Arc<Shared>, apps: &Apps) {
        for post in self.all() {
            let UpstreamId { tenant, app, upstream } = &post.id;
            let placed = apps.get(&(tenant.clone(), app.clone()));
            let delivery = placed.and_then(|placed| placed.deliveries.get(upstream).cloned());
            match delivery {
                Some(delivery) => post.deliver_with(node, delivery),
                None => post.give_up(node),
            }
        }
    }

    /// Returns when every file is closed.
    pub(crate) async fn close(&self) {
        for post in self.all() {
            post.outbox.close().await;
        }
    }
}

/// `tenant/app/upstream`.
pub(crate) fn text(id: &UpstreamId) -> String {
    format!("{}/{}/{}", id.tenant, id.app, id.upstream)
}

/// The outboxes in `TENANTS/TENANT/APP/outbox/UPSTREAM.redb`; what has another name is not ours.
fn on_disk(tenants: &Path) -> Vec<UpstreamId> {
    let named = |folder: &Path| {
        let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        names.collect::<Vec<_>>()
    };
    let mut found = Vec::new();
    for tenant in named(tenants) {
        for app in named(&tenants.join(&tenant)) {
            for file in named(&tenants.join(&tenant).join(&app).join("outbox")) {
                let upstream = file.strip_suffix(".redb").unwrap_or_default();
                if let (Ok(tenant), Ok(app), Ok(upstream)) = (tenant.parse(), app.parse(), upstream.parse()) {
                    found.push(UpstreamId { tenant, app, upstream });
                }
            }
        }
    }
    found
}

impl Post {
    fn deliver_with(self: &Arc<Self>, node: &Arc<Shared>, delivery: Arc<Delivery>) {
        self.outbox.configure(delivery.policy.clone());
        self.delivery.store(Some(delivery));
        if !self.is_delivering.swap(true, Relaxed) {
            let core = node.core_of_this_thread();
            let carrier = Carrier { core: core.clone(), post: self.clone() };
            core.runtime.spawn(async move { carrier.post.outbox.deliver(&carrier).await });
        }
    }

    /// The app has no such upstream any more: nobody can say where the calls should go.
    fn give_up(self: &Arc<Self>, node: &Arc<Shared>) {
        if self.delivery.swap(None).is_none() {
            return;
        }
        let post = self.clone();
        node.core_of_this_thread().runtime.spawn(async move {
            let buried = post.outbox.bury_all("the app has no such upstream any more").await;
            if let Err(error) = buried {
                tracing::error!(outbox = text(&post.id), %error, "calls to an upstream that is gone could not be set aside");
            }
        });
    }
}

/// Carries calls from one core.
struct Carrier {
    core: Arc<Core>,
    post: Arc<Post>,
}

impl Courier for Carrier {
    /// Whoever waits for an answer goes first.
    fn hold(&self) -> Option<Duration> {
        let delivery = self.post.delivery.load_full();
        let Some(delivery) = delivery else { return Some(LIVE_CALLS_FIRST) };
        let (state, now) = (delivery.upstream.state(), tokio::time::Instant::now());
        if state.breaker().phase(now) == Phase::Open {
            let until = state.breaker().opens_until();
            return Some(until.map_or(LIVE_CALLS_FIRST, |until| until.saturating_duration_since(now)));
        }
        let is_full = delivery.in_flight.as_ref().is_some_and(|room| room.available_permits() == 0);
        let is_busy = is_full || state.bulkhead().waiting() > 0 || self.core.node.admission.waiting() > 0;
        is_busy.then_some(LIVE_CALLS_FIRST)
    }

    fn carry(&self, parcel: Parcel) -> Carrying<'_, Outcome> {
        Box::pin(async move {
            let Some(delivery) = self.post.delivery.load_full() else {
                return Outcome::Away { reason: "the app does not serve".to_owned(), after: None };
            };
            let room = delivery.in_flight.clone().map(Semaphore::try_acquire_owned);
            let Ok(permit) = room.transpose() else {
                let reason = "the tenant's calls are all under way".to_owned();
                return Outcome::Away { reason, after: Some(LIVE_CALLS_FIRST) };
            };
            let client = self.core.client(&self.post.id.tenant);
            let terms = Terms { timeouts: delivery.upstream.timeouts(), deadline: None, is_probe: false };
            let called = rimward_upstream::call(&*client, &delivery.upstream, parcel.request, terms).await;
            tracing::debug!(
                target: "rimward::calls",
                outbox = text(&self.post.id),
                id = %parcel.id,
                status = called.as_ref().ok().map(|answer| answer.response.status().as_u16()),
                error = called.as_ref().err().map(tracing::field::display),
                tries = called.as_ref().ok().map(|answer| answer.told.tries),
                "a deferred call was carried"
            );
            match called {
                // Until the answer has been read.
                Ok(answer) => Outcome::Answered(answer.response.map(|body| {
                    body.map_frame(move |frame| {
                        let _held = &permit;
                        frame
                    })
                    .boxed_unsync()
                })),
                Err(error) => Outcome::of_error(&error),
            }
        })
    }

    fn tell(&self, answer: Answer) -> Carrying<'_, bool> {
        Box::pin(async move {
            let delivery = self.post.delivery.load_full();
            let told = delivery.as_ref().and_then(|delivery| delivery.told.as_ref());
            let Some((siblings, function)) = told else { return false };
            let id = answer.id;
            let request = told_request(function, answer);
            let Ok(response) = siblings.invoke(function.as_str(), request, 1).await else { return false };
            let is_taken = response.status().is_success();
            // To its end, so that the function is not cut off in the middle of it.
            let _ = Limited::new(response.into_body(), TOLD_REPLY_BYTES).collect().await;
            if !is_taken {
                let outbox = text(&self.post.id);
                tracing::debug!(outbox, %function, %id, "a function did not take an answer; it is told again");
            }
            is_taken
        })
    }
}

/// The request that tells `function` of an answer: `POST`, the path of the call, the answer's headers and body.
fn told_request(function: &Name, answer: Answer) -> Request<wasmtime_wasi_http::WasiBody> {
    let uri = format!("http://{function}.function.internal{}", answer.path);
    let uri = uri.parse().unwrap_or_else(|_| http::Uri::from_static("http://function.internal/"));
    let body = Full::new(answer.body).map_err(|never| match never {}).boxed_unsync();
    let mut request = Request::new(body);
    *request.method_mut() = http::Method::POST;
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    *headers = answer.headers;
    for name in [http::header::CONTENT_LENGTH, http::header::TRANSFER_ENCODING, http::header::CONNECTION] {
        headers.remove(name);
    }
    let mut set = |name, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    set(OUTBOX_ID, &answer.id.to_string());
    set(OUTBOX_STATUS, answer.status.as_str());
    set(OUTBOX_BODY, if answer.is_whole { "whole" } else { "omitted" });
    set(IDEMPOTENCY_KEY, &answer.key);
    request
}
