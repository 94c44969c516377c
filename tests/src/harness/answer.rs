//! Replies, and what a test says about them. Every reply is checked for what must always hold: it names its request, shows
//! no secret, came in time, and a failure that the node tells of is told in one way.

use crate::harness::connection::Connection;
use crate::harness::{DEADLINE, within};
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, Method, Response, StatusCode, Version};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use rimward_node::{Blame, CODES};
use std::fmt::{self, Write as _};
use std::time::{Duration, Instant};

/// A reply whose body was not read yet.
pub struct Open {
    connection: Connection,
    head: Head,
    body: Incoming,
}

#[derive(Clone)]
struct Head {
    method: Method,
    status: StatusCode,
    version: Version,
    headers: HeaderMap,
    started: Instant,
    /// From the call to the head of the reply.
    waited: Duration,
}

/// A complete reply.
pub struct Answer {
    head: Head,
    body: Bytes,
    trailers: HeaderMap,
}

impl Open {
    pub(crate) fn new(
        connection: Connection,
        method: &Method,
        reply: Response<Incoming>,
        started: Instant,
    ) -> Self {
        let (parts, body) = reply.into_parts();
        let head = Head {
            method: method.clone(),
            status: parts.status,
            version: parts.version,
            headers: parts.headers,
            started,
            waited: started.elapsed(),
        };
        head.check(&connection);
        Self { connection, head, body }
    }

    /// The status.
    pub fn status(&self) -> u16 {
        self.head.status.as_u16()
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }

    /// The next piece of the body; none at its end, an error where it is cut short.
    pub async fn piece(&mut self) -> Option<Result<Bytes, hyper::Error>> {
        loop {
            match within("the next piece of the reply", self.body.frame()).await? {
                Ok(frame) => match frame.into_data() {
                    Ok(data) if data.is_empty() => {}
                    Ok(data) => return Some(Ok(data)),
                    Err(_trailers) => {}
                },
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// The rest of the body and its trailers; a panic where it is cut short.
    pub async fn collect(self) -> Answer {
        let Self { connection, head, body } = self;
        let collected = within("the rest of the reply", body.collect()).await;
        let collected =
            collected.unwrap_or_else(|error| panic!("the reply {head:?} is cut short: {error:?}"));
        let trailers = collected.trailers().cloned().unwrap_or_default();
        let answer = Answer { head, body: collected.to_bytes(), trailers };
        answer.check(&connection);
        answer
    }

    /// What came before the reply was cut short; a panic where it ends as if it were complete.
    #[track_caller]
    pub fn is_cut_short(mut self) -> impl Future<Output = Bytes> {
        let caller = std::panic::Location::caller();
        async move {
            let mut read = BytesMut::new();
            loop {
                match self.piece().await {
                    Some(Ok(data)) => read.extend_from_slice(&data),
                    Some(Err(_)) => return read.freeze(),
                    None => panic!("{caller}: {:?} ended cleanly after {} bytes", self.head, read.len()),
                }
            }
        }
    }
}

impl Answer {
    /// The status is this.
    #[track_caller]
    pub fn is(&self, status: u16) -> &Self {
        assert_eq!(self.status(), status, "{self:?}");
        self
    }

    /// The body is this text.
    #[track_caller]
    pub fn says(&self, text: &str) -> &Self {
        assert_eq!(self.text(), text, "{self:?}");
        self
    }

    /// The body contains this text.
    #[track_caller]
    pub fn mentions(&self, text: &str) -> &Self {
        assert!(self.text().contains(text), "`{text}` is not in {self:?}");
        self
    }

    /// It has one header of this name, with this value.
    #[track_caller]
    pub fn has(&self, name: &str, value: &str) -> &Self {
        assert_eq!(self.header(name), Some(value), "`{name}` of {self:?}");
        assert_eq!(self.head.headers.get_all(name).iter().count(), 1, "`{name}` of {self:?}");
        self
    }

    /// It has no header of this name.
    #[track_caller]
    pub fn has_no(&self, name: &str) -> &Self {
        assert_eq!(self.header(name), None, "`{name}` of {self:?}");
        self
    }

    /// The node tells of a failure with this code, and with the status that belongs to it.
    #[track_caller]
    pub fn code(&self, code: &str) -> &Self {
        assert_eq!(self.problem()["code"], code, "{self:?}");
        self
    }

    /// The problem document.
    #[track_caller]
    pub fn problem(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }

    /// The status.
    pub fn status(&self) -> u16 {
        self.head.status.as_u16()
    }

    /// The value of the first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.header(name)
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// The trailers.
    pub fn trailers(&self) -> &HeaderMap {
        &self.trailers
    }

    /// The body.
    pub fn bytes(&self) -> &Bytes {
        &self.body
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// What it came over.
    pub fn version(&self) -> Version {
        self.head.version
    }

    /// The id of its request.
    pub fn request_id(&self) -> &str {
        self.header("x-request-id").expect("every reply has one")
    }

    /// From the call to the head of the reply.
    pub fn waited(&self) -> Duration {
        self.head.waited
    }

    fn check(&self, connection: &Connection) {
        assert!(self.head.started.elapsed() < DEADLINE, "too late: {self:?}");
        for secret in &*connection.secrets() {
            assert!(!self.text().contains(secret), "the reply to {:?} shows a secret", self.head);
            assert!(!format!("{:?}", self.trailers).contains(secret), "the trailers show a secret");
        }
        if self.head.headers.contains_key("proxy-status") && self.head.method != Method::HEAD {
            self.check_problem();
        }
    }

    /// A failure that the node tells of: the row of the public table and nothing beyond it.
    fn check_problem(&self) {
        let problem = self.problem();
        let row = CODES.iter().find(|row| problem["code"] == row.code);
        let row = row.unwrap_or_else(|| panic!("the code is not in the table: {self:?}"));
        self.is(row.status).has(CONTENT_TYPE.as_str(), "application/problem+json");
        let proxy_status = self.header("proxy-status").unwrap_or_default();
        let details = format!("; details=\"{}\"", row.code);
        let error = proxy_status.strip_prefix("rimward; error=").and_then(|rest| rest.strip_suffix(&details));
        let error = error.unwrap_or_else(|| panic!("another `proxy-status`: {self:?}"));
        // What a function answered with says more exactly what failed.
        let exact = row.blame == Blame::Upstream || row.code == "rimward.guest.error";
        assert!(error == row.proxy_error || exact, "{self:?}");
        assert_eq!(problem["status"], row.status, "{self:?}");
        assert_eq!(problem["title"], row.title, "{self:?}");
        assert_eq!(problem["type"], format!("urn:rimward:problem:{}", row.code), "{self:?}");
        assert_eq!(problem["request-id"], self.request_id(), "{self:?}");
        let members = problem.as_object().expect("a problem is an object").len();
        let wanted = if problem.get("detail").is_some() { 6 } else { 5 };
        assert_eq!(members, wanted, "callers read nothing else: {self:?}");
        let retry = matches!(row.status, 429 | 503);
        assert_eq!(self.head.headers.contains_key(RETRY_AFTER), retry, "{self:?}");
    }
}

impl Head {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("tests look at plain headers"))
    }

    fn check(&self, connection: &Connection) {
        let ids = self.headers.get_all("x-request-id").iter().count();
        assert_eq!(ids, 1, "every reply names its request: {self:?}");
        for name in ["traceparent", "proxy-authenticate", "host", "forwarded"] {
            assert!(!self.headers.contains_key(name), "`{name}` must not leave the node: {self:?}");
        }
        let text = format!("{:?}", self.headers);
        for secret in &*connection.secrets() {
            assert!(!text.contains(secret), "a header shows a secret");
        }
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} after {:?} {:?}", self.status, self.waited, self.headers)
    }
}

/// Short: a test prints it where something is not as it should be.
impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN_CHARS: usize = 1_000;
        let mut text: String = self.text().chars().take(SHOWN_CHARS).collect();
        if self.body.len() > SHOWN_CHARS {
            write!(text, "... ({} bytes)", self.body.len())?;
        }
        write!(f, "{:?} {:?} {text}", self.head, self.trailers)
    }
}
