//! The trait every store implements, and the words of its methods.
//!
//! The key-value capability holds an `Arc<dyn Store>` per granted store. Futures are boxed and own what they need, so
//! that the trait is object-safe and a caller may move them anywhere.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Debug;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;

/// What a store's method returns: a future that borrows nothing.
///
/// Dropping the future of a read loses nothing. Dropping that of a write only loses the answer: a write that was
/// polled once may still be applied.
pub type Answer<T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send>>;

/// A named set of keys with values. All methods are atomic, and each sees every write that was answered before it.
pub trait Store: Send + Sync + Debug {
    /// The entry at `key`, or `None` when there is none.
    fn get(&self, key: &str) -> Answer<Option<Entry>>;

    /// The keys after `cursor` in byte order (all keys without one), at most `limit` and at most
    /// [`Limits::page_keys_max`](crate::Limits::page_keys_max) of them, but at least one if there is one.
    fn keys(&self, cursor: Option<&str>, limit: usize) -> Answer<Page>;

    /// Applies all changes of `batch`, or none.
    fn write(&self, batch: Batch) -> Answer<()>;

    /// Sets `key` to `value` if its version is still `expected`, where `None` expects that there is no entry.
    fn compare_and_swap(&self, key: &str, expected: Option<Version>, value: Bytes) -> Answer<Swap>;

    /// Adds `delta` to the number at `key` and returns the sum; a missing entry counts as 0.
    ///
    /// The number is kept as decimal text, as Redis and most others do, so that `get` shows it to anyone.
    fn increment(&self, key: &str, delta: i64) -> Answer<i64>;
}

/// A value with the version it had when it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The value's bytes.
    pub value: Bytes,
    /// Changes with every write to the key, and never comes back, not even after a delete.
    pub version: Version,
}

/// Which write an entry comes from: one number per write of a store, rising.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version(pub(crate) u64);

/// Some of the keys of a store, in byte order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The keys.
    pub keys: Vec<String>,
    /// The cursor for the next page, or `None` when this is the last one.
    pub next: Option<String>,
}

impl Page {
    /// The first `limit` of `keys`, and where to go on if there are more.
    pub(crate) fn collect(
        mut keys: impl Iterator<Item = Result<String, StoreError>>,
        limit: usize,
    ) -> Result<Page, StoreError> {
        let page: Vec<String> = keys.by_ref().take(limit).collect::<Result<_, _>>()?;
        let next = keys.next().transpose()?.and_then(|_| page.last().cloned());
        Ok(Page { keys: page, next })
    }
}

/// How a compare-and-swap ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Swap {
    /// The value was set, and has this version now.
    Done(Version),
    /// The key had another version; this is its entry now.
    Conflict(Option<Entry>),
}

/// Changes that are applied together. The last change to a key wins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    changes: BTreeMap<String, Option<Bytes>>,
    bytes: usize,
}

impl Batch {
    /// A batch without changes.
    pub fn new() -> Batch {
        Batch::default()
    }

    /// Adds: set `key` to `value`.
    #[must_use]
    pub fn set(self, key: impl Into<String>, value: impl Into<Bytes>) -> Batch {
        self.change(key.into(), Some(value.into()))
    }

    /// Adds: remove `key`. It need not exist.
    #[must_use]
    pub fn delete(self, key: impl Into<String>) -> Batch {
        self.change(key.into(), None)
    }

    fn change(mut self, key: String, value: Option<Bytes>) -> Batch {
        let bytes = |value: &Option<Bytes>| value.as_ref().map_or(0, Bytes::len);
        self.bytes += bytes(&value);
        let key_bytes = key.len();
        match self.changes.insert(key, value) {
            Some(replaced) => self.bytes -= bytes(&replaced),
            None => self.bytes += key_bytes,
        }
        self
    }

    pub(crate) fn len(&self) -> usize {
        self.changes.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn changes(&self) -> impl Iterator<Item = (&str, Option<&Bytes>)> {
        self.changes.iter().map(|(key, value)| (key.as_str(), value.as_ref()))
    }
}

/// Why an operation on a store was refused or failed.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// The key is longer than the store allows.
    #[error("a key of {bytes} bytes is over the limit of {max}")]
    KeyTooLong {
        /// Its length.
        bytes: usize,
        /// [`Limits::key_bytes_max`](crate::Limits::key_bytes_max).
        max: usize,
    },
    /// The value is larger than the store allows.
    #[error("a value of {bytes} bytes is over the limit of {max}")]
    ValueTooLarge {
        /// Its length.
        bytes: usize,
        /// [`Limits::value_bytes_max`](crate::Limits::value_bytes_max).
        max: usize,
    },
    /// The batch has more changes than the store allows.
    #[error("a batch of {changes} changes is over the limit of {max}")]
    BatchTooLong {
        /// Its keys.
        changes: usize,
        /// [`Limits::batch_changes_max`](crate::Limits::batch_changes_max).
        max: usize,
    },
    /// The batch has more bytes than the store allows.
    #[error("a batch of {bytes} bytes is over the limit of {max}")]
    BatchTooLarge {
        /// Its keys and values.
        bytes: usize,
        /// [`Limits::batch_bytes_max`](crate::Limits::batch_bytes_max).
        max: usize,
    },
    /// The write would take the store over its quota. Deletes and smaller values still work.
    #[error("the store would hold {bytes} bytes, over its quota of {max}")]
    Full {
        /// What it would hold.
        bytes: u64,
        /// [`Limits::store_bytes_max`](crate::Limits::store_bytes_max).
        max: u64,
    },
    /// The value to increment is not a decimal number of 64 bits.
    #[error("the value to increment is not a number")]
    NotANumber,
    /// The sum does not fit 64 bits.
    #[error("the incremented number would overflow")]
    Overflow,
    /// Too many operations wait already; a later try may succeed.
    #[error("too many operations wait for the store")]
    Busy,
    /// The store was closed, because the node stops.
    #[error("the store is closed")]
    Closed,
    /// The disk or the file failed. Whether a write was applied is not known.
    #[error("the store failed")]
    Failed(#[source] Arc<dyn Error + Send + Sync>),
}

impl StoreError {
    pub(crate) fn failed(cause: impl Into<Box<dyn Error + Send + Sync>>) -> StoreError {
        StoreError::Failed(Arc::from(cause.into()))
    }
}
