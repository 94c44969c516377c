//! The reply of a function: its head, and a body that is either complete or still being made by the guest. Reading a
//! streaming body runs the guest; dropping it before its end ends the guest, and so does leaving it unread for longer
//! than a body may stand still: an HTTP/2 client can keep its window shut for ever.

use super::call::{GuestFailure, Running, StreamLimits};
use super::idle::{Idle, Still};
use crate::models::ReplyParts;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use tokio::time::{Instant, Sleep};
use wasmtime_wasi_http::WasiBody;

/// The reply of a function.
pub type Reply = http::Response<ReplyBody>;

/// The body of a reply.
pub struct ReplyBody(Kind);

enum Kind {
    Collected { data: Option<Bytes>, trailers: Option<http::HeaderMap> },
    Parts { parts: std::vec::IntoIter<Bytes>, trailers: Option<http::HeaderMap> },
    Streaming(Arc<Mutex<Streaming>>),
    Ended,
}

/// The body ended before its end. The connection must not end it cleanly: the client must be able to tell.
#[derive(Debug, thiserror::Error)]
#[error("the reply was cut short")]
pub struct ReplyError(#[source] pub GuestFailure);

/// A body that the guest is still making.
pub(super) struct Streaming {
    running: Option<Running>,
    body: WasiBody,
    collected: Option<Bytes>,
    idle: Idle,
    max: Option<Pin<Box<Sleep>>>,
    limits: StreamLimits,
    started: Instant,
    /// Since when the reader could have asked for more and did not. `None` while it waits for the guest.
    unread_since: Option<Instant>,
}

impl ReplyBody {
    /// A complete body.
    pub fn collected(data: Bytes, trailers: Option<http::HeaderMap>) -> Self {
        Self(Kind::Collected { data: (!data.is_empty()).then_some(data), trailers })
    }

    /// The reply of a model.
    pub fn parts(reply: ReplyParts) -> Self {
        Self(Kind::Parts { parts: reply.parts.into_iter(), trailers: reply.trailers })
    }

    pub(super) fn streaming(streaming: Streaming) -> Self {
        let streaming = Arc::new(Mutex::new(streaming));
        tokio::spawn(end_unread(Arc::downgrade(&streaming)));
        Self(Kind::Streaming(streaming))
    }
}

impl Streaming {
    pub(super) fn new(
        running: Running,
        body: WasiBody,
        collected: Option<Bytes>,
        limits: StreamLimits,
    ) -> Self {
        let idle = Idle::new(limits.idle, limits.bytes_per_second_min);
        let max = limits.max.map(|max| Box::pin(tokio::time::sleep(max)));
        let started = Instant::now();
        let unread_since = Some(started);
        Self { running: Some(running), body, collected, idle, max, limits, started, unread_since }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ReplyError>>> {
        let frame = self.poll_guest(cx);
        self.unread_since = frame.is_ready().then(Instant::now);
        frame
    }

    /// When the guest is to be ended unless more is read; `None` while the reader waits for the guest.
    fn unread_until(&self) -> Option<Instant> {
        let idle = self.unread_since? + self.limits.idle;
        Some(self.limits.max.map_or(idle, |max| idle.min(self.started + max)))
    }

    fn poll_guest(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, ReplyError>>> {
        if let Some(data) = self.collected.take() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        let Some(running) = &mut self.running else {
            return Poll::Ready(Some(Err(ReplyError(GuestFailure::Idle))));
        };
        if self.max.as_mut().is_some_and(|max| max.as_mut().poll(cx).is_ready()) {
            return self.cut(GuestFailure::TooLong);
        }
        running.poll(cx);
        match Pin::new(&mut self.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(frame))) => {
                self.idle.moved(frame.data_ref().map_or(0, Bytes::len));
                Poll::Ready(Some(Ok(frame)))
            }
            Poll::Ready(Some(Err(error))) => {
                let failure = running.failure_or(GuestFailure::answered(error));
                self.cut(failure)
            }
            Poll::Ready(None) if running.is_ending() => Poll::Pending,
            Poll::Ready(None) => match running.failed() {
                Some(failure) => self.cut(failure),
                None => {
                    self.running.take().expect("it was there a moment ago").finish();
                    Poll::Ready(None)
                }
            },
            Poll::Pending => match running.unfinished() {
                Some(failure) => self.cut(failure),
                None => match self.idle.poll(cx) {
                    Poll::Ready(Still::Idle) => self.cut(GuestFailure::Idle),
                    Poll::Ready(Still::TooSlow) => self.cut(GuestFailure::TooSlow),
                    Poll::Pending => Poll::Pending,
                },
            },
        }
    }

    fn cut(&mut self, failure: GuestFailure) -> Poll<Option<Result<Frame<Bytes>, ReplyError>>> {
        let told = failure.again();
        if let Some(running) = self.running.take() {
            running.fail(failure);
        }
        Poll::Ready(Some(Err(ReplyError(told))))
    }
}

/// Ends the guest of a body that nobody reads. Connections do not poll a body that they cannot send, so the body's own
/// timers would not run. Its client is as good as gone.
async fn end_unread(streaming: Weak<Mutex<Streaming>>) {
    loop {
        let (due, idle) = {
            let Some(streaming) = streaming.upgrade() else { return };
            let mut streaming = lock(&streaming);
            let due = streaming.unread_until();
            if due.is_some_and(|due| due <= Instant::now()) {
                streaming.running = None;
                return;
            }
            (due, streaming.limits.idle)
        };
        // A reader that begins to lag now is found out after it has lagged for as long again, at the most.
        tokio::time::sleep_until(due.unwrap_or_else(|| Instant::now() + idle)).await;
    }
}

fn lock(streaming: &Mutex<Streaming>) -> MutexGuard<'_, Streaming> {
    streaming.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Body for ReplyBody {
    type Data = Bytes;
    type Error = ReplyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ReplyError>>> {
        match &mut self.0 {
            Kind::Collected { data, trailers } => {
                let frame = data.take().map(Frame::data).or_else(|| trailers.take().map(Frame::trailers));
                if data.is_none() && trailers.is_none() {
                    self.0 = Kind::Ended;
                }
                Poll::Ready(frame.map(Ok))
            }
            Kind::Parts { parts, trailers } => {
                let frame = parts.next().map(Frame::data).or_else(|| trailers.take().map(Frame::trailers));
                Poll::Ready(frame.map(Ok))
            }
            Kind::Streaming(streaming) => {
                let frame = lock(streaming).poll(cx);
                if matches!(frame, Poll::Ready(None | Some(Err(_)))) {
                    self.0 = Kind::Ended;
                }
                frame
            }
            Kind::Ended => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Collected { data, trailers } => data.is_none() && trailers.is_none(),
            Kind::Parts { parts, trailers } => parts.as_slice().is_empty() && trailers.is_none(),
            Kind::Streaming(_) => false,
            Kind::Ended => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Collected { data, trailers: None } => {
                SizeHint::with_exact(data.as_ref().map_or(0, |data| data.len() as u64))
            }
            Kind::Parts { parts, trailers: None } => {
                SizeHint::with_exact(parts.as_slice().iter().map(|part| part.len() as u64).sum())
            }
            Kind::Collected { .. } | Kind::Parts { .. } | Kind::Streaming(_) => SizeHint::default(),
            Kind::Ended => SizeHint::with_exact(0),
        }
    }
}
