//! What may be known of a deferred call: for the app that owns it, and for the operator.

use super::index::{Answered, Found};
use super::letter::{Id, Letter, unpacked};
use base64::Engine as _;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use serde::{Deserialize, Serialize};

/// Where a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// It waits for its delivery, or for another one.
    Waiting,
    /// The upstream took it.
    Delivered,
    /// It is not delivered any more, unless an operator says so.
    Dead,
}

/// A call's status. Times are milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Status {
    /// Which call it is.
    pub id: String,
    /// Where it is.
    pub state: Phase,
    /// Its method; empty for a delivered one.
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
    /// The upstream's answer, while it is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<AnswerText>,
}

/// An answer in a status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct AnswerText {
    /// Its status.
    pub status: u16,
    /// Its headers; a value that is not text is left out.
    pub headers: Vec<(String, String)>,
    /// Its body in base64 (RFC 4648, section 4).
    pub body_base64: String,
    /// Whether that is all of it.
    pub is_whole: bool,
}

/// A kept answer, for the function that is to be told of it.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Of which call.
    pub id: Id,
    /// That call's idempotency key.
    pub key: String,
    /// That call's path.
    pub path: String,
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, as much of it as was kept.
    pub body: Bytes,
    /// Whether that is all of it.
    pub is_whole: bool,
}

impl Status {
    pub(super) fn of(id: Id, found: Found, now_ms: u64) -> Option<Self> {
        let age = |ms: u64| now_ms.saturating_sub(ms);
        let of_letter = |letter: Letter, state| Self {
            id: id.to_string(),
            state,
            body_bytes: Some(letter.content.bytes()),
            age_ms: age(letter.accepted_ms),
            method: letter.method,
            path: letter.path,
            idempotency_key: letter.key,
            order_key: letter.lane.filter(|lane| !lane.is_empty()),
            attempts: 0,
            next_try_ms: None,
            reason: None,
            answer: None,
        };
        Some(match found {
            Found::Nothing => return None,
            Found::Waiting(letter, tries) => Self {
                attempts: tries.attempts,
                next_try_ms: Some(tries.due_ms.saturating_sub(now_ms)),
                reason: Some(tries.reason).filter(|reason| !reason.is_empty()),
                ..of_letter(letter, Phase::Waiting)
            },
            Found::Dead(letter, end) => Self {
                attempts: end.attempts,
                reason: Some(end.reason),
                age_ms: age(end.at_ms),
                ..of_letter(letter, Phase::Dead)
            },
            Found::Delivered(kept) => Self {
                id: id.to_string(),
                state: Phase::Delivered,
                method: String::new(),
                path: kept.path,
                idempotency_key: kept.key,
                order_key: None,
                attempts: kept.attempts,
                age_ms: age(kept.at_ms),
                next_try_ms: None,
                reason: None,
                body_bytes: None,
                answer: Some(AnswerText::of(&kept.answer)),
            },
        })
    }
}

impl AnswerText {
    fn of(answer: &Answered) -> Self {
        let headers = unpacked(&answer.headers).unwrap_or_default();
        let text = |value: &http::HeaderValue| value.to_str().ok().map(str::to_owned);
        Self {
            status: answer.status,
            headers: headers
                .iter()
                .filter_map(|(name, value)| Some((name.as_str().to_owned(), text(value)?)))
                .collect(),
            body_base64: base64::engine::general_purpose::STANDARD.encode(&answer.body),
            is_whole: answer.is_whole,
        }
    }
}
