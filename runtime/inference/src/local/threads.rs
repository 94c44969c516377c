//! The threads that run models, apart from those that serve requests and after them.
//!
//! Started with the [`Engine`](super::Engine), ended with it. Each takes one call after the other; what a call computes is
//! spread over one pool of as many threads. Bound: what waits is counted by each model.

use crate::limits;
use rten::ThreadPool;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// A piece of work. It gets the pool to compute in.
type Work = Box<dyn FnOnce(&Arc<ThreadPool>) + Send>;

pub(super) struct Threads {
    queue: Sender<Work>,
}

impl Threads {
    /// As many as `cores`.
    pub(super) fn start(cores: usize) -> io::Result<Self> {
        let (queue, works) = channel();
        let (works, pool) = (Arc::new(Mutex::new(works)), Arc::new(OnceLock::new()));
        for index in 0..cores {
            let (works, pool) = (works.clone(), pool.clone());
            let thread = std::thread::Builder::new().name(format!("rimward-models-{index}"));
            thread.spawn(move || {
                be_nice();
                // Made by a thread that is nice, its threads are.
                run(&works, pool.get_or_init(|| Arc::new(ThreadPool::with_num_threads(cores))));
            })?;
        }
        Ok(Self { queue })
    }

    pub(super) fn queue(&self, work: impl FnOnce(&Arc<ThreadPool>) + Send + 'static) {
        // The threads end after this sender only.
        let _ = self.queue.send(Box::new(work));
    }
}

fn run(works: &Mutex<Receiver<Work>>, pool: &Arc<ThreadPool>) {
    loop {
        let next = works.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(work) = next else { return };
        // Whoever waits for it sees that nothing came.
        if catch_unwind(AssertUnwindSafe(|| work(pool))).is_err() {
            tracing::error!("a model made the engine panic; its call failed");
        }
    }
}

fn be_nice() {
    // Without the right to lower one's own priority there is nothing better to do than to go on.
    if let Err(error) = rustix::process::nice(limits::NICENESS) {
        tracing::warn!(%error, "cannot lower the priority of the threads that run models");
    }
}
