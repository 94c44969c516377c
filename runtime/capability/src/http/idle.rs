//! How long a body may be waited for. It has credit: as long as it may stand still. Waiting spends the credit. Without a
//! least rate anything that comes restores it; with one, each byte restores what it takes at that rate and no more, so
//! that a body which comes by the drop runs out of it although it never stands still for long.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// When a body has been waited for too long; armed only while somebody waits.
pub(crate) struct Idle {
    limit: Duration,
    bytes_per_second_min: Option<u64>,
    credit: Duration,
    /// Since when the credit is being spent.
    since: Instant,
    sleep: Option<Pin<Box<Sleep>>>,
}

/// What was wrong with a body that was waited for too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Still {
    /// Nothing came.
    Idle,
    /// Too little came.
    TooSlow,
}

impl Idle {
    pub(crate) fn new(limit: Duration, bytes_per_second_min: Option<u64>) -> Self {
        Self { limit, bytes_per_second_min, credit: limit, since: Instant::now(), sleep: None }
    }

    /// So many bytes came. Whoever reads them may be slow: that time is not the body's.
    pub(crate) fn moved(&mut self, bytes: usize) {
        let now = Instant::now();
        self.credit = match self.bytes_per_second_min {
            None => self.limit,
            Some(rate) => {
                let waited = if self.sleep.is_some() { now - self.since } else { Duration::ZERO };
                (self.credit.saturating_sub(waited) + earned(bytes, rate)).min(self.limit)
            }
        };
        self.since = now;
        // With a rate, an armed timer says that somebody waits.
        if self.bytes_per_second_min.is_some() {
            self.sleep = None;
        }
    }

    /// Ready once the credit is spent.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Still> {
        if self.sleep.is_none() && self.bytes_per_second_min.is_some() {
            self.since = Instant::now();
        }
        let due = self.since + self.credit;
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        loop {
            ready!(sleep.as_mut().poll(cx));
            if Instant::now() >= due {
                return Poll::Ready(match self.credit < self.limit {
                    true => Still::TooSlow,
                    false => Still::Idle,
                });
            }
            sleep.as_mut().reset(due);
        }
    }
}

fn earned(bytes: usize, bytes_per_second: u64) -> Duration {
    let ns = (bytes as u128 * 1_000_000_000) / u128::from(bytes_per_second.max(1));
    Duration::from_nanos(u64::try_from(ns).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::poll_fn;

    /// How long a body lives that sends `bytes` every `every`, and what it ends of.
    async fn lives(idle: &mut Idle, bytes: usize, every: Duration) -> (Duration, Still) {
        let started = Instant::now();
        loop {
            let waiting = tokio::time::timeout(every, poll_fn(|cx| idle.poll(cx))).await;
            match waiting {
                Ok(still) => return (started.elapsed(), still),
                Err(_came) if started.elapsed() > Duration::from_secs(1_000) => {
                    return (Duration::MAX, Still::Idle);
                }
                Err(_came) => idle.moved(bytes),
            }
        }
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn without_a_rate_anything_that_comes_is_enough() {
        let lives = |every| async move { lives(&mut Idle::new(10 * SECOND, None), 1, every).await };
        assert_eq!(lives(9 * SECOND).await.0, Duration::MAX);
        assert_eq!(lives(11 * SECOND).await, (10 * SECOND, Still::Idle));
    }

    /// G16: at the rate it lives, just below it runs out.
    #[tokio::test(start_paused = true)]
    async fn a_rate_is_kept_on_average_or_the_credit_runs_out() {
        let lives = |bytes| async move { lives(&mut Idle::new(10 * SECOND, Some(100)), bytes, SECOND).await };
        assert_eq!(lives(100).await.0, Duration::MAX);
        let (lived, still) = lives(90).await;
        assert_eq!(still, Still::TooSlow);
        assert!(lived > 90 * SECOND && lived < 110 * SECOND, "a tenth is missing each second: {lived:?}");
        let (lived, still) = lives(0).await;
        assert_eq!((lived.as_secs(), still), (10, Still::TooSlow));
    }

    #[tokio::test(start_paused = true)]
    async fn time_that_the_reader_takes_is_not_the_bodys() {
        let mut idle = Idle::new(SECOND, Some(100));
        for _ in 0..100 {
            tokio::time::advance(10 * SECOND).await;
            idle.moved(1);
        }
        assert_eq!(lives(&mut idle, 1, 2 * SECOND).await.0, SECOND);
    }
}
