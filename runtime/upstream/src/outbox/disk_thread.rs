//! One thread of an outbox that reads the disk, and writes large bodies, for callers that must not wait for it.
//!
//! Started when the outbox is opened; ends when its last handle is gone. Bound: pieces of work that wait; the next one is
//! refused as busy. Work that panics fails alone. Simulations do the work on the caller's own thread.

use super::trouble::Trouble;
use crate::limits::outbox as limits;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;
use tokio::sync::oneshot;

type Work = Box<dyn FnOnce() + Send>;

/// See the file's head.
#[derive(Clone, Debug)]
pub(super) struct DiskThread(Option<SyncSender<Work>>);

impl DiskThread {
    pub(super) fn start() -> io::Result<Self> {
        let (queue, works) = sync_channel::<Work>(limits::DISK_QUEUE_MAX);
        let run = move || {
            while let Ok(work) = works.recv() {
                // It owns all that it touches; whoever waits for it sees that its reply is gone.
                let _ = catch_unwind(AssertUnwindSafe(work));
            }
        };
        let thread = thread::Builder::new().name("outbox-disk".to_owned());
        thread.stack_size(limits::THREAD_STACK_BYTES).spawn(run)?;
        Ok(Self(Some(queue)))
    }

    /// Everything happens on the caller's thread.
    #[cfg(test)]
    pub(super) fn here() -> Self {
        Self(None)
    }

    /// Has `work` done some time, if there is room for it.
    pub(super) fn begin(&self, work: impl FnOnce() + Send + 'static) {
        match &self.0 {
            Some(queue) => drop(queue.try_send(Box::new(work))),
            None => work(),
        }
    }

    /// Does `work`. Dropping the future loses what came of it only.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Trouble> {
        let Some(queue) = &self.0 else { return Ok(work()) };
        let (reply, answer) = oneshot::channel();
        let work: Work = Box::new(move || drop(reply.send(work())));
        queue.try_send(work).map_err(|_| Trouble::new("too much waits for the disk"))?;
        answer.await.map_err(|_| Trouble::new("reading the disk panicked"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_beyond_what_may_wait_is_refused_and_a_panic_fails_alone() {
        let disk = DiskThread::start().unwrap();
        let panicked: Result<(), _> = disk.run(|| panic!("on purpose")).await;
        assert!(panicked.is_err());
        let (release, released) = std::sync::mpsc::channel::<()>();
        let (started, has_started) = std::sync::mpsc::channel::<()>();
        let busy = disk.clone();
        let held = tokio::spawn(async move {
            let work = move || {
                started.send(()).unwrap();
                released.recv()
            };
            busy.run(work).await
        });
        tokio::task::spawn_blocking(move || has_started.recv().unwrap()).await.unwrap();
        let queue = disk.0.as_ref().unwrap();
        for _ in 0..limits::DISK_QUEUE_MAX {
            queue.try_send(Box::new(|| {})).unwrap();
        }
        assert!(disk.run(|| ()).await.is_err());
        drop(release);
        assert!(held.await.unwrap().unwrap().is_err());
    }
}
