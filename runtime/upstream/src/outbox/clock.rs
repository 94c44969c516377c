//! The time of an outbox: how long calls have waited, whatever the machine's clock is set to.
//!
//! While the node runs, only the monotonic clock counts. Between two runs the wall clock says how long the node was away,
//! and that is believed up to [`AWAY_COUNTED_MAX`]: a clock that was wrong, and was put right while the node was off, must
//! not make everything old at once. A clock that went backwards counts as no time. Hence a call may wait longer than the
//! policy says, never shorter by more than that bound.

use crate::limits::outbox::AWAY_COUNTED_MAX;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// When the file was written last, on both clocks, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) outbox_ms: u64,
    pub(super) wall_ms: u64,
}

/// Milliseconds that count up, from one run of the node to the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    base_ms: u64,
    since: Instant,
}

impl Clock {
    /// Goes on from `last`; it is `wall_ms` now.
    pub(super) fn resume(last: Moment, wall_ms: u64) -> Self {
        let away = match last.wall_ms {
            0 => 0,
            before => wall_ms.saturating_sub(before).min(millis(AWAY_COUNTED_MAX)),
        };
        Self { base_ms: last.outbox_ms.saturating_add(away), since: Instant::now() }
    }

    pub(super) fn now_ms(&self) -> u64 {
        self.base_ms.saturating_add(millis(self.since.elapsed()))
    }

    /// When it will be `ms`.
    pub(super) fn instant(&self, ms: u64) -> Instant {
        self.since + Duration::from_millis(ms.saturating_sub(self.base_ms))
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The machine's clock: milliseconds since 1970, 0 before.
#[must_use]
pub fn wall_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// K14: an hour back, an hour ahead, or from 1970 to today while the node was off.
    #[tokio::test(start_paused = true)]
    async fn a_jump_of_the_wall_clock_makes_nothing_old() {
        let last = Moment { outbox_ms: 1_000, wall_ms: 10_000_000 };
        assert_eq!(Clock::resume(last, 10_000_000 + 5_000).now_ms(), 6_000);
        assert_eq!(Clock::resume(last, 10_000_000 - 3_600_000).now_ms(), 1_000);
        assert_eq!(Clock::resume(last, 0).now_ms(), 1_000);
        let most = 1_000 + millis(AWAY_COUNTED_MAX);
        assert_eq!(Clock::resume(last, 10_000_000 + millis(AWAY_COUNTED_MAX)).now_ms(), most);
        assert_eq!(Clock::resume(last, u64::MAX).now_ms(), most);
    }

    /// K14: while the node runs, only the monotonic clock counts.
    #[tokio::test(start_paused = true)]
    async fn a_running_outbox_counts_by_the_monotonic_clock() {
        let clock = Clock::resume(Moment::default(), 77);
        tokio::time::advance(Duration::from_millis(250)).await;
        assert_eq!(clock.now_ms(), 250);
        assert_eq!(clock.instant(300), Instant::now() + Duration::from_millis(50));
    }
}
