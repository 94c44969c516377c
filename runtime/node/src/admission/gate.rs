//! The node's permits. Where one is free it is taken without a lock. Where none is, requests line up by tenant, and a
//! permit that comes back goes to the tenant that runs the least.
//!
//! Two things keep waiting short when more comes than can be done. Where one has waited for half of the time that a request may wait there
//! is overload: from then on who comes waits [`OVERLOAD_WAIT`] at the most, and the last to come is the first to
//! run, because the others are nearly late already (the controlled delay and adaptive LIFO of Maurer, "Fail at Scale",
//! ACM Queue 13/8, 2015; entered by the age of the oldest, as CoDel does, so that a short queue that is always there is
//! none). It is over when nobody waits, or nobody had to give up for [`OVERLOAD_OVER`]. And invocations that burn CPU are not let in while [`HOGS_WAITING_PER_CORE`] of those that run
//! wait for a core or are on their way to one: to run more of them at once only makes each take longer.
//!
//! Where there are several tenants, the last eighth of the permits is for those that run less than an equal part, and a
//! tenant with less than an equal part of those that burn CPU does not wait for the others': they take turns at the cores.

use crate::limits::{HOGS_WAITING_PER_CORE, OVERLOAD_OVER, OVERLOAD_WAIT};
use crate::tenants::TenantShare;
use rimward_engine::Engine;
use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

/// The node's permits and who waits for one.
pub(super) struct Gate {
    permits: u32,
    free: AtomicU32,
    /// Requests in the lines. Read after a permit came back, written before free permits are looked at: one of both sees
    /// the other.
    lined_up: AtomicU32,
    /// Permits that a tenant with an equal part or more must leave to the others.
    reserved: u32,
    equal_part: u32,
    hogs_waiting_max: usize,
    /// Invocations that burn CPU which a tenant may have whatever the others do.
    equal_hogs: usize,
    /// Invocations that burn CPU which have a permit and are not among the engine's hogs yet.
    entering: AtomicUsize,
    engine: Option<Arc<Engine>>,
    lines: Mutex<Lines>,
}

struct Lines {
    /// One for each tenant that waits; none is empty.
    tenants: Vec<Line>,
    /// How long one must have been waiting before it counts as overload.
    overload_after: Duration,
    /// Since when there has been overload: since it began, or since somebody last gave up.
    overload: Option<Instant>,
    next_ticket: u64,
}

struct Line {
    tenant: Arc<TenantShare>,
    waiters: VecDeque<Waiter>,
}

struct Waiter {
    ticket: u64,
    since: Instant,
    hog: bool,
    call: oneshot::Sender<Held>,
}

/// A permit of the node's. Dropping it gives it to who waits.
pub(super) struct Held {
    gate: Arc<Gate>,
    tenant: Arc<TenantShare>,
    entering: Option<Entering>,
    is_hog: bool,
}

/// An invocation that burns CPU, on its way to the engine's hogs. Dropped when it is there: the engine counts it from then on.
pub(crate) struct Entering {
    gate: Arc<Gate>,
}

impl Gate {
    pub(super) fn new(permits: u32, tenants: u32, wait: Duration, engine: Option<Arc<Engine>>) -> Arc<Self> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Arc::new_cyclic(|gate| {
            if let Some(engine) = &engine {
                engine.hogs().on_turn(call_next_of(gate.clone()));
            }
            Self {
                permits,
                free: AtomicU32::new(permits),
                lined_up: AtomicU32::new(0),
                reserved: if tenants > 1 { permits / 8 } else { 0 },
                equal_part: (permits / tenants).max(1),
                hogs_waiting_max: HOGS_WAITING_PER_CORE * cores,
                equal_hogs: match tenants {
                    ..=1 => 0,
                    _ => (HOGS_WAITING_PER_CORE * cores / tenants as usize).max(1),
                },
                entering: AtomicUsize::new(0),
                engine,
                lines: Mutex::new(Lines {
                    tenants: Vec::new(),
                    overload_after: wait / 2,
                    overload: None,
                    next_ticket: 0,
                }),
            }
        })
    }

    pub(super) fn permits(&self) -> u32 {
        self.permits
    }

    pub(super) fn running(&self) -> u32 {
        self.permits - self.free.load(SeqCst).min(self.permits)
    }

    /// A permit without waiting; none where others wait already.
    pub(super) fn try_enter(self: &Arc<Self>, tenant: &Arc<TenantShare>, hog: bool) -> Option<Held> {
        if self.lined_up.load(SeqCst) > 0 {
            return None;
        }
        self.take(tenant, hog)
    }

    /// A permit within the time that a request may wait. Dropping the future leaves the line.
    pub(super) async fn enter(
        self: &Arc<Self>,
        tenant: &Arc<TenantShare>,
        hog: bool,
        deadline: Instant,
    ) -> Option<Held> {
        let (mut called, place, wait) = self.line_up(tenant, hog, deadline);
        self.call_next();
        if let Ok(held) = timeout(wait, &mut called).await {
            return held.ok();
        }
        drop(place);
        // Called in the last moment.
        called.try_recv().ok()
    }

    fn line_up<'a>(
        self: &'a Arc<Self>,
        tenant: &'a Arc<TenantShare>,
        hog: bool,
        deadline: Instant,
    ) -> (oneshot::Receiver<Held>, InLine<'a>, Duration) {
        let (call, called) = oneshot::channel();
        let now = Instant::now();
        let mut lines = self.lines();
        let mut wait = deadline.saturating_duration_since(now);
        if lines.is_overloaded(now) {
            wait = wait.min(OVERLOAD_WAIT);
        }
        let ticket = lines.next_ticket;
        lines.next_ticket += 1;
        lines.line(tenant).waiters.push_back(Waiter { ticket, since: now, hog, call });
        self.lined_up.fetch_add(1, SeqCst);
        (called, InLine { gate: self, tenant, ticket }, wait)
    }

    /// Takes a free permit, if `tenant` may have it.
    fn take(self: &Arc<Self>, tenant: &Arc<TenantShare>, hog: bool) -> Option<Held> {
        if hog && self.is_busy() && tenant.hogs.load(SeqCst) >= self.equal_hogs {
            return None;
        }
        let leave = if tenant.running.load(SeqCst) >= self.equal_part { self.reserved } else { 0 };
        let taken = self.free.fetch_update(SeqCst, SeqCst, |free| (free > leave).then(|| free - 1));
        taken.ok()?;
        tenant.running.fetch_add(1, SeqCst);
        let entering = hog.then(|| {
            tenant.hogs.fetch_add(1, SeqCst);
            self.entering.fetch_add(1, SeqCst);
            Entering { gate: self.clone() }
        });
        Some(Held { gate: self.clone(), tenant: tenant.clone(), entering, is_hog: hog })
    }

    /// Whether those that burn CPU wait for a core already.
    fn is_busy(&self) -> bool {
        let entering = self.entering.load(SeqCst);
        let waiting = self.engine.as_ref().map_or(0, |engine| engine.hogs().waiting());
        waiting + entering >= self.hogs_waiting_max
    }

    /// Gives free permits to who waits, as far as they may have them.
    fn call_next(self: &Arc<Self>) {
        while self.lined_up.load(SeqCst) > 0 {
            let mut lines = self.lines();
            let Some((waiter, held)) = self.next(&mut lines) else { return };
            drop(lines);
            // Who has left meanwhile gives it back, to the next one.
            let _ = waiter.call.send(held);
        }
    }

    /// Who is next, with the permit.
    fn next(self: &Arc<Self>, lines: &mut Lines) -> Option<(Waiter, Held)> {
        let overloaded = lines.is_overloaded(Instant::now());
        let mut order: Vec<usize> = (0..lines.tenants.len()).collect();
        order.sort_by_key(|index| lines.tenants[*index].tenant.running.load(SeqCst));
        for index in order {
            let line = &mut lines.tenants[index];
            let Some((at, held)) = self.first(line, overloaded) else { continue };
            let waiter = line.waiters.remove(at).expect("nobody left the line meanwhile");
            self.left(lines, index);
            return Some((waiter, held));
        }
        None
    }

    /// Who of a line is next, with the permit. Where one that burns CPU cannot enter, those behind it that do not can.
    fn first(self: &Arc<Self>, line: &Line, overloaded: bool) -> Option<(usize, Held)> {
        let at = if overloaded { line.waiters.len() - 1 } else { 0 };
        let hog = line.waiters[at].hog;
        if let Some(held) = self.take(&line.tenant, hog) {
            return Some((at, held));
        }
        let mut others = line.waiters.iter().enumerate().filter(|(_, waiter)| hog && !waiter.hog);
        let (at, _) = if overloaded { others.next_back() } else { others.next() }?;
        Some((at, self.take(&line.tenant, false)?))
    }

    /// One has left the line at `index`.
    fn left(&self, lines: &mut Lines, index: usize) {
        self.lined_up.fetch_sub(1, SeqCst);
        if lines.tenants[index].waiters.is_empty() {
            lines.tenants.swap_remove(index);
        }
        if lines.tenants.is_empty() {
            lines.overload = None;
        }
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lines {
    fn is_overloaded(&mut self, now: Instant) -> bool {
        let since = |then: Instant| now.saturating_duration_since(then);
        match self.overload {
            Some(last) if since(last) > OVERLOAD_OVER => self.overload = None,
            Some(_) => {}
            None => {
                self.overload =
                    self.oldest().filter(|oldest| since(*oldest) > self.overload_after).map(|_| now)
            }
        }
        self.overload.is_some()
    }

    /// When the first of those who wait came.
    fn oldest(&self) -> Option<Instant> {
        self.tenants.iter().filter_map(|line| line.waiters.front()).map(|waiter| waiter.since).min()
    }

    fn line(&mut self, tenant: &Arc<TenantShare>) -> &mut Line {
        let found = self.tenants.iter().position(|line| Arc::ptr_eq(&line.tenant, tenant));
        let index = found.unwrap_or_else(|| {
            self.tenants.push(Line { tenant: tenant.clone(), waiters: VecDeque::new() });
            self.tenants.len() - 1
        });
        &mut self.tenants[index]
    }
}

/// A request in its tenant's line. Dropping it leaves the line.
struct InLine<'a> {
    gate: &'a Arc<Gate>,
    tenant: &'a Arc<TenantShare>,
    ticket: u64,
}

impl Drop for InLine<'_> {
    fn drop(&mut self) {
        let mut lines = self.gate.lines();
        let Some(index) = lines.tenants.iter().position(|line| Arc::ptr_eq(&line.tenant, self.tenant)) else {
            return;
        };
        let waiters = &mut lines.tenants[index].waiters;
        if let Some(at) = waiters.iter().position(|waiter| waiter.ticket == self.ticket) {
            waiters.remove(at);
            if let Some(last) = &mut lines.overload {
                *last = Instant::now();
            }
            self.gate.left(&mut lines, index);
        }
    }
}

impl Held {
    /// To be dropped when the invocation is where the engine counts it.
    pub(super) fn entering(&mut self) -> Option<Entering> {
        self.entering.take()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.tenant.running.fetch_sub(1, SeqCst);
        if self.is_hog {
            self.tenant.hogs.fetch_sub(1, SeqCst);
        }
        self.gate.free.fetch_add(1, SeqCst);
        self.gate.call_next();
    }
}

impl Drop for Entering {
    fn drop(&mut self) {
        self.gate.entering.fetch_sub(1, SeqCst);
        self.gate.call_next();
    }
}

/// What the engine calls when one of its hogs got a core, and there may be room for another.
fn call_next_of(gate: Weak<Gate>) -> impl Fn() + Send + Sync + 'static {
    move || {
        if let Some(gate) = gate.upgrade() {
            gate.call_next();
        }
    }
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Held")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rimward_engine::Budget;
    use rimward_manifest::Quota;

    const WAIT: Duration = Duration::from_millis(500);

    fn tenant() -> Arc<TenantShare> {
        TenantShare::new(&Quota::default(), &Budget::new(u64::MAX))
    }

    fn wait(
        gate: &Arc<Gate>,
        tenant: &Arc<TenantShare>,
        within: Duration,
    ) -> tokio::task::JoinHandle<Option<(Held, Instant)>> {
        wait_as(gate, tenant, false, within)
    }

    fn wait_as(
        gate: &Arc<Gate>,
        tenant: &Arc<TenantShare>,
        hog: bool,
        within: Duration,
    ) -> tokio::task::JoinHandle<Option<(Held, Instant)>> {
        let (gate, tenant) = (gate.clone(), tenant.clone());
        let deadline = Instant::now() + within;
        tokio::spawn(async move {
            let held = gate.enter(&tenant, hog, deadline).await?;
            Some((held, Instant::now()))
        })
    }

    async fn lined_up(gate: &Gate, number: u32) {
        while gate.lined_up.load(SeqCst) != number {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_permit_that_comes_back_goes_to_the_tenant_that_runs_the_least() {
        let gate = Gate::new(4, 2, WAIT, None);
        let (greedy, modest) = (tenant(), tenant());
        let mut held: Vec<_> = (0..4).filter_map(|_| gate.try_enter(&greedy, false)).collect();
        let another = wait(&gate, &greedy, Duration::from_secs(1));
        lined_up(&gate, 1).await;
        let first = wait(&gate, &modest, Duration::from_secs(1));
        lined_up(&gate, 2).await;
        held.pop();
        let first = first.await.unwrap();
        assert!(first.is_some(), "it came later and runs nothing yet");
        assert_eq!(gate.lined_up.load(SeqCst), 1);
        held.pop();
        assert!(another.await.unwrap().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_eighth_is_for_tenants_below_an_equal_part() {
        let gate = Gate::new(16, 2, WAIT, None);
        let (greedy, modest) = (tenant(), tenant());
        let held: Vec<_> = std::iter::from_fn(|| gate.try_enter(&greedy, false)).collect();
        assert_eq!(held.len(), 14);
        assert!(gate.try_enter(&modest, false).is_some());
        let alone = Gate::new(16, 1, WAIT, None);
        assert_eq!(std::iter::from_fn(|| alone.try_enter(&greedy, false).map(std::mem::forget)).count(), 16);
    }

    #[tokio::test(start_paused = true)]
    async fn who_burns_cpu_waits_for_its_own_tenant_and_keeps_nobody_else_back() {
        let gate = Gate::new(64, 2, WAIT, None);
        let (greedy, modest) = (tenant(), tenant());
        let held: Vec<_> = std::iter::from_fn(|| gate.try_enter(&greedy, true)).collect();
        assert_eq!(held.len(), gate.hogs_waiting_max);
        let another = wait_as(&gate, &greedy, true, WAIT / 4);
        lined_up(&gate, 1).await;
        let of_its_own = wait(&gate, &greedy, WAIT).await.unwrap();
        assert!(of_its_own.is_some(), "it burns no CPU");
        let modest: Vec<_> =
            futures_util::future::join_all((0..gate.equal_hogs).map(|_| wait_as(&gate, &modest, true, WAIT)))
                .await;
        assert!(
            modest.iter().all(|entered| entered.as_ref().unwrap().is_some()),
            "the other tenant's do not count"
        );
        assert!(another.await.unwrap().is_none());
        assert_eq!(greedy.hogs.load(SeqCst), held.len());
        drop(held);
        assert_eq!(greedy.hogs.load(SeqCst), 0);
        let alone = Gate::new(64, 1, WAIT, None);
        assert_eq!(
            std::iter::from_fn(|| alone.try_enter(&greedy, true).map(std::mem::forget)).count(),
            alone.hogs_waiting_max
        );
    }

    #[tokio::test(start_paused = true)]
    async fn in_overload_who_comes_waits_briefly_and_the_last_runs_first() {
        let gate = Gate::new(1, 1, WAIT, None);
        let tenant = tenant();
        let held = gate.try_enter(&tenant, false).unwrap();
        let patient = wait(&gate, &tenant, Duration::from_secs(1));
        lined_up(&gate, 1).await;
        tokio::time::sleep(WAIT / 2 + Duration::from_millis(1)).await;
        let started = Instant::now();
        let late = wait(&gate, &tenant, Duration::from_secs(1));
        assert!(late.await.unwrap().is_none());
        assert_eq!(started.elapsed(), OVERLOAD_WAIT, "it did not wait for long");
        let last = wait(&gate, &tenant, Duration::from_secs(1));
        lined_up(&gate, 2).await;
        drop(held);
        let (_held, ran) = last.await.unwrap().unwrap();
        drop(_held);
        assert!(ran <= patient.await.unwrap().unwrap().1);
    }

    #[tokio::test(start_paused = true)]
    async fn who_leaves_the_line_takes_nothing_along() {
        let gate = Gate::new(1, 1, WAIT, None);
        let tenant = tenant();
        let held = gate.try_enter(&tenant, false).unwrap();
        let gone = wait(&gate, &tenant, Duration::from_secs(9));
        lined_up(&gate, 1).await;
        gone.abort();
        assert!(gone.await.is_err());
        assert_eq!(gate.lined_up.load(SeqCst), 0);
        drop(held);
        assert_eq!(gate.running(), 0);
        assert!(gate.try_enter(&tenant, false).is_some());
    }
}
