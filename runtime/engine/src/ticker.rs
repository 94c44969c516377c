//! The thread that interrupts running guests once each [`TICK`]. It parks while no guest runs, so
//! an idle node does not wake up. Owned by the engine, which stops and joins it.

use crate::limits::{TICK, TICKS_BEFORE_PARKING};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{JoinHandle, Thread};

pub(crate) struct Ticker {
    shared: Arc<Shared>,
    thread: Thread,
    join: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    running: AtomicUsize,
    stop: AtomicBool,
}

impl Ticker {
    /// Starts the thread; `tick` is called once each tick while guests run.
    pub(crate) fn start(tick: impl Fn() + Send + 'static) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let theirs = shared.clone();
        let join =
            std::thread::Builder::new().name("rimward-ticker".into()).spawn(move || theirs.run(tick))?;
        Ok(Self { thread: join.thread().clone(), shared, join: Some(join) })
    }

    /// A guest is being polled.
    pub(crate) fn enter(&self) {
        if self.shared.running.fetch_add(1, Ordering::SeqCst) == 0 {
            self.thread.unpark();
        }
    }

    /// It no longer is.
    pub(crate) fn leave(&self) {
        self.shared.running.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.thread.unpark();
        if let Some(join) = self.join.take() {
            // The last owner may be dropped by the ticker's own callback never; a panic there was already reported.
            let _ = join.join();
        }
    }
}

impl Shared {
    fn run(&self, tick: impl Fn()) {
        let mut idle = 0;
        while !self.stop.load(Ordering::SeqCst) {
            if self.running.load(Ordering::SeqCst) > 0 {
                idle = 0;
            } else {
                idle += 1;
                if idle > TICKS_BEFORE_PARKING {
                    std::thread::park();
                    continue;
                }
            }
            std::thread::sleep(TICK);
            tick();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;
    use std::time::{Duration, Instant};

    #[test]
    fn it_ticks_while_a_guest_runs_and_parks_afterwards() {
        let ticks = Arc::new(AtomicU64::new(0));
        let counted = ticks.clone();
        let ticker = Ticker::start(move || _ = counted.fetch_add(1, Ordering::SeqCst))
            .expect("a thread can be started");
        let wait_for = |wanted: &dyn Fn(u64) -> bool| {
            let deadline = Instant::now() + Duration::from_secs(10);
            while !wanted(ticks.load(Ordering::SeqCst)) {
                assert!(Instant::now() < deadline, "the ticker did not tick");
                std::thread::yield_now();
            }
        };
        ticker.enter();
        wait_for(&|n| n > 2 * u64::from(TICKS_BEFORE_PARKING));
        ticker.leave();
        // It stops by itself: at most the ticks before parking and the one under way follow.
        let left_at = ticks.load(Ordering::SeqCst);
        ticker.enter();
        wait_for(&|n| n > left_at);
        ticker.leave();
    }
}
