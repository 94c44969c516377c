//! What is known of one place: tries in flight, latency, failures, ejections.
//!
//! Times are counted from the endpoints' start. Each number is one atomic; two cores that tell at the same moment may lose
//! one sample to the other, never more.

use super::Policy;
use crate::limits;
use crate::watch::Outcome;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// How much better the second of two must be, so that it is taken instead of the first: places that are alike get
/// their shares by weight.
pub(super) const CLEARLY: f64 = 1.5;

#[derive(Debug)]
pub(super) struct Place {
    weight: f64,
    in_flight: AtomicU32,
    /// The average in seconds (f32, high half) and when it was taken (milliseconds, low half). 0: no answer yet.
    average: AtomicU64,
    /// Failures in a row.
    failures: AtomicU32,
    /// Which turn the two counts are of (high half: number of the turn; then answers and failures, 16 bits each).
    turn: AtomicU64,
    /// Ejections in a row, and until when the last one lasts, in milliseconds.
    ejections: AtomicU32,
    ejected_until_ms: AtomicU64,
    /// Since when it is back, in milliseconds; 0: from the start.
    back_ms: AtomicU64,
}

impl Place {
    pub(super) fn new(weight: u32) -> Self {
        Self {
            weight: weight.into(),
            in_flight: AtomicU32::new(0),
            average: AtomicU64::new(0),
            failures: AtomicU32::new(0),
            turn: AtomicU64::new(0),
            ejections: AtomicU32::new(0),
            ejected_until_ms: AtomicU64::new(0),
            back_ms: AtomicU64::new(0),
        }
    }

    pub(super) fn enter(&self) {
        self.in_flight.fetch_add(1, Relaxed);
    }

    pub(super) fn leave(&self) {
        self.in_flight.fetch_sub(1, Relaxed);
    }

    pub(super) fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// What a try costs there: latency times the tries it would be one of, relative to the weight; more while the place is
    /// just back. Where no answer is known yet, one try at a time finds out: it costs nothing.
    pub(super) fn cost(&self, at: Duration, slow_start: Duration) -> f64 {
        let latency = match self.latency(at) {
            Some(latency) => latency.max(limits::LATENCY_ALIKE),
            None if self.in_flight() == 0 => Duration::ZERO,
            None => limits::LATENCY_UNKNOWN,
        };
        let share = self.weight_now(at, slow_start) / self.weight;
        latency.as_secs_f64() * (f64::from(self.in_flight()) / self.weight + 1.0) / share
    }

    /// The weight, less while the place is just back.
    pub(super) fn weight_now(&self, at: Duration, slow_start: Duration) -> f64 {
        let back = self.back_ms.load(Relaxed).max(self.ejected_until_ms.load(Relaxed));
        if back == 0 || slow_start.is_zero() {
            return self.weight;
        }
        let since = at.saturating_sub(Duration::from_millis(back));
        let ramp = since.as_secs_f64() / slow_start.as_secs_f64();
        self.weight * ramp.clamp(limits::SLOW_START_SHARE, 1.0)
    }

    /// The average, faded for the time since its last sample.
    pub(super) fn latency(&self, at: Duration) -> Option<Duration> {
        let (seconds, taken_ms) = unpack(self.average.load(Relaxed))?;
        let idle = at.saturating_sub(Duration::from_millis(taken_ms.into()));
        Some(Duration::from_secs_f64(f64::from(seconds) * fading(idle)))
    }

    /// A try ended. Returns whether the place should be ejected.
    pub(super) fn learn(&self, outcome: Outcome, took: Duration, at: Duration, policy: &Policy) -> bool {
        match outcome {
            Outcome::Answered => {
                self.observe(took, at);
                self.failures.store(0, Relaxed);
                self.forget_ejections(at);
                self.count(false, at);
                false
            }
            Outcome::Throttled => {
                self.observe(took.max(limits::LATENCY_FAILED), at);
                false
            }
            // A place that fails quickly must not look like a quick one.
            Outcome::Failed | Outcome::TimedOut => {
                self.observe(took.max(limits::LATENCY_FAILED), at);
                let in_a_row = self.failures.fetch_add(1, Relaxed).saturating_add(1);
                let is_failing = self.count(true, at);
                in_a_row >= policy.failures || is_failing
            }
            Outcome::Void => false,
        }
    }

    /// Finagle's `PeakEwma`.
    fn observe(&self, took: Duration, at: Duration) {
        let now_ms = millis(at) as u32;
        let sample = took.as_secs_f64();
        let next = |packed: u64| {
            let average = match unpack(packed) {
                Some((seconds, taken_ms)) if f64::from(seconds) > sample => {
                    let kept = fading(Duration::from_millis(now_ms.wrapping_sub(taken_ms).into()));
                    f64::from(seconds) * kept + sample * (1.0 - kept)
                }
                _ => sample,
            };
            Some(
                u64::from((average.max(f64::from(f32::MIN_POSITIVE)) as f32).to_bits()) << 32
                    | u64::from(now_ms),
            )
        };
        // Always some: the closure has no way out.
        let _ = self.average.fetch_update(Relaxed, Relaxed, next);
    }

    /// Counts an answer or a failure in the turn of `at`; whether the failures are too large a share of it.
    fn count(&self, is_failure: bool, at: Duration) -> bool {
        let turn = at.as_secs() / limits::ENDPOINT_TURN.as_secs();
        let next = |packed: u64| {
            let (answers, failures) = if packed >> 32 == turn { counts(packed) } else { (0, 0) };
            let answers = answers.saturating_add(u16::from(!is_failure));
            let failures = failures.saturating_add(u16::from(is_failure));
            turn << 32 | u64::from(answers) << 16 | u64::from(failures)
        };
        let before = self.turn.fetch_update(Relaxed, Relaxed, |packed| Some(next(packed)));
        let (answers, failures) = counts(next(before.unwrap_or_default()));
        let calls = u32::from(answers) + u32::from(failures);
        calls >= limits::ENDPOINT_CALLS_MIN
            && f64::from(failures) >= limits::ENDPOINT_FAILING * f64::from(calls)
    }

    /// How long its next ejection is, which begins now; `None` while one lasts.
    pub(super) fn next_ejection(&self, at: Duration, policy: &Policy) -> Option<Duration> {
        let now_ms = millis(at);
        let until = self.ejected_until_ms.load(Relaxed);
        if until > now_ms {
            return None;
        }
        let row = self.ejections.fetch_add(1, Relaxed).saturating_add(1);
        let lasts = policy.ejected.saturating_mul(row).min(policy.ejected_max);
        self.ejected_until_ms.store(millis(at + lasts), Relaxed);
        self.failures.store(0, Relaxed);
        self.turn.store(0, Relaxed);
        Some(lasts)
    }

    /// Whether its last ejection is over.
    pub(super) fn is_over(&self, at: Duration) -> bool {
        self.ejected_until_ms.load(Relaxed) <= millis(at)
    }

    /// Ejections are no longer in a row where it has answered for a while since.
    fn forget_ejections(&self, at: Duration) {
        if self.ejections.load(Relaxed) != 0 {
            let until = Duration::from_millis(self.ejected_until_ms.load(Relaxed));
            if at > until + limits::EJECTIONS_REMEMBERED {
                self.ejections.store(0, Relaxed);
            }
        }
    }

    pub(super) fn begin_slowly(&self, at: Duration) {
        self.back_ms.store(millis(at).max(1), Relaxed);
    }
}

fn millis(at: Duration) -> u64 {
    u64::try_from(at.as_millis()).unwrap_or(u64::MAX)
}

fn unpack(packed: u64) -> Option<(f32, u32)> {
    (packed != 0).then(|| (f32::from_bits((packed >> 32) as u32), packed as u32))
}

fn counts(packed: u64) -> (u16, u16) {
    ((packed >> 16) as u16, packed as u16)
}

/// What is left of an average after so long.
fn fading(idle: Duration) -> f64 {
    (-idle.as_secs_f64() / limits::LATENCY_FADING.as_secs_f64()).exp()
}
