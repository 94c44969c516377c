//! How long a connection waits for its client: to begin, to read, and to end.
//!
//! A client that does not say which protocol it speaks within [`HEAD_TIME`] is closed: hyper's own limits on a slow client
//! begin when that is known. One that takes no bytes for [`WRITE_STALL`] is closed too; that timer is armed only while a
//! write waits. And where the node closes, the client may still be sending, because a reply can come before the request has
//! been read. Closing with unread bytes resets the connection, and the client may lose the reply that it has not read yet
//! (RFC 9112, section 9.6). So this side is closed first, and what still comes is read and thrown away for a while.

use crate::limits::{FAREWELL_BYTES, FAREWELL_QUIET, FAREWELL_TIME, HEAD_TIME, WRITE_STALL};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// What an HTTP/2 client with prior knowledge begins with (RFC 9113, section 3.4). Whatever differs is HTTP/1.1.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection with limits on how long its client is waited for.
pub(crate) struct Patience<I> {
    io: I,
    /// How much of the preface came; `None` once the protocol is known.
    preface: Option<usize>,
    /// When the protocol must be known.
    deadline: Option<Pin<Box<Sleep>>>,
    /// When the write that waits must have gone on.
    writing: Option<Pin<Box<Sleep>>>,
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
    pub(crate) fn new(io: I) -> Self {
        Self { io, preface: Some(0), deadline: None, writing: None, closing: None }
    }

    fn came(&mut self, bytes: &[u8]) {
        let Some(so_far) = self.preface else { return };
        let wanted = &PREFACE[so_far..];
        let compared = wanted.len().min(bytes.len());
        self.preface = (bytes[..compared] == wanted[..compared] && bytes.len() < wanted.len())
            .then_some(so_far + bytes.len());
        if self.preface.is_none() {
            self.deadline = None;
        }
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
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buffer);
        if self.preface.is_none() {
            return read;
        }
        if read.is_ready() {
            self.came(&buffer.filled()[before..]);
            return read;
        }
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(HEAD_TIME)));
        deadline.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Patience<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, bytes);
        self.check(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, slices);
        self.check(cx, written)
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
    use std::time::Duration;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    /// How long a client that sends this and then nothing is waited for; `None` where this no longer decides.
    async fn waited_after(sent: &[u8]) -> Option<Duration> {
        let (near, mut far) = tokio::io::duplex(64);
        far.write_all(sent).await.unwrap();
        let mut opening = Patience::new(near);
        let started = tokio::time::Instant::now();
        let reading = async { while opening.read_u8().await.is_ok() {} };
        let ended = tokio::time::timeout(HEAD_TIME * 2, reading).await;
        ended.is_ok().then(|| started.elapsed())
    }

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

    #[tokio::test(start_paused = true)]
    async fn a_write_that_nobody_reads_ends_at_the_limit_and_not_before() {
        let (near, _far) = tokio::io::duplex(4);
        let started = tokio::time::Instant::now();
        let error = Patience::new(near).write_all(b"more than fits").await.unwrap_err();
        assert_eq!((error.kind(), started.elapsed()), (io::ErrorKind::TimedOut, WRITE_STALL));
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_still_sends_is_read_from_until_it_is_done() {
        let (near, mut far) = tokio::io::duplex(64);
        let closing = tokio::spawn(async move {
            let mut near = Patience::new(near);
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
        Patience::new(near).shutdown().await.unwrap();
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
        Patience::new(near).shutdown().await.unwrap();
        let sent = sending.await.unwrap();
        assert!((FAREWELL_BYTES..FAREWELL_BYTES + (2 << 20)).contains(&sent), "{sent}");
    }
}
