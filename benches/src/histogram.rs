//! Times in a bounded number of counters, in the way of HDR histograms: each power of two is cut into 128 equal parts, so
//! that a quantile is wrong by less than 1 %. Filled by the load generator, one for each load.

use std::time::Duration;

/// Each power of two has 2^7 counters.
const PART_BITS: u32 = 7;
const PARTS: u64 = 1 << PART_BITS;
/// The index of the longest time that a `u64` of nanoseconds holds, and one.
const COUNTERS: usize = (64 - PART_BITS as usize + 1) << PART_BITS;

/// How often which time was seen.
#[derive(Debug, Clone)]
pub struct Histogram {
    counters: Box<[u64]>,
    count: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counters: vec![0; COUNTERS].into(), count: 0 }
    }
}

impl Histogram {
    /// Counts one time.
    pub fn record(&mut self, time: Duration) {
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.counters[index(ns)] += 1;
        self.count += 1;
    }

    /// How many times were counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The time that the share `quantile` (0 to 1) of all did not exceed; zero where nothing was counted.
    pub fn quantile(&self, quantile: f64) -> Duration {
        let wanted = ((self.count as f64 * quantile.clamp(0.0, 1.0)).ceil() as u64).max(1);
        let mut seen = 0;
        for (index, count) in self.counters.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return Duration::from_nanos(middle(index as u64));
            }
        }
        Duration::ZERO
    }
}

/// Up to twice [`PARTS`] every nanosecond has its counter; from there on a counter covers `2^shift` of them.
fn index(ns: u64) -> usize {
    let shift = (63 - (ns | PARTS).leading_zeros()) - PART_BITS;
    usize::try_from((u64::from(shift) << PART_BITS) + (ns >> shift))
        .expect("it is less than the number of counters")
}

fn middle(index: u64) -> u64 {
    let shift = (index >> PART_BITS).saturating_sub(1);
    ((index - (shift << PART_BITS)) << shift) + (1 << shift) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_has_a_counter_and_comes_back_within_one_percent() {
        for shift in 0..64 {
            for ns in [1_u64 << shift, (1 << shift) + (1 << shift) / 3, (1 << shift) - 1, u64::MAX] {
                let back = middle(index(ns) as u64);
                assert!(back.abs_diff(ns) <= ns / 128, "{ns} came back as {back}");
            }
        }
        assert_eq!(index(u64::MAX), COUNTERS - 1);
    }

    #[test]
    fn a_quantile_is_the_time_that_so_many_did_not_exceed() {
        let mut histogram = Histogram::default();
        (1..=100).for_each(|ns| histogram.record(Duration::from_nanos(ns)));
        let check = |quantile, ns| assert_eq!(histogram.quantile(quantile), Duration::from_nanos(ns));
        check(0.0, 1);
        check(0.5, 50);
        check(0.99, 99);
        check(1.0, 100);
        assert_eq!(Histogram::default().quantile(0.5), Duration::ZERO);
    }
}
