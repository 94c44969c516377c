//! Randomness that a test can repeat: for jitter, for probes, for picking an endpoint.
//!
//! One generator for all cores, drawn from without a lock (SplitMix64: Steele, Lea and Flood, OOPSLA 2014). Not for
//! secrets.

use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// A source of random numbers, the same ones again for the same seed.
#[derive(Debug)]
pub struct Random(AtomicU64);

impl Random {
    /// Repeats itself for equal seeds.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// Another sequence in each process and for each call.
    #[must_use]
    pub fn unpredictable() -> Self {
        Self::seeded(std::collections::hash_map::RandomState::new().build_hasher().finish())
    }

    /// Any number.
    pub fn number(&self) -> u64 {
        const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut mixed = self.0.fetch_add(GAMMA, Relaxed).wrapping_add(GAMMA);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// At least 0, less than 1.
    pub fn fraction(&self) -> f64 {
        (self.number() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// From nothing up to `most`.
    pub fn up_to(&self, most: Duration) -> Duration {
        most.mul_f64(self.fraction())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first numbers of seed 1234567 as the authors' program prints them.
    #[test]
    fn a_seed_gives_the_published_sequence() {
        let random = Random::seeded(1_234_567);
        assert_eq!(random.number(), 6_457_827_717_110_365_317);
        assert_eq!(random.number(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn fractions_fill_their_range_evenly() {
        let random = Random::seeded(7);
        let drawn: Vec<f64> = (0..10_000).map(|_| random.fraction()).collect();
        assert!(drawn.iter().all(|fraction| (0.0..1.0).contains(fraction)));
        let mean = drawn.iter().sum::<f64>() / drawn.len() as f64;
        assert!((0.48..0.52).contains(&mean), "{mean}");
    }

    #[test]
    fn two_unpredictable_ones_differ() {
        assert_ne!(Random::unpredictable().number(), Random::unpredictable().number());
    }
}
