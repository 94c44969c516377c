//! Replies that the node makes itself: problem documents (RFC 9457) with a stable code, and `Proxy-Status` (RFC 9209).

use crate::arrival::{Arrival, REQUEST_ID};
use crate::failure::Failure;
use crate::limits::RETRY_AFTER_S;
use bytes::Bytes;
use http::header::{ALLOW, CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, Entry, HeaderName, RETRY_AFTER};
use http::{HeaderValue, Method, Response, StatusCode};
use http_body::Body;
use http_body_util::BodyExt;
use rimward_capability::limits::LINGER;
use rimward_capability::{Reply, ReplyBody};

const PROXY_STATUS: HeaderName = HeaderName::from_static("proxy-status");
/// What this node calls itself in `proxy-status`.
const NODE_NAME: &str = "rimward";

const PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");

/// What the caller reads about a failure. Nothing about the node or the function beyond the code and its text.
pub(crate) fn problem(failure: &Failure, arrival: &Arrival) -> Reply {
    let row = failure.code();
    let detail = match failure {
        Failure::BadRequest(why) => Some((*why).to_owned()),
        Failure::BodyMalformed => Some("the request body is malformed or incomplete".to_owned()),
        Failure::BodyTooLarge { max } => Some(format!("this function accepts at most {max} bytes")),
        _ => None,
    };
    let mut document = serde_json::json!({
        "type": format!("urn:rimward:problem:{}", row.code),
        "title": row.title,
        "status": row.status,
        "code": row.code,
        "request-id": &*arrival.request_id,
    });
    if let Some(detail) = detail {
        document["detail"] = detail.into();
    }
    let text = serde_json::to_vec(&document).expect("a JSON value can be written");
    let mut reply = Response::new(ReplyBody::collected(Bytes::from(text), None));
    *reply.status_mut() = failure.status();
    let headers = reply.headers_mut();
    headers.insert(CONTENT_TYPE, PROBLEM);
    headers.insert(PROXY_STATUS, proxy_status(failure.proxy_error(), row.code));
    if failure.ends_connection() {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    if failure.retry_after() {
        headers.insert(RETRY_AFTER, HeaderValue::from(RETRY_AFTER_S));
    }
    if let Failure::Method { allow } = failure {
        let allow: Vec<_> = allow.iter().map(http::Method::as_str).collect();
        headers.insert(ALLOW, HeaderValue::from_str(&allow.join(", ")).expect("methods are tokens"));
    }
    stamp(&mut reply, arrival);
    reply
}

/// Takes from a function's reply what would tell of a failure of this node: only the node says that (RFC 9209, section 2,
/// has no word of an origin in this field).
pub(crate) fn unforged(reply: &mut Reply) {
    if let Entry::Occupied(told) = reply.headers_mut().entry(PROXY_STATUS)
        && told.iter().any(|value| names_us(value.as_bytes()))
    {
        told.remove_entry_mult();
    }
}

fn names_us(value: &[u8]) -> bool {
    let value = value.to_ascii_lowercase();
    value.windows(NODE_NAME.len()).any(|name| name == NODE_NAME.as_bytes())
}

/// Every reply names its request.
pub(crate) fn stamp(reply: &mut Reply, arrival: &Arrival) {
    let id = HeaderValue::from_str(&arrival.request_id).expect("request ids are plain");
    reply.headers_mut().insert(REQUEST_ID, id);
}

/// Replies to HEAD and those of some statuses have no content (RFC 9110, sections 6.4.1 and 9.3.2). For HEAD its length is
/// told where it is known. A guest that still makes the content gets a moment to finish.
pub(crate) fn fit(reply: &mut Reply, method: &Method) {
    let without = matches!(reply.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    if !without && *method != Method::HEAD {
        return;
    }
    let content = std::mem::replace(reply.body_mut(), ReplyBody::collected(Bytes::new(), None));
    if let (false, Some(length)) = (without, content.size_hint().exact()) {
        reply.headers_mut().entry(CONTENT_LENGTH).or_insert(HeaderValue::from(length));
    }
    if !content.is_end_stream() {
        tokio::spawn(tokio::time::timeout(LINGER, read_away(content)));
    }
}

async fn read_away(mut content: ReplyBody) {
    while let Some(Ok(_thrown_away)) = content.frame().await {}
}

fn proxy_status(error: &str, code: &str) -> HeaderValue {
    HeaderValue::from_str(&format!("{NODE_NAME}; error={error}; details=\"{code}\"")).expect("both are plain")
}
