//! The last calls of one side, and how long one more is expected to take.

use crate::limits::{EXPECTED_PERCENTILE, SAMPLE_AGE_MAX, SAMPLES, SAMPLES_MIN};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// A call that has ended.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Instant,
    took: Duration,
    bytes: u64,
}

/// The last [`SAMPLES`] calls.
#[derive(Debug, Default)]
pub(super) struct Recent {
    samples: VecDeque<Sample>,
}

impl Recent {
    pub(super) fn add(&mut self, at: Instant, took: Duration, bytes: u64) {
        if self.samples.len() == SAMPLES {
            self.samples.pop_front();
        }
        self.samples.push_back(Sample { at, took, bytes });
    }

    /// How long a call of so many bytes takes, in nineteen of twenty cases; `None` as long as too little is known.
    ///
    /// A larger call than those known is expected to take longer in proportion: that is the most it can, for all that it
    /// takes whatever its size is counted too.
    pub(super) fn expected(&self, now: Instant, bytes: u64) -> Option<Duration> {
        let mut took = self.took(now, bytes)?;
        // The nearest rank.
        let rank = (took.len() as f64 * EXPECTED_PERCENTILE).ceil() as usize - 1;
        Some(*took.select_nth_unstable(rank).1)
    }

    /// How long that share of the calls took, whatever their size.
    pub(super) fn percentile(&self, now: Instant, share: f64) -> Option<Duration> {
        let young =
            self.samples.iter().filter(|sample| now.saturating_duration_since(sample.at) < SAMPLE_AGE_MAX);
        let mut took: Vec<_> = young.map(|sample| sample.took).collect();
        let rank = ((took.len() as f64 * share).ceil() as usize).checked_sub(1)?;
        Some(*took.select_nth_unstable(rank).1)
    }

    /// The least that a call of so many bytes has taken, or would have.
    pub(super) fn quickest(&self, now: Instant, bytes: u64) -> Option<Duration> {
        self.took(now, bytes)?.into_iter().min()
    }

    /// The most.
    pub(super) fn slowest(&self, now: Instant, bytes: u64) -> Option<Duration> {
        self.took(now, bytes)?.into_iter().max()
    }

    fn took(&self, now: Instant, bytes: u64) -> Option<Vec<Duration>> {
        let young =
            self.samples.iter().filter(|sample| now.saturating_duration_since(sample.at) < SAMPLE_AGE_MAX);
        let took: Vec<_> = young.map(|sample| scaled(sample, bytes)).collect();
        (took.len() >= SAMPLES_MIN).then_some(took)
    }
}

fn scaled(sample: &Sample, bytes: u64) -> Duration {
    match sample.bytes {
        0 => sample.took,
        known => sample.took.mul_f64((bytes as f64 / known as f64).max(1.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn what_is_expected_is_a_percentile_of_what_is_young() {
        let (mut recent, start) = (Recent::default(), Instant::now());
        assert_eq!(recent.expected(start, 1), None);
        for took in 1..=20 {
            recent.add(start, ms(took), 1000);
        }
        assert_eq!(recent.expected(start, 1000), Some(ms(19)));
        assert_eq!(recent.expected(start, 10), Some(ms(19)), "a smaller one may take as long");
        assert_eq!(recent.expected(start, 3000), Some(ms(57)));
        assert_eq!(recent.expected(start + SAMPLE_AGE_MAX, 1000), None);
        for _ in 0..SAMPLES {
            recent.add(start, ms(500), 1000);
        }
        assert_eq!((recent.samples.len(), recent.expected(start, 1)), (SAMPLES, Some(ms(500))));
    }
}
