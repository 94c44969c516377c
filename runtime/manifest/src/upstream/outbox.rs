//! How deferred calls to an upstream are kept and delivered, as declared.

use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::Serialize;
use toml::de::DeValue;

use super::retry::Backoff;
use crate::bytes::Bytes;
use crate::document::Table;
use crate::duration::Duration;
use crate::name::Name;
use crate::scalar::{Scalar, Trouble, choice};

/// Which calls are deferred.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Deferred {
    /// Those with `Prefer: respond-async`.
    #[default]
    Asked,
    /// All of them.
    Always,
}

/// How deferred calls are kept until they are delivered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Outbox {
    /// What waiting calls may take on disk together [default: 256MiB].
    pub bytes: Option<Bytes>,
    /// The longest that a call waits; then it is dead [default: 72h].
    pub age: Option<Duration>,
    /// The largest body of one call [default: 16MiB].
    pub body: Option<Bytes>,
    /// Which calls are delivered one after the other [default: per-key].
    pub order: Option<OutboxOrder>,
    /// What happens to a new call when there is no room [default: reject].
    pub when_full: Option<WhenFull>,
    /// What happens when the file is found to be damaged [default: begin-anew].
    pub when_damaged: Option<WhenDamaged>,
    /// Deliveries that the upstream may fail before the call is dead [default: 3].
    pub attempts: Option<NonZeroU32>,
    /// The pause after the first failed delivery, and the longest pause [default: 1m..5m].
    pub backoff: Option<Backoff>,
    /// Deliveries at a time [default: 4].
    pub concurrent: Option<NonZeroU32>,
    /// Deliveries begun per second [default: 500].
    pub per_second: Option<NonZeroU32>,
    /// When the upstream is back, deliveries begin at a random moment within this [default: 1m].
    pub jitter: Option<Duration>,
    /// For how long a second call with the same `Idempotency-Key` is the first one [default: 24h].
    pub dedupe: Option<Duration>,
    /// What kept answers may take together [default: 8MiB].
    pub answers: Option<Bytes>,
    /// For how long an answer is kept [default: 24h].
    pub answers_age: Option<Duration>,
    /// The function that is told of each answer.
    pub on_delivered: Option<Name>,
}

/// Which calls are delivered one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OutboxOrder {
    /// Those with the same `Rimward-Order-Key`; those without one are such a sequence too.
    PerKey,
    /// None.
    None,
    /// All.
    All,
}

/// What happens to a new call when there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WhenFull {
    /// It is refused.
    Reject,
    /// The calls that wait longest make room.
    DropOldest,
}

/// What happens when the file is found to be damaged. It is never deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WhenDamaged {
    /// It is set aside, and an empty one takes its place.
    BeginAnew,
    /// Calls are refused until an operator has seen to it.
    Refuse,
}

impl Outbox {
    /// `functions` are those of the app.
    pub(crate) fn read(table: &mut Table<'_>, functions: &[&str]) -> Option<Self> {
        let outbox = Self {
            bytes: table.optional("bytes"),
            age: table.optional("age"),
            body: table.optional("body"),
            order: table.optional("order"),
            when_full: table.optional("when-full"),
            when_damaged: table.optional("when-damaged"),
            attempts: table.optional("attempts"),
            backoff: table.optional("backoff"),
            concurrent: table.optional("concurrent"),
            per_second: table.optional("per-second"),
            jitter: table.optional("jitter"),
            dedupe: table.optional("dedupe"),
            answers: table.optional("answers"),
            answers_age: table.optional("answers-age"),
            on_delivered: table.optional_reference("on-delivered", "function", functions),
        };
        let bytes = outbox.bytes.map_or(crate::limits::OUTBOX_BYTES, Bytes::get);
        if outbox.body.is_some_and(|body| body.get() > bytes) {
            let message = format!("`body` is more than `bytes`, {bytes} bytes");
            table.problem_at("body", message, "a call must fit into the outbox");
        }
        Some(outbox)
    }
}

impl Scalar for Deferred {
    fn scalar(value: &DeValue<'_>) -> Result<Self, Trouble> {
        choice(value, &[("asked", Self::Asked), ("always", Self::Always)])
    }
}

impl Scalar for OutboxOrder {
    fn scalar(value: &DeValue<'_>) -> Result<Self, Trouble> {
        choice(value, &[("per-key", Self::PerKey), ("none", Self::None), ("all", Self::All)])
    }
}

impl Scalar for WhenFull {
    fn scalar(value: &DeValue<'_>) -> Result<Self, Trouble> {
        choice(value, &[("reject", Self::Reject), ("drop-oldest", Self::DropOldest)])
    }
}

impl Scalar for WhenDamaged {
    fn scalar(value: &DeValue<'_>) -> Result<Self, Trouble> {
        choice(value, &[("begin-anew", Self::BeginAnew), ("refuse", Self::Refuse)])
    }
}
