//! The bounds of a store, in one place: name, unit, default and the reason for it.
//!
//! [`Limits`] are per store and may be set by whoever opens it; the plain constants hold for every store of a process.
//! Reaching a bound is an error ([`StoreError`], [`OpenError`](crate::OpenError)), never a wait
//! without end.

use crate::store::{Batch, StoreError};

/// Longest key, in bytes of UTF-8. Long enough for a URL as a key, short enough that a page of keys stays small.
pub const KEY_BYTES_MAX: usize = 1024;

/// Largest value, in bytes. Fits a photo or a small model's state; larger objects belong in a blob store.
pub const VALUE_BYTES_MAX: usize = 1 << 20;

/// Keys in one page of a listing: at most 1 MiB of keys, so that listing a large store cannot exhaust memory.
pub const PAGE_KEYS_MAX: usize = 1000;

/// Changes in one batch. A batch holds up every other writer of its store until it is on disk.
pub const BATCH_CHANGES_MAX: usize = 1000;

/// Keys and values of one batch, in bytes: what a guest may hand over in one host call.
pub const BATCH_BYTES_MAX: usize = 4 << 20;

/// Bytes that one store may hold, counted as keys + values + [`ENTRY_OVERHEAD_BYTES`] each. The file is larger: pages
/// are copied on write and half full in the worst case.
pub const STORE_BYTES_MAX: u64 = 64 << 20;

/// Bytes that each entry counts beyond its key and value, so that a million tiny keys cost what they occupy.
pub const ENTRY_OVERHEAD_BYTES: u64 = 32;

/// Bytes of writes that wait for one store's writer; more are refused as busy. Four of the largest batches.
pub const WRITE_QUEUE_BYTES_MAX: usize = 16 << 20;

/// Bytes that each waiting write counts beyond its keys and values: at most 16384 writes wait.
pub const WRITE_OVERHEAD_BYTES: usize = 1024;

/// Bytes of writes that share one commit. More would only make the first of them wait longer.
pub const GROUP_BYTES_MAX: usize = 8 << 20;

/// Reads of all stores that wait for a reader thread; more are refused as busy.
pub const READ_QUEUE_MAX: usize = 1024;

/// Threads that read, shared by all stores of a process. A read is microseconds from memory and milliseconds from a
/// slow disk; four keep a flash card busy and cost little when idle.
pub const READER_THREADS: usize = 4;

/// Durable stores open at once in one process. Each has a writer thread and a cache.
pub const OPEN_STORES_MAX: usize = 128;

/// Bytes of pages that one durable store caches.
pub const CACHE_BYTES: usize = 2 << 20;

/// Stack of a reader or writer thread, in bytes: B-trees are shallow and no guest runs there.
pub const THREAD_STACK_BYTES: usize = 512 << 10;

/// The bounds of one store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest key; [`KEY_BYTES_MAX`].
    pub key_bytes_max: usize,
    /// Largest value; [`VALUE_BYTES_MAX`].
    pub value_bytes_max: usize,
    /// Keys per page of a listing; [`PAGE_KEYS_MAX`].
    pub page_keys_max: usize,
    /// Changes per batch; [`BATCH_CHANGES_MAX`].
    pub batch_changes_max: usize,
    /// Keys and values per batch; [`BATCH_BYTES_MAX`].
    pub batch_bytes_max: usize,
    /// The store's quota; [`STORE_BYTES_MAX`].
    pub store_bytes_max: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            key_bytes_max: KEY_BYTES_MAX,
            value_bytes_max: VALUE_BYTES_MAX,
            page_keys_max: PAGE_KEYS_MAX,
            batch_changes_max: BATCH_CHANGES_MAX,
            batch_bytes_max: BATCH_BYTES_MAX,
            store_bytes_max: STORE_BYTES_MAX,
        }
    }
}

impl Limits {
    pub(crate) fn check_key(&self, key: &str) -> Result<(), StoreError> {
        let (bytes, max) = (key.len(), self.key_bytes_max);
        if bytes > max { Err(StoreError::KeyTooLong { bytes, max }) } else { Ok(()) }
    }

    pub(crate) fn check_value(&self, value: &[u8]) -> Result<(), StoreError> {
        let (bytes, max) = (value.len(), self.value_bytes_max);
        if bytes > max { Err(StoreError::ValueTooLarge { bytes, max }) } else { Ok(()) }
    }

    pub(crate) fn check_batch(&self, batch: &Batch) -> Result<(), StoreError> {
        let (changes, max) = (batch.len(), self.batch_changes_max);
        if changes > max {
            return Err(StoreError::BatchTooLong { changes, max });
        }
        let (bytes, max) = (batch.bytes(), self.batch_bytes_max);
        if bytes > max {
            return Err(StoreError::BatchTooLarge { bytes, max });
        }
        batch.changes().try_for_each(|(key, value)| {
            self.check_key(key)?;
            value.map_or(Ok(()), |value| self.check_value(value))
        })
    }

    /// How many keys a page holds when `asked` were asked for: at least one, at most the bound.
    pub(crate) fn page_keys(&self, asked: usize) -> usize {
        asked.clamp(1, self.page_keys_max.max(1))
    }
}
