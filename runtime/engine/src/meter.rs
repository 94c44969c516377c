//! What one instance may use and what it has used: one limiter that sums memories and tables over the whole store, and
//! the CPU time of one invocation, read from the thread's CPU clock around polls and in the epoch callback. Ticks are
//! never counted: a tick also passes while the kernel runs somebody else.

use crate::limits;
use crate::share::{Share, Starved};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use wasmtime::{ResourceLimiter, UpdateDeadline};

/// What an instance may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuestLimits {
    /// Linear memory, summed over all memories of the instance, bytes.
    pub memory_bytes: usize,
    /// Table elements, summed over all tables of the instance.
    pub table_elements: usize,
    /// Live handles: resources, streams and futures; and entries of each of the host's own tables for them.
    pub handles: usize,
    /// Strings and lists handed to the host in one call, bytes.
    pub host_call_bytes: usize,
    /// CPU time of one invocation.
    pub cpu: Duration,
}

impl Default for GuestLimits {
    fn default() -> Self {
        Self {
            memory_bytes: limits::MEMORY_BYTES,
            table_elements: limits::TABLE_ELEMENTS,
            handles: limits::HANDLES,
            host_call_bytes: limits::HOST_CALL_BYTES,
            cpu: limits::CPU,
        }
    }
}

/// The state of an instance gives access to its meter.
pub trait Metered: Send + 'static {
    /// The meter of this instance.
    fn meter(&mut self) -> &mut Meter;
}

/// The limits of one instance, what it holds, and the usage record of its present invocation.
#[derive(Debug)]
pub struct Meter {
    limits: GuestLimits,
    memory_bytes: usize,
    table_elements: usize,
    usage: Arc<Usage>,
    share: Arc<Share>,
}

/// What one invocation has used. Shared between the guest's store, which writes, and whoever runs the guest.
#[derive(Debug, Default)]
pub struct Usage {
    cpu_ns: AtomicU64,
    poll_started_ns: AtomicU64,
    memory_bytes: AtomicU64,
    refusals: AtomicU64,
    overran: AtomicBool,
    stop: AtomicU8,
    starved: AtomicU8,
}

/// Why the engine stopped a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// It spent its CPU budget.
    Cpu,
}

impl Meter {
    /// A meter for a new instance, which draws from `share`.
    pub fn new(limits: GuestLimits, usage: Arc<Usage>, share: Arc<Share>) -> Self {
        Self { limits, memory_bytes: 0, table_elements: 0, usage, share }
    }

    /// Starts another invocation on the same instance: what the instance holds stays, what it spent starts at zero.
    pub fn start_invocation(&mut self, usage: Arc<Usage>) {
        usage.memory_bytes.store(self.memory_bytes as u64, Relaxed);
        self.usage = usage;
    }

    /// The usage record of the present invocation.
    pub fn usage(&self) -> &Arc<Usage> {
        &self.usage
    }

    /// What the instance draws from.
    pub fn share(&self) -> &Share {
        &self.share
    }

    /// What the instance may use.
    pub fn limits(&self) -> GuestLimits {
        self.limits
    }

    /// Called when the epoch moved while the guest ran: charges it, and decides whether it goes on.
    pub(crate) fn on_tick(&mut self) -> UpdateDeadline {
        let in_this_poll = self.usage.since_poll_started();
        if self.usage.cpu() + in_this_poll >= self.limits.cpu {
            self.usage.stop.store(1, Relaxed);
            return UpdateDeadline::Interrupt;
        }
        if in_this_poll < limits::TICK && !self.share.limits_cpu() {
            return UpdateDeadline::Continue(1);
        }
        if in_this_poll >= limits::TICK {
            self.usage.overran.store(true, Relaxed);
        }
        UpdateDeadline::Yield(1)
    }
}

impl Usage {
    /// CPU time spent so far.
    pub fn cpu(&self) -> Duration {
        Duration::from_nanos(self.cpu_ns.load(Relaxed))
    }

    /// The most linear memory the instance has held, bytes.
    pub fn memory_bytes(&self) -> u64 {
        self.memory_bytes.load(Relaxed)
    }

    /// How often more memory or table elements were asked for than the limit allows.
    pub fn refusals(&self) -> u64 {
        self.refusals.load(Relaxed)
    }

    /// Whose memory was used up when the guest asked for more, if it was not its own limit.
    pub fn starved(&self) -> Option<Starved> {
        match self.starved.load(Relaxed) {
            0 => None,
            1 => Some(Starved::Share),
            _ => Some(Starved::Node),
        }
    }

    /// Why the engine stopped the guest, if it did.
    pub fn stopped(&self) -> Option<Stop> {
        (self.stop.load(Relaxed) == 1).then_some(Stop::Cpu)
    }

    /// Whether the guest kept its thread for a whole tick.
    pub fn overran(&self) -> bool {
        self.overran.load(Relaxed)
    }

    pub(crate) fn enter(&self) {
        self.poll_started_ns.store(thread_cpu_ns(), Relaxed);
    }

    /// What was spent since [`Usage::enter`].
    pub(crate) fn leave(&self) -> Duration {
        let spent = self.since_poll_started();
        self.cpu_ns.fetch_add(u64::try_from(spent.as_nanos()).unwrap_or(u64::MAX), Relaxed);
        spent
    }

    fn since_poll_started(&self) -> Duration {
        Duration::from_nanos(thread_cpu_ns().saturating_sub(self.poll_started_ns.load(Relaxed)))
    }
}

impl ResourceLimiter for Meter {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current);
        let total = self.memory_bytes.saturating_add(more);
        if total > self.limits.memory_bytes || exceeds(desired, maximum) {
            self.usage.refusals.fetch_add(1, Relaxed);
            return Ok(false);
        }
        if let Err(starved) = self.share.take_memory(more as u64) {
            // No fault of this guest, whose own limit has room.
            self.usage.starved.store(if starved == Starved::Share { 1 } else { 2 }, Relaxed);
            return Ok(false);
        }
        self.memory_bytes = total;
        self.usage.memory_bytes.fetch_max(total as u64, Relaxed);
        Ok(true)
    }

    fn table_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        let total = self.table_elements.saturating_add(desired.saturating_sub(current));
        if total > self.limits.table_elements || exceeds(desired, maximum) {
            self.usage.refusals.fetch_add(1, Relaxed);
            return Ok(false);
        }
        self.table_elements = total;
        Ok(true)
    }

    fn instances(&self) -> usize {
        limits::CORE_INSTANCES as usize
    }

    fn memories(&self) -> usize {
        limits::MEMORIES as usize
    }

    fn tables(&self) -> usize {
        limits::TABLES as usize
    }
}

/// What the instance held is free again.
impl Drop for Meter {
    fn drop(&mut self) {
        self.share.give_memory(self.memory_bytes as u64);
    }
}

/// Whether it is more than the one memory or table can ever have: by its own declaration, or in the pool. wasmtime would
/// refuse that itself, but uncounted.
fn exceeds(desired: usize, maximum: Option<usize>) -> bool {
    maximum.is_some_and(|maximum| desired > maximum)
}

fn thread_cpu_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: usize = 65_536;

    fn meter(memory_bytes: usize, table_elements: usize) -> Meter {
        let limits = GuestLimits {
            memory_bytes,
            table_elements,
            cpu: Duration::from_millis(5),
            ..GuestLimits::default()
        };
        Meter::new(limits, Arc::default(), Share::unlimited())
    }

    #[test]
    fn memories_are_summed_up_to_the_limit_and_no_further() {
        let mut meter = meter(3 * PAGE, 0);
        assert!(meter.memory_growing(0, PAGE, None).unwrap(), "a first memory");
        assert!(meter.memory_growing(0, PAGE, None).unwrap(), "a second one");
        assert!(meter.memory_growing(PAGE, 2 * PAGE, None).unwrap(), "up to the limit");
        assert!(!meter.memory_growing(2 * PAGE, 3 * PAGE, None).unwrap(), "one page more");
        assert_eq!((meter.usage().memory_bytes(), meter.usage().refusals()), (3 * PAGE as u64, 1));
    }

    #[test]
    fn tables_are_summed_up_to_the_limit_and_no_further() {
        let mut meter = meter(0, 10);
        assert!(meter.table_growing(0, 5, None).unwrap());
        assert!(meter.table_growing(0, 5, None).unwrap());
        assert!(!meter.table_growing(5, 6, None).unwrap());
    }

    #[test]
    fn what_one_memory_or_table_can_never_have_is_refused_and_counted_too() {
        let mut meter = meter(9 * PAGE, 9);
        assert!(meter.memory_growing(0, 2 * PAGE, Some(2 * PAGE)).unwrap());
        assert!(!meter.memory_growing(2 * PAGE, 3 * PAGE, Some(2 * PAGE)).unwrap());
        assert!(meter.table_growing(0, 2, Some(2)).unwrap());
        assert!(!meter.table_growing(2, 3, Some(2)).unwrap());
        assert_eq!(meter.usage().refusals(), 2);
    }

    #[test]
    fn a_later_invocation_on_the_same_instance_keeps_its_memory_and_spends_anew() {
        let mut meter = meter(2 * PAGE, 0);
        assert!(meter.memory_growing(0, 2 * PAGE, None).unwrap());
        meter.usage().cpu_ns.store(1, Relaxed);
        meter.start_invocation(Arc::default());
        assert_eq!((meter.usage().memory_bytes(), meter.usage().cpu()), (2 * PAGE as u64, Duration::ZERO));
        assert!(!meter.memory_growing(2 * PAGE, 3 * PAGE, None).unwrap());
    }

    #[test]
    fn a_tick_interrupts_at_the_budget_and_not_before() {
        let mut meter = meter(0, 0);
        meter.usage().enter();
        meter.usage().cpu_ns.store(0, Relaxed);
        assert!(matches!(meter.on_tick(), UpdateDeadline::Continue(1) | UpdateDeadline::Yield(1)));
        assert_eq!(meter.usage().stopped(), None);
        meter.usage().cpu_ns.store(5_000_000, Relaxed);
        assert!(matches!(meter.on_tick(), UpdateDeadline::Interrupt));
        assert_eq!(meter.usage().stopped(), Some(Stop::Cpu));
    }

    #[test]
    fn a_tick_that_came_early_does_not_make_the_guest_yield() {
        let mut meter = meter(0, 0);
        meter.usage().poll_started_ns.store(thread_cpu_ns(), Relaxed);
        assert!(matches!(meter.on_tick(), UpdateDeadline::Continue(1)));
        assert!(!meter.usage().overran());
        let started = thread_cpu_ns();
        while thread_cpu_ns() < started + 1_000_000 {}
        meter.usage().poll_started_ns.store(started, Relaxed);
        assert!(matches!(meter.on_tick(), UpdateDeadline::Yield(1)));
        assert!(meter.usage().overran());
    }
}
