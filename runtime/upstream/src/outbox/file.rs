//! The open index of an outbox, opened anew after a failure and set aside when it is damaged.
//!
//! Called by the writer for changes and by readers for snapshots. A write or sync that failed is final for the open file:
//! what the kernel still believes to be on disk is not to be trusted, so the file is closed, opened again and verified
//! before it is used again. Where that fails, the outbox refuses calls and tries again, at most once per
//! [`REOPEN_PAUSE`](limits::REOPEN_PAUSE), so that it recovers by itself when the disk does.

use super::clock::{Clock, Moment, millis, wall_ms};
use super::gauges::Gauges;
use super::index::{self, Change, Effect, Happened, Sums};
use super::policy::{Policy, WhenDamaged};
use super::shelf::Shelf;
use super::trouble::{Shut, Trouble};
use crate::limits::outbox as limits;
use redb::{Database, ReadTransaction, ReadableDatabase};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

/// See the file's head.
pub(super) struct IndexFile {
    name: String,
    shelf: Box<dyn Shelf>,
    state: RwLock<State>,
    policy: Mutex<Arc<Policy>>,
    pub(super) gauges: Arc<Gauges>,
    clock: RwLock<Clock>,
}

enum State {
    Open(Database),
    /// It cannot be opened; tried last at this time of the clock.
    Shut(Shut, u64),
    Closed,
}

impl IndexFile {
    /// Opens the index of the outbox `name`. One that cannot be opened is tried again when it is needed.
    pub(super) fn open(
        name: String,
        shelf: Box<dyn Shelf>,
        policy: Arc<Policy>,
        gauges: Arc<Gauges>,
    ) -> Self {
        let file = Self {
            name,
            shelf,
            state: RwLock::new(State::Shut(Shut::Closed, 0)),
            policy: Mutex::new(policy),
            gauges,
            clock: RwLock::new(Clock::resume(Moment::default(), 0)),
        };
        let state = file.reopened();
        if let State::Open(database) = &state
            && let Ok(sums) = snapshot_sums(database)
        {
            *file.clock.write().unwrap_or_else(PoisonError::into_inner) = Clock::resume(sums.last, wall_ms());
        }
        *file.state.write().unwrap_or_else(PoisonError::into_inner) = state;
        file
    }

    pub(super) fn clock(&self) -> Clock {
        *self.clock.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn policy(&self) -> Arc<Policy> {
        self.policy.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set_policy(&self, policy: Arc<Policy>) {
        *self.policy.lock().unwrap_or_else(PoisonError::into_inner) = policy;
    }

    /// Why it is not open, if it is not.
    pub(super) fn shut(&self) -> Option<Shut> {
        match &*self.state.read().unwrap_or_else(PoisonError::into_inner) {
            State::Open(_) => None,
            State::Shut(shut, _) => Some(shut.clone()),
            State::Closed => Some(Shut::Closed),
        }
    }

    pub(super) fn aside(&self) -> Vec<String> {
        self.shelf.aside()
    }

    /// Runs `read` on a snapshot that has every change answered so far.
    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&ReadTransaction) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        if matches!(&*self.state.read().unwrap_or_else(PoisonError::into_inner), State::Shut(..)) {
            self.open_if_shut()?;
        }
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        // A damaged page makes redb panic; nothing of the snapshot outlives that.
        let result = catch_unwind(AssertUnwindSafe(|| match &*state {
            State::Open(database) => read(&database.begin_read()?),
            State::Shut(shut, _) => Err(Trouble::new(shut.clone())),
            State::Closed => Err(Trouble::new(Shut::Closed)),
        }));
        result.unwrap_or_else(|_| Err(Trouble::new("the database panicked")))
    }

    /// Makes `changes` in one transaction and brings it to disk. An error means that none was made, or that it is not known.
    /// What is not needed any more is in the second part.
    pub(super) fn apply(&self, changes: Vec<Change>) -> Result<(Vec<Effect>, Happened), Trouble> {
        self.open_if_shut()?;
        let policy = self.policy();
        let now = Moment { outbox_ms: self.clock().now_ms(), wall_ms: wall_ms() };
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let result = catch_unwind(AssertUnwindSafe(|| match &*state {
            State::Open(database) => {
                let transaction = database.begin_write()?;
                let (effects, happened, sums) = index::apply(&transaction, changes, &policy, now)?;
                transaction.commit()?;
                Ok((effects, happened, sums))
            }
            State::Shut(shut, _) => Err(Trouble::new(shut.clone())),
            State::Closed => Err(Trouble::new(Shut::Closed)),
        }));
        drop(state);
        match result.unwrap_or_else(|_| Err(Trouble::new("the database panicked"))) {
            Ok((effects, happened, sums)) => {
                self.gauges.set(&sums);
                self.gauges.count(&happened);
                Ok((effects, happened))
            }
            Err(trouble) => {
                self.fail(&trouble);
                Err(trouble)
            }
        }
    }

    /// Closes a file that failed; whoever needs it next opens it.
    fn fail(&self, trouble: &Trouble) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if matches!(&*state, State::Open(_)) {
            tracing::error!(outbox = self.name, error = %trouble, "an outbox failed, it is opened anew");
            self.gauges.failed();
            *state = State::Shut(Shut::Io(trouble.clone()), 0);
        }
    }

    /// A read failed: whoever needs the file next finds out what is wrong.
    pub(super) fn distrust(&self, trouble: &Trouble) {
        self.fail(trouble);
    }

    fn open_if_shut(&self) -> Result<(), Trouble> {
        let now_ms = self.clock().now_ms();
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let State::Shut(shut, tried_ms) = &*state else { return Ok(()) };
        if *tried_ms > 0 && now_ms < tried_ms.saturating_add(millis(limits::REOPEN_PAUSE)) {
            return Err(Trouble::new(shut.clone()));
        }
        let opened = self.reopened();
        let is_open = matches!(opened, State::Open(_));
        *state = opened;
        if is_open {
            tracing::info!(outbox = self.name, "an outbox is open again");
        }
        Ok(())
    }

    fn reopened(&self) -> State {
        let shut = match self.shelf.open() {
            Ok(database) => return self.opened(database),
            Err(Shut::Damaged(found)) if self.policy().when_damaged == WhenDamaged::BeginAnew => {
                match self.shelf.set_aside(wall_ms()) {
                    Ok(place) => {
                        self.gauges.damaged();
                        tracing::error!(
                            outbox = self.name, error = %found, place,
                            "an outbox was damaged: it was set aside, and an empty one takes its place"
                        );
                        match self.shelf.open() {
                            Ok(database) => return self.opened(database),
                            Err(shut) => shut,
                        }
                    }
                    Err(error) => Shut::Io(Trouble::new(error)),
                }
            }
            Err(shut) => shut,
        };
        tracing::error!(outbox = self.name, error = %shut, "an outbox stays closed");
        State::Shut(shut, self.clock().now_ms().max(1))
    }

    fn opened(&self, database: Database) -> State {
        match snapshot_sums(&database) {
            Ok(sums) => self.gauges.set(&sums),
            Err(trouble) => tracing::error!(outbox = self.name, error = %trouble, "an outbox cannot be read"),
        }
        State::Open(database)
    }

    pub(super) fn close(&self) {
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = State::Closed;
    }
}

fn snapshot_sums(database: &Database) -> Result<Sums, Trouble> {
    index::sums(&database.begin_read()?)
}
