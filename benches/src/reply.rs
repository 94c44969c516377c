//! Finds the end of an HTTP/1.1 reply in what has arrived so far. Only what a load generator must know: the status, and
//! where the next reply begins. Bodies have a length or are chunked; one that ends with its connection is refused,
//! because the connection is to be used again.

use crate::limits::{REPLY_BYTES, REPLY_HEADERS};

/// What a complete reply was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reply {
    /// Its status code.
    pub status: u16,
    /// Head and body, bytes.
    pub bytes: usize,
}

/// Why it is no reply that can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAReply {
    /// It does not follow HTTP/1.1.
    #[error("the server sent something that is not an HTTP/1.1 reply")]
    Malformed,
    /// It has neither a length nor chunks.
    #[error("the server sent a reply that ends with its connection")]
    Unbounded,
    /// It is larger than [`REPLY_BYTES`].
    #[error("the server sent a reply of more than {REPLY_BYTES} bytes")]
    TooLarge,
}

/// How the end of a body is found.
enum Framing {
    Length(usize),
    Chunked,
}

/// The reply that `bytes` begins with, or `None` while more must arrive.
pub fn parse(bytes: &[u8]) -> Result<Option<Reply>, NotAReply> {
    let reply = match parse_head(bytes)? {
        Some((status, head, framing)) => {
            body_bytes(&bytes[head..], &framing)?.map(|body| Reply { status, bytes: head + body })
        }
        None => None,
    };
    match reply {
        Some(reply) if reply.bytes <= bytes.len() => Ok(Some(reply)),
        _ if bytes.len() > REPLY_BYTES => Err(NotAReply::TooLarge),
        _ => Ok(None),
    }
}

fn parse_head(bytes: &[u8]) -> Result<Option<(u16, usize, Framing)>, NotAReply> {
    let mut headers = [httparse::EMPTY_HEADER; REPLY_HEADERS];
    let mut head = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head_bytes) = head.parse(bytes).map_err(|_| NotAReply::Malformed)? else {
        return Ok(None);
    };
    let status = head.code.ok_or(NotAReply::Malformed)?;
    Ok(Some((status, head_bytes, framing(head.headers)?)))
}

fn framing(headers: &[httparse::Header<'_>]) -> Result<Framing, NotAReply> {
    let value = |name: &str| headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
    if value("transfer-encoding").is_some_and(|header| header.value.eq_ignore_ascii_case(b"chunked")) {
        return Ok(Framing::Chunked);
    }
    let length = value("content-length").ok_or(NotAReply::Unbounded)?;
    let length = std::str::from_utf8(length.value).ok().and_then(|text| text.parse().ok());
    Ok(Framing::Length(length.ok_or(NotAReply::Malformed)?))
}

/// The size of the body; of a chunked one only once its last chunk is there.
fn body_bytes(body: &[u8], framing: &Framing) -> Result<Option<usize>, NotAReply> {
    match framing {
        Framing::Length(length) => Ok(Some(*length)),
        Framing::Chunked => chunked_bytes(body),
    }
}

fn chunked_bytes(body: &[u8]) -> Result<Option<usize>, NotAReply> {
    const LINE_END: usize = 2;
    let mut at = 0;
    while let Some(rest) = body.get(at..) {
        match httparse::parse_chunk_size(rest).map_err(|_| NotAReply::Malformed)? {
            httparse::Status::Partial => return Ok(None),
            // The trailers that may follow end with an empty line; the servers that are measured send none.
            httparse::Status::Complete((line, 0)) => return Ok(Some(at + line + LINE_END)),
            httparse::Status::Complete((line, chunk)) => {
                let chunk = usize::try_from(chunk).map_err(|_| NotAReply::TooLarge)?;
                at = at.saturating_add(line).saturating_add(chunk).saturating_add(LINE_END);
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reply is complete at its last byte and not before, and what follows is not counted.
    fn check(text: &str, status: u16) {
        for end in 0..text.len() {
            assert_eq!(parse(&text.as_bytes()[..end]), Ok(None), "{end} bytes of {text:?}");
        }
        let reply = Reply { status, bytes: text.len() };
        assert_eq!(parse(text.as_bytes()), Ok(Some(reply)));
        assert_eq!(parse(format!("{text}HTTP/1.1 200 OK").as_bytes()), Ok(Some(reply)));
    }

    #[test]
    fn a_reply_ends_where_its_length_says() {
        check("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello", 200);
        check("HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", 503);
    }

    #[test]
    fn a_chunked_reply_ends_after_its_last_chunk() {
        check(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\nb\r\n, the world\r\n0\r\n\r\n",
            200,
        );
        check("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 200);
    }

    #[test]
    fn what_cannot_be_measured_is_refused() {
        assert_eq!(parse(b"SSH-2.0\r\n"), Err(NotAReply::Malformed));
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\n\r\nhello"), Err(NotAReply::Unbounded));
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\ncontent-length: x\r\n\r\n"), Err(NotAReply::Malformed));
    }

    #[test]
    fn a_reply_is_read_up_to_its_bound_and_no_further() {
        let reply = |body: usize| {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {body}\r\n\r\n").into_bytes();
            (head.len(), [head, vec![b'x'; body]].concat())
        };
        let (head, _) = reply(REPLY_BYTES);
        let (_, fits) = reply(REPLY_BYTES - head);
        assert_eq!(parse(&fits), Ok(Some(Reply { status: 200, bytes: REPLY_BYTES })));
        let (_, endless) = reply(2 * REPLY_BYTES);
        assert_eq!(parse(&endless[..REPLY_BYTES]), Ok(None));
        assert_eq!(parse(&endless[..=REPLY_BYTES]), Err(NotAReply::TooLarge));
    }

    #[test]
    fn a_reply_has_header_fields_up_to_their_bound_and_no_more() {
        let reply = |fields: usize| {
            let others = "a: b\r\n".repeat(fields - 1);
            parse(format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n{others}\r\n").as_bytes())
        };
        assert!(matches!(reply(REPLY_HEADERS), Ok(Some(_))));
        assert_eq!(reply(REPLY_HEADERS + 1), Err(NotAReply::Malformed));
    }
}
