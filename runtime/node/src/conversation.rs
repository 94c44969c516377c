//! What a connection's two sides tell each other: the one that reads bytes and writes them ([`Patience`]), and the one
//! that answers requests. Over HTTP/1.1 there is one reply at a time.
//!
//! [`Patience`]: crate::patience::Patience

use crate::inspect::Fault;
use bytes::Bytes;
use futures_util::task::AtomicWaker;
use http_body::{Body, Frame, SizeHint};
use rimward_capability::{ReplyBody, ReplyError};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

/// One connection.
#[derive(Debug, Default)]
pub(crate) struct Conversation {
    answers: AtomicU8,
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
        Answering(self.clone())
    }

    /// Whether a reply is on its way; if so, `cx` is woken when it is over.
    pub(crate) fn is_answering(&self, cx: &Context<'_>) -> bool {
        self.waits.register(cx.waker());
        self.is_waiting.store(true, Relaxed);
        self.answers.load(Relaxed) > 0
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
    _answering: Option<Answering>,
}

impl Sending {
    pub(crate) fn new(body: ReplyBody, answering: Option<Answering>) -> Self {
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
