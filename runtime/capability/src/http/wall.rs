//! The wall clock of one invocation: from admission to the head of the reply, without the time that the guest spent
//! waiting for the client's own body. A client with a slow link costs a function nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// When an invocation must have answered. Cheap to clone; all clones share the time that does not count.
#[derive(Debug, Clone)]
pub struct Wall {
    start: Instant,
    limit: Duration,
    waited: Arc<Waited>,
}

/// Nanoseconds since the start; `since` is zero while nobody waits.
#[derive(Debug, Default)]
struct Waited {
    total_ns: AtomicU64,
    since_ns: AtomicU64,
    answered: AtomicBool,
}

impl Wall {
    /// A clock that starts now.
    pub fn start(limit: Duration) -> Self {
        Self { start: Instant::now(), limit, waited: Arc::default() }
    }

    /// When the invocation must have answered, as far as is known now: waiting for the client puts it off.
    pub fn deadline(&self) -> Instant {
        self.start + self.limit + self.excluded()
    }

    /// When outgoing calls must have been answered: with the invocation, while it has not answered itself.
    pub(crate) fn calls_deadline(&self) -> Option<Instant> {
        (!self.waited.answered.load(Relaxed)).then(|| self.deadline())
    }

    /// The head of the reply is there: this clock has done its work.
    pub(crate) fn answered(&self) {
        self.waited.answered.store(true, Relaxed);
    }

    /// How long the invocation may take.
    pub fn limit(&self) -> Duration {
        self.limit
    }

    /// Time since the start.
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// The guest begins to wait for the client.
    pub(crate) fn wait(&self) {
        if self.waited.since_ns.load(Relaxed) == 0 {
            self.waited.since_ns.store(self.now_ns(), Relaxed);
        }
    }

    /// The client has sent something.
    pub(crate) fn go_on(&self) {
        let since = self.waited.since_ns.swap(0, Relaxed);
        if since != 0 {
            self.waited.total_ns.fetch_add(self.now_ns().saturating_sub(since), Relaxed);
        }
    }

    fn excluded(&self) -> Duration {
        let since = self.waited.since_ns.load(Relaxed);
        let waiting = if since == 0 { 0 } else { self.now_ns().saturating_sub(since) };
        Duration::from_nanos(self.waited.total_ns.load(Relaxed) + waiting)
    }

    fn now_ns(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_spent_waiting_for_the_client_is_not_the_guests() {
        let limit = Duration::from_secs(1);
        let mut wall = Wall::start(limit);
        assert_eq!(wall.deadline(), wall.start + limit);
        wall.start -= Duration::from_secs(3);
        wall.waited.since_ns.store(1_000_000_000, Relaxed);
        wall.wait();
        assert!(
            wall.deadline() >= wall.start + limit + Duration::from_secs(2),
            "it is put off while it waits"
        );
        wall.go_on();
        let after = wall.deadline();
        assert!(after >= wall.start + limit + Duration::from_secs(2), "and stays put off afterwards");
        assert_eq!(wall.deadline(), after, "and no more once the guest goes on");
    }
}
