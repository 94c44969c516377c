//! Counts of the last seconds: ten buckets, each one word that holds which part of time it counts and its three counts.
//!
//! Written after each try, read after failed and slow ones. One compare-and-swap per try; a bucket whose time has
//! passed is begun anew by whoever counts next, in the same step, so that no count lands in the wrong time.

use super::sync::{AtomicU64, Ordering::Relaxed};

/// Buckets of a window, as Hystrix has them.
pub(crate) const BUCKETS: u64 = 10;

/// What a window holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Calls that ended.
    pub calls: u32,
    /// Those that failed.
    pub failures: u32,
    /// Those that took too long.
    pub slow: u32,
}

/// A sliding window over the outcomes of calls.
#[derive(Debug)]
pub(crate) struct Window {
    bucket_ms: u64,
    buckets: [AtomicU64; BUCKETS as usize],
}

/// One bucket: 16 bits each for the tick, calls, failures, slow calls. A count that is full stays full, and all three
/// stop together, so that their ratios hold.
#[derive(Clone, Copy)]
struct Bucket {
    tick: u16,
    calls: u16,
    failures: u16,
    slow: u16,
}

impl Window {
    pub(crate) fn new(window_ms: u64) -> Self {
        let bucket_ms = (window_ms / BUCKETS).max(1);
        Self { bucket_ms, buckets: std::array::from_fn(|_| AtomicU64::new(0)) }
    }

    /// Counts one call.
    pub(crate) fn count(&self, now_ms: u64, is_failed: bool, is_slow: bool) {
        let tick = self.tick(now_ms);
        let bucket = &self.buckets[(tick % BUCKETS) as usize];
        let mut found = bucket.load(Relaxed);
        loop {
            let counted = Bucket::read(found).at(tick as u16).counted(is_failed, is_slow).word();
            match bucket.compare_exchange_weak(found, counted, Relaxed, Relaxed) {
                Ok(_) => return,
                Err(now) => found = now,
            }
        }
    }

    /// What the last ten buckets hold, the one being filled included.
    pub(crate) fn counts(&self, now_ms: u64) -> Counts {
        let tick = self.tick(now_ms);
        let mut counts = Counts::default();
        for bucket in &self.buckets {
            let bucket = Bucket::read(bucket.load(Relaxed));
            if u64::from((tick as u16).wrapping_sub(bucket.tick)) < BUCKETS {
                counts.calls += u32::from(bucket.calls);
                counts.failures += u32::from(bucket.failures);
                counts.slow += u32::from(bucket.slow);
            }
        }
        counts
    }

    pub(crate) fn clear(&self) {
        self.buckets.iter().for_each(|bucket| bucket.store(0, Relaxed));
    }

    fn tick(&self, now_ms: u64) -> u64 {
        now_ms / self.bucket_ms
    }
}

impl Bucket {
    fn read(word: u64) -> Self {
        Self {
            tick: (word >> 48) as u16,
            calls: (word >> 32) as u16,
            failures: (word >> 16) as u16,
            slow: word as u16,
        }
    }

    fn word(self) -> u64 {
        u64::from(self.tick) << 48
            | u64::from(self.calls) << 32
            | u64::from(self.failures) << 16
            | u64::from(self.slow)
    }

    /// This bucket if it counts `tick`. If its time has passed: an empty one. A call that ended in an earlier bucket's
    /// time, and was late to count, counts here.
    fn at(self, tick: u16) -> Self {
        let age = tick.wrapping_sub(self.tick);
        if age == 0 || age > u16::MAX / 2 { self } else { Self { tick, calls: 0, failures: 0, slow: 0 } }
    }

    fn counted(self, is_failed: bool, is_slow: bool) -> Self {
        if self.calls == u16::MAX {
            return self;
        }
        Self {
            calls: self.calls + 1,
            failures: self.failures + u16::from(is_failed),
            slow: self.slow + u16::from(is_slow),
            ..self
        }
    }
}
