//! The clocks that functions read. By default they stand still for a millisecond at a time: no function that serves
//! requests needs more, and what one could find out about others on the same processor by measuring how long its own
//! steps take (caches, speculation) needs a thousand times more. Waiting is not affected: timers are the host's.
//!
//! This makes such measurements harder, not impossible: a function can still count its own steps between two ticks.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use wasmtime_wasi::{HostMonotonicClock, HostWallClock};

/// How finely functions may read the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clocks {
    /// In steps of [`CLOCK_STEP`](crate::limits::CLOCK_STEP).
    Coarse,
    /// As finely as the machine tells it.
    Exact,
}

impl Clocks {
    fn step(self) -> Duration {
        match self {
            Self::Coarse => crate::limits::CLOCK_STEP,
            Self::Exact => Duration::from_nanos(1),
        }
    }

    fn floor(self, time: Duration) -> Duration {
        const STEP_NS: u64 = nanoseconds(crate::limits::CLOCK_STEP);
        match self {
            Self::Coarse => Duration::from_nanos(nanoseconds(time) / STEP_NS * STEP_NS),
            Self::Exact => time,
        }
    }
}

/// The time of day.
pub(crate) struct Wall(pub(crate) Clocks);

/// Time since the instance was made.
pub(crate) struct Monotonic {
    clocks: Clocks,
    start: Instant,
}

impl Monotonic {
    pub(crate) fn start(clocks: Clocks) -> Self {
        Self { clocks, start: Instant::now() }
    }
}

impl HostWallClock for Wall {
    fn resolution(&self) -> Duration {
        self.0.step()
    }

    /// A machine whose clock is set to before 1970 is in 1970.
    fn now(&self) -> Duration {
        self.0.floor(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
    }
}

impl HostMonotonicClock for Monotonic {
    fn resolution(&self) -> u64 {
        nanoseconds(self.clocks.step())
    }

    fn now(&self) -> u64 {
        nanoseconds(self.clocks.floor(self.start.elapsed()))
    }
}

/// They fit for 584 years from 1970.
#[expect(clippy::cast_possible_truncation, reason = "see above")]
const fn nanoseconds(time: Duration) -> u64 {
    time.as_nanos() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// G30: a coarse clock moves in whole steps and never backwards.
    #[test]
    fn a_coarse_clock_tells_whole_steps_and_an_exact_one_tells_all() {
        let step = crate::limits::CLOCK_STEP;
        let just_under = step * 7 - Duration::from_nanos(1);
        assert_eq!(Clocks::Coarse.floor(just_under), step * 6);
        assert_eq!(Clocks::Coarse.floor(step * 7), step * 7);
        assert_eq!(Clocks::Exact.floor(just_under), just_under);
        assert_eq!(Wall(Clocks::Coarse).resolution(), step);
        assert_eq!(Monotonic::start(Clocks::Exact).resolution(), 1);
    }
}
