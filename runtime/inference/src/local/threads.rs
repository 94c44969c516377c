//! The threads that run models, apart from those that serve requests and after them.
//!
//! Started with the [`Engine`](super::Engine), ended with it. Each takes one call after the other. In this process, what a
//! call computes is spread over one pool of as many threads; with a process for models, each thread has a seat there and
//! waits for it. Bound: what waits is counted by each model.

use super::worker::Workers;
use crate::limits;
use rten::ThreadPool;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// A piece of work. It gets what it is to be done with.
type Work = Box<dyn FnOnce(&Runner) + Send>;

/// With what a thread computes.
pub(super) enum Runner {
    /// In this process.
    Here(Arc<ThreadPool>),
    /// In the process for models, at that seat.
    There(Arc<Workers>, usize),
}

pub(super) struct Threads {
    queue: Sender<Work>,
}

impl Threads {
    /// As many as `cores`, which compute.
    pub(super) fn start(cores: usize) -> io::Result<Self> {
        let pool = OnceLock::new();
        Self::start_with(cores, move |_| {
            be_nice();
            // Made by a thread that is nice, its threads are.
            Runner::Here(pool.get_or_init(|| Arc::new(ThreadPool::with_num_threads(cores))).clone())
        })
    }

    /// As many as there are seats, which have it computed.
    pub(super) fn start_for(workers: &Arc<Workers>) -> io::Result<Self> {
        let seats = workers.clone();
        Self::start_with(workers.seats(), move |seat| Runner::There(seats.clone(), seat))
    }

    fn start_with(
        threads: usize,
        runner: impl Fn(usize) -> Runner + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let (queue, works) = channel();
        let (works, runner) = (Arc::new(Mutex::new(works)), Arc::new(runner));
        for index in 0..threads {
            let (works, runner) = (works.clone(), runner.clone());
            let thread = std::thread::Builder::new().name(format!("rimward-models-{index}"));
            thread.spawn(move || run(&works, &runner(index)))?;
        }
        Ok(Self { queue })
    }

    pub(super) fn queue(&self, work: impl FnOnce(&Runner) + Send + 'static) {
        // The threads end after this sender only.
        let _ = self.queue.send(Box::new(work));
    }
}

fn run(works: &Mutex<Receiver<Work>>, runner: &Runner) {
    loop {
        let next = works.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(work) = next else { return };
        // Whoever waits for it sees that nothing came.
        if catch_unwind(AssertUnwindSafe(|| work(runner))).is_err() {
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
