//! Deferred calls: the node writes the call to the upstream's outbox, says so at once, and delivers it when the upstream
//! can be reached. [`Deferred`] is what a function keeps of one; its state and its answer are asked for at the virtual
//! host `outbox.internal`, which is an ordinary call.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::{CallError, outcome};
use crate::{Body, Bytes, HeaderName, HeaderValue, Method, Request, Response, StatusCode, host};

/// What came of a call that was to be deferred.
#[derive(Debug)]
pub enum Sent {
    /// It is on disk, and will be delivered.
    Deferred(Deferred),
    /// The upstream has no outbox, so the call was sent at once, and this is the answer.
    Answered(Response),
}

impl Sent {
    pub(super) fn of(answer: Response) -> Self {
        match Deferred::of(&answer) {
            Some(deferred) => Self::Deferred(deferred),
            None => Self::Answered(answer),
        }
    }

    /// The call that waits, or [`CallError::NotAccepted`] where the upstream has no outbox and was called at once: for
    /// functions whose calls must not get lost.
    pub fn deferred(self) -> Result<Deferred, CallError> {
        match self {
            Self::Deferred(deferred) => Ok(deferred),
            Self::Answered(_) => Err(CallError::NotAccepted("the upstream has no outbox".to_owned())),
        }
    }
}

/// A call that was accepted into an outbox.
///
/// ```
/// use rimward_sdk::call::{self, Deferred, State};
/// use rimward_sdk::{Result, keyvalue::Store};
///
/// /// Sends a reading, and remembers which call that was.
/// async fn record(reading: String) -> Result<()> {
///     let call = call::upstream("cloud").post("/readings").body(reading).deferred().ordering_key("sensor-7");
///     let deferred = call.send().await?.deferred()?;
///     Store::open("calls")?.set("last", deferred.id())?;
///     Ok(())
/// }
///
/// /// Says what became of it.
/// async fn last() -> Result<String> {
///     let id = Store::open("calls")?.get("last")?.unwrap_or_default();
///     let status = Deferred::from_id(&String::from_utf8(id)?).status().await?;
///     Ok(match status {
///         Some(status) if status.state == State::Waiting => "on its way".to_owned(),
///         Some(status) => format!("{:?} after {} attempts", status.state, status.attempts),
///         None => "not known any more".to_owned(),
///     })
/// }
///
/// // In a test, calls wait until the test delivers them.
/// use rimward_sdk::test::{Host, get, post};
/// let host = Host::new().store("calls").upstream("cloud", async || ()).outbox("cloud");
/// assert_eq!(host.run(record, post("/", "21.5")).status(), 204);
/// assert_eq!(host.run(last, get("/")).text(), "on its way");
/// assert_eq!(host.deliver(), 1);
/// assert_eq!(host.run(last, get("/")).text(), "Delivered after 1 attempts");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deferred {
    id: String,
}

impl Deferred {
    /// The call with this id, which [`Deferred::id`] gave.
    pub fn from_id(id: &str) -> Self {
        Self { id: id.to_owned() }
    }

    /// The call that an answer accepts, if it accepts one: for calls that are deferred without asking for it
    /// (`deferred = "always"`).
    pub fn of<B>(answer: &Response<B>) -> Option<Self> {
        let is_accepted = answer.status() == StatusCode::ACCEPTED;
        is_accepted.then(|| outcome::deferred_id(answer.headers())).flatten().map(Self::from_id)
    }

    /// Its id, to be kept.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where it is, and its answer while that is kept; none where the id is not known, or not any more.
    pub async fn status(&self) -> Result<Option<Status>, CallError> {
        let answer = self.ask(Method::GET).await?;
        match answer.status() {
            StatusCode::OK => Status::read(answer).await.map(Some),
            StatusCode::NOT_FOUND => Ok(None),
            other => Err(CallError::Status(other)),
        }
    }

    /// Takes it back. False where it does not wait any more: it is being delivered, was delivered, is dead or unknown.
    pub async fn take_back(&self) -> Result<bool, CallError> {
        match self.ask(Method::DELETE).await?.status() {
            StatusCode::NO_CONTENT => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            other => Err(CallError::Status(other)),
        }
    }

    async fn ask(&self, method: Method) -> Result<Response, CallError> {
        let is_id =
            !self.id.is_empty() && self.id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !is_id {
            return Err(CallError::Name(self.id.clone()));
        }
        let uri = format!("http://outbox.internal/{}", self.id);
        let request = Request::builder().method(method).uri(uri).body(Body::empty());
        host::send(request.map_err(|error| CallError::Request(error.into()))?, None).await
    }
}

/// Where a deferred call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum State {
    /// It waits for its delivery, or for another one.
    Waiting,
    /// The upstream took it.
    Delivered,
    /// It is not delivered any more, unless an operator says so.
    Dead,
}

/// What is known of a deferred call.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Status {
    /// Where it is.
    pub state: State,
    /// Deliveries that the upstream failed or took. One that did not reach it is not counted.
    pub attempts: u32,
    /// The key that the upstream tells duplicates by.
    pub idempotency_key: String,
    /// How long ago it was accepted, or came to its end.
    pub age: Duration,
    /// When it is due, from now, while it waits.
    pub next_try: Option<Duration>,
    /// Why the last delivery failed.
    pub reason: Option<String>,
    /// The upstream's answer, while it is kept.
    pub answer: Option<Answer>,
}

/// The upstream's answer to a deferred call, as it was kept.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Answer {
    /// Its head and its body.
    pub response: Response<Bytes>,
    /// Whether the body is all of it. Of a body of more than 64 KiB, none is kept.
    pub is_whole: bool,
}

impl Status {
    async fn read(answer: Response) -> Result<Self, CallError> {
        let text: StatusText =
            answer.into_body().read_json().await.map_err(|error| CallError::Broken(error.to_string()))?;
        Ok(Self {
            state: text.state,
            attempts: text.attempts,
            idempotency_key: text.idempotency_key,
            age: Duration::from_millis(text.age_ms),
            next_try: text.next_try_ms.map(Duration::from_millis),
            reason: text.reason,
            answer: text.answer.map(AnswerText::read).transpose()?,
        })
    }
}

/// A status as the node writes it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct StatusText {
    pub(crate) state: State,
    pub(crate) attempts: u32,
    pub(crate) idempotency_key: String,
    pub(crate) age_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) next_try_ms: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) answer: Option<AnswerText>,
}

/// An answer as the node writes it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct AnswerText {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body_base64: String,
    pub(crate) is_whole: bool,
}

impl AnswerText {
    fn read(self) -> Result<Answer, CallError> {
        let broken = || CallError::Broken("the answer that was kept cannot be read".to_owned());
        let body = STANDARD.decode(self.body_base64).map_err(|_| broken())?;
        let mut response = Response::new(Bytes::from(body));
        *response.status_mut() = StatusCode::from_u16(self.status).map_err(|_| broken())?;
        for (name, value) in self.headers {
            let name = HeaderName::try_from(name).map_err(|_| broken())?;
            response.headers_mut().append(name, HeaderValue::try_from(value).map_err(|_| broken())?);
        }
        Ok(Answer { response, is_whole: self.is_whole })
    }

    /// An answer as a node would keep it.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn write(answer: &Response<Bytes>) -> Self {
        let text = |value: &HeaderValue| value.to_str().ok().map(str::to_owned);
        let headers = answer.headers().iter();
        Self {
            status: answer.status().as_u16(),
            headers: headers.filter_map(|(name, value)| Some((name.to_string(), text(value)?))).collect(),
            body_base64: STANDARD.encode(answer.body()),
            is_whole: true,
        }
    }
}
