//! How long a connection waits for its client: to begin, to read, and to end.
//!
//! A client that does not say which protocol it speaks within [`HEAD_TIME`] is closed: hyper's own limits on a slow client
//! begin when that is known. One that takes no bytes for [`WRITE_STALL`] is closed too; that timer is armed only while a
//! write waits. One that has closed its side after its request gets the reply that it waits for, if something is written
//! to it now and then: closed on one side looks the same as gone. And where the node closes, the client may still be sending, because a reply can come before the request has
//! been read. Closing with unread bytes resets the connection, and the client may lose the reply that it has not read yet
//! (RFC 9112, section 9.6). So this side is closed first, and what still comes is read and thrown away for a while.

use crate::conversation::Conversation;
use crate::inspect::Inspection;
use crate::limits::{FAREWELL_BYTES, FAREWELL_QUIET, FAREWELL_TIME, HEAD_TIME, WRITE_STALL};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// A connection with limits on how long its client is waited for.
pub(crate) struct Patience<I> {
    io: I,
    /// What the client speaks, and whether it may.
    inspection: Inspection,
    conversation: Arc<Conversation>,
    /// When the protocol must be known.
    deadline: Option<Pin<Box<Sleep>>>,
    /// When the write that waits must have gone on.
    writing: Option<Pin<Box<Sleep>>>,
    /// How long a client that has closed its side may wait for the next byte.
    half_closed_time: Duration,
    /// When that is over.
    half_closed: Option<Pin<Box<Sleep>>>,
    /// This side is closed.
    closing: Option<Closing>,
}

/// What still comes from a client whose connection is closed on this side.
struct Closing {
    bytes: usize,
    since: Instant,
    quiet: Pin<Box<Sleep>>,
}

impl<I> Patience<I> {
    pub(crate) fn new(io: I, conversation: Arc<Conversation>, half_closed_time: Duration) -> Self {
        Self {
            io,
            inspection: Inspection::default(),
            conversation,
            deadline: None,
            writing: None,
            half_closed_time,
            half_closed: None,
            closing: None,
        }
    }

    /// The client sends nothing more. Where a reply is on its way, hyper is not told of it for as long as that goes on.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let answering = self.conversation.is_answering(cx) || self.writing.is_some();
        let waits = answering && self.inspection.is_between_requests();
        if !waits {
            return Poll::Ready(Ok(()));
        }
        let time = self.half_closed_time;
        let half_closed = self.half_closed.get_or_insert_with(|| Box::pin(tokio::time::sleep(time)));
        half_closed.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }

    fn wrote(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = written {
            self.inspection.wrote(bytes);
            if let Some(half_closed) = &mut self.half_closed {
                half_closed.as_mut().reset(Instant::now() + self.half_closed_time);
                // The last of a reply: hyper then looks whether there is another request.
                cx.waker().wake_by_ref();
            }
        }
        self.check(cx, written)
    }

    fn check<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.writing = None;
            return written;
        }
        let waiting = self.writing.get_or_insert_with(|| Box::pin(tokio::time::sleep(WRITE_STALL)));
        match waiting.as_mut().poll(cx) {
            Poll::Ready(()) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl Closing {
    fn begin() -> Self {
        let quiet = Box::pin(tokio::time::sleep(FAREWELL_QUIET));
        Self { bytes: 0, since: Instant::now(), quiet }
    }

    /// Reads until the client has closed its side too, is quiet, or has sent enough.
    fn poll<I: AsyncRead + Unpin>(&mut self, io: &mut I, cx: &mut Context<'_>) -> Poll<()> {
        let mut thrown_away = [0; 4096];
        while self.bytes < FAREWELL_BYTES && self.since.elapsed() < FAREWELL_TIME {
            let mut buffer = ReadBuf::new(&mut thrown_away);
            match Pin::new(&mut *io).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    self.bytes += buffer.filled().len();
                    self.quiet.as_mut().reset(Instant::now() + FAREWELL_QUIET);
                }
                // Closed, or broken: nothing more comes.
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return self.quiet.as_mut().poll(cx),
            }
        }
        Poll::Ready(())
    }
}

impl<I: AsyncRead + Unpin> AsyncRead for Patience<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.inspection.is_over(buffer) {
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        if Pin::new(&mut this.io).poll_read(cx, buffer)?.is_pending() {
            if !this.inspection.is_undecided() {
                return Poll::Pending;
            }
            let deadline = this.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(HEAD_TIME)));
            return deadline.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()));
        }
        if buffer.filled().len() == before {
            return this.poll_end(cx);
        }
        if let Some(fault) = this.inspection.read(buffer, before) {
            this.conversation.fault(fault);
        }
        if !this.inspection.is_undecided() {
            this.deadline = None;
        }
        Poll::Ready(Ok(()))
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Patience<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.wrote(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        self.wrote(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.io).poll_flush(cx);
        self.check(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.closing.is_none() {
            let closed = Pin::new(&mut this.io).poll_shutdown(cx);
            ready!(this.check(cx, closed))?;
        }
        this.closing.get_or_insert_with(Closing::begin).poll(&mut this.io, cx).map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

    const HALF_CLOSED: Duration = Duration::from_secs(3);

    fn patience(io: DuplexStream) -> Patience<DuplexStream> {
        Patience::new(io, Arc::default(), HALF_CLOSED)
    }

    /// How long a client that sends this and then nothing is waited for; `None` where this no longer decides.
    async fn waited_after(sent: &[u8]) -> Option<Duration> {
        let (near, mut far) = tokio::io::duplex(64);
        far.write_all(sent).await.unwrap();
        let mut opening = patience(near);
        let started = Instant::now();
        let reading = async { while opening.read_u8().await.is_ok() {} };
        let ended = tokio::time::timeout(HEAD_TIME * 2, reading).await;
        ended.is_ok().then(|| started.elapsed())
    }

    /// H1: a client that says nothing, or less than which protocol it speaks.
    #[tokio::test(start_paused = true)]
    async fn a_client_has_so_long_to_say_what_it_speaks() {
        for opening in ["", "P", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r"] {
            assert_eq!(waited_after(opening.as_bytes()).await, Some(HEAD_TIME), "{opening:?}");
        }
        for known in [
            "G",
            "PUT",
            "PRI * HTTP/1.1\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nmore",
        ] {
            assert_eq!(waited_after(known.as_bytes()).await, None, "{known:?}");
        }
    }

    /// H14, H13: a reply is waited for while it goes on, and not for ever: the client may be gone.
    #[tokio::test(start_paused = true)]
    async fn a_client_that_closed_its_side_is_waited_for_while_something_is_written() {
        let (near, mut far) = tokio::io::duplex(64);
        far.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
        far.shutdown().await.unwrap();
        let conversation = Arc::<Conversation>::default();
        let mut near = Patience::new(near, conversation.clone(), HALF_CLOSED);
        near.read_exact(&mut [0; 18]).await.unwrap();
        let answering = conversation.answer();
        let started = Instant::now();
        let waited = tokio::time::timeout(HALF_CLOSED / 2, near.read_u8()).await;
        assert!(waited.is_err(), "a reply is on its way");
        near.write_all(b"reply").await.unwrap();
        let error = near.read_u8().await.unwrap_err();
        assert_eq!(
            (error.kind(), started.elapsed()),
            (io::ErrorKind::TimedOut, HALF_CLOSED / 2 + HALF_CLOSED)
        );
        let reading = tokio::spawn(async move { near.read_u8().await });
        drop(answering);
        assert_eq!(reading.await.unwrap().unwrap_err().kind(), io::ErrorKind::UnexpectedEof, "it is over");
    }

    /// H14: half a request is not waited for.
    #[tokio::test(start_paused = true)]
    async fn a_client_that_ends_within_a_request_is_gone() {
        let (near, mut far) = tokio::io::duplex(64);
        far.write_all(b"POST / HTTP/1.1\r\ncontent-length: 2\r\n\r\nx").await.unwrap();
        far.shutdown().await.unwrap();
        let conversation = Arc::<Conversation>::default();
        let mut near = Patience::new(near, conversation.clone(), HALF_CLOSED);
        let _answering = conversation.answer();
        let mut read = Vec::new();
        near.read_to_end(&mut read).await.unwrap();
        assert_eq!(read.last(), Some(&b'x'));
    }

    /// H3: a client that reads nothing.
    #[tokio::test(start_paused = true)]
    async fn a_write_that_nobody_reads_ends_at_the_limit_and_not_before() {
        let (near, _far) = tokio::io::duplex(4);
        let started = tokio::time::Instant::now();
        let error = patience(near).write_all(b"more than fits").await.unwrap_err();
        assert_eq!((error.kind(), started.elapsed()), (io::ErrorKind::TimedOut, WRITE_STALL));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_still_sends_is_read_from_until_it_is_done() {
        let (near, mut far) = tokio::io::duplex(64);
        let closing = tokio::spawn(async move {
            let mut near = patience(near);
            near.write_all(b"reply").await.unwrap();
            near.shutdown().await
        });
        far.write_all(&[0; 10_000]).await.unwrap();
        let mut reply = Vec::new();
        far.read_to_end(&mut reply).await.unwrap();
        assert_eq!(reply, b"reply");
        drop(far);
        closing.await.unwrap().unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_says_nothing_more_is_waited_for_shortly() {
        let (near, _far) = tokio::io::duplex(64);
        let started = Instant::now();
        patience(near).shutdown().await.unwrap();
        assert_eq!(started.elapsed(), FAREWELL_QUIET);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_never_stops_sending_is_left_at_the_limit() {
        let (near, mut far) = tokio::io::duplex(1 << 20);
        let sending = tokio::spawn(async move {
            let mut sent = 0;
            while far.write_all(&[0; 1 << 16]).await.is_ok() {
                sent += 1 << 16;
            }
            sent
        });
        patience(near).shutdown().await.unwrap();
        let sent = sending.await.unwrap();
        assert!((FAREWELL_BYTES..FAREWELL_BYTES + (2 << 20)).contains(&sent), "{sent}");
    }
}
