//! How many calls to one upstream are under way, and how many wait for their turn.
//!
//! Entered once per call, before anything is tried; left when the response's body has ended. All cores share one.
//! The way in without waiting is two atomic operations. Whoever waits does so in the order of arrival, for a bounded time,
//! among a bounded number. With [`Policy::adaptive_min`] the limit follows what the upstream bears: additive
//! increase and multiplicative decrease, as `AIMDLimit` of Netflix's concurrency-limits does it.

use crate::Error;
use crate::watch::Outcome;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed, Ordering::SeqCst};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

/// How many calls may be under way and wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Calls at a time.
    pub concurrent: u32,
    /// Calls that may wait.
    pub queue: u32,
    /// How long one may wait.
    pub queue_wait: Duration,
    /// The limit follows the upstream, between this and `concurrent`; `None`: it is `concurrent`.
    pub adaptive_min: Option<u32>,
}

impl Default for Policy {
    fn default() -> Self {
        Self { concurrent: 256, queue: 256, queue_wait: Duration::from_millis(100), adaptive_min: None }
    }
}

/// A decrease of the limit leaves this share of it.
const DECREASE: f64 = 0.9;

/// See the file's head.
#[derive(Debug)]
pub struct Bulkhead {
    policy: Policy,
    limit: AtomicU32,
    taken: AtomicU32,
    waiting: AtomicU32,
    freed: Notify,
}

/// A call's place. Dropping it lets the next one in.
#[derive(Debug)]
pub(crate) struct Place(Arc<Bulkhead>);

impl Bulkhead {
    /// An empty one.
    #[must_use]
    pub fn new(policy: Policy) -> Self {
        let policy = Policy { concurrent: policy.concurrent.max(1), ..policy };
        Self {
            policy,
            limit: AtomicU32::new(policy.concurrent),
            taken: AtomicU32::new(0),
            waiting: AtomicU32::new(0),
            freed: Notify::new(),
        }
    }

    /// What it was made with.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Calls under way.
    #[must_use]
    pub fn taken(&self) -> u32 {
        self.taken.load(Relaxed)
    }

    /// Calls that wait.
    #[must_use]
    pub fn waiting(&self) -> u32 {
        self.waiting.load(Relaxed)
    }

    /// Calls that may be under way now.
    #[must_use]
    pub fn limit(&self) -> u32 {
        self.limit.load(Relaxed)
    }

    /// A place, at once or within the time to wait, and never after `by`. Dropping the future leaves the queue.
    pub(crate) async fn enter(self: &Arc<Self>, by: Instant) -> Result<Place, Error> {
        if self.waiting.load(SeqCst) == 0 && self.take() {
            return Ok(Place(self.clone()));
        }
        self.wait(by).await
    }

    async fn wait(self: &Arc<Self>, by: Instant) -> Result<Place, Error> {
        let waiting = Waiting::begin(self).ok_or(Error::BulkheadFull)?;
        let until = Instant::now() + self.policy.queue_wait;
        let (until, expired) = if by < until { (by, Error::Deadline) } else { (until, Error::BulkheadFull) };
        let is_first = self.waiting.load(SeqCst) == 1;
        let turn = async {
            let mut may_take = is_first;
            loop {
                let mut freed = std::pin::pin!(self.freed.notified());
                // From here on no place becomes free without this one hearing of it, or one before it.
                freed.as_mut().enable();
                if may_take && self.take() {
                    return;
                }
                freed.await;
                may_take = true;
            }
        };
        timeout_at(until, turn).await.map_err(|_| expired)?;
        drop(waiting);
        let place = Place(self.clone());
        // What woke this one may have been news of several places.
        if self.waiting.load(SeqCst) > 0 && self.taken.load(SeqCst) < self.limit.load(SeqCst) {
            self.freed.notify_one();
        }
        Ok(place)
    }

    fn take(&self) -> bool {
        let limit = self.limit.load(SeqCst);
        self.taken.fetch_update(SeqCst, SeqCst, |taken| (taken < limit).then_some(taken + 1)).is_ok()
    }

    /// What came of a try: an adaptive limit follows it.
    pub(crate) fn learn(&self, outcome: Outcome) {
        let Some(least) = self.policy.adaptive_min else { return };
        let least = least.clamp(1, self.policy.concurrent);
        let taken = self.taken.load(Relaxed);
        let changed = self.limit.fetch_update(Relaxed, Relaxed, |limit| match outcome {
            Outcome::TimedOut | Outcome::Throttled => {
                Some((f64::from(limit) * DECREASE) as u32).map(|lower| lower.max(least))
            }
            Outcome::Answered if taken.saturating_mul(2) >= limit => {
                Some((limit + 1).min(self.policy.concurrent))
            }
            _ => None,
        });
        if changed.is_ok_and(|before| before < self.limit()) && self.waiting.load(SeqCst) > 0 {
            self.freed.notify_one();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, SeqCst);
        if self.0.waiting.load(SeqCst) > 0 {
            self.0.freed.notify_one();
        }
    }
}

/// One among those who wait.
struct Waiting<'a>(&'a Bulkhead);

impl<'a> Waiting<'a> {
    fn begin(bulkhead: &'a Bulkhead) -> Option<Self> {
        let queue = bulkhead.policy.queue;
        let room = |waiting: u32| (waiting < queue).then_some(waiting + 1);
        bulkhead.waiting.fetch_update(SeqCst, SeqCst, room).ok().map(|_| Self(bulkhead))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    const WAIT: Duration = Duration::from_millis(100);

    fn bulkhead(concurrent: u32, queue: u32) -> Arc<Bulkhead> {
        Arc::new(Bulkhead::new(Policy { concurrent, queue, queue_wait: WAIT, adaptive_min: None }))
    }

    fn late() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    /// C16: at the limit, and one more.
    #[tokio::test(start_paused = true)]
    async fn as_many_as_the_limit_enter_at_once_and_the_next_one_waits() {
        let bulkhead = bulkhead(2, 1);
        let _first = bulkhead.enter(late()).await.unwrap();
        let second = bulkhead.enter(late()).await.unwrap();
        let third = tokio::spawn({
            let bulkhead = bulkhead.clone();
            async move { bulkhead.enter(late()).await }
        });
        tokio::task::yield_now().await;
        assert_eq!((bulkhead.taken(), bulkhead.waiting()), (2, 1));
        drop(second);
        let _third = third.await.unwrap().unwrap();
        assert_eq!((bulkhead.taken(), bulkhead.waiting()), (2, 0));
    }

    /// C16: the queue is bounded.
    #[tokio::test(start_paused = true)]
    async fn a_full_queue_refuses_at_once() {
        let bulkhead = bulkhead(1, 1);
        let _first = bulkhead.enter(late()).await.unwrap();
        let mut second = std::pin::pin!(bulkhead.enter(late()));
        assert!(second.as_mut().now_or_never().is_none());
        let third = bulkhead.enter(late()).now_or_never().unwrap();
        assert!(matches!(third, Err(Error::BulkheadFull)));
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_queue_nobody_waits() {
        let bulkhead = bulkhead(1, 0);
        let _first = bulkhead.enter(late()).await.unwrap();
        assert!(matches!(bulkhead.enter(late()).now_or_never(), Some(Err(Error::BulkheadFull))));
    }

    /// C16: the wait is bounded, and so is the caller's patience.
    #[tokio::test(start_paused = true)]
    async fn waiting_ends_after_its_time_or_at_the_deadline() {
        let bulkhead = bulkhead(1, 8);
        let _first = bulkhead.enter(late()).await.unwrap();
        let start = Instant::now();
        assert!(matches!(bulkhead.enter(late()).await, Err(Error::BulkheadFull)));
        assert_eq!((start.elapsed().as_millis(), bulkhead.waiting()), (100, 0));
        let start = Instant::now();
        assert!(matches!(bulkhead.enter(start + WAIT / 2).await, Err(Error::Deadline)));
        assert_eq!((start.elapsed().as_millis(), bulkhead.waiting()), (50, 0));
    }

    /// C16: whoever gives up waiting takes nothing along.
    #[tokio::test(start_paused = true)]
    async fn a_cancelled_wait_leaves_the_place_to_the_next() {
        let bulkhead = bulkhead(1, 8);
        let first = bulkhead.enter(late()).await.unwrap();
        let mut second = Box::pin(bulkhead.enter(late()));
        let mut third = Box::pin(bulkhead.enter(late()));
        assert!(second.as_mut().now_or_never().is_none());
        assert!(third.as_mut().now_or_never().is_none());
        drop(first);
        drop(second);
        assert!(third.now_or_never().is_some_and(|entered| entered.is_ok()));
        assert_eq!((bulkhead.taken(), bulkhead.waiting()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_wait_come_before_those_who_arrive() {
        let bulkhead = bulkhead(1, 8);
        let first = bulkhead.enter(late()).await.unwrap();
        let mut second = Box::pin(bulkhead.enter(late()));
        assert!(second.as_mut().now_or_never().is_none());
        drop(first);
        let mut third = Box::pin(bulkhead.enter(late()));
        assert!(third.as_mut().now_or_never().is_none());
        assert!(second.now_or_never().is_some_and(|entered| entered.is_ok()));
    }

    /// C16: nobody is lost and no more than the limit are in, whatever threads do.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn many_threads_share_the_places() {
        let bulkhead = Arc::new(Bulkhead::new(Policy {
            concurrent: 3,
            queue: 1000,
            queue_wait: Duration::from_secs(60),
            adaptive_min: None,
        }));
        let inside = Arc::new(AtomicU32::new(0));
        let calls: Vec<_> = (0..500)
            .map(|_| {
                let (bulkhead, inside) = (bulkhead.clone(), inside.clone());
                tokio::spawn(async move {
                    let _place = bulkhead.enter(Instant::now() + Duration::from_secs(60)).await.unwrap();
                    let others = inside.fetch_add(1, SeqCst);
                    tokio::task::yield_now().await;
                    inside.fetch_sub(1, SeqCst);
                    others
                })
            })
            .collect();
        for call in calls {
            assert!(call.await.unwrap() < 3);
        }
        assert_eq!((bulkhead.taken(), bulkhead.waiting()), (0, 0));
    }

    /// C16: the adaptive limit, at both its ends.
    #[tokio::test(start_paused = true)]
    async fn an_adaptive_limit_falls_when_the_upstream_cannot_and_rises_while_it_is_used() {
        let bulkhead =
            Arc::new(Bulkhead::new(Policy { adaptive_min: Some(3), concurrent: 10, ..Policy::default() }));
        (0..100).for_each(|_| bulkhead.learn(Outcome::TimedOut));
        assert_eq!(bulkhead.limit(), 3);
        bulkhead.learn(Outcome::Answered);
        assert_eq!(bulkhead.limit(), 3, "a limit that nobody reaches says nothing");
        let _two = (bulkhead.enter(late()).await.unwrap(), bulkhead.enter(late()).await.unwrap());
        bulkhead.learn(Outcome::Answered);
        assert_eq!(bulkhead.limit(), 4);
        let _all: Vec<_> = (0..2).map(|_| bulkhead.enter(late()).now_or_never().unwrap().unwrap()).collect();
        (0..100).for_each(|_| bulkhead.learn(Outcome::Answered));
        assert_eq!(bulkhead.limit(), 9, "until it is more than twice what is under way");
    }
}
