//! Who may run now. A permit is taken in this order: the function's, its tenant's, the node's. Where there is none, the
//! request waits, without keeping those that it could have had, for a bounded time among a bounded number of others, of which each tenant has an equal part. Permits
//! are process-wide; dropping one returns it.
//!
//! The node's own permits are given out by the [`Gate`]. Before it, a request of a tenant that has overdrawn its CPU time
//! waits until the debt is paid.

mod gate;

use crate::failure::Failure;
use crate::tenants::TenantShare;
pub(crate) use gate::Entering;
use gate::{Gate, Held};
use rimward_engine::Engine;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout_at};

/// The way to the node's permits.
pub(crate) struct Admission {
    gate: Arc<Gate>,
    waiting: AtomicU32,
    /// Requests of one tenant that may wait.
    queue_max: u32,
    wait: Duration,
}

/// How much may run and wait.
pub(crate) struct Room {
    pub(crate) permits: u32,
    pub(crate) queue_max: u32,
    pub(crate) wait: Duration,
    /// Tenants among whom it is divided.
    pub(crate) tenants: usize,
}

/// The right to run now.
#[derive(Debug)]
pub(crate) struct Permit {
    _quota: QuotaPermit,
    node: Held,
}

impl Permit {
    /// For an invocation that burns CPU: to be dropped when the engine has it. Until then it counts as one that waits for a core.
    pub(crate) fn entering(&mut self) -> Option<Entering> {
        self.node.entering()
    }
}

/// The function's and its tenant's part of it.
#[derive(Debug)]
struct QuotaPermit {
    _function: OwnedSemaphorePermit,
    _tenant: Option<OwnedSemaphorePermit>,
}

/// Who asks for a permit.
pub(crate) struct Wanted<'a> {
    pub(crate) function: &'a Arc<Semaphore>,
    pub(crate) tenant: &'a Arc<TenantShare>,
    /// Its invocations keep their thread for longer than a tick.
    pub(crate) hog: bool,
}

impl Wanted<'_> {
    fn try_quota(&self) -> Option<QuotaPermit> {
        let permit = |from: &Arc<Semaphore>| from.clone().try_acquire_owned().ok();
        let _function = permit(self.function)?;
        let _tenant = match &self.tenant.permits {
            Some(permits) => Some(permit(permits)?),
            None => None,
        };
        Some(QuotaPermit { _function, _tenant })
    }
}

impl Admission {
    /// `engine` is asked how many hogs wait for a thread; there is none in tests.
    pub(crate) fn new(room: Room, engine: Option<Arc<Engine>>) -> Self {
        let tenants = u32::try_from(room.tenants.max(1)).unwrap_or(u32::MAX);
        let queue_max = if room.queue_max == 0 { 0 } else { (room.queue_max / tenants).max(1) };
        let gate = Gate::new(room.permits, tenants, room.wait, engine);
        Self { gate, waiting: AtomicU32::new(0), queue_max, wait: room.wait }
    }

    /// Invocations under way.
    pub(crate) fn running(&self) -> u32 {
        self.gate.running()
    }

    /// Requests that wait.
    pub(crate) fn waiting(&self) -> u32 {
        self.waiting.load(Relaxed)
    }

    /// Invocations that may run at once.
    pub(crate) fn permits(&self) -> u32 {
        self.gate.permits()
    }

    /// Takes a permit, now or within the time that a request may wait.
    pub(crate) async fn admit(&self, wanted: Wanted<'_>) -> Result<Permit, Failure> {
        let deadline = Instant::now() + self.wait;
        let tenant = wanted.tenant;
        if let Some(rest) = tenant.share.rest() {
            self.rest(tenant, rest, deadline).await.ok_or(Failure::Quota { what: "tenant" })?;
        }
        loop {
            let quota = self.quota(&wanted, deadline).await?;
            if let Some(node) = self.gate.try_enter(tenant, wanted.hog) {
                return Ok(Permit { _quota: quota, node });
            }
            // Who waits for the node keeps nothing that its own kind could use: the function's limit would look reached.
            drop(quota);
            let place = self.place(tenant).ok_or(Failure::Full)?;
            let node = self.gate.enter(tenant, wanted.hog, deadline).await.ok_or(Failure::Full)?;
            drop(place);
            if let Some(quota) = wanted.try_quota() {
                return Ok(Permit { _quota: quota, node });
            }
        }
    }

    /// The permits of the function and its tenant, now or within the time that a request may wait.
    async fn quota(&self, wanted: &Wanted<'_>, deadline: Instant) -> Result<QuotaPermit, Failure> {
        let function = self.take(wanted.function, wanted.tenant, deadline).await;
        let _function = function.ok_or(Failure::Quota { what: "function" })?;
        let _tenant = match &wanted.tenant.permits {
            Some(permits) => {
                let taken = self.take(permits, wanted.tenant, deadline).await;
                Some(taken.ok_or(Failure::Quota { what: "tenant" })?)
            }
            None => None,
        };
        Ok(QuotaPermit { _function, _tenant })
    }

    /// Waits until the tenant's debt of CPU time is paid, if that is soon enough.
    async fn rest(&self, tenant: &TenantShare, rest: Duration, deadline: Instant) -> Option<()> {
        if Instant::now() + rest > deadline {
            return None;
        }
        let _place = self.place(tenant)?;
        sleep(rest).await;
        Some(())
    }

    async fn take(
        &self,
        from: &Arc<Semaphore>,
        tenant: &TenantShare,
        deadline: Instant,
    ) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = from.clone().try_acquire_owned() {
            return Some(permit);
        }
        let _place = self.place(tenant)?;
        timeout_at(deadline, from.clone().acquire_owned()).await.ok()?.ok()
    }

    fn place<'a>(&'a self, tenant: &'a TenantShare) -> Option<Place<'a>> {
        let max = self.queue_max;
        let taken = tenant.waiting.fetch_update(Relaxed, Relaxed, |n| (n < max).then_some(n + 1));
        taken.is_ok().then(|| {
            self.waiting.fetch_add(1, Relaxed);
            Place { of_tenant: &tenant.waiting, of_node: &self.waiting }
        })
    }
}

/// A place among those who wait.
struct Place<'a> {
    of_tenant: &'a AtomicU32,
    of_node: &'a AtomicU32,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.of_tenant.fetch_sub(1, Relaxed);
        self.of_node.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rimward_engine::Budget;
    use rimward_manifest::Quota;
    use std::num::NonZeroU32;

    fn semaphore(permits: usize) -> Arc<Semaphore> {
        Arc::new(Semaphore::new(permits))
    }

    fn tenant(concurrency: Option<u32>) -> Arc<TenantShare> {
        let quota = Quota { concurrency: concurrency.and_then(NonZeroU32::new), ..Quota::default() };
        TenantShare::new(&quota, &Budget::new(u64::MAX))
    }

    fn admission(permits: u32, queue_max: u32, wait: Duration, tenants: usize) -> Admission {
        Admission::new(Room { permits, queue_max, wait, tenants }, None)
    }

    fn wanted<'a>(function: &'a Arc<Semaphore>, tenant: &'a Arc<TenantShare>) -> Wanted<'a> {
        Wanted { function, tenant, hog: false }
    }

    #[tokio::test(start_paused = true)]
    async fn permits_are_given_up_to_the_limit_and_no_further() {
        let admission = admission(2, 8, Duration::from_millis(10), 1);
        let (function, tenant) = (semaphore(8), tenant(None));
        let held = [
            admission.admit(wanted(&function, &tenant)).await.unwrap(),
            admission.admit(wanted(&function, &tenant)).await.unwrap(),
        ];
        assert!(matches!(admission.admit(wanted(&function, &tenant)).await, Err(Failure::Full)));
        drop(held);
        assert!(admission.admit(wanted(&function, &tenant)).await.is_ok());
        assert_eq!((admission.running(), admission.waiting()), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_quota_is_the_callers_and_a_full_node_is_not() {
        let admission = admission(8, 8, Duration::from_millis(10), 1);
        let (function, tenant) = (semaphore(1), tenant(Some(2)));
        let held = admission.admit(wanted(&function, &tenant)).await.unwrap();
        let refused = admission.admit(wanted(&function, &tenant)).await;
        assert!(matches!(refused, Err(Failure::Quota { what: "function" })));
        let other = semaphore(8);
        let _second = admission.admit(wanted(&other, &tenant)).await.unwrap();
        let refused = admission.admit(wanted(&other, &tenant)).await;
        assert!(matches!(refused, Err(Failure::Quota { what: "tenant" })));
        drop(held);
        assert!(admission.admit(wanted(&function, &tenant)).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn as_many_wait_as_the_queue_holds_and_the_rest_are_refused_at_once() {
        let admission = Arc::new(admission(1, 1, Duration::from_secs(5), 1));
        let (function, tenant) = (semaphore(8), tenant(None));
        let held = admission.admit(wanted(&function, &tenant)).await.unwrap();
        let (waiter, gate, owner) = (admission.clone(), function.clone(), tenant.clone());
        let waiting = tokio::spawn(async move { waiter.admit(wanted(&gate, &owner)).await.is_ok() });
        while admission.waiting() == 0 {
            tokio::task::yield_now().await;
        }
        let before = Instant::now();
        assert!(matches!(admission.admit(wanted(&function, &tenant)).await, Err(Failure::Full)));
        assert_eq!(before.elapsed(), Duration::ZERO, "it was refused without waiting");
        assert_eq!(admission.waiting(), 1, "who was refused had no place to give back");
        drop(held);
        assert!(waiting.await.unwrap(), "the one in the queue got the permit");
    }

    #[tokio::test(start_paused = true)]
    async fn a_tenant_that_fills_its_part_of_the_queue_leaves_the_others_theirs() {
        let admission = Arc::new(admission(1, 2, Duration::from_secs(5), 2));
        let function = semaphore(8);
        let (noisy, quiet) = (tenant(None), tenant(None));
        let held = admission.admit(wanted(&function, &quiet)).await.unwrap();
        let wait = |owner: &Arc<TenantShare>| {
            let (admission, function, owner) = (admission.clone(), function.clone(), owner.clone());
            tokio::spawn(async move { admission.admit(wanted(&function, &owner)).await.is_ok() })
        };
        let first = wait(&noisy);
        while admission.waiting() == 0 {
            tokio::task::yield_now().await;
        }
        assert!(matches!(admission.admit(wanted(&function, &noisy)).await, Err(Failure::Full)));
        let second = wait(&quiet);
        while admission.waiting() == 1 {
            tokio::task::yield_now().await;
        }
        drop(held);
        assert!(first.await.unwrap() && second.await.unwrap());
    }
}
