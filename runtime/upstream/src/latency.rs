//! How long an upstream takes to answer, as percentiles of the last half minute or more.
//!
//! A histogram with eight buckets for each doubling, so that a percentile is at most an eighth off. Two halves take turns:
//! one is filled while the other is remembered, and what is older than both is forgotten. Recording is one addition on
//! an atomic; reading goes over all buckets, so hedging asks for a value that is kept for a while.

use crate::limits;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::time::Instant;

/// Buckets for each doubling, as a power of two.
const PRECISION: u32 = 3;
/// Microseconds up to 2^32, more than an hour.
const BUCKETS: usize = ((32 - PRECISION as usize) + 1) << PRECISION;
/// How long the value that hedging asks for is kept.
const KEPT_MS: u64 = 250;

/// See the file's head.
#[derive(Debug)]
pub struct Latency {
    started: Instant,
    halves: [Half; 2],
    /// The kept percentile, microseconds, and when it was taken.
    kept_us: AtomicU64,
    kept_at_ms: AtomicU64,
}

#[derive(Debug)]
struct Half {
    /// Which turn it holds, plus one; 0 for none yet.
    turn: AtomicU64,
    counts: [AtomicU32; BUCKETS],
}

impl Latency {
    /// Nothing known yet.
    #[must_use]
    pub fn new() -> Self {
        let half = || Half { turn: AtomicU64::new(0), counts: std::array::from_fn(|_| AtomicU32::new(0)) };
        Self {
            started: Instant::now(),
            halves: [half(), half()],
            kept_us: AtomicU64::new(0),
            kept_at_ms: AtomicU64::new(u64::MAX),
        }
    }

    /// An answer took so long.
    pub fn record(&self, took: Duration, now: Instant) {
        let turn = self.turn(now);
        let half = &self.halves[(turn % 2) as usize];
        let found = half.turn.load(Relaxed);
        if found != turn + 1 && half.turn.compare_exchange(found, turn + 1, Relaxed, Relaxed).is_ok() {
            half.counts.iter().for_each(|count| count.store(0, Relaxed));
        }
        half.counts[bucket(took)].fetch_add(1, Relaxed);
    }

    /// The time within which this share of the answers came; `None` while there are fewer than `samples_min`.
    #[must_use]
    pub fn percentile(&self, share: f64, samples_min: u64, now: Instant) -> Option<Duration> {
        let turn = self.turn(now);
        let is_recent = |half: &&Half| {
            let held = half.turn.load(Relaxed);
            held == turn + 1 || held == turn && turn > 0
        };
        let mut counts = [0_u64; BUCKETS];
        for half in self.halves.iter().filter(is_recent) {
            for (sum, count) in counts.iter_mut().zip(&half.counts) {
                *sum += u64::from(count.load(Relaxed));
            }
        }
        let samples: u64 = counts.iter().sum();
        if samples == 0 || samples < samples_min {
            return None;
        }
        let rank = ((samples as f64 * share).ceil() as u64).clamp(1, samples);
        let mut below = 0;
        let reached = counts.iter().position(|count| {
            below += count;
            below >= rank
        });
        reached.map(upper_edge)
    }

    /// [`Latency::percentile`] with enough samples to hedge by, up to a quarter of a second old.
    #[must_use]
    pub fn kept_percentile(&self, share: f64, now: Instant) -> Option<Duration> {
        let now_ms = self.ms(now);
        let at = self.kept_at_ms.load(Relaxed);
        if at == u64::MAX || now_ms.saturating_sub(at) >= KEPT_MS {
            let fresh = self.percentile(share, limits::HEDGE_SAMPLES_MIN, now);
            self.kept_us.store(fresh.map_or(0, |took| took.as_micros() as u64), Relaxed);
            self.kept_at_ms.store(now_ms, Relaxed);
        }
        Some(self.kept_us.load(Relaxed)).filter(|us| *us > 0).map(Duration::from_micros)
    }

    fn turn(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.started).as_secs() / limits::LATENCY_TURN.as_secs()
    }

    fn ms(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.started).as_millis() as u64
    }
}

impl Default for Latency {
    fn default() -> Self {
        Self::new()
    }
}

fn bucket(took: Duration) -> usize {
    let us = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
    if us < 1 << PRECISION {
        return us as usize;
    }
    let exponent = u32::BITS - 1 - us.leading_zeros();
    let within = (us >> (exponent - PRECISION)) & ((1 << PRECISION) - 1);
    (((exponent - PRECISION + 1) << PRECISION) + within) as usize
}

/// The longest time that a bucket counts.
fn upper_edge(bucket: usize) -> Duration {
    let (octave, within) = ((bucket >> PRECISION) as u32, (bucket & ((1 << PRECISION) - 1)) as u64);
    if octave == 0 {
        return Duration::from_micros(within);
    }
    Duration::from_micros((((1_u64 << PRECISION) + within + 1) << (octave - 1)) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_at_most_an_eighth_wide() {
        for us in [0, 1, 7, 8, 9, 100, 1_000, 65_535, 65_536, 1_000_000, 3_600_000_000] {
            let edge = upper_edge(bucket(Duration::from_micros(us))).as_micros() as f64;
            assert!(edge >= us as f64 && edge <= us as f64 * 1.125 + 1.0, "{us} is counted up to {edge}");
        }
        assert_eq!(bucket(Duration::MAX), BUCKETS - 1);
    }

    #[tokio::test(start_paused = true)]
    async fn percentiles_are_those_of_what_was_recorded() {
        let latency = Latency::new();
        let now = Instant::now();
        (1..=1000).for_each(|ms| latency.record(Duration::from_millis(ms), now));
        for (share, expected) in [(0.5, 500.0), (0.95, 950.0), (0.99, 990.0), (1.0, 1000.0)] {
            let found = latency.percentile(share, 1, now).unwrap().as_secs_f64() * 1000.0;
            assert!(found >= expected && found < expected * 1.13, "{share}: {found}");
        }
    }

    /// C4: no percentile of too few calls.
    #[tokio::test(start_paused = true)]
    async fn too_few_samples_are_no_percentile() {
        let latency = Latency::new();
        let now = Instant::now();
        (1..limits::HEDGE_SAMPLES_MIN).for_each(|_| latency.record(Duration::from_millis(5), now));
        assert_eq!(latency.percentile(0.95, limits::HEDGE_SAMPLES_MIN, now), None);
        latency.record(Duration::from_millis(5), now);
        assert!(latency.percentile(0.95, limits::HEDGE_SAMPLES_MIN, now).is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_old_is_forgotten() {
        let latency = Latency::new();
        let start = Instant::now();
        latency.record(Duration::from_secs(9), start);
        let median = |at: Instant| latency.percentile(0.5, 1, at);
        assert!(median(start + limits::LATENCY_TURN).is_some());
        assert!(median(start + limits::LATENCY_TURN * 2).is_none());
        latency.record(Duration::from_millis(1), start + limits::LATENCY_TURN * 2);
        assert!(median(start + limits::LATENCY_TURN * 2).unwrap() < Duration::from_millis(2));
    }

    #[tokio::test(start_paused = true)]
    async fn the_kept_value_is_renewed_after_a_while() {
        let latency = Latency::new();
        let start = Instant::now();
        assert_eq!(latency.kept_percentile(0.95, start), None);
        (0..limits::HEDGE_SAMPLES_MIN).for_each(|_| latency.record(Duration::from_millis(5), start));
        assert_eq!(latency.kept_percentile(0.95, start), None);
        assert!(latency.kept_percentile(0.95, start + Duration::from_millis(KEPT_MS)).is_some());
    }
}
