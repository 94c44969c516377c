//! What the node knows of an upstream from its calls: one for each (tenant, app, upstream), for all cores.
//!
//! It outlives revisions: [`State::following`] keeps each part whose policy stayed as it was, so that an update of an app
//! does not forget that a service is down. Everything in it is atomic.

use crate::breaker::{Breaker, Forced};
use crate::budget::Budget;
use crate::bulkhead::Bulkhead;
use crate::cache::{self, Cache};
use crate::endpoints::{self, Endpoints};
use crate::fault::Faults;
use crate::latency::Latency;
use crate::random::Random;
use crate::watch::{Unwatched, Watch};
use crate::{breaker, bulkhead, fallback, hedge, retry};
use std::sync::Arc;
use tokio::time::Instant;

/// How calls to an upstream are made. The default is what holds where nothing is declared.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policy {
    /// Further tries after failed ones.
    pub retry: retry::Policy,
    /// When to stop trying.
    pub breaker: breaker::Policy,
    /// How many calls at a time.
    pub bulkhead: bulkhead::Policy,
    /// A second try beside a slow one; `None`: never.
    pub hedge: Option<hedge::Policy>,
    /// Which answers are kept; `None`: none.
    pub cache: Option<cache::Policy>,
    /// What answers in its place when it does not.
    pub fallback: Option<fallback::Policy>,
    /// The upstream's places, where it has several.
    pub endpoints: endpoints::Policy,
}

/// See the file's head.
#[derive(Debug)]
pub struct State {
    policy: Policy,
    breaker: Arc<Breaker>,
    bulkhead: Arc<Bulkhead>,
    retries: Arc<Budget>,
    hedges: Arc<Budget>,
    latency: Arc<Latency>,
    endpoints: Arc<Endpoints>,
    cache: Option<Arc<Cache>>,
    faults: Arc<Faults>,
    random: Arc<Random>,
    watch: Arc<dyn Watch>,
}

impl State {
    /// Knows nothing yet.
    #[must_use]
    pub fn new(policy: Policy, watch: Arc<dyn Watch>, random: Random) -> Self {
        let random = Arc::new(random);
        Self {
            breaker: Arc::new(Breaker::new(policy.breaker, random.clone(), watch.clone())),
            bulkhead: Arc::new(Bulkhead::new(policy.bulkhead)),
            retries: Arc::new(Budget::for_retries(policy.retry.budget)),
            hedges: Arc::new(hedge_budget(&policy)),
            latency: Arc::default(),
            endpoints: Arc::new(Endpoints::new(policy.endpoints.clone())),
            cache: policy.cache.clone().map(|policy| Arc::new(Cache::new(policy))),
            faults: Arc::default(),
            policy,
            random,
            watch,
        }
    }

    /// Nobody watches it.
    #[must_use]
    pub fn unwatched(policy: Policy) -> Self {
        Self::new(policy, Arc::new(Unwatched), Random::unpredictable())
    }

    /// The state under a new policy: parts whose policy is the same go on as they are.
    #[must_use]
    pub fn following(&self, policy: Policy) -> Self {
        let keep = |is_same: bool| is_same.then_some(());
        let breaker = keep(policy.breaker == self.policy.breaker).map(|()| self.breaker.clone());
        let bulkhead = keep(policy.bulkhead == self.policy.bulkhead).map(|()| self.bulkhead.clone());
        let retries = keep(policy.retry.budget == self.policy.retry.budget).map(|()| self.retries.clone());
        let hedges = keep(policy.hedge == self.policy.hedge).map(|()| self.hedges.clone());
        let endpoints = keep(policy.endpoints == self.policy.endpoints).map(|()| self.endpoints.clone());
        let cache = keep(policy.cache == self.policy.cache).and_then(|()| self.cache.clone());
        let fresh = Self::new(policy, self.watch.clone(), Random::seeded(self.random.number()));
        // What an operator wants holds until they want otherwise.
        if breaker.is_none() && self.breaker.forced() != Forced::No {
            fresh.breaker.force(self.breaker.forced(), Instant::now());
        }
        Self {
            breaker: breaker.unwrap_or(fresh.breaker),
            bulkhead: bulkhead.unwrap_or(fresh.bulkhead),
            retries: retries.unwrap_or(fresh.retries),
            hedges: hedges.unwrap_or(fresh.hedges),
            latency: self.latency.clone(),
            endpoints: endpoints.unwrap_or(fresh.endpoints),
            cache: cache.or(fresh.cache),
            faults: self.faults.clone(),
            policy: fresh.policy,
            random: fresh.random,
            watch: fresh.watch,
        }
    }

    /// The policy it serves.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The circuit breaker.
    #[must_use]
    pub fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    /// The places for calls.
    #[must_use]
    pub fn bulkhead(&self) -> &Arc<Bulkhead> {
        &self.bulkhead
    }

    /// What pays for retries.
    #[must_use]
    pub fn retries(&self) -> &Budget {
        &self.retries
    }

    /// What pays for hedges.
    #[must_use]
    pub fn hedges(&self) -> &Budget {
        &self.hedges
    }

    /// How long answers take.
    #[must_use]
    pub fn latency(&self) -> &Latency {
        &self.latency
    }

    /// The upstream's places.
    #[must_use]
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// The answers that are kept, where any are.
    #[must_use]
    pub fn cache(&self) -> Option<&Arc<Cache>> {
        self.cache.as_ref()
    }

    /// What its tries are to meet.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Randomness for everything that needs it.
    #[must_use]
    pub fn random(&self) -> &Random {
        &self.random
    }

    /// Who hears what happens.
    #[must_use]
    pub fn watch(&self) -> &dyn Watch {
        &*self.watch
    }
}

fn hedge_budget(policy: &Policy) -> Budget {
    Budget::for_hedges(policy.hedge.map_or(crate::budget::Share::new(0.0), |hedge| hedge.budget))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::breaker::Phase;

    #[tokio::test(start_paused = true)]
    async fn a_new_revision_keeps_what_is_known_where_the_policy_is_the_same() {
        let old = State::unwatched(Policy::default());
        old.breaker().force(Forced::Open, Instant::now());
        assert!(old.retries().take_out(1));
        let bulkhead = bulkhead::Policy { concurrent: 3, ..bulkhead::Policy::default() };
        let new = old.following(Policy { bulkhead, ..Policy::default() });
        assert_eq!(new.breaker().phase(Instant::now()), Phase::Open);
        assert!(new.retries().level() < 1.0);
        assert_eq!(new.bulkhead().limit(), 3);
        let breaker = breaker::Policy { calls_min: 7, ..breaker::Policy::default() };
        let newer = new.following(Policy { breaker, ..Policy::default() });
        assert_eq!(newer.breaker().policy().calls_min, 7);
        assert_eq!(newer.breaker().phase(Instant::now()), Phase::Open, "an operator wants it so");
        newer.breaker().force(Forced::No, Instant::now());
        assert_eq!(newer.breaker().phase(Instant::now()), Phase::Closed);
    }
}
