//! What the functions of one owner use together: memory of live instances, and CPU time. The embedder makes one for each
//! owner and gives it to every function of it; instances draw from it and give back when they end.
//!
//! Memory is counted as the guests see it, whether touched or not, first against the owner's limit, then against the
//! node's. CPU time is a bucket: it fills at the owner's rate and a guest that runs takes from it; while it is in debt the
//! owner's guests rest. Who has no limit pays nothing for this.

use crate::limits::CPU_BURST;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Bytes of memory that may be held together.
#[derive(Debug)]
pub struct Budget {
    max_bytes: u64,
    used_bytes: AtomicU64,
}

/// What one owner's functions may use together.
#[derive(Debug)]
pub struct Share {
    memory: Budget,
    node: Arc<Budget>,
    cpu: Option<Mutex<Bucket>>,
}

/// Whose memory is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Starved {
    /// The owner's.
    Share,
    /// The node's.
    Node,
}

#[derive(Debug)]
struct Bucket {
    /// Nanoseconds of CPU time for each nanosecond of time.
    cores: f64,
    /// What may be spent now; negative while it is overdrawn.
    left_ns: f64,
    filled: Instant,
}

impl Budget {
    /// A budget of which nothing is used.
    pub fn new(max_bytes: u64) -> Arc<Self> {
        Arc::new(Self { max_bytes, used_bytes: AtomicU64::new(0) })
    }

    /// Bytes in use.
    pub fn used_bytes(&self) -> u64 {
        self.used_bytes.load(Relaxed)
    }

    /// Bytes that may be in use.
    pub fn max_bytes(&self) -> u64 {
        self.max_bytes
    }

    fn take(&self, bytes: u64) -> bool {
        // Added first: two takers cannot both see the last room. Whoever finds too much gives back.
        let before = self.used_bytes.fetch_add(bytes, Relaxed);
        let fits = before.checked_add(bytes).is_some_and(|used| used <= self.max_bytes);
        if !fits {
            self.give(bytes);
        }
        fits
    }

    fn give(&self, bytes: u64) {
        self.used_bytes.fetch_sub(bytes, Relaxed);
    }
}

impl Share {
    /// A share of the node's memory: at most `memory_bytes` of it, and at most `cores` of CPU time; `None` is no limit of
    /// its own.
    pub fn new(node: Arc<Budget>, memory_bytes: Option<u64>, cores: Option<f64>) -> Arc<Self> {
        let memory = Budget { max_bytes: memory_bytes.unwrap_or(u64::MAX), used_bytes: AtomicU64::new(0) };
        Arc::new(Self {
            memory,
            node,
            cpu: cores.map(|cores| Mutex::new(Bucket::new(cores, Instant::now()))),
        })
    }

    /// A share without limits, for guests that run alone.
    pub fn unlimited() -> Arc<Self> {
        Self::new(Budget::new(u64::MAX), None, None)
    }

    /// Memory that its instances hold, bytes.
    pub fn memory_bytes(&self) -> u64 {
        self.memory.used_bytes()
    }

    /// Whether half of what may be held is in use, by it or by the node: no time to keep instances for later.
    pub fn is_crowded(&self) -> bool {
        let half_full = |budget: &Budget| budget.used_bytes() > budget.max_bytes / 2;
        half_full(&self.memory) || half_full(&self.node)
    }

    /// How long its guests must rest before they may run on; none while it is not overdrawn.
    pub fn rest(&self) -> Option<Duration> {
        let cpu = self.cpu.as_ref()?;
        cpu.lock().unwrap_or_else(PoisonError::into_inner).rest(Instant::now())
    }

    pub(crate) fn take_memory(&self, bytes: u64) -> Result<(), Starved> {
        if !self.memory.take(bytes) {
            return Err(Starved::Share);
        }
        if !self.node.take(bytes) {
            self.memory.give(bytes);
            return Err(Starved::Node);
        }
        Ok(())
    }

    pub(crate) fn give_memory(&self, bytes: u64) {
        self.memory.give(bytes);
        self.node.give(bytes);
    }

    /// A guest of it ran for this long.
    pub(crate) fn charge(&self, spent: Duration) {
        if let Some(cpu) = &self.cpu {
            cpu.lock().unwrap_or_else(PoisonError::into_inner).charge(spent, Instant::now());
        }
    }

    /// Whether CPU time is limited: a guest that runs must look at every tick.
    pub(crate) fn limits_cpu(&self) -> bool {
        self.cpu.is_some()
    }
}

impl Bucket {
    fn new(cores: f64, now: Instant) -> Self {
        Self { cores, left_ns: Self::full(cores), filled: now }
    }

    fn full(cores: f64) -> f64 {
        cores * CPU_BURST.as_secs_f64() * 1e9
    }

    fn fill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.filled).as_secs_f64() * 1e9;
        self.left_ns = (self.left_ns + passed * self.cores).min(Self::full(self.cores));
        self.filled = now;
    }

    fn charge(&mut self, spent: Duration, now: Instant) {
        self.fill(now);
        self.left_ns -= spent.as_secs_f64() * 1e9;
    }

    fn rest(&mut self, now: Instant) -> Option<Duration> {
        self.fill(now);
        let debt_ns = -self.left_ns;
        (debt_ns > 0.0).then(|| Duration::from_secs_f64(debt_ns / self.cores / 1e9))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_given_up_to_the_owners_limit_and_the_nodes() {
        let node = Budget::new(10);
        let share = Share::new(node.clone(), Some(6), None);
        assert_eq!(share.take_memory(6), Ok(()), "at the limit");
        assert_eq!(share.take_memory(1), Err(Starved::Share), "one more");
        let other = Share::new(node.clone(), None, None);
        assert_eq!(other.take_memory(4), Ok(()));
        assert_eq!(other.take_memory(1), Err(Starved::Node));
        share.give_memory(6);
        assert_eq!((share.memory_bytes(), other.memory_bytes(), node.used_bytes()), (0, 4, 4));
        assert_eq!(other.take_memory(u64::MAX), Err(Starved::Share), "no sum overflows");
        assert_eq!(node.used_bytes(), 4, "who is refused takes nothing");
    }

    #[test]
    fn who_overdraws_its_cpu_time_rests_until_the_debt_is_paid() {
        let start = Instant::now();
        let mut bucket = Bucket::new(0.5, start);
        bucket.charge(CPU_BURST / 2, start);
        assert_eq!(bucket.rest(start), None, "what is in the bucket is spent, and no more");
        bucket.charge(Duration::from_millis(10), start);
        assert_eq!(bucket.rest(start), Some(Duration::from_millis(20)), "half a core pays 10 ms in 20");
        let almost = start + Duration::from_millis(19);
        assert!(bucket.rest(almost).is_some());
        assert_eq!(bucket.rest(start + Duration::from_millis(20)), None);
        let later = start + Duration::from_secs(3600);
        bucket.charge(CPU_BURST / 2 + Duration::from_millis(1), later);
        assert!(bucket.rest(later).is_some(), "an idle hour saves up no more than the burst");
    }
}
