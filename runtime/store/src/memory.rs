//! A store that lives as long as its process: for tests, `rimward invoke`, and whoever wants no disk.
//!
//! The same meaning as the durable store (both run [`Operation`]s) behind one lock that is held for microseconds.
//! Bounded by its quota; it cannot fail otherwise.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;

use crate::ledger::{Ledger, Operation, Outcome, Table};
use crate::limits::Limits;
use crate::store::{Answer, Batch, Entry, Page, Store, StoreError, Swap, Version};

#[derive(Clone, Debug)]
pub(crate) struct Memory {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    entries: BTreeMap<String, Entry>,
    ledger: Ledger,
    limits: Limits,
}

impl Memory {
    pub(crate) fn new(limits: Limits) -> Memory {
        let state = State { entries: BTreeMap::new(), ledger: Ledger::default(), limits };
        Memory { state: Arc::new(Mutex::new(state)) }
    }

    pub(crate) fn configure(&self, limits: Limits) {
        self.lock().limits = limits;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no operation panics while it holds the lock")
    }

    fn run<T: Send + 'static>(&self, operation: Operation, answer: fn(Outcome) -> T) -> Answer<T> {
        let this = self.clone();
        Box::pin(async move {
            let State { entries, ledger, limits } = &mut *this.lock();
            operation.check(limits)?;
            operation.apply(entries, ledger, limits).map(answer)
        })
    }
}

impl Store for Memory {
    fn get(&self, key: &str) -> Answer<Option<Entry>> {
        let (this, key) = (self.clone(), key.to_owned());
        Box::pin(async move {
            let state = this.lock();
            state.limits.check_key(&key)?;
            Ok(state.entries.get(&key).cloned())
        })
    }

    fn keys(&self, cursor: Option<&str>, limit: usize) -> Answer<Page> {
        let (this, cursor) = (self.clone(), cursor.map(str::to_owned));
        Box::pin(async move {
            let state = this.lock();
            let after = cursor.map_or(Bound::Unbounded, Bound::Excluded);
            let keys = state.entries.range((after, Bound::Unbounded)).map(|(key, _)| Ok(key.clone()));
            Page::collect(keys, state.limits.page_keys(limit))
        })
    }

    fn write(&self, batch: Batch) -> Answer<()> {
        self.run(Operation::Write(batch), Outcome::written)
    }

    fn compare_and_swap(&self, key: &str, expected: Option<Version>, value: Bytes) -> Answer<Swap> {
        self.run(Operation::Swap { key: key.to_owned(), expected, value }, Outcome::swapped)
    }

    fn increment(&self, key: &str, delta: i64) -> Answer<i64> {
        self.run(Operation::Increment { key: key.to_owned(), delta }, Outcome::incremented)
    }
}

impl Table for BTreeMap<String, Entry> {
    fn get(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        Ok(BTreeMap::get(self, key).cloned())
    }

    fn set(&mut self, key: &str, entry: &Entry) -> Result<(), StoreError> {
        self.insert(key.to_owned(), entry.clone());
        Ok(())
    }

    fn delete(&mut self, key: &str) -> Result<(), StoreError> {
        self.remove(key);
        Ok(())
    }
}
