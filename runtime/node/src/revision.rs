//! One deployed app on this node, immutable: its functions, ready to be called. A request holds the function it was
//! routed to, so a retired revision finishes its open requests and is then dropped.

use crate::FunctionId;
use crate::limits::{WARM_AGE, WARM_IDLE, WARM_PER_CORE};
use crate::metrics::FunctionMetrics;
use crate::tenants::TenantShare;
use rimward_bundle::Digest;
use rimward_capability::{Function, Instance, Line, Logs};
use rimward_manifest::{FunctionLimits, Name, Reuse};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::sync::Semaphore;

/// One deployed app.
pub(crate) struct Revision {
    pub(crate) digest: Digest,
    pub(crate) version: Option<String>,
    pub(crate) functions: BTreeMap<Name, Arc<Deployed>>,
    pub(crate) routes: Vec<String>,
}

/// One function of a revision.
pub(crate) struct Deployed {
    pub(crate) id: FunctionId,
    pub(crate) revision: Arc<str>,
    pub(crate) function: Arc<Function>,
    pub(crate) limits: FunctionLimits,
    pub(crate) permits: Arc<Semaphore>,
    pub(crate) tenant: Arc<TenantShare>,
    pub(crate) metrics: FunctionMetrics,
    pub(crate) warm: Warm,
}

/// Instances that wait for their next invocation, a list for each core.
pub(crate) struct Warm {
    reuse: Reuse,
    room: Arc<WarmRoom>,
    cores: Box<[Mutex<Vec<Idle>>]>,
}

struct Idle {
    used: Used,
    since: Instant,
    _place: Place,
}

/// How many instances of the whole node may wait for their next use: they hold room in the pool.
pub(crate) struct WarmRoom {
    free: AtomicUsize,
}

/// One instance's place among them.
struct Place(Arc<WarmRoom>);

impl WarmRoom {
    pub(crate) fn new(instances: usize) -> Arc<Self> {
        Arc::new(Self { free: AtomicUsize::new(instances) })
    }

    fn take(self: &Arc<Self>) -> Option<Place> {
        let taken = self.free.fetch_update(Relaxed, Relaxed, |free| free.checked_sub(1));
        taken.is_ok().then(|| Place(self.clone()))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.free.fetch_add(1, Relaxed);
    }
}

/// An instance and how often it has been used.
pub(crate) struct Used {
    pub(crate) instance: Instance,
    pub(crate) uses: u32,
    pub(crate) made: Instant,
}

impl Warm {
    pub(crate) fn new(reuse: Reuse, room: Arc<WarmRoom>, cores: usize) -> Self {
        Self { reuse, room, cores: (0..cores).map(|_| Mutex::default()).collect() }
    }

    /// Whether instances are reused at all.
    pub(crate) fn is_wanted(&self) -> bool {
        self.reuse != Reuse::Fresh
    }

    /// Whether an instance that was used so often waits on this core, or will not be kept.
    pub(crate) fn is_back(&self, core: usize, uses: u32) -> bool {
        let idle = self.cores[core].lock().unwrap_or_else(PoisonError::into_inner);
        !idle.is_empty() || self.reuse == Reuse::Times(uses) || self.room.free.load(Relaxed) == 0
    }

    /// The instance that was used last, if it is young enough; older ones are dropped.
    pub(crate) fn take(&self, core: usize) -> Option<Used> {
        if self.reuse == Reuse::Fresh {
            return None;
        }
        let mut idle = self.cores[core].lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let taken = idle.pop()?;
        match now.duration_since(taken.since) < WARM_IDLE && now.duration_since(taken.used.made) < WARM_AGE {
            true => Some(taken.used),
            false => {
                let stale = std::mem::take(&mut *idle);
                drop(idle);
                drop(stale);
                None
            }
        }
    }

    /// Drops every instance that waits.
    pub(crate) fn clear(&self) {
        for core in &self.cores {
            let idle = std::mem::take(&mut *core.lock().unwrap_or_else(PoisonError::into_inner));
            drop(idle);
        }
    }

    /// Keeps an instance for its next use, as far as it may have one.
    pub(crate) fn give(&self, core: usize, used: Used) {
        let Reuse::Times(times) = self.reuse else { return };
        // What waits holds memory that others could use.
        if used.uses >= times || used.instance.is_crowded() {
            return;
        }
        let mut idle = self.cores[core].lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < WARM_PER_CORE
            && let Some(place) = self.room.take()
        {
            idle.push(Idle { used, since: Instant::now(), _place: place });
        }
    }
}

/// A function's lines on their way to the observer.
pub(crate) struct FunctionLogs {
    pub(crate) id: FunctionId,
    pub(crate) observer: Arc<dyn crate::Observer>,
}

impl Logs for FunctionLogs {
    fn line(&self, line: Line<'_>) {
        // What is left of a line is told when its stream is dropped. If that is because the observer panicked, it must not
        // be asked again: a panic while another unwinds ends the process.
        if std::thread::panicking() {
            return;
        }
        let Line { level, context, text, request_id } = line;
        self.observer.log(&crate::LogLine { function: &self.id, request_id, level, context, text });
    }
}
