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
use std::time::Duration;
use tokio::time::{Instant, Sleep};
use wasmtime_wasi_http::{Error, WasiBody};

/// A client's body on its way to a guest.
pub struct RequestBody<B> {
    body: B,
    left: u64,
    rate_min: u32,
    wall: Wall,
    fault: Arc<BodyFault>,
    came: u64,
    waited: Duration,
    waiting: Option<Waiting>,
}

/// How much of a client's body is taken, and how slowly.
#[derive(Debug, Clone, Copy)]
pub struct BodyLimits {
    /// Bytes in all.
    pub bytes_max: u64,
    /// Bytes for each second that is waited for it, after the first [`REQUEST_IDLE`]; 0 for no such limit. It ends with the
    /// head of the reply: what is exchanged after that is the function's.
    pub rate_min: u32,
}

/// A wait for the client that goes on.
struct Waiting {
    since: Instant,
    end: Pin<Box<Sleep>>,
}

/// What was wrong with a client's body, as far as it was read. The guest saw an error; this says whose fault it was.
#[derive(Debug, Default)]
pub struct BodyFault {
    over_limit: AtomicBool,
    malformed: AtomicBool,
    client_gone: AtomicBool,
    timed_out: AtomicBool,
    answered: AtomicBool,
}

impl BodyFault {
    /// It had more bytes than it may have.
    pub fn over_limit(&self) -> bool {
        self.over_limit.load(Relaxed)
    }

    /// It is not framed as its protocol says.
    pub fn malformed(&self) -> bool {
        self.malformed.load(Relaxed)
    }

    /// It came more slowly than it may, or stood still for longer.
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
    /// So much of `body`; `fault` tells what was wrong with it.
    pub fn new(body: B, limits: BodyLimits, wall: Wall, fault: Arc<BodyFault>) -> Self {
        let BodyLimits { bytes_max, rate_min } = limits;
        Self { body, left: bytes_max, rate_min, wall, fault, came: 0, waited: Duration::ZERO, waiting: None }
    }

    /// Waits for the client, but not for ever.
    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.wall.wait();
        if self.waiting.is_none() {
            let end = Box::pin(tokio::time::sleep(self.patience()));
            self.waiting = Some(Waiting { since: Instant::now(), end });
        }
        let Some(waiting) = &mut self.waiting else { return Poll::Pending };
        waiting.end.as_mut().poll(cx)
    }

    /// How long the next wait may be: so long for the next byte, and no longer in all than for that much at the slowest.
    fn patience(&self) -> Duration {
        if self.rate_min == 0 || self.fault.is_answered() {
            return REQUEST_IDLE;
        }
        let slowest = Duration::from_millis(self.came.saturating_mul(1000) / u64::from(self.rate_min));
        REQUEST_IDLE.min((REQUEST_IDLE + slowest).saturating_sub(self.waited))
    }

    fn came(&mut self, bytes: u64) {
        self.came += bytes;
        self.wall.go_on();
        if let Some(waiting) = self.waiting.take() {
            self.waited += waiting.since.elapsed();
        }
    }
}

impl<B> Body for RequestBody<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
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
        let data = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref());
        this.came(data.map_or(0, |data| data.len() as u64));
        let Some(frame) = frame else { return Poll::Ready(None) };
        let frame = frame.map_err(|error| {
            let error = error.into();
            let fault = if is_malformed(&*error) { &this.fault.malformed } else { &this.fault.client_gone };
            fault.store(true, Relaxed);
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

/// Whether a body broke off because its bytes are not what its protocol says, and not because they stopped.
fn is_malformed(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut error = Some(error);
    while let Some(cause) = error {
        if let Some(cause) = cause.downcast_ref::<std::io::Error>() {
            return matches!(
                cause.kind(),
                std::io::ErrorKind::InvalidInput | std::io::ErrorKind::InvalidData
            );
        }
        error = cause.source();
    }
    false
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

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;
    use std::convert::Infallible;

    /// How long a client that sends `bytes` every `pause` is waited for; `None` if that is for as long as it likes.
    async fn waited(bytes: usize, pause: Duration, rate_min: u32, answered: bool) -> Option<Duration> {
        let dripping = futures_util::stream::unfold((), move |()| async move {
            tokio::time::sleep(pause).await;
            Some((Ok::<_, Infallible>(Frame::data(Bytes::from(vec![b'x'; bytes]))), ()))
        });
        let fault = Arc::<BodyFault>::default();
        if answered {
            fault.answered();
        }
        let limits = BodyLimits { bytes_max: u64::MAX, rate_min };
        let body = http_body_util::StreamBody::new(Box::pin(dripping));
        let mut body = RequestBody::new(body, limits, Wall::start(Duration::from_secs(1)), fault.clone());
        let started = Instant::now();
        while started.elapsed() < REQUEST_IDLE * 100 {
            if body.frame().await.unwrap().is_err() {
                assert!(fault.timed_out());
                return Some(started.elapsed());
            }
        }
        None
    }

    /// H2: a client that sends a byte now and then does not hold a permit for ever.
    #[tokio::test(start_paused = true)]
    async fn a_body_must_come_at_a_rate() {
        let second = Duration::from_secs(1);
        assert_eq!(waited(1, REQUEST_IDLE + second, 0, false).await, Some(REQUEST_IDLE));
        assert_eq!(waited(1, REQUEST_IDLE - second, 0, false).await, None);
        let dripping = waited(1, REQUEST_IDLE - second, 500, false).await.unwrap();
        assert!((REQUEST_IDLE..REQUEST_IDLE + second / 10).contains(&dripping), "{dripping:?}");
        // The clock of the test has whole milliseconds, and rounds up.
        assert_eq!(waited(501, second, 500, false).await, None, "at the limit");
        let half = waited(250, second, 500, false).await.unwrap();
        assert!((REQUEST_IDLE * 2 - second..=REQUEST_IDLE * 2 + second).contains(&half), "{half:?}");
        assert_eq!(waited(1, REQUEST_IDLE - second, 500, true).await, None, "the function talks with it");
    }
}
