//! Where a call of a model is answered: on the node or in the cloud.
//!
//! [`Judge`] decides from what is known at that moment, and is told how each call ended. It computes only: no clock, no
//! network, so that its decisions can be simulated.
//!
//! The rule: the cloud's model is the better one, so it is asked where it answers in time. While its calls are in time it is
//! chosen; when the last [`LATE_RUN`] were late or failed, or [`LATE_CALLS`] of the last [`LAST_CALLS`], or its breaker is
//! open, it is not. Then it is tried again each [`PROBE_EVERY`], and after [`TIMELY_RUN`] calls with time to spare it is
//! chosen again. A call that the cloud gets is answered by the node's model too, begun so late that it is just in time: the
//! deadline holds whatever the link does.

mod recent;
#[cfg(test)]
mod simulation;

use self::recent::Recent;
use crate::limits::{
    HEDGE_MARGIN, HEDGE_SHARE, LAST_CALLS, LATE_CALLS, LATE_RUN, PROBE_EVERY, SETTLED_AFTER, TIMELY_RUN,
    TIMELY_RUN_MAX, TIMELY_RUN_STEP, TIMELY_SHARE,
};
use crate::remote::Access;
use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;
use tokio::time::Instant;

/// Who answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// The node's own model.
    Local,
    /// The model behind the upstream.
    Remote,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Local => "local",
            Self::Remote => "remote",
        })
    }
}

/// What is known when a call comes.
#[derive(Clone, Copy, Debug)]
pub struct Outlook {
    /// The time now.
    pub now: Instant,
    /// How long the answer may take.
    pub left: Duration,
    /// Bytes of the inputs.
    pub bytes: u64,
    /// Whether the upstream lets calls through.
    pub access: Access,
}

/// What to do with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Who is asked first.
    pub first: Side,
    /// How long after that the other side is asked too, if there is no answer yet; `None` for not at all.
    pub other_after: Option<Duration>,
    /// Why.
    pub reason: Reason,
}

/// Why a side was asked first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The cloud's answers come in time.
    InTime,
    /// Nothing is known of the cloud yet.
    Unknown,
    /// It is tried whether they come in time again.
    Probe,
    /// The last ones were late.
    Late,
    /// A call of this size, or with this little time, would be late.
    TooShort,
    /// The breaker is open.
    Open,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InTime => "in-time",
            Self::Unknown => "unknown",
            Self::Probe => "probe",
            Self::Late => "late",
            Self::TooShort => "too-short",
            Self::Open => "breaker-open",
        })
    }
}

/// How a call of the remote side ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// It answered.
    Answered,
    /// It failed.
    Failed,
    /// It was given up: it takes longer than it had.
    GivenUp,
}

/// Decides for one model that has both sides.
#[derive(Debug)]
pub struct Judge {
    local: Recent,
    remote: Recent,
    /// The last calls of the remote side since the choice was made.
    last: VecDeque<Timing>,
    choice: Choice,
    /// How many calls in time it takes to choose the remote side again.
    timely_run: usize,
}

/// Which side is asked first, until something speaks against it.
#[derive(Clone, Copy, Debug)]
enum Choice {
    Remote { since: Option<Instant> },
    Local { probed: Instant },
}

/// Whether a remote call came in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Timing {
    Late,
    InTime,
    WithTimeToSpare,
}

impl Default for Judge {
    fn default() -> Self {
        Self {
            local: Recent::default(),
            remote: Recent::default(),
            last: VecDeque::with_capacity(LAST_CALLS),
            choice: Choice::Remote { since: None },
            timely_run: TIMELY_RUN,
        }
    }
}

impl Judge {
    /// What to do with a call.
    pub fn decide(&mut self, outlook: Outlook) -> Decision {
        let (first, reason) = self.first(outlook);
        let other_after = match first {
            Side::Remote => Some(self.hedge_after(outlook)),
            Side::Local => None,
        };
        Decision { first, other_after, reason }
    }

    fn first(&mut self, outlook: Outlook) -> (Side, Reason) {
        if outlook.access != Access::Free {
            self.choose_local(outlook.now);
        }
        let late = if outlook.access == Access::Free { Reason::Late } else { Reason::Open };
        match &mut self.choice {
            Choice::Remote { .. } => match self.remote.quickest(outlook.now, outlook.bytes) {
                None => (Side::Remote, Reason::Unknown),
                Some(quickest) if quickest > outlook.left => (Side::Local, Reason::TooShort),
                Some(_) => (Side::Remote, Reason::InTime),
            },
            Choice::Local { .. } if outlook.access == Access::Barred => (Side::Local, late),
            Choice::Local { probed } if outlook.now.saturating_duration_since(*probed) >= PROBE_EVERY => {
                *probed = outlook.now;
                (Side::Remote, Reason::Probe)
            }
            Choice::Local { .. } => (Side::Local, late),
        }
    }

    /// When the local model has to begin, so that it is in time.
    fn hedge_after(&self, outlook: Outlook) -> Duration {
        // Where nothing is known of it, half of the time is for each.
        let needed = self.local.slowest(outlook.now, outlook.bytes).unwrap_or(outlook.left / 2);
        outlook.left.saturating_sub(needed + HEDGE_MARGIN.max(outlook.left.mul_f64(HEDGE_SHARE)))
    }

    /// A local call of so many bytes took so long.
    pub fn local_ended(&mut self, now: Instant, took: Duration, bytes: u64) {
        self.local.add(now, took, bytes);
    }

    /// A remote call of so many bytes ended after so long; it had `left`.
    pub fn remote_ended(&mut self, now: Instant, took: Duration, left: Duration, bytes: u64, ended: Ended) {
        if ended != Ended::Failed {
            self.remote.add(now, took, bytes);
        }
        let timing = match ended {
            Ended::Answered if took <= left.mul_f64(TIMELY_SHARE) => Timing::WithTimeToSpare,
            Ended::Answered if took <= left => Timing::InTime,
            _ => Timing::Late,
        };
        if self.last.len() == LAST_CALLS {
            self.last.pop_front();
        }
        self.last.push_back(timing);
        match self.choice {
            Choice::Remote { .. } if self.is_late() => self.choose_local(now),
            Choice::Local { .. } if self.run_of(Timing::WithTimeToSpare) >= self.timely_run => {
                self.last.clear();
                self.choice = Choice::Remote { since: Some(now) };
            }
            _ => {}
        }
    }

    fn is_late(&self) -> bool {
        let late = self.last.iter().filter(|timing| **timing == Timing::Late).count();
        late >= LATE_CALLS || self.run_of(Timing::Late) >= LATE_RUN
    }

    /// How many of the last calls, one after the other, were that.
    fn run_of(&self, wanted: Timing) -> usize {
        self.last.iter().rev().take_while(|timing| **timing == wanted).count()
    }

    fn choose_local(&mut self, now: Instant) {
        let Choice::Remote { since } = self.choice else { return };
        let was_soon = since.is_some_and(|since| now.saturating_duration_since(since) < SETTLED_AFTER);
        self.timely_run = match was_soon {
            true => (self.timely_run + TIMELY_RUN_STEP).min(TIMELY_RUN_MAX),
            false => TIMELY_RUN,
        };
        self.last.clear();
        self.choice = Choice::Local { probed: now };
    }

    /// The side that is asked first as things are.
    #[must_use]
    pub fn chosen(&self) -> Side {
        match self.choice {
            Choice::Remote { .. } => Side::Remote,
            Choice::Local { .. } => Side::Local,
        }
    }

    /// How long a call of so many bytes is expected to take on a side, if that is known.
    #[must_use]
    pub fn expected(&self, side: Side, now: Instant, bytes: u64) -> Option<Duration> {
        match side {
            Side::Local => self.local.expected(now, bytes),
            Side::Remote => self.remote.expected(now, bytes),
        }
    }

    /// How long a side took lately, in that share (0 to 1) of its calls.
    pub(crate) fn latency(&self, side: Side, share: f64, now: Instant) -> Option<Duration> {
        match side {
            Side::Local => self.local.percentile(now, share),
            Side::Remote => self.remote.percentile(now, share),
        }
    }
}
