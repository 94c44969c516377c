//! A deferred call as it is kept, and the ids it goes by.
//!
//! What is kept is what the function sent, without what the node adds on delivery: credentials never reach the disk.

use crate::Error;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use std::fmt;
use std::str::FromStr;

/// A deferred call of one outbox: which file holds it, and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    /// Drawn when the file was made: ids of a file that was set aside name nothing in its successor.
    pub(super) mark: u32,
    /// Counts up in the order in which calls were accepted.
    pub(super) number: u64,
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}-{}", self.mark, self.number)
    }
}

/// It is not an id of an outbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not an id of a deferred call")]
pub struct IdError;

impl FromStr for Id {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let (mark, number) = text.split_once('-').ok_or(IdError)?;
        let id = Self {
            mark: u32::from_str_radix(mark, 16).map_err(|_| IdError)?,
            number: number.parse().map_err(|_| IdError)?,
        };
        // One text per id: what names it in a log is what names it in a request.
        if id.to_string() == text { Ok(id) } else { Err(IdError) }
    }
}

/// A call that is to be kept.
#[derive(Clone, Debug)]
pub struct Draft {
    /// Its method.
    pub method: Method,
    /// Its path and query.
    pub path: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// The caller's idempotency key; one is made where there is none.
    pub key: Option<String>,
    /// The order key, for [`Order::PerKey`](super::Order::PerKey).
    pub lane: Option<String>,
    /// 0 is most urgent, 7 least (RFC 9218, section 4.1).
    pub urgency: u8,
}

/// A body that is to be kept, or is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// In the index.
    Inline(Bytes),
    /// In a file of its own.
    Blob { id: u64, bytes: u64 },
}

impl Content {
    pub(super) fn bytes(&self) -> u64 {
        match self {
            Self::Inline(bytes) => bytes.len() as u64,
            Self::Blob { bytes, .. } => *bytes,
        }
    }

    pub(super) fn blob(&self) -> Option<u64> {
        match self {
            Self::Inline(_) => None,
            Self::Blob { id, .. } => Some(*id),
        }
    }
}

/// A call as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Letter {
    pub(super) accepted_ms: u64,
    pub(super) urgency: u8,
    pub(super) key: String,
    /// Whether the caller brought the key, so that a second call with it is the same one.
    pub(super) is_callers_key: bool,
    pub(super) lane: Option<String>,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: Vec<u8>,
    pub(super) content: Content,
}

impl Letter {
    /// What it counts towards the outbox's bytes.
    pub(super) fn bytes(&self) -> u64 {
        let texts = self.key.len() * 2
            + self.lane.as_ref().map_or(0, String::len) * 2
            + self.method.len()
            + self.path.len()
            + self.headers.len();
        texts as u64 + self.content.bytes() + crate::limits::outbox::CALL_OVERHEAD_BYTES
    }
}

/// Headers as bytes: for each the lengths of name and value, and both.
pub(super) fn packed(headers: &HeaderMap) -> Vec<u8> {
    let mut out = Vec::new();
    for (name, value) in headers {
        let (name, value) = (name.as_str().as_bytes(), value.as_bytes());
        out.extend((name.len() as u32).to_le_bytes());
        out.extend((value.len() as u32).to_le_bytes());
        out.extend(name);
        out.extend(value);
    }
    out
}

/// The headers that [`packed`] wrote; `None` for anything else.
pub(super) fn unpacked(mut bytes: &[u8]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::new();
    while !bytes.is_empty() {
        let (name, rest) = bytes.split_first_chunk::<4>()?;
        let (value, rest) = rest.split_first_chunk::<4>()?;
        let (name, rest) = rest.split_at_checked(u32::from_le_bytes(*name) as usize)?;
        let (value, rest) = rest.split_at_checked(u32::from_le_bytes(*value) as usize)?;
        headers.append(HeaderName::from_bytes(name).ok()?, HeaderValue::from_bytes(value).ok()?);
        bytes = rest;
    }
    Some(headers)
}

/// Why a call was not accepted.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PushError {
    /// There is no room, and the policy says to refuse.
    #[error("the outbox is full")]
    Full,
    /// The body, or all of the call, is over its bound.
    #[error("the call is larger than {bytes_max} bytes, which is the most that the outbox takes")]
    TooLarge {
        /// The bound.
        bytes_max: u64,
    },
    /// Too many calls wait to be written.
    #[error("the outbox is busy")]
    Busy,
    /// The disk or the file failed. Nothing was accepted.
    #[error("the outbox cannot be written")]
    Failed(#[source] super::Trouble),
    /// The node stops.
    #[error("the outbox is closed")]
    Closed,
    /// The body ended with an error.
    #[error("the call's body could not be read")]
    Body(#[source] Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_reads_back_and_nothing_else_does() {
        let id = Id { mark: 0xab, number: 42 };
        assert_eq!(id.to_string(), "000000ab-42");
        assert_eq!("000000ab-42".parse(), Ok(id));
        for wrong in ["ab-42", "000000AB-42", "000000ab-042", "000000ab-+42", "-", "", "000000ab"] {
            assert_eq!(wrong.parse::<Id>(), Err(IdError), "{wrong}");
        }
    }

    #[test]
    fn headers_read_back_and_a_cut_is_noticed() {
        let mut headers = HeaderMap::new();
        headers.append("a", HeaderValue::from_static("1"));
        headers.append("a", HeaderValue::from_bytes(b"\xff").unwrap());
        let bytes = packed(&headers);
        assert_eq!(unpacked(&bytes), Some(headers));
        assert_eq!(unpacked(&bytes[..bytes.len() - 1]), None);
    }
}
