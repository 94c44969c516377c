//! What an outbox promises, on a disk in memory and under a paused clock.

mod deliveries;
mod disk;
mod failures;
mod files;
mod power;
mod pushes;
mod simulation;

use super::file::IndexFile;
use super::*;
use disk::Disk;
use http::{HeaderMap, Method, Response, StatusCode};
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// An outbox on `disk` that does everything on this thread.
fn outbox_on(disk: &Disk, policy: Policy) -> Outbox {
    outbox_seeded(disk, policy, 1)
}

fn outbox_seeded(disk: &Disk, policy: Policy, seed: u64) -> Outbox {
    let shelf = Box::new(disk.clone());
    let file = IndexFile::open("cloud".to_owned(), shelf, Arc::new(policy), Arc::default());
    let file = Arc::new(file);
    let writer = Writer::here(file.clone());
    Outbox::made(file, writer, DiskThread::here(), None, Random::seeded(seed))
}

/// A call to `path`, in the lane `lane` unless that is empty, with the idempotency key `key` unless that is empty.
fn call(path: &str, lane: &str, key: &str) -> Draft {
    let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Draft {
        method: Method::POST,
        path: path.to_owned(),
        headers: HeaderMap::new(),
        key: some(key),
        lane: some(lane),
        urgency: 3,
    }
}

fn body(bytes: usize) -> Body {
    blob::whole(vec![b'x'; bytes].into())
}

async fn push(outbox: &Outbox, path: &str, lane: &str) -> Id {
    outbox.push(call(path, lane, ""), body(10)).await.unwrap().id
}

/// An upstream: what it was sent, and what it does about it.
type Reaction = Box<dyn Fn(&str, usize) -> Outcome + Send + Sync>;

struct Upstream {
    /// Path, idempotency key, and when.
    seen: Mutex<Vec<(String, String, Instant)>>,
    told: Mutex<Vec<Answer>>,
    react: Reaction,
    takes_answers: bool,
    hold: Mutex<Option<Duration>>,
    latency: Duration,
}

impl Upstream {
    fn new(react: impl Fn(&str, usize) -> Outcome + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            seen: Mutex::default(),
            told: Mutex::default(),
            react: Box::new(react),
            takes_answers: true,
            hold: Mutex::default(),
            latency: Duration::from_millis(20),
        })
    }

    fn paths(&self) -> Vec<String> {
        self.seen.lock().unwrap().iter().map(|seen| seen.0.clone()).collect()
    }
}

fn answers(status: u16) -> Outcome {
    let mut response = Response::new(blob::whole(Bytes::from_static(b"done")));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    Outcome::Answered(response)
}

fn away() -> Outcome {
    Outcome::Away { reason: "no route".to_owned(), after: None }
}

impl Courier for Upstream {
    fn hold(&self) -> Option<Duration> {
        *self.hold.lock().unwrap()
    }

    fn carry(&self, parcel: Parcel) -> Carrying<'_, Outcome> {
        Box::pin(async move {
            let path = parcel.request.uri().path().to_owned();
            let key = parcel.request.headers()[IDEMPOTENCY_KEY].to_str().unwrap().to_owned();
            let body = http_body_util::BodyExt::collect(parcel.request.into_body()).await;
            body.expect("a kept body can be read");
            let before = self.paths().iter().filter(|seen| **seen == path).count();
            self.seen.lock().unwrap().push((path.clone(), key, Instant::now()));
            sleep(self.latency).await;
            (self.react)(&path, before)
        })
    }

    fn tell(&self, answer: Answer) -> Carrying<'_, bool> {
        self.told.lock().unwrap().push(answer);
        Box::pin(async move { self.takes_answers })
    }
}

use bytes::Bytes;

/// Delivers until `is_done`.
async fn deliver_until(outbox: &Outbox, upstream: &Arc<Upstream>, is_done: impl Fn(&Counts) -> bool) {
    let (delivering, courier) = (outbox.clone(), upstream.clone());
    let task = tokio::spawn(async move { delivering.deliver(&*courier).await });
    while !is_done(&outbox.counts()) {
        sleep(Duration::from_millis(50)).await;
    }
    task.abort();
    let _ = task.await;
}

fn nothing_waits(counts: &Counts) -> bool {
    counts.waiting == 0
}
