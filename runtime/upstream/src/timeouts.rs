//! How long an exchange and its stages may take.
//!
//! [`Timeouts`] is policy, made by whoever declares an upstream or runs a function; [`Clock`] is one exchange's
//! use of it. Timers are the runtime's monotonic clock; every expiry is an [`Error`] that names the stage.

use crate::{Error, limits};
use std::time::Duration;
use tokio::time::Instant;

/// The time that one exchange and each of its stages may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Getting a connection: waiting for room, DNS, TCP and TLS. Not charged where one is reused.
    pub connect: Duration,
    /// From the last byte of the request that was sent to the response head.
    pub first_byte: Duration,
    /// Between two pieces of the response body, while they are waited for.
    pub between_bytes: Duration,
    /// Everything, response body included.
    pub total: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: limits::CONNECT_DEFAULT,
            first_byte: limits::FIRST_BYTE_DEFAULT,
            between_bytes: limits::BETWEEN_BYTES_DEFAULT,
            total: limits::TOTAL_DEFAULT,
        }
    }
}

/// What a function asked for in its request options; `None` is "whatever the policy says".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// For [`Timeouts::connect`].
    pub connect: Option<Duration>,
    /// For [`Timeouts::first_byte`].
    pub first_byte: Option<Duration>,
    /// For [`Timeouts::between_bytes`].
    pub between_bytes: Option<Duration>,
}

impl Timeouts {
    /// These timeouts, shortened where a function wanted less. It can never get more than the policy gives.
    #[must_use]
    pub fn narrowed(self, wanted: Wanted) -> Self {
        let least =
            |policy: Duration, wanted: Option<Duration>| wanted.map_or(policy, |wanted| wanted.min(policy));
        Self {
            connect: least(self.connect, wanted.connect),
            first_byte: least(self.first_byte, wanted.first_byte),
            between_bytes: least(self.between_bytes, wanted.between_bytes),
            total: self.total,
        }
        .clamped()
    }

    /// Each within [`TIMEOUT_MIN`](limits::TIMEOUT_MIN) and [`TIMEOUT_MAX`](limits::TIMEOUT_MAX).
    #[must_use]
    pub fn clamped(self) -> Self {
        let clamp = |timeout: Duration| timeout.clamp(limits::TIMEOUT_MIN, limits::TIMEOUT_MAX);
        Self {
            connect: clamp(self.connect),
            first_byte: clamp(self.first_byte),
            between_bytes: clamp(self.between_bytes),
            total: clamp(self.total),
        }
    }
}

/// A moment, and what it means to reach it.
#[derive(Clone, Debug)]
pub(crate) struct Limit {
    pub(crate) at: Instant,
    pub(crate) expired: Error,
}

/// One exchange's timeouts, counted from its start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    timeouts: Timeouts,
    /// The caller's own deadline, where it is before `end`: for everything up to the response's head.
    head_by: Option<Instant>,
    end: Instant,
}

impl Clock {
    /// Starts the exchange's clock. `deadline` bounds everything, like `total`.
    pub(crate) fn start(timeouts: Timeouts, deadline: Option<Instant>) -> Self {
        let timeouts = timeouts.clamped();
        let end = Instant::now() + timeouts.total;
        Self { timeouts, head_by: None, end: deadline.map_or(end, |deadline| deadline.min(end)) }
    }

    /// The clock of one of several exchanges: the head must be there by `head_by`, and all of it by `end`.
    pub(crate) fn until(timeouts: Timeouts, head_by: Option<Instant>, end: Instant) -> Self {
        Self { timeouts: timeouts.clamped(), head_by: head_by.filter(|by| *by < end), end }
    }

    pub(crate) fn connect(&self) -> Limit {
        self.before_head(Instant::now(), self.timeouts.connect, Error::ConnectionTimeout)
    }

    /// Room under the connection limit comes out of the connect timeout.
    pub(crate) fn room(&self) -> Limit {
        let wait = self.timeouts.connect.min(limits::CONNECTION_WAIT_MAX);
        self.before_head(Instant::now(), wait, Error::ConnectionLimit)
    }

    pub(crate) fn first_byte(&self, since: Instant) -> Limit {
        self.before_head(since, self.timeouts.first_byte, Error::FirstByteTimeout)
    }

    pub(crate) fn between_bytes(&self, since: Instant) -> Limit {
        self.stage(since, self.timeouts.between_bytes, Error::BetweenBytesTimeout)
    }

    /// Whether the whole exchange is over its time.
    pub(crate) fn is_over(&self, now: Instant) -> bool {
        now >= self.end
    }

    fn before_head(&self, since: Instant, lasts: Duration, expired: Error) -> Limit {
        match self.head_by {
            Some(at) if since + lasts >= at => Limit { at, expired: Error::Deadline },
            _ => self.stage(since, lasts, expired),
        }
    }

    fn stage(&self, since: Instant, lasts: Duration, expired: Error) -> Limit {
        match since + lasts {
            at if at < self.end => Limit { at, expired },
            _ => Limit { at: self.end, expired: Error::TotalTimeout },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// G24: a timeout of nothing and one of for ever are both brought into bounds.
    #[test]
    fn timeouts_are_clamped_at_their_limits() {
        let check = |asked: Duration, gets: Duration| {
            let timeouts =
                Timeouts { connect: asked, first_byte: asked, between_bytes: asked, total: asked }.clamped();
            assert_eq!(
                timeouts,
                Timeouts { connect: gets, first_byte: gets, between_bytes: gets, total: gets }
            );
        };
        let nano = Duration::from_nanos(1);
        check(Duration::ZERO, limits::TIMEOUT_MIN);
        check(limits::TIMEOUT_MIN - nano, limits::TIMEOUT_MIN);
        check(limits::TIMEOUT_MIN, limits::TIMEOUT_MIN);
        check(limits::TIMEOUT_MAX, limits::TIMEOUT_MAX);
        check(limits::TIMEOUT_MAX + nano, limits::TIMEOUT_MAX);
        check(Duration::MAX, limits::TIMEOUT_MAX);
    }

    #[test]
    fn a_function_can_only_ask_for_less() {
        let policy = Timeouts { connect: SECOND, first_byte: SECOND, between_bytes: SECOND, total: SECOND };
        let wanted = Wanted { connect: Some(SECOND * 9), first_byte: Some(SECOND / 2), between_bytes: None };
        assert_eq!(policy.narrowed(wanted), Timeouts { first_byte: SECOND / 2, ..policy });
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_for_room_takes_no_longer_than_connecting() {
        let now = Instant::now();
        let check = |connect: Duration, wait: Duration| {
            let limit = Clock::start(Timeouts { connect, ..Timeouts::default() }, None).room();
            assert_eq!(limit.at - now, wait);
            assert!(matches!(limit.expired, Error::ConnectionLimit));
        };
        check(limits::CONNECTION_WAIT_MAX / 2, limits::CONNECTION_WAIT_MAX / 2);
        check(limits::CONNECTION_WAIT_MAX, limits::CONNECTION_WAIT_MAX);
        check(limits::CONNECTION_WAIT_MAX * 2, limits::CONNECTION_WAIT_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn the_earliest_limit_names_the_error() {
        let timeouts = Timeouts { first_byte: SECOND, total: SECOND * 3, ..Timeouts::default() };
        let now = Instant::now();
        let clock = Clock::start(timeouts, None);
        assert!(matches!(clock.first_byte(now).expired, Error::FirstByteTimeout));
        assert!(matches!(clock.first_byte(now + SECOND * 2).expired, Error::TotalTimeout));
        let clock = Clock::start(timeouts, Some(now + SECOND / 2));
        assert_eq!(clock.first_byte(now).at, now + SECOND / 2);
        assert!(matches!(clock.first_byte(now).expired, Error::TotalTimeout));
        assert!(clock.is_over(now + SECOND / 2) && !clock.is_over(now));
    }
}
