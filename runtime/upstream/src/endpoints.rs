//! The places of one upstream, and which of them a try goes to.
//!
//! `call` picks one for every try and says how the try ended; health checks say which are well. Shared by all cores, atomics
//! only. An upstream with one place costs nothing here.
//!
//! - **Choice.** Two are drawn by weight and the first is taken unless the second one is clearly better (Mitzenmacher, "The
//!   power of two choices", 2001), by latency times tries in flight. Latency is a peak-sensitive moving average, as in Finagle's
//!   `PeakEwma`: it follows a slower answer at once and a quicker one gradually, and fades while there are none.
//! - **Ejection.** Failures in a row, or too large a share of failures, take a place out for a time that grows, as in Envoy's
//!   outlier detection; never more than [`Policy::ejected_share`] of them. What returns gets its share bit by bit.
//! - **Zone.** The node's own zone is preferred while at least half of its places are well.
//! - **Panic.** Where less than [`Policy::panic_share`] are well, all are used: then it is more likely that the judgement is
//!   wrong, and the few would not bear it.

pub mod health;
mod place;

use crate::random::Random;
use crate::watch::Outcome;
use place::Place;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::time::Instant;

/// The places of an upstream, and how they are used.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// The places; none where the upstream's own URL is the only one. At most
    /// [`ENDPOINTS_MAX`](crate::limits::ENDPOINTS_MAX) are used.
    pub places: Vec<PlaceConfig>,
    /// Where this node is.
    pub zone: Option<Box<str>>,
    /// Failures in a row that eject a place.
    pub failures: u32,
    /// The first ejection's length; the n-th in a row is n times as long.
    pub ejected: Duration,
    /// The longest ejection.
    pub ejected_max: Duration,
    /// The share of places that may be ejected at a time; one of several may always be.
    pub ejected_share: f64,
    /// Below this share of places that are well, all are used.
    pub panic_share: f64,
    /// How long a place that returns takes to get its whole share.
    pub slow_start: Duration,
    /// Whether and how places are asked if they are well.
    pub health: Option<health::Policy>,
}

impl Default for Policy {
    /// Envoy's five failures; times as for the breaker.
    fn default() -> Self {
        Self {
            places: Vec::new(),
            zone: None,
            failures: 5,
            ejected: Duration::from_secs(5),
            ejected_max: Duration::from_secs(60),
            ejected_share: 0.5,
            panic_share: 0.3,
            slow_start: Duration::from_secs(10),
            health: None,
        }
    }
}

/// One place as declared.
#[derive(Clone, Debug, PartialEq)]
pub struct PlaceConfig {
    /// Origin and path, as an upstream's own URL.
    pub url: Box<str>,
    /// Where it is.
    pub zone: Option<Box<str>>,
    /// Its share of the calls, relative to the others'.
    pub weight: u32,
}

/// What changed about a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is not used for this long.
    Ejected(Duration),
    /// Its ejection is over.
    Returned,
    /// Its health checks fail.
    Unhealthy,
    /// Its health checks succeed again.
    Healthy,
}

/// One place as it is now.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    /// Where it is.
    pub url: Box<str>,
    /// Whether it is out for failing.
    pub is_ejected: bool,
    /// What its health checks say.
    pub is_healthy: bool,
    /// Tries under way.
    pub in_flight: u32,
    /// What an answer takes there, about; `None` before the first one.
    pub latency: Option<Duration>,
}

/// See the file's head.
#[derive(Debug)]
pub struct Endpoints {
    policy: Policy,
    places: Box<[Place]>,
    /// A bit for each place of the node's own zone.
    own_zone: u64,
    /// A bit for each ejected place.
    ejected: AtomicU64,
    /// A bit for each place whose health checks fail.
    unhealthy: AtomicU64,
    start: Instant,
}

impl Endpoints {
    /// Knows nothing of them yet.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        let start = Instant::now();
        let declared = policy.places.iter().take(crate::limits::ENDPOINTS_MAX);
        let places: Box<[Place]> = declared.clone().map(|place| Place::new(place.weight)).collect();
        let is_near = |place: &PlaceConfig| place.zone.is_some() && place.zone == policy.zone;
        let own_zone =
            declared.enumerate().filter(|(_, place)| is_near(place)).fold(0, |mask, (at, _)| mask | 1 << at);
        Self { places, own_zone, ejected: AtomicU64::new(0), unhealthy: AtomicU64::new(0), start, policy }
    }

    /// The policy it serves.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Where a place is, as it was declared; nothing where the upstream's own URL is the only one.
    pub(crate) fn url(&self, index: usize) -> &str {
        self.policy.places.get(index).map_or("", |place| &place.url)
    }

    /// How many places there are to choose from; 1 where only the upstream's own URL is.
    #[must_use]
    pub fn count(&self) -> usize {
        self.places.len().max(1)
    }

    /// The place for one try; another one than `avoid` where there is another that is well, be it farther away.
    #[must_use]
    pub fn pick(&self, avoid: Option<usize>, random: &Random, now: Instant) -> Picked<'_> {
        if self.places.len() < 2 {
            return Picked { endpoints: self, index: 0, is_counted: false, returned: 0 };
        }
        let returned = self.take_back(now);
        let index = self.choose(self.usable(avoid), random, now);
        self.places[index].enter();
        Picked { endpoints: self, index, is_counted: true, returned }
    }

    /// Who is well and near, as bits, without the place to avoid; whoever there is, where too few are.
    fn usable(&self, avoid: Option<usize>) -> u64 {
        let all = self.all();
        let other = avoid.map_or(all, |avoid| all & !(1 << avoid));
        let well = all & !self.ejected.load(Relaxed) & !self.unhealthy.load(Relaxed);
        let is_panic = f64::from(well.count_ones()) < self.policy.panic_share * f64::from(all.count_ones());
        let well = if is_panic || well == 0 { all } else { well };
        let near = well & self.own_zone;
        let is_near_enough = !is_panic && near.count_ones() * 2 >= self.own_zone.count_ones().max(1);
        let nearest = if is_near_enough { near } else { well };
        let choices = [nearest & other, well & other, nearest];
        choices.into_iter().find(|&places| places != 0).unwrap_or(all)
    }

    fn all(&self) -> u64 {
        u64::MAX >> (u64::BITS as usize - self.places.len())
    }

    fn choose(&self, usable: u64, random: &Random, now: Instant) -> usize {
        let first = self.draw(usable, random, now);
        let rest = usable & !(1 << first);
        if rest == 0 {
            return first;
        }
        let second = self.draw(rest, random, now);
        let cost = |at: usize| self.places[at].cost(self.since_start(now), self.policy.slow_start);
        if cost(second) * place::CLEARLY < cost(first) { second } else { first }
    }

    /// One of `usable`, by weight.
    fn draw(&self, usable: u64, random: &Random, now: Instant) -> usize {
        let weight = |at: usize| self.places[at].weight_now(self.since_start(now), self.policy.slow_start);
        let total: f64 = bits(usable).map(weight).sum();
        let mut left = random.fraction() * total;
        let mut last = usable.trailing_zeros() as usize;
        for at in bits(usable) {
            last = at;
            left -= weight(at);
            if left < 0.0 {
                break;
            }
        }
        last
    }

    /// Ends the ejections whose time is up. Returns whose, each to one caller only.
    fn take_back(&self, now: Instant) -> u64 {
        let over = self.over(self.ejected.load(Relaxed), now);
        if over == 0 { 0 } else { self.ejected.fetch_and(!over, Relaxed) & over }
    }

    /// Those of `ejected` whose time is up.
    fn over(&self, ejected: u64, now: Instant) -> u64 {
        let at = self.since_start(now);
        bits(ejected).filter(|&place| self.places[place].is_over(at)).fold(0, |mask, at| mask | 1 << at)
    }

    fn since_start(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.start)
    }

    /// Takes a place out, if as many are in as have to be. Returns for how long.
    fn eject(&self, index: usize, now: Instant) -> Option<Duration> {
        let most = (self.policy.ejected_share * self.places.len() as f64).max(1.0) as u32;
        let bit = 1 << index;
        let over = self.over(self.ejected.load(Relaxed), now);
        let room = |ejected: u64| {
            let out = ejected & !over;
            (out & bit == 0 && out.count_ones() < most).then_some(ejected | bit)
        };
        room(self.ejected.load(Relaxed))?;
        let at = self.since_start(now);
        // Its time is set before it is out, so that nobody takes it back at once.
        let lasts = self.places[index].next_ejection(at, &self.policy)?;
        self.ejected.fetch_update(Relaxed, Relaxed, room).ok()?;
        Some(lasts)
    }

    /// What a health check of a place came to. Returns whether that is news.
    pub(crate) fn set_health(&self, index: usize, is_healthy: bool, now: Instant) -> bool {
        let bit = 1 << index;
        let before = match is_healthy {
            true => self.unhealthy.fetch_and(!bit, Relaxed),
            false => self.unhealthy.fetch_or(bit, Relaxed),
        };
        let was_healthy = before & bit == 0;
        if is_healthy && !was_healthy {
            self.places[index].begin_slowly(self.since_start(now));
        }
        is_healthy != was_healthy
    }

    /// All places as they are now; none where the upstream has only its own URL.
    #[must_use]
    pub fn seen(&self, now: Instant) -> Vec<Seen> {
        let (ejected, unhealthy) = (self.ejected.load(Relaxed), self.unhealthy.load(Relaxed));
        let ejected = ejected & !self.over(ejected, now);
        let each = self.places.iter().zip(&self.policy.places).enumerate();
        each.map(|(at, (place, declared))| Seen {
            url: declared.url.clone(),
            is_ejected: ejected >> at & 1 == 1,
            is_healthy: unhealthy >> at & 1 == 0,
            in_flight: place.in_flight(),
            latency: place.latency(self.since_start(now)),
        })
        .collect()
    }
}

fn bits(mut mask: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let at = (mask != 0).then(|| mask.trailing_zeros() as usize)?;
        mask &= mask - 1;
        Some(at)
    })
}

/// The place that one try goes to. Dropping it says nothing about the place.
#[derive(Debug)]
pub struct Picked<'a> {
    endpoints: &'a Endpoints,
    index: usize,
    is_counted: bool,
    returned: u64,
}

impl Picked<'_> {
    /// Which one, in the order of declaration.
    #[must_use]
    pub fn index(&self) -> usize {
        self.index
    }

    /// Places whose ejection was found to be over when this one was picked.
    pub(crate) fn returned(&self) -> impl Iterator<Item = usize> {
        bits(self.returned)
    }

    /// The try ended. Returns what changed about the place.
    pub fn finish(self, outcome: Outcome, took: Duration, now: Instant) -> Option<Change> {
        if !self.is_counted {
            return None;
        }
        let endpoints = self.endpoints;
        let at = endpoints.since_start(now);
        let is_bad = endpoints.places[self.index].learn(outcome, took, at, &endpoints.policy);
        if is_bad { endpoints.eject(self.index, now).map(Change::Ejected) } else { None }
    }
}

impl Drop for Picked<'_> {
    fn drop(&mut self) {
        if self.is_counted {
            self.endpoints.places[self.index].leave();
        }
    }
}

#[cfg(test)]
mod tests;
