//! What is known about a request before anything is decided: its id and its trace. Functions
//! get the trace of their invocation; a request without a valid one starts one (W3C Trace Context).

use crate::limits::REQUEST_ID_BYTES;
use http::header::HeaderName;
use http::{HeaderMap, HeaderValue, Request};
use rand::RngCore;
use std::sync::Arc;

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Names one request.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    pub(crate) request_id: Arc<str>,
    pub(crate) traceparent: HeaderValue,
}

impl Arrival {
    pub(crate) fn of<B>(request: &Request<B>) -> Self {
        let headers = request.headers();
        Self { request_id: request_id(headers), traceparent: traceparent(headers.get(TRACEPARENT)) }
    }

    /// What the function reads: the id and the trace of its own invocation, whatever the client sent.
    pub(crate) fn stamp(&self, headers: &mut HeaderMap) {
        let id = HeaderValue::from_str(&self.request_id).expect("request ids are plain");
        headers.insert(REQUEST_ID, id);
        headers.insert(TRACEPARENT, self.traceparent.clone());
    }

    /// The trace's id, 32 hexadecimal digits.
    pub(crate) fn trace_id(&self) -> &str {
        let text = self.traceparent.to_str().expect("made from ASCII");
        &text[3..35]
    }
}

fn request_id(headers: &HeaderMap) -> Arc<str> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let sent = headers.get(REQUEST_ID).map(HeaderValue::as_bytes);
    match sent.filter(|id| (1..=REQUEST_ID_BYTES).contains(&id.len()) && id.iter().copied().all(plain)) {
        Some(id) => std::str::from_utf8(id).expect("only ASCII is accepted").into(),
        None => {
            let mut id = [0; 16];
            rand::rng().fill_bytes(&mut id);
            hex(&id, &mut [0; 32]).into()
        }
    }
}

/// The trace goes on with a new parent: this invocation.
fn traceparent(sent: Option<&HeaderValue>) -> HeaderValue {
    let mut text = [b'-'; 55];
    text[..2].copy_from_slice(b"00");
    let mut random = [0; 24];
    rand::rng().fill_bytes(&mut random);
    match sent.map(HeaderValue::as_bytes).filter(|sent| is_traceparent(sent)) {
        Some(sent) => {
            text[3..35].copy_from_slice(&sent[3..35]);
            text[53..].copy_from_slice(&sent[53..55]);
        }
        None => {
            hex(&random[..16], &mut text[3..35]);
            text[53..].copy_from_slice(b"00");
        }
    }
    hex(&random[16..], &mut text[36..52]);
    HeaderValue::from_bytes(&text).expect("only ASCII")
}

/// Version 00, or a later one that begins like it.
fn is_traceparent(text: &[u8]) -> bool {
    let digits = |part: &[u8]| part.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let zero = |part: &[u8]| part.iter().all(|byte| *byte == b'0');
    text.len() >= 55
        && text[2] == b'-'
        && text[35] == b'-'
        && text[52] == b'-'
        && digits(&text[..2])
        && &text[..2] != b"ff"
        && (text.len() == 55 || (&text[..2] != b"00" && text[55] == b'-'))
        && digits(&text[3..35])
        && !zero(&text[3..35])
        && digits(&text[36..52])
        && !zero(&text[36..52])
        && digits(&text[53..55])
}

fn hex<'t>(bytes: &[u8], text: &'t mut [u8]) -> &'t str {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    std::str::from_utf8(text).expect("only ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn a_trace_goes_on_with_a_new_parent() {
        let next = traceparent(Some(&HeaderValue::from_static(SENT)));
        let next = next.to_str().unwrap();
        assert_eq!((&next[..36], &next[53..]), (&SENT[..36], &SENT[53..]));
        assert_ne!(next[36..52], SENT[36..52]);
    }

    #[test]
    fn a_trace_that_is_not_valid_is_replaced() {
        let check = |sent: &'static str| {
            let next = traceparent(Some(&HeaderValue::from_static(sent)));
            assert!(is_traceparent(next.as_bytes()), "{sent}");
            assert_ne!(next.as_bytes().get(3..35), sent.as_bytes().get(3..35), "{sent}");
        };
        check("");
        check("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331");
        check("00-00000000000000000000000000000000-b7ad6b7169203331-01");
        check("00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01");
        check("ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        check("00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
        check("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more");
    }

    #[test]
    fn a_request_id_is_kept_up_to_its_length_if_it_is_plain() {
        let kept = |id: &str| {
            let headers = HeaderMap::from_iter([(REQUEST_ID, HeaderValue::from_str(id).unwrap())]);
            &*request_id(&headers) == id
        };
        assert!(kept("a-B_c.1"));
        assert!(kept(&"x".repeat(REQUEST_ID_BYTES)));
        assert!(!kept(&"x".repeat(REQUEST_ID_BYTES + 1)));
        assert!(!kept(""));
        assert!(!kept("a b"));
        assert_eq!(request_id(&HeaderMap::new()).len(), 32);
    }
}
