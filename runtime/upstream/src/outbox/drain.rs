//! The deliveries of an outbox: one loop that takes what is due, has it carried, and writes down what came of it.
//!
//! The node runs one per outbox, on one core, for as long as the outbox is open. Dropping the future cancels deliveries
//! under way; what was not written down is delivered again, with the same idempotency key. Bounds: deliveries at a time and
//! per second, fewer while live calls wait, one at a time while the upstream is away.

use super::courier::{Courier, Outcome, Parcel, Verdict, verdict};
use super::index::{self, Answered, Change};
use super::letter::{Id, packed};
use super::link::Link;
use super::{Inner, Trouble};
use crate::limits::outbox as limits;
use crate::{Body, Error};
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use http::Response;
use http_body_util::BodyExt as _;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

/// What a delivery says about the link.
enum Seen {
    Reached,
    Away(Option<Duration>),
    /// It says nothing: it was the call's own fault, or an answer was told.
    Nothing,
}

struct Done {
    number: u64,
    is_told: bool,
    seen: Seen,
}

/// See the file's head.
pub(super) struct Drain<'a> {
    inner: &'a Arc<Inner>,
    courier: &'a dyn Courier,
    underway: FuturesUnordered<BoxFuture<'a, Done>>,
    calls: BTreeSet<u64>,
    telling: BTreeSet<u64>,
    link: Link,
    tidy_at: Instant,
    /// When the next delivery may begin.
    paced_at: Instant,
}

impl<'a> Drain<'a> {
    pub(super) fn new(inner: &'a Arc<Inner>, courier: &'a dyn Courier) -> Self {
        Self {
            inner,
            courier,
            underway: FuturesUnordered::new(),
            calls: BTreeSet::new(),
            telling: BTreeSet::new(),
            link: Link::new(),
            tidy_at: Instant::now(),
            paced_at: Instant::now(),
        }
    }

    /// Runs until the outbox is closed.
    pub(super) async fn run(mut self) {
        loop {
            let changed = self.inner.changed.notified();
            let wake = match self.begin().await {
                Ok(wake) => wake,
                Err(_) if self.inner.is_closed() => return,
                // It was reported where it happened. The tidying opens the file again.
                Err(_) => Instant::now() + limits::REOPEN_PAUSE,
            };
            tokio::select! {
                Some(done) = self.underway.next(), if !self.underway.is_empty() => self.finish(done),
                () = changed => {}
                () = sleep_until(wake) => {}
            }
        }
    }

    fn finish(&mut self, done: Done) {
        if done.is_told {
            self.telling.remove(&done.number);
            return;
        }
        self.calls.remove(&done.number);
        let policy = self.inner.file.policy();
        match done.seen {
            Seen::Reached => self.link.reached(policy.return_jitter, &self.inner.random),
            Seen::Away(after) => self.link.away(after, &self.inner.random),
            Seen::Nothing => {}
        }
    }

    /// Begins what can be begun, and says when to look again at the latest.
    async fn begin(&mut self) -> Result<Instant, Trouble> {
        let now = Instant::now();
        if self.inner.take_hurry() {
            self.link = Link::new();
            self.paced_at = now;
        }
        if now >= self.tidy_at {
            self.inner.change(Change::Tidy).await?;
            self.tidy_at = now + limits::TIDY_EVERY;
        }
        let told = self.begin_telling().await?;
        let sent = self.begin_calls(now).await?;
        Ok(self.tidy_at.min(told).min(sent))
    }

    async fn begin_calls(&mut self, now: Instant) -> Result<Instant, Trouble> {
        let policy = self.inner.file.policy();
        if let Some(until) = self.link.rests_until(now) {
            return Ok(until);
        }
        if now < self.paced_at {
            return Ok(self.paced_at);
        }
        let most = if self.link.is_away() { 1 } else { policy.concurrency };
        let room = most.saturating_sub(self.calls.len());
        if room == 0 || self.inner.file.gauges.telling_bytes() > policy.answers_bytes_max {
            return Ok(self.tidy_at);
        }
        if let Some(pause) = self.courier.hold() {
            return Ok(now + pause.max(crate::limits::TIMEOUT_MIN));
        }
        let clock = self.inner.file.clock();
        let (now_ms, busy) = (clock.now_ms(), self.calls.clone());
        let find = move |snapshot: &redb::ReadTransaction| {
            index::due(snapshot, now_ms, room, |number| busy.contains(&number))
        };
        let (ready, next) = self.inner.read(find).await?;
        let pace = Duration::from_secs(1) / policy.per_second.max(1);
        self.paced_at = now + pace * u32::try_from(ready.len()).unwrap_or(u32::MAX);
        let was_full = ready.len() == room;
        for number in ready {
            self.calls.insert(number);
            let (inner, courier) = (self.inner, self.courier);
            self.underway.push(Box::pin(async move {
                Done { number, is_told: false, seen: deliver(inner, courier, number).await }
            }));
        }
        let next = next.map_or(self.tidy_at, |ms| clock.instant(ms));
        Ok(if was_full { self.tidy_at } else { next })
    }

    async fn begin_telling(&mut self) -> Result<Instant, Trouble> {
        if self.inner.file.gauges.telling_bytes() == 0 {
            return Ok(self.tidy_at);
        }
        let clock = self.inner.file.clock();
        let room = limits::CONCURRENCY_DEFAULT.saturating_sub(self.telling.len());
        let (now_ms, busy) = (clock.now_ms(), self.telling.clone());
        let find = move |snapshot: &redb::ReadTransaction| {
            index::telling(snapshot, now_ms, room, |number| busy.contains(&number))
        };
        let (ready, next) = self.inner.read(find).await?;
        for (number, attempts) in ready {
            self.telling.insert(number);
            let (inner, courier) = (self.inner, self.courier);
            self.underway.push(Box::pin(async move {
                tell(inner, courier, number, attempts).await;
                Done { number, is_told: true, seen: Seen::Nothing }
            }));
        }
        Ok(next.map_or(self.tidy_at, |ms| clock.instant(ms)))
    }
}

/// Has one call carried, and writes down what came of it.
async fn deliver(inner: &Arc<Inner>, courier: &dyn Courier, number: u64) -> Seen {
    let id = Id { mark: inner.file.gauges.mark(), number };
    let request = match inner.request(number).await {
        Ok(Some(request)) => request,
        // Dropped meanwhile.
        Ok(None) => return Seen::Nothing,
        Err(trouble) => {
            return match inner.is_readable().await {
                // The index is well, so it is this call's body.
                true => {
                    settle(inner, dead(number, format!("its body cannot be read: {trouble}"))).await;
                    Seen::Nothing
                }
                false => Seen::Away(Some(limits::REOPEN_PAUSE)),
            };
        }
    };
    let outcome = courier.carry(Parcel { id, request }).await;
    let (change, seen) = conclude(inner, number, outcome).await;
    settle(inner, change).await;
    seen
}

fn dead(number: u64, reason: String) -> Change {
    Change::Dead { number, reason, counts: false }
}

async fn conclude(inner: &Inner, number: u64, outcome: Outcome) -> (Change, Seen) {
    let response = match outcome {
        Outcome::Answered(response) => response,
        Outcome::Away { reason, after } => return later(inner, number, after, reason),
        Outcome::Failed(reason) => return failed(inner, number, reason, Seen::Nothing).await,
        Outcome::Dead(reason) => return (dead(number, reason), Seen::Nothing),
    };
    let status = response.status();
    match verdict(&response) {
        Verdict::Away(after) => later(inner, number, after, format!("the upstream answered {status}")),
        Verdict::Failed => {
            failed(inner, number, format!("the upstream answered {status}"), Seen::Reached).await
        }
        Verdict::Dead => {
            let reason = format!("the upstream answered {status}");
            (Change::Dead { number, reason, counts: true }, Seen::Reached)
        }
        Verdict::Delivered => match answered(response).await {
            Ok(answered) => (Change::Delivered(number, Box::new(answered)), Seen::Reached),
            Err(error) => {
                let reason = format!("the answer was cut short: {}", error.caller_text());
                failed(inner, number, reason, Seen::Nothing).await
            }
        },
    }
}

/// Not the call's fault: it is due when the upstream is back.
fn later(inner: &Inner, number: u64, after: Option<Duration>, reason: String) -> (Change, Seen) {
    let after = after.map(|after| after.min(limits::RETRY_AFTER_MAX));
    let due_ms = inner.file.clock().now_ms();
    (Change::Later { number, due_ms, reason, counts: false }, Seen::Away(after))
}

async fn failed(inner: &Inner, number: u64, reason: String, seen: Seen) -> (Change, Seen) {
    let policy = inner.file.policy();
    let before = inner.attempts(number).await;
    let attempts = before.saturating_add(1);
    if attempts >= policy.attempts {
        return (Change::Dead { number, reason, counts: true }, seen);
    }
    let pause = policy.backoff.pause(attempts, &inner.random);
    let due_ms = inner.file.clock().now_ms() + super::clock::millis(pause);
    (Change::Later { number, due_ms, reason, counts: true }, seen)
}

/// Writes down what came of a delivery, for as long as it takes: if the disk fails, the call must not be delivered again
/// and again meanwhile.
async fn settle(inner: &Inner, change: Change) {
    while inner.change(change.clone()).await.is_err() && !inner.is_closed() {
        sleep(limits::REOPEN_PAUSE).await;
    }
}

/// The answer, with as much of its body as is kept. The rest is not read.
async fn answered(response: Response<Body>) -> Result<Answered, Error> {
    let (parts, mut body) = response.into_parts();
    let (mut kept, mut is_whole) = (BytesMut::new(), true);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        if kept.len() + data.len() > limits::ANSWER_BODY_BYTES_MAX {
            (kept, is_whole) = (BytesMut::new(), false);
            break;
        }
        kept.extend_from_slice(&data);
    }
    let body: Bytes = kept.freeze();
    Ok(Answered { status: parts.status.as_u16(), headers: packed(&parts.headers), body, is_whole })
}

async fn tell(inner: &Arc<Inner>, courier: &dyn Courier, number: u64, attempts: u32) {
    let was_told = match inner.answer(number).await {
        Ok(Some(answer)) => courier.tell(answer).await,
        Ok(None) => true,
        Err(_) => return sleep(limits::REOPEN_PAUSE).await,
    };
    let change = match was_told {
        true => Change::Told(number),
        false => {
            let pause = inner.file.policy().backoff.pause(attempts + 1, &inner.random);
            let due_ms = inner.file.clock().now_ms() + super::clock::millis(pause);
            Change::TellLater { number, due_ms }
        }
    };
    settle(inner, change).await;
}

impl Inner {
    async fn attempts(&self, number: u64) -> u32 {
        match self.read(move |snapshot| index::find(snapshot, number)).await {
            Ok(index::Found::Waiting(_, tries)) => tries.attempts,
            _ => 0,
        }
    }

    async fn is_readable(&self) -> bool {
        self.read(index::sums).await.is_ok()
    }
}
