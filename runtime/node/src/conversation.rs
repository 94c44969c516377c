//! What a connection's two sides tell each other: the one that reads bytes and writes them ([`Patience`]), and the one
//! that answers requests. Over HTTP/1.1 there is one reply at a time, over HTTP/2 one for each stream.
//!
//! [`Patience`]: crate::patience::Patience

use crate::inspect::Fault;
use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http_body::{Body, Frame, SizeHint};
use rimward_capability::{ReplyBody, ReplyError};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

/// One connection.
#[derive(Debug, Default)]
pub(crate) struct Conversation {
    answers: AtomicU32,
    /// Requests so far; it may begin anew.
    asked: AtomicU32,
    /// Woken when a reply is over.
    waits: AtomicWaker,
    is_waiting: AtomicBool,
    fault: OnceLock<Fault>,
}

/// A reply on its way, until it is dropped.
#[derive(Debug)]
pub(crate) struct Answering(Arc<Conversation>);

impl Conversation {
    /// A request came, and its reply is on its way.
    pub(crate) fn answer(self: &Arc<Self>) -> Answering {
        self.answers.fetch_add(1, Relaxed);
        self.asked.fetch_add(1, Relaxed);
        Answering(self.clone())
    }

    /// Whether a reply is on its way; if so, `cx` is woken when it is over.
    pub(crate) fn is_answering(&self, cx: &Context<'_>) -> bool {
        self.waits.register(cx.waker());
        self.is_waiting.store(true, Relaxed);
        self.answers.load(Relaxed) > 0
    }

    /// Until there was nothing to answer for so long; noticed after twice that at the latest.
    pub(crate) async fn idle(&self, time: Duration) {
        loop {
            let asked = self.asked.load(Relaxed);
            tokio::time::sleep(time).await;
            if self.answers.load(Relaxed) == 0 && self.asked.load(Relaxed) == asked {
                return;
            }
        }
    }

    /// Nothing more is read, for this reason.
    pub(crate) fn fault(&self, fault: Fault) {
        // The first is the one that counts.
        let _ = self.fault.set(fault);
    }

    /// Why nothing more was read.
    pub(crate) fn found(&self) -> Option<Fault> {
        self.fault.get().copied()
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.answers.fetch_sub(1, Relaxed);
        // Whoever waits is on the same thread; a reply that nobody waits for costs no more than this.
        if self.0.is_waiting.load(Relaxed) {
            self.0.waits.wake();
        }
    }
}

/// The body of a reply, which is on its way for as long as this lives.
pub(crate) struct Sending {
    body: ReplyBody,
    _answering: Answering,
}

impl Sending {
    pub(crate) fn new(body: ReplyBody, answering: Answering) -> Self {
        Self { body, _answering: answering }
    }
}

impl Body for Sending {
    type Data = Bytes;
    type Error = ReplyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, ReplyError>>> {
        Pin::new(&mut self.body).poll_frame(cx)
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
    use tokio::time::Instant;

    /// H11, H17: a connection that is not used, that is, and that has one long reply.
    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_when_nothing_was_asked_for_so_long() {
        let time = Duration::from_secs(300);
        let conversation = Arc::<Conversation>::default();
        let started = Instant::now();
        conversation.idle(time).await;
        assert_eq!(started.elapsed(), time);
        let answering = conversation.answer();
        assert!(tokio::time::timeout(time * 10, conversation.idle(time)).await.is_err(), "a long reply");
        drop(answering);
        let asking = async {
            loop {
                tokio::time::sleep(time / 2).await;
                drop(conversation.answer());
            }
        };
        let idle = tokio::time::timeout(time * 10, conversation.idle(time));
        tokio::select! {
            () = asking => {}
            idle = idle => assert!(idle.is_err(), "it is asked now and then"),
        }
    }
}
