//! A connection whose client does not say which protocol it speaks within [`HEAD_TIME`] is closed. hyper's own limits on a
//! slow client begin when that is known: until then a silent connection would hold its place for ever.

use crate::limits::HEAD_TIME;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// What an HTTP/2 client with prior knowledge begins with (RFC 9113, section 3.4). Whatever differs is HTTP/1.1.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection with a limit on how long its beginning may take.
pub(crate) struct Opening<I> {
    io: I,
    /// How much of the preface came; `None` once the protocol is known.
    preface: Option<usize>,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<I> Opening<I> {
    pub(crate) fn new(io: I) -> Self {
        Self { io, preface: Some(0), deadline: None }
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
}

impl<I: AsyncRead + Unpin> AsyncRead for Opening<I> {
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

impl<I: AsyncWrite + Unpin> AsyncWrite for Opening<I> {
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
        Pin::new(&mut self.io).poll_shutdown(cx)
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
        let mut opening = Opening::new(near);
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
}
