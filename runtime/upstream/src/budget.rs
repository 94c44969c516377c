//! A bucket of tokens that keeps extra load in proportion to success: retries draw from it, and so do hedges.
//!
//! Successes put in, extra tries take out; an empty bucket means no extra try. The scheme and its 500 tokens are those
//! of the AWS SDKs (their retry quota); the share of successes that may be spent is Envoy's retry budget. Atomic.

use crate::limits;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Tokens are counted in thousandths, so that any share of successes can be paid for.
const UNIT: u64 = 1000;

/// How much extra load successes pay for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share(f64);

impl Share {
    /// A fraction of the successful calls, clamped to `0.001..=1`; nothing for zero.
    #[must_use]
    pub fn new(fraction: f64) -> Self {
        match fraction {
            fraction if fraction > 0.0 => Self(fraction.clamp(0.001, 1.0)),
            _ => Self(0.0),
        }
    }

    /// The fraction.
    #[must_use]
    pub fn get(self) -> f64 {
        self.0
    }

    /// Thousandths of a token for one extra try; `None` where none is allowed.
    fn cost(self) -> Option<u64> {
        (self.0 > 0.0).then(|| (UNIT as f64 / self.0).round() as u64)
    }
}

/// See the file's head.
#[derive(Debug)]
pub struct Budget {
    tokens: AtomicU64,
    full: u64,
    cost: Option<u64>,
}

impl Budget {
    /// A full bucket for retries: [`BUDGET_TOKENS`](limits::BUDGET_TOKENS).
    #[must_use]
    pub fn for_retries(share: Share) -> Self {
        Self::new(share, limits::BUDGET_TOKENS * UNIT, limits::BUDGET_TOKENS * UNIT)
    }

    /// A bucket for hedges: room for [`HEDGE_BURST`](limits::HEDGE_BURST) of them, empty at first.
    #[must_use]
    pub fn for_hedges(share: Share) -> Self {
        Self::new(share, 0, share.cost().unwrap_or(0) * limits::HEDGE_BURST)
    }

    fn new(share: Share, tokens: u64, full: u64) -> Self {
        Self { tokens: AtomicU64::new(tokens), full, cost: share.cost() }
    }

    /// A call went well.
    pub fn put_in(&self) {
        // A full bucket is only read, so that cores do not fight over it while all is well.
        let mut tokens = self.tokens.load(Relaxed);
        while tokens < self.full {
            let more = (tokens + UNIT).min(self.full);
            match self.tokens.compare_exchange_weak(tokens, more, Relaxed, Relaxed) {
                Ok(_) => return,
                Err(now) => tokens = now,
            }
        }
    }

    /// Takes out what `tries` extra ones cost. False, and nothing taken, where it is not there.
    pub fn take_out(&self, tries: u64) -> bool {
        let Some(cost) = self.cost.map(|cost| cost * tries) else { return false };
        self.tokens.fetch_update(Relaxed, Relaxed, |tokens| tokens.checked_sub(cost)).is_ok()
    }

    /// How full it is, from 0 to 1.
    #[must_use]
    pub fn level(&self) -> f64 {
        if self.full == 0 { 0.0 } else { self.tokens.load(Relaxed) as f64 / self.full as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(budget: &Budget, tries: u64) -> usize {
        (0..10_000).take_while(|_| budget.take_out(tries)).count()
    }

    /// C5: one retry costs 1/budget tokens, so the bucket pays for a hundred of them at 20 %.
    #[test]
    fn a_full_bucket_pays_for_its_share_and_no_more() {
        assert_eq!(taken(&Budget::for_retries(Share::new(0.2)), 1), 100);
        assert_eq!(taken(&Budget::for_retries(Share::new(0.3)), 1), 150);
        assert_eq!(taken(&Budget::for_retries(Share::new(1.0)), 1), 500);
        assert_eq!(taken(&Budget::for_retries(Share::new(0.0)), 1), 0);
    }

    /// C5: a timeout costs twice.
    #[test]
    fn what_costs_double_is_half_as_many() {
        assert_eq!(taken(&Budget::for_retries(Share::new(0.2)), 2), 50);
    }

    #[test]
    fn successes_fill_an_empty_bucket_in_proportion() {
        let budget = Budget::for_retries(Share::new(0.2));
        taken(&budget, 1);
        (0..4).for_each(|_| budget.put_in());
        assert!(!budget.take_out(1));
        budget.put_in();
        assert!(budget.take_out(1));
        assert!(!budget.take_out(1));
    }

    #[test]
    fn a_full_bucket_stays_full() {
        let budget = Budget::for_retries(Share::new(0.2));
        (0..1000).for_each(|_| budget.put_in());
        assert_eq!(budget.level(), 1.0);
        assert_eq!(taken(&budget, 1), 100);
    }

    /// C17: hedges are earned first, and do not pile up.
    #[test]
    fn hedges_are_earned_and_few_are_kept() {
        let budget = Budget::for_hedges(Share::new(0.05));
        assert!(!budget.take_out(1));
        (0..19).for_each(|_| budget.put_in());
        assert!(!budget.take_out(1));
        budget.put_in();
        assert!(budget.take_out(1));
        (0..10_000).for_each(|_| budget.put_in());
        assert_eq!(taken(&budget, 1) as u64, limits::HEDGE_BURST);
    }

    #[test]
    fn cores_that_take_at_once_never_take_more_than_there_is() {
        let budget = Budget::for_retries(Share::new(0.2));
        let taken: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| taken(&budget, 1))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(taken, 100);
    }
}
