//! What the node knows of upstreams from the calls of all its functions: one state for each (tenant, app, upstream).
//!
//! An installation asks for the state of each upstream; a new revision goes on with what the one before knew. Held by the
//! revisions themselves: when the last one that names an upstream is gone, so is its state.

use crate::credentials::{self, Followed};
use crate::faults::Faults;
use crate::node::Shared;
use crate::observe::{Observer, UpstreamChange, UpstreamLine};
use rimward_manifest::Name;
use rimward_upstream::endpoints::health;
use rimward_upstream::watch::{Event, Outcome, Shed, Watch};
use rimward_upstream::{Policy, Random, State, Upstream};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

/// Which upstream.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct UpstreamId {
    pub(crate) tenant: Name,
    pub(crate) app: Name,
    pub(crate) upstream: Name,
}

/// The states of all upstreams of the node. The lock is taken when apps are installed and when somebody looks.
pub(crate) struct States {
    held: Mutex<Held>,
    observer: Arc<dyn Observer>,
}

#[derive(Debug, Default)]
pub(crate) struct Held {
    pub(crate) known: BTreeMap<UpstreamId, Known>,
    /// What calls are to meet, those to upstreams of later apps too.
    pub(crate) faults: Faults,
}

#[derive(Debug, Default)]
pub(crate) struct Known {
    /// Of each revision that lives.
    states: Vec<Weak<State>>,
    tally: Arc<Tally>,
}

/// An upstream that apps of the node call, and what is known of it.
#[derive(Debug, Clone)]
pub struct KnownUpstream {
    /// Whose app it is of.
    pub tenant: Name,
    /// The app.
    pub app: Name,
    /// Its name there.
    pub name: Name,
    /// Where it is, on this node.
    pub url: String,
    /// What calls have found out.
    pub state: Arc<State>,
    /// How they went.
    pub tally: Arc<Tally>,
}

impl States {
    /// Of no upstream yet; the observer hears of what changes at them.
    pub(crate) fn new(observer: Arc<dyn Observer>) -> Self {
        Self { held: Mutex::default(), observer }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state for a revision that calls an upstream under `policy`.
    pub(crate) fn open(&self, id: &UpstreamId, policy: Policy) -> Arc<State> {
        let held = &mut *self.lock();
        held.known.retain(|_, known| {
            known.states.retain(|state| state.strong_count() > 0);
            !known.states.is_empty()
        });
        let known = held.known.entry(id.clone()).or_default();
        let state = Arc::new(match known.latest() {
            Some(before) => before.following(policy),
            None => {
                let (tally, observer) = (known.tally.clone(), self.observer.clone());
                let reporter = Reporter { id: id.clone(), tally, observer };
                let state = State::new(policy, Arc::new(reporter), Random::unpredictable());
                held.faults.apply(id, state.faults());
                state
            }
        });
        known.states.push(Arc::downgrade(&state));
        state
    }

    /// What is known of an upstream now.
    pub(crate) fn find(&self, id: &UpstreamId) -> Option<(Arc<State>, Arc<Tally>)> {
        let held = self.lock();
        let known = held.known.get(id)?;
        Some((known.latest()?, known.tally.clone()))
    }
}

impl Known {
    /// The latest that lives: one of an installation that failed does not.
    pub(crate) fn latest(&self) -> Option<Arc<State>> {
        self.states.iter().rev().find_map(Weak::upgrade)
    }
}

/// How the calls to one upstream went, since an app first named it.
#[derive(Debug, Default)]
pub struct Tally {
    tries: [AtomicU64; OUTCOMES.len()],
    shed: [AtomicU64; SHED.len()],
    retries: AtomicU64,
    budget_spent: AtomicU64,
    hedges: AtomicU64,
    hedges_won: AtomicU64,
    fallbacks: AtomicU64,
    injected: AtomicU64,
    cache_hits: AtomicU64,
    cache_misses: AtomicU64,
}

const OUTCOMES: [(Outcome, &str); 5] = [
    (Outcome::Answered, "answered"),
    (Outcome::Throttled, "throttled"),
    (Outcome::Failed, "failed"),
    (Outcome::TimedOut, "timed-out"),
    (Outcome::Void, "void"),
];

const SHED: [(Shed, &str); 3] = [
    (Shed::CircuitOpen, "circuit-open"),
    (Shed::BulkheadFull, "bulkhead-full"),
    (Shed::Deadline, "deadline"),
];

impl Tally {
    fn count(&self, event: &Event<'_>) {
        let one = |counter: &AtomicU64| {
            counter.fetch_add(1, Relaxed);
        };
        match event {
            Event::Tried { outcome, .. } => {
                let at = OUTCOMES.iter().position(|(known, _)| known == outcome);
                at.into_iter().for_each(|at| one(&self.tries[at]));
            }
            Event::Shed(shed) => {
                let at = SHED.iter().position(|(known, _)| known == shed);
                at.into_iter().for_each(|at| one(&self.shed[at]));
            }
            Event::Retrying { .. } => one(&self.retries),
            Event::BudgetSpent => one(&self.budget_spent),
            Event::Hedged => one(&self.hedges),
            Event::HedgeWon => one(&self.hedges_won),
            Event::FellBack { .. } => one(&self.fallbacks),
            Event::Injected => one(&self.injected),
            Event::Cache(status) if status.is_hit() => one(&self.cache_hits),
            Event::Cache(_) => one(&self.cache_misses),
            _ => {}
        }
    }

    /// Tries by their outcome: `answered`, `throttled`, `failed`, `timed-out`, or `void`, which says nothing of the upstream.
    pub fn tries(&self) -> impl Iterator<Item = (&'static str, u64)> {
        OUTCOMES.iter().zip(&self.tries).map(|((_, name), count)| (*name, count.load(Relaxed)))
    }

    /// Calls that were refused before they were tried, by reason: `circuit-open`, `bulkhead-full`, `deadline`.
    pub fn shed(&self) -> impl Iterator<Item = (&'static str, u64)> {
        SHED.iter().zip(&self.shed).map(|((_, name), count)| (*name, count.load(Relaxed)))
    }

    /// Tries after a failed one.
    pub fn retries(&self) -> u64 {
        self.retries.load(Relaxed)
    }

    /// Failed tries that no other one followed, because the budget was spent.
    pub fn budget_spent(&self) -> u64 {
        self.budget_spent.load(Relaxed)
    }

    /// Second tries beside slow ones.
    pub fn hedges(&self) -> u64 {
        self.hedges.load(Relaxed)
    }

    /// Calls that something else answered.
    pub fn fallbacks(&self) -> u64 {
        self.fallbacks.load(Relaxed)
    }

    /// Tries that met a fault which was put there on purpose.
    pub fn injected(&self) -> u64 {
        self.injected.load(Relaxed)
    }

    /// Calls that the cache answered, and those that it did not; none where there is no cache.
    pub fn cache(&self) -> (u64, u64) {
        (self.cache_hits.load(Relaxed), self.cache_misses.load(Relaxed))
    }

    /// Those that answered first.
    pub fn hedges_won(&self) -> u64 {
        self.hedges_won.load(Relaxed)
    }
}

/// The upstreams of a revision, until it serves: then their health is asked for, and their credentials follow their files.
#[derive(Debug)]
pub(crate) struct Unwatched(Mutex<(Vec<Arc<Upstream>>, Vec<Followed>)>);

impl Unwatched {
    pub(crate) fn new(upstreams: Vec<Arc<Upstream>>, followed: Vec<Followed>) -> Self {
        Self(Mutex::new((upstreams, followed)))
    }

    /// Begins that, the first time. It ends for each upstream when that is gone, with the revision.
    pub(crate) fn watch(&self, node: &Shared, tenant: &Name) {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (upstreams, followed) = std::mem::take(&mut *held);
        let is_checked = |upstream: &&Arc<Upstream>| upstream.state().policy().endpoints.health.is_some();
        for upstream in upstreams.iter().filter(is_checked) {
            let core = node.core_of_this_thread();
            let (client, upstream) = (core.client(tenant), Arc::downgrade(upstream));
            core.runtime.spawn(health::watch(client, upstream));
        }
        for followed in followed {
            node.core_of_this_thread().runtime.spawn(credentials::follow(followed));
        }
    }
}

/// Counts what happens at one upstream, and reports what people must know of it.
struct Reporter {
    id: UpstreamId,
    tally: Arc<Tally>,
    observer: Arc<dyn Observer>,
}

impl std::fmt::Debug for Reporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reporter").field("id", &self.id).field("tally", &self.tally).finish_non_exhaustive()
    }
}

impl Watch for Reporter {
    fn hear(&self, event: Event<'_>) {
        self.tally.count(&event);
        let change = match event {
            Event::Endpoint { url, change, .. } => UpstreamChange::Endpoint { url, change },
            Event::Breaker(change) => UpstreamChange::Breaker(change),
            _ => return,
        };
        let UpstreamId { tenant, app, upstream } = &self.id;
        self.observer.upstream(&UpstreamLine { tenant, app, upstream, change });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rimward_upstream::breaker::{Forced, Phase};
    use tokio::time::Instant;

    fn id(app: &str) -> UpstreamId {
        let name = |text: &str| text.parse::<Name>().unwrap();
        UpstreamId { tenant: name("default"), app: name(app), upstream: name("vision") }
    }

    #[tokio::test]
    async fn a_revision_goes_on_with_what_the_one_before_knew() {
        let states = States::new(Arc::new(crate::Silent));
        let first = states.open(&id("shop"), Policy::default());
        first.breaker().force(Forced::Open, Instant::now());
        let phase = |state: &State| state.breaker().phase(Instant::now());
        let second = states.open(&id("shop"), Policy::default());
        assert_eq!(phase(&second), Phase::Open);
        assert_eq!(phase(&states.open(&id("other"), Policy::default())), Phase::Closed);
        drop(first);
        drop(states.open(&id("shop"), Policy::default())); // an installation that failed
        assert_eq!(phase(&states.open(&id("shop"), Policy::default())), Phase::Open);
        drop(second);
        assert_eq!(phase(&states.open(&id("shop"), Policy::default())), Phase::Closed);
    }
}
