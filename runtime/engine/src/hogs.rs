//! The shared pool of low-priority threads for guests that did not yield within a tick. Here the kernel, not the guest,
//! decides what the next request waits for: these threads are nice, and hogs take turns on them tick by tick.

use std::future::Future;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinHandle;

/// How much lower the priority of a hog's thread is. At 10 it gets about a tenth of a core that others want too.
const NICENESS: i32 = 10;

/// The pool. Dropping it ends what runs on it without waiting.
pub struct Hogs {
    runtime: Option<Runtime>,
    handle: Handle,
}

impl Hogs {
    pub(crate) fn start(threads: usize) -> std::io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads.max(1))
            .thread_name("rimward-hogs")
            .enable_all()
            .on_thread_start(be_nice)
            .build()?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }

    /// Runs `guest` here until it ends or the handle is aborted.
    pub(crate) fn spawn<F>(&self, guest: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.handle.spawn(guest)
    }
}

impl Drop for Hogs {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn be_nice() {
    // Without the right to lower one's own priority there is nothing better to do than to go on.
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::warn!(%error, "cannot lower the priority of the threads for guests that overrun");
    }
}
