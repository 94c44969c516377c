//! A body on its way to the caller, stored when all of it has passed. Half of one is never stored.

use super::Cache;
use super::entry::Entry;
use crate::{Body, Error};
use bytes::{Bytes, BytesMut};
use http::Response;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

struct Keeping {
    body: Body,
    held: Option<Held>,
}

struct Held {
    cache: Arc<Cache>,
    key: Arc<str>,
    entry: Entry,
    parts: Vec<Bytes>,
    bytes: usize,
}

/// `response`, whose body is stored with `entry` if it is not too large.
pub(super) fn keeping(
    cache: Arc<Cache>,
    key: Arc<str>,
    entry: Entry,
    response: Response<Body>,
) -> Response<Body> {
    if response.body().size_hint().lower() > cache.policy.body_bytes as u64 {
        return response;
    }
    let held = Held { cache, key, entry, parts: Vec::new(), bytes: 0 };
    if response.body().is_end_stream() {
        held.store();
        return response;
    }
    response.map(|body| Keeping { body, held: Some(held) }.boxed_unsync())
}

impl Held {
    /// Takes one more part; itself, if there is room for it.
    fn with(mut self, part: &Bytes) -> Option<Self> {
        self.bytes += part.len();
        // A copy, so that a small answer does not keep a large buffer of the connection.
        self.parts.push(Bytes::copy_from_slice(part));
        (self.bytes <= self.cache.policy.body_bytes).then_some(self)
    }

    fn store(self) {
        let Self { cache, key, mut entry, mut parts, bytes } = self;
        entry.body = match (parts.len(), parts.pop()) {
            (1, Some(only)) => only,
            (_, last) => {
                let mut whole = BytesMut::with_capacity(bytes);
                parts.iter().chain(&last).for_each(|part| whole.extend_from_slice(part));
                whole.freeze()
            }
        };
        cache.put(key, Arc::new(entry));
    }
}

impl http_body::Body for Keeping {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let next = ready!(Pin::new(&mut self.body).poll_frame(cx));
        self.held = match (&next, self.held.take()) {
            (Some(Ok(frame)), Some(held)) => frame.data_ref().and_then(|part| held.with(part)),
            (None, Some(held)) => {
                held.store();
                None
            }
            (Some(Err(_)), _) | (_, None) => None,
        };
        if self.body.is_end_stream()
            && let Some(held) = self.held.take()
        {
            held.store();
        }
        Poll::Ready(next)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
