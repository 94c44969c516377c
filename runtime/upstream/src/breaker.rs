//! The circuit breaker: while an upstream keeps failing, calls are refused at once instead of waited for.
//!
//! [`Breaker::admit`] stands before each try and [`Admitted::finish`] after it. Closed, it counts outcomes in a sliding
//! window; too many failures, too many slow answers or failures in a row open it. After a wait that doubles each time it
//! lets a few probes through, and their outcomes close it or open it again. Closed anew, it lets only a few tries
//! at a time through, and more with each success, so that recovering upstreams are not run over.
//!
//! The states and the window are those of Hystrix and resilience4j, the numbers those of Hystrix (20 calls, 50 %, 10 s),
//! Envoy (5 in a row) and Linkerd (the wait's jitter). A row of failures alone opens it only where too few calls were
//! counted for a rate, or where the row is as long as a rate needs: five in a row are no rarity when
//! three of ten calls fail by chance.
//!
//! State is in [`machine`], as atomics that all cores share; a lock is taken when the state changes, for the history.

pub(crate) mod machine;
pub(crate) mod window;

/// The atomics of the machine; its model checker has others.
pub(crate) mod sync {
    pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
}

use crate::watch::{Event, Outcome, Watch};
use crate::{Random, limits};
use machine::{Entry, Machine, Pass, Shift};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

pub use machine::{Policy, Reason};

/// What the breaker does with calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Lets them through.
    Closed,
    /// Refuses them.
    Open,
    /// Lets a few through, to see.
    HalfOpen,
}

impl std::fmt::Display for Phase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half open",
            Self::Open => "open",
        })
    }
}

/// What an operator made of the breaker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Forced {
    /// Nothing: it decides for itself.
    #[default]
    No,
    /// Everything is refused.
    Open,
    /// Everything is let through.
    Closed,
}

/// The breaker went from one state to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change {
    /// When, by the machine's clock.
    pub at: SystemTime,
    /// What it was.
    pub from: Phase,
    /// What it is.
    pub to: Phase,
    /// Why.
    pub reason: Reason,
}

/// The breaker of one upstream, for all cores.
#[derive(Debug)]
pub struct Breaker {
    machine: Machine,
    policy: Policy,
    forced: AtomicU8,
    started: Instant,
    random: Arc<Random>,
    watch: Arc<dyn Watch>,
    history: Mutex<VecDeque<Change>>,
}

/// A try that was let through. Dropped without [`Admitted::finish`] it counts for nothing, and a probe's place is free again.
#[derive(Debug)]
#[must_use]
pub struct Admitted<'a> {
    breaker: &'a Breaker,
    pass: Option<Pass>,
}

impl Breaker {
    /// A closed breaker.
    #[must_use]
    pub fn new(policy: Policy, random: Arc<Random>, watch: Arc<dyn Watch>) -> Self {
        Self {
            machine: Machine::new(policy),
            policy,
            forced: AtomicU8::new(0),
            started: Instant::now(),
            random,
            watch,
            history: Mutex::default(),
        }
    }

    /// What it was made with.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Whether a try may go out now. `None`: the breaker is open.
    pub fn admit(&self, now: Instant) -> Option<Admitted<'_>> {
        let pass = match self.forced() {
            Forced::No if self.policy.is_on => match self.machine.admit(self.ms(now)) {
                Entry::Pass(pass) => Some(pass),
                Entry::Shifted(pass, shift) => {
                    self.record(shift);
                    Some(pass)
                }
                Entry::Refused(shift) => {
                    shift.into_iter().for_each(|shift| self.record(shift));
                    return None;
                }
            },
            Forced::No | Forced::Closed => None,
            Forced::Open => return None,
        };
        Some(Admitted { breaker: self, pass })
    }

    /// As [`Breaker::admit`], and while it is open too, unless an operator opened it. What such a try comes to changes
    /// nothing, but that the wait is over where it goes well.
    pub fn admit_probe(&self, now: Instant) -> Option<Admitted<'_>> {
        let early = || self.machine.early().filter(|_| self.forced() == Forced::No);
        self.admit(now).or_else(|| Some(Admitted { breaker: self, pass: Some(early()?) }))
    }

    /// Whether a try would be let through now, as far as can be told without asking for it.
    pub fn would_admit(&self, now: Instant) -> bool {
        self.phase(now) != Phase::Open
    }

    /// Whether it is worth trying again what has just failed: not while the last failures in a row are as many as
    /// would open it at a low rate of calls. At a high rate more of them are needed, and retries must not add to those.
    pub(crate) fn would_retry(&self, now: Instant) -> bool {
        let is_off = !self.policy.is_on || self.policy.in_a_row == 0 || self.forced() == Forced::Closed;
        self.would_admit(now) && (is_off || self.machine.in_a_row() < self.policy.in_a_row)
    }

    /// What it does with the next call.
    #[must_use]
    pub fn phase(&self, now: Instant) -> Phase {
        match self.forced() {
            Forced::Open => Phase::Open,
            Forced::Closed => Phase::Closed,
            Forced::No => self.machine.phase(self.ms(now)),
        }
    }

    /// When an open breaker lets its first probe through.
    #[must_use]
    pub fn opens_until(&self) -> Option<Instant> {
        self.machine.open_until().map(|ms| self.started + Duration::from_millis(ms))
    }

    /// What an operator made of it.
    #[must_use]
    pub fn forced(&self) -> Forced {
        match self.forced.load(Relaxed) {
            1 => Forced::Open,
            2 => Forced::Closed,
            _ => Forced::No,
        }
    }

    /// The operator decides, until told otherwise. Left to itself again, the breaker begins anew, closed.
    pub fn force(&self, forced: Forced, now: Instant) {
        let from = self.phase(now);
        self.forced.store(
            match forced {
                Forced::No => 0,
                Forced::Open => 1,
                Forced::Closed => 2,
            },
            Relaxed,
        );
        self.machine.reset(self.ms(now));
        let to = self.phase(now);
        if from != to {
            self.tell(Change { at: SystemTime::now(), from, to, reason: Reason::Operator });
        }
    }

    /// The last changes, oldest first; at most [`BREAKER_CHANGES`](limits::BREAKER_CHANGES).
    #[must_use]
    pub fn history(&self) -> Vec<Change> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }

    /// Calls, failures and slow calls in the window.
    #[must_use]
    pub fn counts(&self, now: Instant) -> window::Counts {
        self.machine.counts(self.ms(now))
    }

    /// A failure after the head of an answer that was already counted: its body broke off.
    pub(crate) fn broke_off(&self, now: Instant) {
        if let Some(admitted) = self.admit(now) {
            admitted.finish(Outcome::Failed, Duration::ZERO, now);
        }
    }

    fn record(&self, shift: Shift) {
        self.tell(Change { at: SystemTime::now(), from: shift.from, to: shift.to, reason: shift.reason });
    }

    fn tell(&self, change: Change) {
        let mut history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        if history.len() == limits::BREAKER_CHANGES {
            history.pop_front();
        }
        history.push_back(change);
        drop(history);
        self.watch.hear(Event::Breaker(&change));
    }

    fn ms(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.started).as_millis()).unwrap_or(u64::MAX)
    }
}

impl Admitted<'_> {
    /// The try ended.
    pub fn finish(mut self, outcome: Outcome, took: Duration, now: Instant) {
        let breaker = self.breaker;
        let Some(pass) = self.pass.take() else { return };
        let shift = breaker.machine.finish(pass, outcome, took, breaker.ms(now), &breaker.random);
        shift.into_iter().for_each(|shift| breaker.record(shift));
    }
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        if let Some(pass) = self.pass.take() {
            self.breaker.machine.give_back(pass);
        }
    }
}

#[cfg(test)]
mod tests;
