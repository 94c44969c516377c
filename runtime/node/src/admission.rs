//! Who may run now. A permit is taken in this order: the function's, its tenant's, the node's. Where there is none, the
//! request waits, for a bounded time among a bounded number of others. Permits are process-wide; dropping one returns it.

use crate::failure::Failure;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

/// The node's gate.
pub(crate) struct Admission {
    node: Arc<Semaphore>,
    permits: u32,
    waiting: AtomicU32,
    queue_max: u32,
    wait: Duration,
}

/// The right to run now.
#[derive(Debug)]
pub(crate) struct Permit {
    _function: OwnedSemaphorePermit,
    _tenant: Option<OwnedSemaphorePermit>,
    _node: OwnedSemaphorePermit,
}

/// Whose permits an invocation needs besides the node's.
pub(crate) struct Wanted<'a> {
    pub(crate) function: &'a Arc<Semaphore>,
    pub(crate) tenant: Option<&'a Arc<Semaphore>>,
}

impl Admission {
    pub(crate) fn new(permits: u32, queue_max: u32, wait: Duration) -> Self {
        let node = Arc::new(Semaphore::new(permits as usize));
        Self { node, permits, waiting: AtomicU32::new(0), queue_max, wait }
    }

    /// Invocations under way.
    pub(crate) fn running(&self) -> u32 {
        let free = u32::try_from(self.node.available_permits()).unwrap_or(u32::MAX);
        self.permits.saturating_sub(free)
    }

    /// Requests that wait.
    pub(crate) fn waiting(&self) -> u32 {
        self.waiting.load(Relaxed)
    }

    /// Invocations that may run at once.
    pub(crate) fn permits(&self) -> u32 {
        self.permits
    }

    /// Takes a permit, now or within the time that a request may wait.
    pub(crate) async fn admit(&self, wanted: Wanted<'_>) -> Result<Permit, Failure> {
        let deadline = Instant::now() + self.wait;
        let function =
            self.take(wanted.function, deadline).await.ok_or(Failure::Quota { what: "function" })?;
        let tenant = match wanted.tenant {
            Some(tenant) => Some(self.take(tenant, deadline).await.ok_or(Failure::Quota { what: "tenant" })?),
            None => None,
        };
        let node = self.take(&self.node, deadline).await.ok_or(Failure::Full)?;
        Ok(Permit { _function: function, _tenant: tenant, _node: node })
    }

    async fn take(&self, from: &Arc<Semaphore>, deadline: Instant) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = from.clone().try_acquire_owned() {
            return Some(permit);
        }
        let _place = Place::take(&self.waiting, self.queue_max)?;
        timeout_at(deadline, from.clone().acquire_owned()).await.ok()?.ok()
    }
}

/// A place in the queue.
struct Place<'a>(&'a AtomicU32);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicU32, max: u32) -> Option<Self> {
        let taken = waiting.fetch_update(Relaxed, Relaxed, |n| (n < max).then_some(n + 1));
        taken.is_ok().then(|| Self(waiting))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn semaphore(permits: usize) -> Arc<Semaphore> {
        Arc::new(Semaphore::new(permits))
    }

    fn wanted<'a>(function: &'a Arc<Semaphore>, tenant: Option<&'a Arc<Semaphore>>) -> Wanted<'a> {
        Wanted { function, tenant }
    }

    #[tokio::test(start_paused = true)]
    async fn permits_are_given_up_to_the_limit_and_no_further() {
        let admission = Admission::new(2, 8, Duration::from_millis(10));
        let function = semaphore(8);
        let held = [
            admission.admit(wanted(&function, None)).await.unwrap(),
            admission.admit(wanted(&function, None)).await.unwrap(),
        ];
        assert!(matches!(admission.admit(wanted(&function, None)).await, Err(Failure::Full)));
        drop(held);
        assert!(admission.admit(wanted(&function, None)).await.is_ok());
        assert_eq!((admission.running(), admission.waiting()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_quota_is_the_callers_and_a_full_node_is_not() {
        let admission = Admission::new(8, 8, Duration::from_millis(10));
        let (function, tenant) = (semaphore(1), semaphore(2));
        let held = admission.admit(wanted(&function, Some(&tenant))).await.unwrap();
        let refused = admission.admit(wanted(&function, Some(&tenant))).await;
        assert!(matches!(refused, Err(Failure::Quota { what: "function" })));
        let other = semaphore(8);
        let _second = admission.admit(wanted(&other, Some(&tenant))).await.unwrap();
        let refused = admission.admit(wanted(&other, Some(&tenant))).await;
        assert!(matches!(refused, Err(Failure::Quota { what: "tenant" })));
        drop(held);
        assert!(admission.admit(wanted(&function, Some(&tenant))).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn as_many_wait_as_the_queue_holds_and_the_rest_are_refused_at_once() {
        let admission = Arc::new(Admission::new(1, 1, Duration::from_secs(5)));
        let function = semaphore(8);
        let held = admission.admit(wanted(&function, None)).await.unwrap();
        let (waiter, gate) = (admission.clone(), function.clone());
        let waiting = tokio::spawn(async move { waiter.admit(wanted(&gate, None)).await.is_ok() });
        while admission.waiting() == 0 {
            tokio::task::yield_now().await;
        }
        let before = Instant::now();
        assert!(matches!(admission.admit(wanted(&function, None)).await, Err(Failure::Full)));
        assert_eq!(before.elapsed(), Duration::ZERO, "it was refused without waiting");
        assert_eq!(admission.waiting(), 1, "who was refused had no place to give back");
        drop(held);
        assert!(waiting.await.unwrap(), "the one in the queue got the permit");
    }
}
