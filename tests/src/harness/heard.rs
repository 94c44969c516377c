//! What a node tells its observer, kept for the test: how each request ended and what functions logged.

use crate::harness::within;
use rimward_capability::Level;
use rimward_node::{FunctionId, LogLine, Observer, Outcome, RequestLine};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// How a request ended.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields of RequestLine")]
pub struct Ended {
    pub request_id: String,
    pub trace_id: String,
    pub method: String,
    pub path: String,
    pub function: Option<FunctionId>,
    pub revision: Option<String>,
    pub status: Option<u16>,
    pub outcome: Outcome,
    pub offences: Vec<(&'static str, u32)>,
    pub cause: Option<String>,
    pub duration: Duration,
    pub cpu: Duration,
    pub memory_bytes: u64,
}

/// A line of a function's log.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the fields of LogLine")]
pub struct Logged {
    pub function: FunctionId,
    pub request_id: String,
    pub level: Level,
    pub context: String,
    pub text: String,
}

/// Everything that was heard so far.
#[derive(Default)]
pub struct Heard {
    ended: Mutex<Vec<Ended>>,
    logged: Mutex<Vec<Logged>>,
    changes: watch::Sender<u64>,
    panics: Mutex<Option<String>>,
}

impl Heard {
    /// The requests that have ended.
    pub fn ended(&self) -> Vec<Ended> {
        lock(&self.ended).clone()
    }

    /// The lines that were logged.
    pub fn logged(&self) -> Vec<Logged> {
        lock(&self.logged).clone()
    }

    /// From now on the observer panics, inside of the host's own call, when a function logs this.
    pub fn panics_at(&self, text: &str) {
        *lock(&self.panics) = Some(text.to_owned());
    }

    /// Waits until a request ends like that, and gives the first one.
    pub async fn end(&self, is_it: impl Fn(&Ended) -> bool) -> Ended {
        self.first(&self.ended, "no request ended like that", is_it).await
    }

    /// Waits until so many requests have ended, and gives them all.
    pub async fn ends(&self, at_least: usize) -> Vec<Ended> {
        self.until("so many requests have not ended", || self.ended(), |ended| ended.len() >= at_least).await
    }

    /// Waits for a log line that contains `text`.
    pub async fn log(&self, text: &str) -> Logged {
        self.first(&self.logged, &format!("nothing logged `{text}`"), |line| line.text.contains(text)).await
    }

    async fn first<T: Clone>(&self, list: &Mutex<Vec<T>>, what: &str, is_it: impl Fn(&T) -> bool) -> T {
        let found = self.until(what, || lock(list).iter().find(|item| is_it(item)).cloned(), Option::is_some);
        found.await.expect("it was waited for")
    }

    async fn until<T>(&self, what: &str, look: impl Fn() -> T, is_it: impl Fn(&T) -> bool) -> T {
        let mut changes = self.changes.subscribe();
        let looking = async {
            loop {
                let seen = look();
                if is_it(&seen) {
                    return seen;
                }
                changes.changed().await.expect("the sender is this");
            }
        };
        within(what, looking).await
    }
}

impl Observer for Heard {
    fn request(&self, line: &RequestLine<'_>) {
        let ended = Ended {
            request_id: line.request_id.to_owned(),
            trace_id: line.trace_id.to_owned(),
            method: line.method.to_owned(),
            path: line.path.to_owned(),
            function: line.function.cloned(),
            revision: line.revision.map(str::to_owned),
            status: line.status,
            outcome: line.outcome,
            offences: line.offences.iter().map(|(kind, times)| (kind.name(), times)).collect(),
            cause: line.cause.map(str::to_owned),
            duration: line.duration,
            cpu: line.cpu,
            memory_bytes: line.memory_bytes,
        };
        lock(&self.ended).push(ended);
        self.changes.send_modify(|changes| *changes += 1);
    }

    fn log(&self, line: &LogLine<'_>) {
        if lock(&self.panics).as_deref().is_some_and(|text| line.text.contains(text)) {
            panic!("injected by a test");
        }
        let logged = Logged {
            function: line.function.clone(),
            request_id: line.request_id.to_owned(),
            level: line.level,
            context: line.context.to_owned(),
            text: line.text.to_owned(),
        };
        lock(&self.logged).push(logged);
        self.changes.send_modify(|changes| *changes += 1);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
