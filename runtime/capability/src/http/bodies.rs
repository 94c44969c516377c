//! Bodies on their way into a guest and out of it.
//!
//! [`RequestBody`] is the client's body on its way to the guest: bounded in size, and its waiting does not count as the
//! guest's time. [`Draining`] is a guest's body on its way to an upstream: whoever sends it may stop early because the
//! peer has answered already; the guest must not see that as a failure of its write.

use super::outgoing::is_forbidden;
use super::wall::Wall;
use crate::limits::REQUEST_IDLE;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use tokio::time::Sleep;
use wasmtime_wasi_http::{Error, WasiBody};

/// A client's body on its way to a guest.
pub struct RequestBody<B> {
    body: B,
    left: u64,
    wall: Wall,
    fault: Arc<BodyFault>,
    idle: Option<Pin<Box<Sleep>>>,
}

/// What was wrong with a client's body, as far as it was read. The guest saw an error; this says whose fault it was.
#[derive(Debug, Default)]
pub struct BodyFault {
    over_limit: AtomicBool,
    client_gone: AtomicBool,
    timed_out: AtomicBool,
    answered: AtomicBool,
}

impl BodyFault {
    /// It had more bytes than it may have.
    pub fn over_limit(&self) -> bool {
        self.over_limit.load(Relaxed)
    }

    /// It stood still for longer than it may.
    pub fn timed_out(&self) -> bool {
        self.timed_out.load(Relaxed)
    }

    /// From here on it is told to the guest only: the caller has the head of a reply.
    pub fn answered(&self) {
        self.answered.store(true, Relaxed);
    }

    /// Whether the caller has the head of a reply.
    pub fn is_answered(&self) -> bool {
        self.answered.load(Relaxed)
    }

    /// It broke off.
    pub fn client_gone(&self) -> bool {
        self.client_gone.load(Relaxed)
    }
}

impl<B> RequestBody<B> {
    /// At most `bytes_max` bytes of `body`; `fault` tells what was wrong with it.
    pub fn new(body: B, bytes_max: u64, wall: Wall, fault: Arc<BodyFault>) -> Self {
        Self { body, left: bytes_max, wall, fault, idle: None }
    }

    /// Waits for the client, but not for ever.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.wall.wait();
        let idle = self.idle.get_or_insert_with(|| Box::pin(tokio::time::sleep(REQUEST_IDLE)));
        idle.as_mut().poll(cx)
    }
}

impl<B> Body for RequestBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::fmt::Display,
{
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) else {
            ready!(this.poll_idle(cx));
            this.fault.timed_out.store(true, Relaxed);
            return Poll::Ready(Some(Err(Error::ConnectionReadTimeout)));
        };
        this.wall.go_on();
        this.idle = None;
        let Some(frame) = frame else { return Poll::Ready(None) };
        let frame = frame.map_err(|_broken_off| {
            this.fault.client_gone.store(true, Relaxed);
            Error::ConnectionTerminated
        })?;
        if let Some(data) = frame.data_ref() {
            match this.left.checked_sub(data.len() as u64) {
                Some(left) => this.left = left,
                None => {
                    this.fault.over_limit.store(true, Relaxed);
                    return Poll::Ready(Some(Err(Error::HttpRequestBodySize(None))));
                }
            }
        }
        Poll::Ready(Some(Ok(without_forbidden(frame))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Trailers cannot say what headers must not: a guest sees neither.
fn without_forbidden(frame: Frame<Bytes>) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(trailers) => {
            let kept = trailers.iter().filter(|(name, _)| !is_forbidden(name));
            Frame::trailers(kept.map(|(name, value)| (name.clone(), value.clone())).collect())
        }
        Err(frame) => frame,
    }
}

/// A guest's outgoing body. When its reader drops it before its end, the rest is read and thrown away, so that the guest
/// can finish writing: a peer that answers before it has read everything is no error. It ends with the guest.
pub(crate) struct Draining {
    body: Option<WasiBody>,
}

impl Draining {
    pub(crate) fn new(body: WasiBody) -> Self {
        Self { body: (!body.is_end_stream()).then_some(body) }
    }
}

impl Body for Draining {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let frame = ready!(Pin::new(body).poll_frame(cx));
        if !matches!(frame, Some(Ok(_))) {
            self.body = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for Draining {
    fn drop(&mut self) {
        let Some(mut body) = self.body.take() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            use http_body_util::BodyExt;
            while let Some(Ok(_thrown_away)) = body.frame().await {}
        });
    }
}

/// A body that holds something until it has been read or dropped: a permit.
pub(crate) struct Holding<B, H> {
    body: B,
    held: Option<H>,
}

impl<B, H> Holding<B, H> {
    pub(crate) fn new(body: B, held: H) -> Self {
        Self { body, held: Some(held) }
    }
}

impl<B: Body + Unpin, H: Unpin> Body for Holding<B, H> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if frame.is_none() {
            self.held = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
