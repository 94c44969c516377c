//! Outboxes and their calls, as the admin API shows them.

use rimward_node::{OpenOutbox, outbox};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The outboxes that are open.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Outboxes {
    /// By tenant, app and upstream.
    pub outboxes: Vec<Outbox>,
}

/// An outbox, at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Outbox {
    /// Its full name: tenant, app and upstream.
    pub id: String,
    /// Calls that wait.
    pub waiting: u64,
    /// What they take, bytes.
    pub bytes: u64,
    /// What they may take, bytes.
    pub bytes_max: u64,
    /// How long the oldest of them has waited, milliseconds.
    pub oldest_ms: u64,
    /// Calls that are not delivered any more, and are kept.
    pub dead: u64,
    /// Calls accepted since the node started.
    pub deferred: u64,
    /// Calls that the upstream took.
    pub delivered: u64,
    /// Calls that came to their end undelivered.
    pub died: u64,
    /// Waiting calls that made room, or that were taken back.
    pub dropped: u64,
    /// Calls that were not accepted.
    pub refused: u64,
    /// Why it refuses calls, where its file cannot be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// Damaged files that were set aside and are still there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub set_aside: Vec<String>,
}

/// A page of calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct DeferredCalls {
    /// In the order in which they were accepted.
    pub calls: Vec<DeferredCall>,
    /// Where the next page begins: `after`; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// A deferred call. Times are milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct DeferredCall {
    /// Which call it is.
    pub id: String,
    /// Where it is.
    pub state: CallState,
    /// Its method; absent for a delivered one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub method: String,
    /// Its path and query.
    pub path: String,
    /// Its idempotency key.
    pub idempotency_key: String,
    /// Its order key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_key: Option<String>,
    /// Deliveries that the upstream failed or took.
    pub attempts: u32,
    /// How long ago it was accepted, or came to its end.
    pub age_ms: u64,
    /// When it is due, from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_try_ms: Option<u64>,
    /// Why the last delivery failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Its body's size in bytes, while it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body_bytes: Option<u64>,
    /// The status of the upstream's answer, while it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_status: Option<u16>,
}

/// Where a deferred call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum CallState {
    /// It waits for its delivery.
    Waiting,
    /// The upstream took it.
    Delivered,
    /// It is not delivered any more, unless an operator says so.
    Dead,
}

/// A change was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Done {
    /// Always true.
    pub done: bool,
}

impl Outbox {
    pub(crate) async fn of(open: &OpenOutbox) -> Self {
        let outbox::Counts {
            waiting,
            bytes,
            oldest_ms,
            dead,
            deferred,
            delivered,
            died,
            dropped,
            refused,
            ..
        } = open.outbox.counts();
        Self {
            id: format!("{}/{}/{}", open.tenant, open.app, open.upstream),
            waiting,
            bytes,
            bytes_max: open.outbox.policy().bytes_max,
            oldest_ms,
            dead,
            deferred,
            delivered,
            died,
            dropped,
            refused,
            problem: open.outbox.shut().map(|shut| shut.to_string()),
            // Where even that cannot be read, `problem` says so.
            set_aside: open.outbox.set_aside().await.unwrap_or_default(),
        }
    }
}

impl From<outbox::Status> for DeferredCall {
    fn from(status: outbox::Status) -> Self {
        Self {
            id: status.id,
            state: match status.state {
                outbox::Phase::Waiting => CallState::Waiting,
                outbox::Phase::Delivered => CallState::Delivered,
                outbox::Phase::Dead => CallState::Dead,
            },
            method: status.method,
            path: status.path,
            idempotency_key: status.idempotency_key,
            order_key: status.order_key,
            attempts: status.attempts,
            age_ms: status.age_ms,
            next_try_ms: status.next_try_ms,
            reason: status.reason,
            body_bytes: status.body_bytes,
            answer_status: status.answer.map(|answer| answer.status),
        }
    }
}
