//! The end of a connection that the node closes. A client may still be sending: a reply can come before the request has
//! been read. Closing with unread bytes resets the connection, and the client may lose the reply that it has not read yet
//! (RFC 9112, section 9.6). So this side is closed first, and what still comes is read and thrown away for a while.

use crate::limits::{FAREWELL_BYTES, FAREWELL_QUIET, FAREWELL_TIME};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// A connection that is closed in two steps.
pub(crate) struct Farewell<I> {
    io: I,
    closing: Option<Closing>,
}

/// This side is closed.
struct Closing {
    bytes: usize,
    since: Instant,
    quiet: Pin<Box<Sleep>>,
}

impl<I> Farewell<I> {
    pub(crate) fn new(io: I) -> Self {
        Self { io, closing: None }
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

impl<I: AsyncRead + Unpin> AsyncRead for Farewell<I> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl<I: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Farewell<I> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.closing.is_none() {
            ready!(Pin::new(&mut this.io).poll_shutdown(cx))?;
        }
        this.closing.get_or_insert_with(Closing::begin).poll(&mut this.io, cx).map(Ok)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test(start_paused = true)]
    async fn a_client_that_still_sends_is_read_from_until_it_is_done() {
        let (near, mut far) = tokio::io::duplex(64);
        let closing = tokio::spawn(async move {
            let mut near = Farewell::new(near);
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
        Farewell::new(near).shutdown().await.unwrap();
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
        Farewell::new(near).shutdown().await.unwrap();
        let sent = sending.await.unwrap();
        assert!((FAREWELL_BYTES..FAREWELL_BYTES + (2 << 20)).contains(&sent), "{sent}");
    }
}
