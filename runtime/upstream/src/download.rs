//! The response body on its way in: bounded in time, and the place where a connection goes back to its pool.
//!
//! Polled by whoever reads the response. Dropping it before the end cancels the exchange: an HTTP/1.1 connection is closed,
//! an HTTP/2 stream reset. One timer, armed only when the body first makes its reader wait, and moved rather than
//! re-armed per frame; time that the reader takes is not charged to the server.

use crate::pool::Lease;
use crate::timeouts::Clock;
use crate::upload::Hold;
use crate::{Body, Error};
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::time::{Instant, Sleep, sleep_until};

pub(crate) struct Download {
    incoming: Incoming,
    clock: Clock,
    /// What goes back when the body has ended; `None` from then on, or after a failure.
    exchange: Option<(Lease, Hold)>,
    /// Since when the reader has been waiting for a frame.
    waiting: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Download {
    /// The body of a response; the connection goes back at once where there is none.
    pub(crate) fn body(incoming: Incoming, lease: Lease, hold: Hold, clock: Clock) -> Body {
        if incoming.is_end_stream() {
            give_back(lease, hold);
            return http_body_util::Empty::new().map_err(|never| match never {}).boxed_unsync();
        }
        Self { incoming, clock, exchange: Some((lease, hold)), waiting: None, timer: None }.boxed_unsync()
    }

    fn received(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, Error> {
        self.waiting = None;
        if self.incoming.is_end_stream() {
            self.finish();
        } else if self.clock.is_over(Instant::now()) {
            return Err(self.fail(Error::TotalTimeout));
        }
        Ok(frame)
    }

    fn finish(&mut self) {
        if let Some((lease, hold)) = self.exchange.take() {
            give_back(lease, hold);
        }
    }

    /// Ends the exchange: the connection is closed, or the stream reset.
    fn fail(&mut self, error: Error) -> Error {
        self.exchange = None;
        error
    }

    /// Ready when the reader has waited too long.
    fn poll_expired(&mut self, cx: &mut Context<'_>) -> Poll<Error> {
        let since = *self.waiting.get_or_insert_with(Instant::now);
        let limit = self.clock.between_bytes(since);
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(limit.at)));
        while timer.as_mut().poll(cx).is_ready() {
            if timer.deadline() >= limit.at {
                return Poll::Ready(limit.expired);
            }
            timer.as_mut().reset(limit.at);
        }
        Poll::Pending
    }
}

fn give_back(lease: Lease, hold: Hold) {
    if hold.finish() {
        lease.release();
    }
}

impl http_body::Body for Download {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        if self.exchange.is_none() {
            return Poll::Ready(None);
        }
        let next = match Pin::new(&mut self.incoming).poll_frame(cx) {
            Poll::Ready(next) => next,
            Poll::Pending => return self.poll_expired(cx).map(|error| Some(Err(self.fail(error)))),
        };
        Poll::Ready(match next {
            Some(Ok(frame)) => Some(self.received(frame)),
            Some(Err(error)) => Some(Err(self.fail(Error::in_body(error)))),
            None => {
                self.finish();
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.exchange.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
