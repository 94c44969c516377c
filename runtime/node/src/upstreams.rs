//! What the node knows of upstreams from the calls of all its functions: one state for each (tenant, app, upstream).
//!
//! An installation asks for the state of each upstream; a new revision goes on with what the one before knew. Held by the
//! revisions themselves: when the last one that names an upstream is gone, so is its state.

use rimward_manifest::Name;
use rimward_upstream::breaker::Phase;
use rimward_upstream::watch::{Event, Watch};
use rimward_upstream::{Policy, Random, State};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

/// Which upstream.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct UpstreamId {
    pub(crate) tenant: Name,
    pub(crate) app: Name,
    pub(crate) upstream: Name,
}

/// The states of all upstreams of the node. The lock is taken when apps are installed and when somebody looks.
#[derive(Debug, Default)]
pub(crate) struct States(Mutex<BTreeMap<UpstreamId, Vec<Weak<State>>>>);

impl States {
    /// The state for a revision that calls an upstream under `policy`.
    pub(crate) fn open(&self, id: &UpstreamId, policy: Policy) -> Arc<State> {
        let mut states = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        states.retain(|_, known| {
            known.retain(|state| state.strong_count() > 0);
            !known.is_empty()
        });
        let known = states.entry(id.clone()).or_default();
        // The latest that lives: one of an installation that failed does not.
        let before = known.iter().rev().find_map(Weak::upgrade);
        let state = Arc::new(match before {
            Some(before) => before.following(policy),
            None => State::new(policy, Arc::new(Reporter(id.clone())), Random::unpredictable()),
        });
        known.push(Arc::downgrade(&state));
        state
    }
}

/// Reports what an operator must know of one upstream.
#[derive(Debug)]
struct Reporter(UpstreamId);

impl Watch for Reporter {
    fn hear(&self, event: Event<'_>) {
        let Event::Breaker(change) = event else { return };
        let UpstreamId { tenant, app, upstream } = &self.0;
        let (from, to, reason) = (change.from, change.to, change.reason);
        match to {
            Phase::Open => {
                tracing::warn!(%tenant, %app, %upstream, ?from, ?reason, "the circuit breaker opened")
            }
            _ => tracing::info!(%tenant, %app, %upstream, ?from, ?to, ?reason, "the circuit breaker changed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rimward_upstream::breaker::Forced;
    use tokio::time::Instant;

    fn id(app: &str) -> UpstreamId {
        let name = |text: &str| text.parse::<Name>().unwrap();
        UpstreamId { tenant: name("default"), app: name(app), upstream: name("vision") }
    }

    #[tokio::test]
    async fn a_revision_goes_on_with_what_the_one_before_knew() {
        let states = States::default();
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
