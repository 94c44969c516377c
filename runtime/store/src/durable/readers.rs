//! A few threads that read from disk for all stores of a process.
//!
//! Not the runtime's blocking pool: that one belongs to one runtime, may grow to hundreds of threads, and drops what
//! waits in it when its runtime stops; these serve every core's runtime and are few.
//!
//! Bound: reads that wait; the next one is refused as busy. A read that panics fails alone and the thread goes on.
//! The threads end when the last handle is gone.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;

use tokio::sync::oneshot;

use super::locked;
use crate::limits::THREAD_STACK_BYTES;
use crate::store::StoreError;

type Read = Box<dyn FnOnce() + Send>;

#[derive(Debug)]
pub(crate) struct Readers {
    queue: SyncSender<Read>,
}

impl Readers {
    /// Starts `threads` threads; `waiting_max` reads may wait for them.
    pub(crate) fn start(threads: usize, waiting_max: usize) -> io::Result<Readers> {
        let (queue, reads) = sync_channel(waiting_max);
        let reads = Arc::new(Mutex::new(reads));
        for number in 0..threads {
            let reads = Arc::clone(&reads);
            let thread = thread::Builder::new().name(format!("store-read-{number}"));
            thread.stack_size(THREAD_STACK_BYTES).spawn(move || serve(&reads))?;
        }
        Ok(Readers { queue })
    }

    /// Runs `read` on one of the threads. Dropping the future loses the answer only.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        read: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let read = Box::new(move || drop(reply.send(read())));
        self.queue.try_send(read).map_err(|_| StoreError::Busy)?;
        answer.await.unwrap_or_else(|_| Err(StoreError::failed("the read panicked")))
    }
}

fn serve(reads: &Mutex<Receiver<Read>>) {
    // One thread at a time waits in `recv`, the others for the lock.
    while let Ok(read) = { locked(reads).recv() } {
        // The closure owns all it touches but the file, whose lock a reader cannot poison.
        let _ = catch_unwind(AssertUnwindSafe(read));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_read_beyond_those_that_may_wait_is_refused() {
        let readers = Readers::start(1, 2).unwrap();
        let (started, has_started) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let running = readers.run(move || {
            started.send(()).unwrap();
            Ok(released.recv().is_err())
        });
        let mut running = Box::pin(running);
        assert!((&mut running).now_or_never().is_none());
        has_started.recv().unwrap();

        let mut waiting: Vec<_> = (0..2).map(|n| Box::pin(readers.run(move || Ok(n)))).collect();
        for read in &mut waiting {
            assert!(read.now_or_never().is_none());
        }
        assert!(matches!(readers.run(|| Ok(())).await, Err(StoreError::Busy)));

        drop(release);
        assert!(running.await.unwrap());
        for (n, read) in waiting.into_iter().enumerate() {
            assert_eq!(read.await.unwrap(), n);
        }
    }

    #[tokio::test]
    async fn a_read_that_panics_fails_alone() {
        let readers = Readers::start(1, 1).unwrap();
        let panicked = readers.run(|| -> Result<(), StoreError> { panic!("on purpose") }).await;
        assert!(matches!(panicked, Err(StoreError::Failed(_))));
        assert_eq!(readers.run(|| Ok(7)).await.unwrap(), 7);
    }
}
