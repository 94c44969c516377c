//! What an upstream tells of itself while it works.
//!
//! The node gives each upstream's [`State`](crate::State) one [`Watch`] and makes metrics, log lines and trace
//! attributes of what it hears. Called in the middle of calls, so a watch neither waits nor fails.

use crate::breaker::Change;
use crate::cache;
use crate::endpoints;
use crate::fallback;
use std::fmt::Debug;
use std::time::Duration;

/// Hears what happens at one upstream.
pub trait Watch: Debug + Send + Sync + 'static {
    /// Something happened. Must return at once.
    fn hear(&self, event: Event<'_>);
}

/// Something that happened at an upstream.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// A try ended, as told to the breaker; `took` counts until the response's head or the failure.
    Tried {
        /// How it ended.
        outcome: Outcome,
        /// How long it took.
        took: Duration,
    },
    /// A failed try is followed by another one after this pause.
    Retrying {
        /// Which try failed, from 1.
        failed: u8,
        /// The pause before the next one.
        pause: Duration,
    },
    /// A failed try would have been followed by another one, had there been budget for it.
    BudgetSpent,
    /// A second try was sent beside a slow one.
    Hedged,
    /// The second one answered first.
    HedgeWon,
    /// A call was refused before it was tried.
    Shed(Shed),
    /// Something else answered a call.
    FellBack {
        /// What did.
        kind: fallback::Kind,
        /// Why the upstream did not.
        reason: fallback::Reason,
    },
    /// A call was looked up in the cache.
    Cache(cache::Status),
    /// A try met a fault that was put there on purpose.
    Injected,
    /// The circuit breaker changed its state.
    Breaker(&'a Change),
    /// One of several places changed.
    Endpoint {
        /// Which one, in the order of declaration.
        index: usize,
        /// Where it is.
        url: &'a str,
        /// How it changed.
        change: endpoints::Change,
    },
}

/// How a try ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The upstream answered, and its answer is no failure of its own.
    Answered,
    /// It asked to be left alone: 429, or 503 with `Retry-After`.
    Throttled,
    /// It failed: an error status, or no answer at all.
    Failed,
    /// Time ran out.
    TimedOut,
    /// It says nothing about the upstream: given up by the caller, or the caller's own fault.
    Void,
}

/// Why a call was not tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shed {
    /// The breaker is open.
    CircuitOpen,
    /// No place among the concurrent calls, and none in the queue or none in time.
    BulkheadFull,
    /// The caller's time was up.
    Deadline,
}

/// Hears nothing.
#[derive(Debug, Default)]
pub struct Unwatched;

impl Watch for Unwatched {
    fn hear(&self, _event: Event<'_>) {}
}
