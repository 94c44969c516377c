//! A request that can be sent more than once.
//!
//! The first try streams the body through without delay; what has passed is kept as long as it fits into
//! [`REPLAY_BYTES_MAX`](limits::REPLAY_BYTES_MAX). A later try reads what was kept and then goes on with the rest.
//! A body that did not fit belongs to the try that reads it, and the request cannot be sent again. A body that nobody
//! has begun to read can be sent whatever its size. Requests without a body, and those that are tried once, cost nothing.

use crate::{Body, Error, limits};
use bytes::Bytes;
use http::{HeaderMap, Request, request};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker, ready};

/// A request before and between its tries.
pub(crate) struct Replay {
    head: request::Parts,
    body: Source,
}

enum Source {
    Empty,
    Once(Option<Body>),
    Kept(Arc<Kept>),
}

/// The body and what of it is kept, shared by the tries that read it.
struct Kept {
    length: SizeHint,
    inner: Mutex<Inner>,
}

struct Inner {
    /// `None` once it has ended.
    body: Option<Body>,
    pieces: Vec<Piece>,
    bytes: usize,
    failure: Option<Error>,
    /// The reader that goes on alone, once the body did not fit.
    alone: Option<u32>,
    readers: u32,
    waiting: Vec<Waker>,
}

enum Piece {
    Data(Bytes),
    Trailers(HeaderMap),
}

/// One try's view of the body.
struct Reader {
    kept: Arc<Kept>,
    number: u32,
    next: usize,
    bytes: u64,
    is_over: bool,
}

impl Replay {
    /// `is_kept`: whether there may be more tries than one.
    pub(crate) fn new(request: Request<Body>, is_kept: bool) -> Self {
        let (head, body) = request.into_parts();
        let body = if body.is_end_stream() {
            Source::Empty
        } else if is_kept {
            Source::Kept(Arc::new(Kept {
                length: body.size_hint(),
                inner: Mutex::new(Inner {
                    body: Some(body),
                    pieces: Vec::new(),
                    bytes: 0,
                    failure: None,
                    alone: None,
                    readers: 0,
                    waiting: Vec::new(),
                }),
            }))
        } else {
            Source::Once(Some(body))
        };
        Self { head, body }
    }

    pub(crate) fn head(&self) -> &request::Parts {
        &self.head
    }

    pub(crate) fn headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.head.headers
    }

    /// Whether the request can be sent (once more).
    pub(crate) fn is_possible(&self) -> bool {
        match &self.body {
            Source::Empty => true,
            Source::Once(body) => body.is_some(),
            Source::Kept(kept) => {
                let inner = kept.lock();
                inner.alone.is_none() && inner.failure.is_none()
            }
        }
    }

    /// Whether all of the request is here, so that two tries can have it at a time.
    pub(crate) fn is_whole(&self) -> bool {
        match &self.body {
            Source::Empty => true,
            Source::Once(_) => false,
            Source::Kept(kept) => {
                let inner = kept.lock();
                inner.body.is_none() && inner.alone.is_none() && inner.failure.is_none()
            }
        }
    }

    /// The request for one try. Only where it [is possible](Self::is_possible).
    pub(crate) fn request(&mut self) -> Request<Body> {
        let body = match &mut self.body {
            Source::Empty => empty(),
            Source::Once(body) => body.take().unwrap_or_else(empty),
            Source::Kept(kept) => Reader::new(kept.clone()).boxed_unsync(),
        };
        Request::from_parts(self.head.clone(), body)
    }
}

/// Allocates nothing.
fn empty() -> Body {
    http_body_util::Empty::new().map_err(|never| match never {}).boxed_unsync()
}

impl Kept {
    /// A panic in the body's producer leaves what was kept as it was.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    /// The piece `number` for `reader`, from what is kept or from the body. `None` at its end.
    fn poll_piece(
        &mut self,
        number: usize,
        reader: u32,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if let Some(alone) = self.alone {
            return if alone == reader {
                self.poll_body(cx)
            } else {
                Poll::Ready(Some(Err(Error::request_body(GivenUp))))
            };
        }
        if let Some(piece) = self.pieces.get(number) {
            return Poll::Ready(Some(Ok(piece.frame())));
        }
        if let Some(failure) = &self.failure {
            return Poll::Ready(Some(Err(failure.clone())));
        }
        let Poll::Ready(next) = self.poll_body(cx) else {
            if !self.waiting.iter().any(|waker| waker.will_wake(cx.waker())) {
                self.waiting.push(cx.waker().clone());
            }
            return Poll::Pending;
        };
        match &next {
            Some(Ok(frame)) => self.keep(frame, reader),
            Some(Err(error)) => self.failure = Some(error.clone()),
            None => {}
        }
        self.wake();
        Poll::Ready(next)
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let next = ready!(Pin::new(&mut *body).poll_frame(cx));
        // So that a body whose length is known counts as whole as soon as it is.
        if next.is_none() || body.is_end_stream() {
            self.body = None;
        }
        Poll::Ready(next)
    }

    /// Keeps a piece; or gives everything up, if that would be too much, and leaves the rest to its reader.
    fn keep(&mut self, frame: &Frame<Bytes>, reader: u32) {
        let piece = match frame.data_ref() {
            Some(data) => Piece::Data(data.clone()),
            None => Piece::Trailers(frame.trailers_ref().cloned().unwrap_or_default()),
        };
        self.bytes += piece.bytes();
        if self.bytes > limits::REPLAY_BYTES_MAX || self.pieces.len() >= limits::REPLAY_PIECES_MAX {
            self.pieces = Vec::new();
            self.alone = Some(reader);
        } else {
            self.pieces.push(piece);
        }
    }

    /// The body remembers who polled it last; everybody else is woken here.
    fn wake(&mut self) {
        self.waiting.drain(..).for_each(Waker::wake);
    }
}

impl Piece {
    fn frame(&self) -> Frame<Bytes> {
        match self {
            Self::Data(data) => Frame::data(data.clone()),
            Self::Trailers(trailers) => Frame::trailers(trailers.clone()),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Data(data) => data.len(),
            Self::Trailers(trailers) => {
                trailers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
            }
        }
    }
}

impl Reader {
    fn new(kept: Arc<Kept>) -> Self {
        let mut inner = kept.lock();
        let number = inner.readers;
        inner.readers += 1;
        drop(inner);
        Self { kept, number, next: 0, bytes: 0, is_over: false }
    }
}

impl http_body::Body for Reader {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let next = ready!(self.kept.lock().poll_piece(self.next, self.number, cx));
        self.next += 1;
        match &next {
            Some(Ok(frame)) => self.bytes += frame.data_ref().map_or(0, |data| data.len() as u64),
            Some(Err(_)) | None => self.is_over = true,
        }
        Poll::Ready(next)
    }

    fn is_end_stream(&self) -> bool {
        let inner = self.kept.lock();
        let is_read = inner.alone.is_some() || self.next >= inner.pieces.len();
        self.is_over || is_read && inner.body.is_none() && inner.failure.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match self.kept.length.exact() {
            Some(length) => SizeHint::with_exact(length.saturating_sub(self.bytes)),
            None => SizeHint::new(),
        }
    }
}

impl Drop for Reader {
    /// The body may remember this reader's waker only; whoever else waits must ask again.
    fn drop(&mut self) {
        self.kept.lock().wake();
    }
}

/// The try that read this body was over, and the body did not fit into the replay buffer.
#[derive(Debug, thiserror::Error)]
#[error("the body goes on with another try")]
struct GivenUp;

#[cfg(test)]
mod tests;
