//! The shared pool of low-priority threads for guests that did not yield within a tick. Here the kernel, not the guest,
//! decides what the next request waits for: these threads are nice. Owners take turns, and the hogs of one owner take
//! turns in its turn, tick by tick: who has a hundred of them gets no more than who has one.

use crate::share::Share;
use async_task::{FallibleTask, Runnable};
use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use tokio::runtime::{Builder, Handle, Runtime};

/// How much lower the priority of a hog's thread is. At 10 it gets about a tenth of a core that others want too.
const NICENESS: i32 = 10;

/// The pool. Dropping it drops what waits; its threads end by themselves, at their guest's next tick. They are not waited
/// for: whoever drops the pool may be one of them.
pub struct Hogs {
    turns: Arc<Turns>,
    /// Keeps the time for guests that rest or sleep.
    clock: Option<Runtime>,
}

/// Who runs next.
#[derive(Default)]
struct Turns {
    queue: Mutex<Queue>,
    changed: Condvar,
    on_turn: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

#[derive(Default)]
struct Queue {
    /// Owners that have something to run; the first one's turn is next. None is empty.
    lines: VecDeque<Line>,
    waiting: usize,
    stopped: bool,
}

struct Line {
    owner: Arc<Share>,
    guests: VecDeque<Runnable>,
}

impl Hogs {
    pub(crate) fn start(threads: usize) -> std::io::Result<Self> {
        let clock = Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("rimward-clock")
            .enable_all()
            .build()?;
        let turns = Arc::<Turns>::default();
        for index in 0..threads.max(1) {
            let (turns, clock) = (turns.clone(), clock.handle().clone());
            let thread = std::thread::Builder::new().name(format!("rimward-hogs-{index}"));
            thread.spawn(move || run(&turns, &clock))?;
        }
        Ok(Self { turns, clock: Some(clock) })
    }

    /// Runs a guest of `owner` here until it ends or the task is dropped. The task ends without a result where the pool
    /// ends first.
    pub(crate) fn spawn<F>(&self, owner: &Arc<Share>, guest: F) -> FallibleTask<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let (turns, owner) = (self.turns.clone(), owner.clone());
        let (runnable, task) = async_task::spawn(guest, move |runnable| turns.push(&owner, runnable));
        runnable.schedule();
        task.fallible()
    }

    /// Guests that could run and wait for a thread.
    pub fn waiting(&self) -> usize {
        self.turns.queue().waiting
    }

    /// Has `call` called whenever a guest got a thread, so that fewer wait. The first one asked for stays.
    pub fn on_turn(&self, call: impl Fn() + Send + Sync + 'static) {
        // A second one is a second node on one engine, which does not happen: it would look by itself.
        let _ = self.turns.on_turn.set(Box::new(call));
    }
}

impl Drop for Hogs {
    fn drop(&mut self) {
        self.turns.stop();
        if let Some(clock) = self.clock.take() {
            clock.shutdown_background();
        }
    }
}

impl Turns {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, owner: &Arc<Share>, guest: Runnable) {
        let mut queue = self.queue();
        if queue.stopped {
            drop(queue);
            // Dropping it drops the guest: not under the lock.
            drop(guest);
            return;
        }
        queue.push(owner, guest);
        drop(queue);
        self.changed.notify_one();
    }

    /// The next guest; `None` when the pool ends.
    fn next(&self) -> Option<Runnable> {
        let mut queue = self.queue();
        loop {
            if queue.stopped {
                return None;
            }
            if let Some(guest) = queue.pop() {
                return Some(guest);
            }
            queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn stop(&self) {
        let mut queue = self.queue();
        queue.stopped = true;
        let left = std::mem::take(&mut queue.lines);
        drop(queue);
        drop(left);
        self.changed.notify_all();
    }
}

impl Queue {
    fn push(&mut self, owner: &Arc<Share>, guest: Runnable) {
        self.waiting += 1;
        match self.lines.iter_mut().find(|line| Arc::ptr_eq(&line.owner, owner)) {
            Some(line) => line.guests.push_back(guest),
            None => self.lines.push_back(Line { owner: owner.clone(), guests: VecDeque::from([guest]) }),
        }
    }

    fn pop(&mut self) -> Option<Runnable> {
        let mut line = self.lines.pop_front()?;
        let guest = line.guests.pop_front();
        if !line.guests.is_empty() {
            self.lines.push_back(line);
        }
        self.waiting -= 1;
        guest
    }
}

fn run(turns: &Turns, clock: &Handle) {
    be_nice();
    let _timers = clock.enter();
    while let Some(guest) = turns.next() {
        if let Some(on_turn) = turns.on_turn.get() {
            on_turn();
        }
        guest.run();
    }
}

fn be_nice() {
    // Without the right to lower one's own priority there is nothing better to do than to go on.
    if let Err(error) = rustix::process::nice(NICENESS) {
        tracing::warn!(%error, "cannot lower the priority of the threads for guests that overrun");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
    use std::task::Poll;

    /// Yields `turns` times, counting each in `count`, and then ends.
    async fn turns(turns: usize, count: Arc<AtomicUsize>) {
        for _ in 0..turns {
            count.fetch_add(1, Relaxed);
            let mut yielded = false;
            std::future::poll_fn(|cx| match std::mem::replace(&mut yielded, true) {
                true => Poll::Ready(()),
                false => {
                    cx.waker().wake_by_ref();
                    Poll::Pending
                }
            })
            .await;
        }
    }

    #[tokio::test]
    async fn an_owner_with_many_hogs_gets_no_more_turns_than_one_with_one() {
        let hogs = Hogs::start(1).unwrap();
        let (greedy, modest) = (Share::unlimited(), Share::unlimited());
        let gate = Arc::new(AtomicBool::new(false));
        let held = gate.clone();
        // The one thread is kept until everybody has lined up.
        let first = hogs.spawn(&Share::unlimited(), async move {
            while !held.load(Relaxed) {
                std::thread::yield_now();
            }
        });
        let greedy_turns = Arc::<AtomicUsize>::default();
        let many: Vec<_> = (0..50).map(|_| hogs.spawn(&greedy, turns(1_000, greedy_turns.clone()))).collect();
        let meanwhile = greedy_turns.clone();
        let one = hogs.spawn(&modest, async move {
            turns(200, Arc::default()).await;
            meanwhile.load(Relaxed)
        });
        gate.store(true, Relaxed);
        first.await.unwrap();
        let greedy_turns = one.await.unwrap();
        assert!((190..=210).contains(&greedy_turns), "{greedy_turns} turns beside 200");
        drop(many);
    }

    #[tokio::test]
    async fn a_pool_that_ends_ends_what_runs_on_it() {
        let hogs = Hogs::start(1).unwrap();
        let endless = hogs.spawn(&Share::unlimited(), turns(usize::MAX, Arc::default()));
        drop(hogs);
        assert_eq!(endless.await, None);
    }

    #[tokio::test]
    async fn a_dropped_task_drops_its_guest() {
        struct Told(Arc<AtomicBool>);
        impl Drop for Told {
            fn drop(&mut self) {
                self.0.store(true, Relaxed);
            }
        }
        let hogs = Hogs::start(1).unwrap();
        let gone = Arc::<AtomicBool>::default();
        let told = Told(gone.clone());
        let task = hogs.spawn(&Share::unlimited(), async move {
            let _told = told;
            turns(usize::MAX, Arc::default()).await;
        });
        drop(task);
        while !gone.load(Relaxed) {
            tokio::task::yield_now().await;
        }
    }
}
