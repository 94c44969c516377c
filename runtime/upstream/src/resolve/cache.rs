//! The node's own resolver: what is known of names, for as long as it holds.
//!
//! One for the process; `dial` asks it once per new connection, so its table is behind a mutex that is held for one look at
//! it and never across an await. A name that is being looked up is looked up once for everybody who asks. While no
//! server answers, an answer that has ended is used on (RFC 8767). Times are the runtime's monotonic clock: a step
//! of the wall clock ends nothing.

use super::ask::ask;
use super::message::Answer;
use super::setup::{Current, Servers};
use super::{LookupError, Resolve, Resolving, SystemResolver, names};
use crate::limits;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared, WeakShared};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

/// What a lookup came to.
type Found = Result<Vec<IpAddr>, LookupError>;
/// A lookup under way. Whoever waits for it drives it; when nobody does any more, it ends.
type Flight = BoxFuture<'static, Found>;

/// See the file's head. Cheap to clone; clones share everything.
#[derive(Clone, Debug)]
pub struct Resolver(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    setup: Current,
    /// The server that answered last.
    favourite: AtomicUsize,
    system: SystemResolver,
    questions: Semaphore,
    table: Mutex<HashMap<Box<str>, Known>>,
}

/// What is known of a name.
#[derive(Debug, Default)]
struct Known {
    answer: Option<Held>,
    flight: Option<WeakShared<Flight>>,
}

/// An answer and its time.
#[derive(Clone, Debug)]
struct Held {
    found: Found,
    /// Until when it holds.
    ends: Instant,
    /// Until when it may stand in for one that cannot be had; only for addresses.
    stale_ends: Instant,
    /// Not asked again before this, because asking failed.
    asked_again: Instant,
}

impl Resolver {
    /// Knows nothing yet.
    #[must_use]
    pub fn new(servers: Servers) -> Self {
        Self(Arc::new(Inner {
            setup: Current::new(servers),
            favourite: AtomicUsize::new(0),
            system: SystemResolver::default(),
            questions: Semaphore::new(limits::QUESTIONS_MAX),
            table: Mutex::default(),
        }))
    }

    async fn look_up(self, name: String) -> Found {
        if let Some(addresses) = self.0.setup.get().hosts.get(&name) {
            return Ok(addresses);
        }
        let now = Instant::now();
        let (held, flight) = self.board(&name, now);
        let Some(flight) = flight else { return held.map_or(Err(LookupError::TimedOut), |held| held.found) };
        match held {
            // A new answer is better, but an old one is here.
            Some(held) if held.is_usable(now) => match timeout(limits::STALE_PATIENCE, flight).await {
                Ok(Ok(found)) => Ok(found),
                Ok(Err(error)) if error.is_final() => Err(error),
                Ok(Err(_)) => held.found,
                Err(_) => {
                    self.postpone(&name);
                    held.found
                }
            },
            _ => flight.await,
        }
    }

    /// The answer that there is, and the lookup to wait for unless it holds.
    fn board(&self, name: &str, now: Instant) -> (Option<Held>, Option<Shared<Flight>>) {
        let mut table = self.0.table();
        if !table.contains_key(name) {
            make_room(&mut table);
        }
        let known = table.entry(name.into()).or_default();
        let held = known.answer.clone();
        if held.as_ref().is_some_and(|held| held.holds(now)) {
            return (held, None);
        }
        if let Some(flight) = known.flight.as_ref().and_then(WeakShared::upgrade) {
            return (held, Some(flight));
        }
        let flight = self.clone().fly(name.to_owned()).boxed().shared();
        known.flight = flight.downgrade();
        (held, Some(flight))
    }

    /// One lookup, remembered.
    async fn fly(self, name: String) -> Found {
        let asked = timeout(limits::LOOKUP_MAX, self.asked(&name)).await;
        let answer = asked.unwrap_or(Answer { found: Err(LookupError::TimedOut), ttl: None });
        self.remember(&name, answer, Instant::now())
    }

    async fn asked(&self, name: &str) -> Answer {
        let Ok(_permit) = self.0.questions.acquire().await else {
            return Answer { found: Err(LookupError::TimedOut), ttl: None };
        };
        match names::is_of_the_link(name) {
            true => Answer { found: self.0.system.resolve(name).await, ttl: Some(limits::TTL_SYSTEM) },
            false => ask(&self.0.setup.get(), &self.0.favourite, name).await,
        }
    }

    /// Keeps the answer, or the older one where this is none; returns what is now known.
    fn remember(&self, name: &str, answer: Answer, now: Instant) -> Found {
        let mut table = self.0.table();
        if !table.contains_key(name) {
            make_room(&mut table);
        }
        let known = table.entry(name.into()).or_default();
        known.flight = None;
        if let (Err(error), Some(old)) = (&answer.found, &mut known.answer)
            && !error.is_final()
            && old.is_usable(now)
        {
            tracing::warn!(
                name,
                error = error as &dyn std::error::Error,
                "an old answer for a name is used on"
            );
            old.asked_again = now + limits::STALE_RECHECK;
            return old.found.clone();
        }
        known.answer = Some(Held::new(answer.clone(), now));
        answer.found
    }

    /// Nobody waits any more for who answers late: its old answer is used on for a while.
    fn postpone(&self, name: &str) {
        let now = Instant::now();
        if let Some(held) = self.0.table().get_mut(name).and_then(|known| known.answer.as_mut()) {
            held.asked_again = held.asked_again.max(now + limits::STALE_RECHECK);
        }
    }
}

impl Resolve for Resolver {
    fn resolve(&self, name: &str) -> Resolving {
        Box::pin(self.clone().look_up(name.to_owned()))
    }
}

impl Held {
    fn new(answer: Answer, now: Instant) -> Self {
        let has_addresses = answer.found.as_ref().is_ok_and(|addresses| !addresses.is_empty());
        let lasts = match (&answer.found, answer.ttl) {
            (Ok(_), ttl) if has_addresses => ttl.unwrap_or_default().clamp(limits::TTL_MIN, limits::TTL_MAX),
            (Ok(_), ttl) | (Err(LookupError::NoSuchName), ttl) => negative(ttl),
            (Err(_), _) => limits::TTL_FAILED,
        };
        let ends = now + lasts;
        let stale = if has_addresses { limits::STALE_MAX } else { Duration::ZERO };
        Self { found: answer.found, ends, stale_ends: ends + stale, asked_again: ends }
    }

    /// Whether nobody has to be asked.
    fn holds(&self, now: Instant) -> bool {
        now < self.ends || now < self.asked_again && self.is_usable(now)
    }

    fn is_usable(&self, now: Instant) -> bool {
        now < self.stale_ends
    }
}

fn negative(ttl: Option<Duration>) -> Duration {
    ttl.unwrap_or(limits::TTL_NEGATIVE_DEFAULT).clamp(limits::TTL_MIN, limits::TTL_NEGATIVE_MAX)
}

/// A full table loses the name that ends soonest and that nobody waits for.
fn make_room(table: &mut HashMap<Box<str>, Known>) {
    if table.len() < limits::NAMES_MAX {
        return;
    }
    let ends = |known: &Known| known.answer.as_ref().map(|held| held.ends);
    let soonest = table
        .iter()
        .min_by_key(|(_, known)| (known.answer.is_none(), ends(known)))
        .map(|(name, _)| name.clone());
    if let Some(name) = soonest {
        table.remove(&name);
    }
}

impl Inner {
    /// Never held across an await; a panic inside leaves the table whole.
    fn table(&self) -> MutexGuard<'_, HashMap<Box<str>, Known>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resolve::Setup;

    fn resolver() -> Resolver {
        Resolver::new(Servers::Fixed(Setup::of(Vec::new())))
    }

    fn answer(addresses: &[&str], ttl: u64) -> Answer {
        let found = Ok(addresses.iter().map(|text| text.parse().unwrap()).collect());
        Answer { found, ttl: Some(Duration::from_secs(ttl)) }
    }

    fn failed() -> Answer {
        Answer { found: Err(LookupError::Failed(2)), ttl: None }
    }

    fn check_lasts(answer: Answer, lasts: Duration) {
        let now = Instant::now();
        let held = Held::new(answer, now);
        let nano = Duration::from_nanos(1);
        assert!(held.holds(now + lasts - nano) && !held.holds(now + lasts));
    }

    /// C11: a time to live of nothing and one of years are both brought into bounds.
    #[tokio::test(start_paused = true)]
    async fn answers_last_within_their_bounds() {
        check_lasts(answer(&["1.1.1.1"], 0), limits::TTL_MIN);
        check_lasts(answer(&["1.1.1.1"], 60), Duration::from_secs(60));
        check_lasts(answer(&["1.1.1.1"], 86_400), limits::TTL_MAX);
        check_lasts(answer(&[], 0), limits::TTL_MIN);
        check_lasts(answer(&[], 86_400), limits::TTL_NEGATIVE_MAX);
        check_lasts(Answer { found: Err(LookupError::NoSuchName), ttl: None }, limits::TTL_NEGATIVE_DEFAULT);
        check_lasts(failed(), limits::TTL_FAILED);
    }

    /// C11: an answer is used on while no server answers, for so long and no longer.
    #[tokio::test(start_paused = true)]
    async fn an_old_answer_stands_in_for_a_failure_within_its_bound() {
        let start = Instant::now();
        let resolver = resolver();
        let old = resolver.remember("a", answer(&["1.1.1.1"], 10), start).unwrap();
        let ends = start + Duration::from_secs(10);
        let nano = Duration::from_nanos(1);
        assert_eq!(resolver.remember("a", failed(), ends + limits::STALE_MAX - nano).unwrap(), old);
        assert!(resolver.remember("a", failed(), ends + limits::STALE_MAX).is_err());
    }

    /// C11: while it does, the servers are asked now and then, not for every connection.
    #[tokio::test(start_paused = true)]
    async fn a_failed_lookup_is_not_repeated_at_once() {
        let resolver = resolver();
        resolver.remember("a", answer(&["1.1.1.1"], 1), Instant::now()).unwrap();
        tokio::time::advance(Duration::from_secs(2)).await;
        resolver.remember("a", failed(), Instant::now()).unwrap();
        let asks = || resolver.board("a", Instant::now()).1.is_some();
        assert!(!asks());
        tokio::time::advance(limits::STALE_RECHECK).await;
        assert!(asks());
    }

    /// C11: a name that is gone is gone.
    #[tokio::test(start_paused = true)]
    async fn no_such_name_ends_an_old_answer() {
        let resolver = resolver();
        resolver.remember("a", answer(&["1.1.1.1"], 1), Instant::now()).unwrap();
        tokio::time::advance(Duration::from_secs(2)).await;
        let gone = Answer { found: Err(LookupError::NoSuchName), ttl: None };
        assert!(resolver.remember("a", gone, Instant::now()).is_err());
        assert!(resolver.remember("a", failed(), Instant::now()).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn the_table_may_fill_its_bound_and_no_more() {
        let resolver = resolver();
        let now = Instant::now();
        for each in 0..limits::NAMES_MAX {
            resolver.board(&each.to_string(), now);
            resolver
                .remember(&each.to_string(), answer(&["1.1.1.1"], if each == 7 { 10 } else { 20 }), now)
                .unwrap();
        }
        assert_eq!(resolver.0.table().len(), limits::NAMES_MAX);
        resolver.board("one more", now);
        assert_eq!(resolver.0.table().len(), limits::NAMES_MAX);
        assert!(!resolver.0.table().contains_key("7"), "the one that ends soonest");
    }
}
