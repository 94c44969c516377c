//! The request body on its way out, and its tie to the exchange it belongs to.
//!
//! hyper takes the body frame by frame as [`Upload`]; the exchange holds the other end as [`Hold`]. hyper
//! treats a failing body as a failed connection and throws an answer away that may already be there. So a failing
//! `Upload` never tells hyper: it tells the exchange, and stays pending. If there is an answer, the answer wins; if
//! not, the exchange fails with the body's error. Only when the exchange is over does a broken upload end, with an
//! error, so that the connection is closed or the stream reset, and half a request never looks whole.

use crate::{Body, Error, limits};
use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use std::pin::Pin;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::AcqRel, Ordering::Acquire, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::Instant;

/// A request body as hyper takes it: empty, or tied to its exchange.
#[derive(Default)]
pub(crate) struct Upload {
    streaming: Option<Streaming>,
}

struct Streaming {
    body: Body,
    /// Taken while deciding whether there is a body at all.
    first: Option<Frame<Bytes>>,
    /// Bytes still owed, where the length is declared.
    owed: Option<u64>,
    link: Arc<Link>,
}

impl Upload {
    /// Ties `body` to a new exchange. `declared` is the request's `content-length`.
    pub(crate) fn new(body: Body, declared: Option<u64>) -> Result<Self, Error> {
        let known = body.size_hint().exact();
        let is_contradicted = matches!((declared, known), (Some(declared), Some(known)) if declared != known);
        if is_contradicted {
            return Err(Error::RequestBodyLength);
        }
        if body.is_end_stream() {
            return Ok(Self::default());
        }
        let link = Arc::new(Link::new());
        Ok(Self { streaming: Some(Streaming { body, first: None, owed: declared.or(known), link }) })
    }

    /// Waits at most [`BODY_DECISION_MAX`](limits::BODY_DECISION_MAX) to learn whether there is a body at all.
    ///
    /// A guest may open a body for a GET and close it empty a moment later. Sent at once, that is a chunked GET,
    /// which some servers refuse. Dropping this loses the body.
    pub(crate) async fn decided(mut self) -> Result<Self, Error> {
        let Some(streaming) = &mut self.streaming else { return Ok(self) };
        match tokio::time::timeout(limits::BODY_DECISION_MAX, streaming.body.frame()).await {
            Err(_undecided) => Ok(self),
            Ok(None) if streaming.owed.unwrap_or(0) > 0 => Err(Error::RequestBodyLength),
            Ok(None) => Ok(Self::default()),
            Ok(Some(frame)) => {
                streaming.first = Some(frame?);
                Ok(self)
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.streaming.is_none()
    }

    /// Whether nobody declared how long this body is.
    pub(crate) fn is_unmeasured(&self) -> bool {
        self.streaming.as_ref().is_some_and(|streaming| streaming.owed.is_none())
    }

    /// The exchange's end of the tie.
    pub(crate) fn hold(&self) -> Hold {
        Hold(self.streaming.as_ref().map(|streaming| streaming.link.clone()))
    }
}

impl Streaming {
    /// The next frame of the producer, its length checked.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let next = match self.first.take() {
            Some(first) => Some(Ok(first)),
            None => std::task::ready!(Pin::new(&mut self.body).poll_frame(cx)),
        };
        Poll::Ready(match next {
            Some(Ok(frame)) => Some(self.counted(frame)),
            None if self.owed.unwrap_or(0) > 0 => Some(Err(Error::RequestBodyLength)),
            other => other,
        })
    }

    fn counted(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, Error> {
        let Some(owed) = &mut self.owed else { return Ok(frame) };
        *owed = match frame.data_ref() {
            Some(data) => owed.checked_sub(data.len() as u64).ok_or(Error::RequestBodyLength)?,
            None if *owed > 0 => return Err(Error::RequestBodyLength),
            None => 0,
        };
        Ok(frame)
    }
}

impl http_body::Body for Upload {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Some(streaming) = &mut self.streaming else { return Poll::Ready(None) };
        let link = streaming.link.clone();
        link.upload.register(cx.waker());
        if link.has(BROKEN) {
            return link.part();
        }
        match streaming.poll_next(cx) {
            Poll::Ready(Some(Err(error))) => link.break_off(error),
            Poll::Ready(frame) => {
                link.took();
                Poll::Ready(frame)
            }
            Poll::Pending => {
                link.taken.store(PRODUCER_OWES, Relaxed);
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.streaming.as_ref().is_none_or(|streaming| {
            streaming.first.is_none() && streaming.owed.unwrap_or(0) == 0 && streaming.body.is_end_stream()
        })
    }

    fn size_hint(&self) -> SizeHint {
        match &self.streaming {
            None => SizeHint::with_exact(0),
            Some(Streaming { owed: Some(owed), .. }) => SizeHint::with_exact(*owed),
            Some(_) => SizeHint::new(),
        }
    }
}

/// The body failed, or the exchange gave it up.
const BROKEN: u8 = 1;
/// The exchange has ended, well or not.
const OVER: u8 = 2;
/// In place of a time: the connection waits for the body's producer, so the server is not to blame.
const PRODUCER_OWES: u64 = u64::MAX;

/// What upload and exchange tell each other.
struct Link {
    state: AtomicU8,
    failure: OnceLock<Error>,
    started: Instant,
    /// When the connection last took something, nanoseconds since `started`, or [`PRODUCER_OWES`].
    taken: AtomicU64,
    exchange: AtomicWaker,
    upload: AtomicWaker,
}

impl Link {
    fn new() -> Self {
        Self {
            state: AtomicU8::new(0),
            failure: OnceLock::new(),
            started: Instant::now(),
            taken: AtomicU64::new(0),
            exchange: AtomicWaker::new(),
            upload: AtomicWaker::new(),
        }
    }

    fn has(&self, bit: u8) -> bool {
        self.state.load(Acquire) & bit != 0
    }

    fn took(&self) {
        let nanos = u64::try_from(self.started.elapsed().as_nanos()).unwrap_or(PRODUCER_OWES - 1);
        self.taken.store(nanos, Relaxed);
    }

    /// The body failed: tells the exchange, and keeps it from hyper while the exchange runs.
    fn break_off(&self, error: Error) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let _ = self.failure.set(error);
        self.state.fetch_or(BROKEN, AcqRel);
        self.exchange.wake();
        self.part()
    }

    fn part(&self) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if !self.has(OVER) {
            return Poll::Pending;
        }
        let error = self.failure.get().cloned();
        Poll::Ready(Some(Err(error.unwrap_or_else(|| Error::request_body(GivenUp)))))
    }

    fn end(&self, bits: u8) -> u8 {
        let before = self.state.fetch_or(OVER | bits, AcqRel);
        self.upload.wake();
        before
    }
}

/// The exchange was dropped while its request was still on the way.
#[derive(Debug, thiserror::Error)]
#[error("the exchange was given up")]
struct GivenUp;

/// The exchange's end of an upload. Dropping it gives the upload up.
pub(crate) struct Hold(Option<Arc<Link>>);

impl Hold {
    /// Ready when the body has failed.
    pub(crate) fn poll_failure(&self, cx: &mut Context<'_>) -> Poll<Error> {
        let Some(link) = &self.0 else { return Poll::Pending };
        link.exchange.register(cx.waker());
        link.failure.get().cloned().map_or(Poll::Pending, Poll::Ready)
    }

    /// Since when the server has had everything that there is of the request; `start` where there was no body.
    pub(crate) fn sent_at(&self, start: Instant) -> Instant {
        let Some(link) = &self.0 else { return start };
        match link.taken.load(Relaxed) {
            PRODUCER_OWES => Instant::now(),
            nanos => link.started + Duration::from_nanos(nanos),
        }
    }

    /// The response has ended well. False where the request has not, and never will.
    pub(crate) fn finish(mut self) -> bool {
        self.0.take().is_none_or(|link| link.end(0) & BROKEN == 0)
    }

    /// The request was never sent; its upload waits for another exchange.
    pub(crate) fn forget(mut self) {
        self.0 = None;
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Some(link) = self.0.take() {
            link.end(BROKEN);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::{StreamExt as _, stream};
    use http_body_util::StreamBody;

    fn body(frames: &[&'static str]) -> Body {
        let frames: Vec<_> =
            frames.iter().map(|data| Ok(Frame::data(Bytes::from_static(data.as_bytes())))).collect();
        StreamBody::new(stream::iter(frames)).boxed_unsync()
    }

    fn endless() -> Body {
        StreamBody::new(stream::pending::<Result<Frame<Bytes>, Error>>()).boxed_unsync()
    }

    fn broken() -> Body {
        let frames = vec![Err(Error::RequestBodyTooLarge)];
        StreamBody::new(stream::iter(frames)).boxed_unsync()
    }

    /// G18: longer, shorter, equal.
    #[tokio::test]
    async fn a_body_keeps_to_its_declared_length() {
        for (declared, frames, sound) in [
            (Some(4), &["ab", "cd"][..], true),
            (Some(3), &["ab", "cd"], false),
            (Some(5), &["ab", "cd"], false),
            (None, &["ab", "cd"], true),
            (Some(0), &["a"], false),
        ] {
            let upload = Upload::new(body(frames), declared).unwrap();
            let hold = upload.hold();
            let mut frames = std::pin::pin!(upload.into_data_stream());
            while let Poll::Ready(Some(_)) = futures_util::poll!(frames.next()) {}
            let failed = std::future::poll_fn(|cx| Poll::Ready(hold.poll_failure(cx).is_ready())).await;
            assert_eq!(failed, !sound, "{declared:?}");
        }
    }

    #[tokio::test]
    async fn a_known_length_and_a_declared_one_must_agree() {
        let full = || {
            http_body_util::Full::new(Bytes::from_static(b"abc"))
                .map_err(|never| match never {})
                .boxed_unsync()
        };
        let empty = || http_body_util::Empty::new().map_err(|never| match never {}).boxed_unsync();
        assert!(Upload::new(full(), Some(3)).is_ok());
        assert!(matches!(Upload::new(full(), Some(4)), Err(Error::RequestBodyLength)));
        assert!(matches!(Upload::new(empty(), Some(1)), Err(Error::RequestBodyLength)));
        assert!(Upload::new(empty(), Some(0)).unwrap().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_turns_out_empty_is_none() {
        assert!(Upload::new(body(&[]), None).unwrap().decided().await.unwrap().is_empty());
        assert!(!Upload::new(body(&["a"]), None).unwrap().decided().await.unwrap().is_empty());
        let failed = Upload::new(broken(), None).unwrap().decided().await;
        assert!(matches!(failed, Err(Error::RequestBodyTooLarge)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_undecided_body_is_waited_for_up_to_the_limit() {
        let start = Instant::now();
        assert!(!Upload::new(endless(), None).unwrap().decided().await.unwrap().is_empty());
        assert!((0..=1).contains(&(start.elapsed() - limits::BODY_DECISION_MAX).as_millis()));
    }

    #[tokio::test]
    async fn a_failed_body_is_kept_from_the_connection_until_the_exchange_is_over() {
        let mut upload = Upload::new(broken(), None).unwrap();
        let hold = upload.hold();
        assert!(futures_util::poll!(upload.frame()).is_pending());
        assert!(!hold.finish());
        assert!(matches!(upload.frame().await, Some(Err(Error::RequestBodyTooLarge))));
    }

    #[tokio::test]
    async fn an_upload_that_was_given_up_ends_with_an_error() {
        let mut upload = Upload::new(endless(), None).unwrap();
        let hold = upload.hold();
        assert!(futures_util::poll!(upload.frame()).is_pending());
        drop(hold);
        assert!(matches!(upload.frame().await, Some(Err(Error::RequestBody(_)))));
    }

    #[tokio::test]
    async fn an_upload_may_outlive_its_answer() {
        let mut upload = Upload::new(body(&["a"]), None).unwrap();
        assert!(upload.hold().finish());
        assert!(matches!(upload.frame().await, Some(Ok(_))));
        assert!(upload.frame().await.is_none());
    }
}
