//! How an outbox behaves: what it holds, in which order it delivers, how often it tries. The defaults are those of the
//! house and each has its reason in [`limits`](crate::limits).

use crate::limits::outbox as limits;
use crate::random::Random;
use std::time::Duration;

/// See the file's head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What waiting calls may take together, in bytes.
    pub bytes_max: u64,
    /// The longest that a call waits; then it is dead.
    pub age_max: Duration,
    /// The largest body of one call, in bytes.
    pub body_bytes_max: u64,
    /// What is delivered before what.
    pub order: Order,
    /// What happens to a new call when there is no room.
    pub when_full: WhenFull,
    /// What happens when the file is found to be damaged.
    pub when_damaged: WhenDamaged,
    /// Deliveries that the upstream may fail before the call is dead.
    pub attempts: u32,
    /// The pause after each of those.
    pub backoff: Backoff,
    /// Deliveries under way at a time.
    pub concurrency: usize,
    /// Deliveries begun per second.
    pub per_second: u32,
    /// When the upstream is back, deliveries begin at a random moment within this.
    pub return_jitter: Duration,
    /// For how long a second call with the same `idempotency-key` is the first one.
    pub dedupe: Duration,
    /// What kept answers may take together, in bytes.
    pub answers_bytes_max: u64,
    /// For how long an answer is kept.
    pub answers_age: Duration,
    /// Whether a function is told of answers.
    pub tells: bool,
}

impl Policy {
    /// What the outbox may take on disk, in bytes: waiting calls, dead ones and answers.
    #[must_use]
    pub fn disk_bytes(&self) -> u64 {
        let dead = self.bytes_max / limits::DEAD_SHARE;
        self.bytes_max.saturating_add(dead).saturating_add(self.answers_bytes_max)
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            bytes_max: limits::BYTES_DEFAULT,
            age_max: limits::AGE_DEFAULT,
            body_bytes_max: limits::BODY_BYTES_DEFAULT,
            order: Order::PerKey,
            when_full: WhenFull::Reject,
            when_damaged: WhenDamaged::BeginAnew,
            attempts: limits::ATTEMPTS_DEFAULT,
            backoff: Backoff { first: limits::BACKOFF_FIRST, most: limits::BACKOFF_MOST },
            concurrency: limits::CONCURRENCY_DEFAULT,
            per_second: limits::PER_SECOND_DEFAULT,
            return_jitter: limits::RETURN_JITTER_DEFAULT,
            dedupe: limits::DEDUPE_DEFAULT,
            answers_bytes_max: limits::ANSWERS_BYTES_DEFAULT,
            answers_age: limits::ANSWERS_AGE_DEFAULT,
            tells: false,
        }
    }
}

/// What is delivered before what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Calls with the same key one after the other, as they came. Those without a key are such a sequence too.
    PerKey,
    /// Whatever is ready.
    None,
    /// All calls one after the other.
    All,
}

/// What happens to a new call when there is no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenFull {
    /// It is refused.
    Reject,
    /// The calls that wait longest make room; each is counted.
    DropOldest,
}

/// What happens when the file is found to be damaged. It is never deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenDamaged {
    /// It is set aside, and an empty one takes its place.
    BeginAnew,
    /// Calls are refused until an operator has seen to it.
    Refuse,
}

/// A pause that doubles.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// After the first failure.
    pub first: Duration,
    /// No pause is longer.
    pub most: Duration,
}

impl Backoff {
    /// After the `failures`th failure in a row: between half of the pause and all of it.
    pub(super) fn pause(self, failures: u32, random: &Random) -> Duration {
        let doubled = self.first.saturating_mul(1 << failures.saturating_sub(1).min(30));
        let full = doubled.min(self.most);
        full / 2 + random.up_to(full / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_doubles_up_to_the_longest_one() {
        let backoff = Backoff { first: Duration::from_secs(60), most: Duration::from_secs(100) };
        let random = Random::seeded(1);
        for (failures, full) in [(1, 60), (2, 100), (3, 100), (u32::MAX, 100)] {
            let pause = backoff.pause(failures, &random);
            assert!(pause >= Duration::from_secs(full) / 2 && pause <= Duration::from_secs(full));
        }
    }
}
