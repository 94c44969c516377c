//! What an outbox holds and what became of its calls, as numbers for metrics: read at any time, without the disk.

use super::index::{Happened, Sums};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::Relaxed};

/// See the file's head.
#[derive(Debug, Default)]
pub(super) struct Gauges {
    mark: AtomicU32,
    calls: AtomicU64,
    bytes: AtomicU64,
    dead: AtomicU64,
    /// When the oldest waiting call was accepted, plus one; 0 for none.
    oldest: AtomicU64,
    telling_bytes: AtomicU64,
    deferred: AtomicU64,
    delivered: AtomicU64,
    died: AtomicU64,
    dropped: AtomicU64,
    buried: AtomicU64,
    refused: AtomicU64,
    failures: AtomicU64,
    damaged: AtomicU64,
}

/// What an outbox holds now, and what happened to its calls since the node started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Counts {
    /// Calls that wait.
    pub waiting: u64,
    /// What they take of the outbox's bytes.
    pub bytes: u64,
    /// How long the oldest of them has waited, in milliseconds.
    pub oldest_ms: u64,
    /// Dead calls.
    pub dead: u64,
    /// Calls accepted.
    pub deferred: u64,
    /// Calls delivered.
    pub delivered: u64,
    /// Calls that died.
    pub died: u64,
    /// Waiting calls that made room, or that an operator dropped.
    pub dropped: u64,
    /// Dead calls that were too old or too many.
    pub buried: u64,
    /// Calls refused: full, too large, or the disk failed.
    pub refused: u64,
    /// Failures of the disk or the file.
    pub failures: u64,
    /// Files that were damaged and set aside.
    pub damaged: u64,
}

impl Gauges {
    pub(super) fn set(&self, sums: &Sums) {
        self.mark.store(sums.mark, Relaxed);
        self.calls.store(sums.calls, Relaxed);
        self.bytes.store(sums.bytes, Relaxed);
        self.dead.store(sums.dead, Relaxed);
        self.oldest.store(sums.oldest_ms.map_or(0, |ms| ms + 1), Relaxed);
        self.telling_bytes.store(sums.telling_bytes, Relaxed);
    }

    pub(super) fn count(&self, happened: &Happened) {
        self.deferred.fetch_add(happened.deferred, Relaxed);
        self.delivered.fetch_add(happened.delivered, Relaxed);
        self.died.fetch_add(happened.died, Relaxed);
        self.dropped.fetch_add(happened.dropped, Relaxed);
        self.buried.fetch_add(happened.buried, Relaxed);
    }

    pub(super) fn refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    pub(super) fn failed(&self) {
        self.failures.fetch_add(1, Relaxed);
    }

    pub(super) fn damaged(&self) {
        self.damaged.fetch_add(1, Relaxed);
    }

    pub(super) fn mark(&self) -> u32 {
        self.mark.load(Relaxed)
    }

    /// Of waiting calls.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    pub(super) fn telling_bytes(&self) -> u64 {
        self.telling_bytes.load(Relaxed)
    }

    pub(super) fn counts(&self, now_ms: u64) -> Counts {
        let oldest = self.oldest.load(Relaxed).checked_sub(1);
        Counts {
            waiting: self.calls.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            oldest_ms: oldest.map_or(0, |oldest| now_ms.saturating_sub(oldest)),
            dead: self.dead.load(Relaxed),
            deferred: self.deferred.load(Relaxed),
            delivered: self.delivered.load(Relaxed),
            died: self.died.load(Relaxed),
            dropped: self.dropped.load(Relaxed),
            buried: self.buried.load(Relaxed),
            refused: self.refused.load(Relaxed),
            failures: self.failures.load(Relaxed),
            damaged: self.damaged.load(Relaxed),
        }
    }
}
