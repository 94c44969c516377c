//! What the functions of one tenant share on this node: memory and CPU time of their instances, invocations and outgoing
//! requests at once, and room in the log. Made for each tenant when the node starts; every function of the tenant holds it.

use rimward_capability::logging::SharedRate;
use rimward_engine::{Budget, Share};
use rimward_manifest::Quota;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize};
use tokio::sync::Semaphore;

/// One tenant on this node.
pub(crate) struct TenantShare {
    /// Memory and CPU time.
    pub(crate) share: Arc<Share>,
    /// Invocations at once, where the tenant has a limit of its own.
    pub(crate) permits: Option<Arc<Semaphore>>,
    /// Outgoing requests at once, likewise.
    pub(crate) outgoing: Option<Arc<Semaphore>>,
    /// What may be logged, likewise.
    pub(crate) log_rate: Option<SharedRate>,
    /// Invocations that hold a permit of the node.
    pub(crate) running: AtomicU32,
    /// Those of them that burn CPU.
    pub(crate) hogs: AtomicUsize,
    /// Requests that wait.
    pub(crate) waiting: AtomicU32,
}

impl TenantShare {
    /// A tenant that nothing runs for, with a part of the node's memory.
    pub(crate) fn new(quota: &Quota, node: &Arc<Budget>) -> Arc<Self> {
        let semaphore = |limit: std::num::NonZeroU32| Arc::new(Semaphore::new(limit.get() as usize));
        Arc::new(Self {
            share: Share::new(
                node.clone(),
                quota.memory.map(|memory| memory.get()),
                quota.cpu.map(|cores| cores.get()),
            ),
            permits: quota.concurrency.map(semaphore),
            outgoing: quota.outgoing.map(semaphore),
            log_rate: quota.log_rate.map(|rate| SharedRate::new(rate.get())),
            running: AtomicU32::new(0),
            hogs: AtomicUsize::new(0),
            waiting: AtomicU32::new(0),
        })
    }
}
