//! Keeps the log readable, and writing it cheap, while requests are refused by the thousand: of those that no function
//! ran for, so many have a line in each second, and the others are counted. The metrics count all of them.
//!
//! Asked by the log for every such request, from any core; no lock.

use crate::limits::REFUSALS_LOGGED_PER_SECOND;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Instant;

/// What has been logged in this second.
pub(super) struct Flood {
    began: Instant,
    /// The second that is counted, since it began.
    second: AtomicU64,
    logged: AtomicU32,
    left_out: AtomicU64,
}

/// What to do with one request's line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// Write it; before it, say that so many had none.
    Write { left_out: u64 },
    /// It is counted only.
    LeaveOut,
}

impl Flood {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            second: AtomicU64::new(0),
            logged: AtomicU32::new(0),
            left_out: AtomicU64::new(0),
        }
    }

    /// One more request was refused.
    pub(super) fn refused(&self) -> Line {
        self.refused_in(self.began.elapsed().as_secs())
    }

    fn refused_in(&self, second: u64) -> Line {
        let counted = self.second.load(Relaxed);
        let is_new =
            second > counted && self.second.compare_exchange(counted, second, Relaxed, Relaxed).is_ok();
        if is_new {
            self.logged.store(0, Relaxed);
        }
        if self.logged.fetch_add(1, Relaxed) >= REFUSALS_LOGGED_PER_SECOND {
            // Below the bound again when the second ends: it cannot run over.
            self.logged.store(REFUSALS_LOGGED_PER_SECOND, Relaxed);
            self.left_out.fetch_add(1, Relaxed);
            return Line::LeaveOut;
        }
        Line::Write { left_out: if is_new { self.left_out.swap(0, Relaxed) } else { 0 } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_refusals_have_a_line_in_each_second_and_the_next_one_tells_of_the_rest() {
        let flood = Flood::new();
        for _ in 0..REFUSALS_LOGGED_PER_SECOND {
            assert_eq!(flood.refused_in(0), Line::Write { left_out: 0 });
        }
        for _ in 0..3 {
            assert_eq!(flood.refused_in(0), Line::LeaveOut);
        }
        assert_eq!(flood.refused_in(1), Line::Write { left_out: 3 });
        assert_eq!(flood.refused_in(1), Line::Write { left_out: 0 });
    }
}
