//! What an operation does to a table: the one meaning of writes, swaps and increments that both backends share.
//!
//! A backend lends its table and its [`Ledger`] for the time of one operation, inside its own lock or transaction.
//! Limits and the quota are checked before anything is changed, so a refused operation leaves no trace and
//! the other operations of a group commit are not touched by it.

use bytes::Bytes;

use crate::limits::{ENTRY_OVERHEAD_BYTES, Limits};
use crate::store::{Batch, Entry, StoreError, Swap, Version};

/// Entries by key. An error is a failure of the disk, after which the table must not be committed.
pub(crate) trait Table {
    fn get(&self, key: &str) -> Result<Option<Entry>, StoreError>;
    fn set(&mut self, key: &str, entry: &Entry) -> Result<(), StoreError>;
    fn delete(&mut self, key: &str) -> Result<(), StoreError>;
}

/// What a store remembers beside its entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ledger {
    /// The sum of [`entry_bytes`] over all entries.
    pub(crate) used_bytes: u64,
    /// The version of the last write.
    pub(crate) version: u64,
}

/// Something to be done to a store.
#[derive(Debug)]
pub(crate) enum Operation {
    Write(Batch),
    Swap { key: String, expected: Option<Version>, value: Bytes },
    Increment { key: String, delta: i64 },
}

/// What an [`Operation`] answers, variant by variant.
#[derive(Debug)]
pub(crate) enum Outcome {
    Written,
    Swapped(Swap),
    Incremented(i64),
}

impl Outcome {
    pub(crate) fn written(self) {
        let Outcome::Written = self else { unreachable!("a write answers `Written`") };
    }

    pub(crate) fn swapped(self) -> Swap {
        let Outcome::Swapped(swap) = self else { unreachable!("a swap answers `Swapped`") };
        swap
    }

    pub(crate) fn incremented(self) -> i64 {
        let Outcome::Incremented(sum) = self else { unreachable!("an increment answers `Incremented`") };
        sum
    }
}

impl Operation {
    /// Checks sizes, before the operation waits for its turn.
    pub(crate) fn check(&self, limits: &Limits) -> Result<(), StoreError> {
        match self {
            Operation::Write(batch) => limits.check_batch(batch),
            Operation::Swap { key, value, .. } => {
                limits.check_key(key).and_then(|()| limits.check_value(value))
            }
            Operation::Increment { key, .. } => limits.check_key(key),
        }
    }

    /// Bytes of keys and values that it holds.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Operation::Write(batch) => batch.bytes(),
            Operation::Swap { key, value, .. } => key.len() + value.len(),
            Operation::Increment { key, .. } => key.len(),
        }
    }

    /// Does it. The caller has checked the sizes.
    pub(crate) fn apply(
        self,
        table: &mut impl Table,
        ledger: &mut Ledger,
        limits: &Limits,
    ) -> Result<Outcome, StoreError> {
        match self {
            Operation::Write(batch) => write(&batch, table, ledger, limits).map(|_| Outcome::Written),
            Operation::Swap { key, expected, value } => {
                let current = table.get(&key)?;
                if current.as_ref().map(|entry| entry.version) != expected {
                    return Ok(Outcome::Swapped(Swap::Conflict(current)));
                }
                let version = write(&Batch::new().set(key, value), table, ledger, limits)?;
                Ok(Outcome::Swapped(Swap::Done(version)))
            }
            Operation::Increment { key, delta } => {
                let number = table.get(&key)?.map_or(Ok(0), |entry| number(&entry.value))?;
                let sum = number.checked_add(delta).ok_or(StoreError::Overflow)?;
                write(&Batch::new().set(key, sum.to_string()), table, ledger, limits)?;
                Ok(Outcome::Incremented(sum))
            }
        }
    }
}

fn write(
    batch: &Batch,
    table: &mut impl Table,
    ledger: &mut Ledger,
    limits: &Limits,
) -> Result<Version, StoreError> {
    let used_bytes = used_after(batch, table, ledger)?;
    if used_bytes > limits.store_bytes_max && used_bytes > ledger.used_bytes {
        return Err(StoreError::Full { bytes: used_bytes, max: limits.store_bytes_max });
    }
    let version = Version(ledger.version + 1);
    for (key, value) in batch.changes() {
        match value {
            Some(value) => table.set(key, &Entry { value: value.clone(), version })?,
            None => table.delete(key)?,
        }
    }
    *ledger = Ledger { used_bytes, version: version.0 };
    Ok(version)
}

fn used_after(batch: &Batch, table: &impl Table, ledger: &Ledger) -> Result<u64, StoreError> {
    let mut used = ledger.used_bytes;
    for (key, value) in batch.changes() {
        let replaced = table.get(key)?.map_or(0, |entry| entry_bytes(key, &entry.value));
        used = used.saturating_sub(replaced) + value.map_or(0, |value| entry_bytes(key, value));
    }
    Ok(used)
}

/// What an entry counts towards the quota.
fn entry_bytes(key: &str, value: &[u8]) -> u64 {
    key.len() as u64 + value.len() as u64 + ENTRY_OVERHEAD_BYTES
}

fn number(value: &[u8]) -> Result<i64, StoreError> {
    std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).ok_or(StoreError::NotANumber)
}
