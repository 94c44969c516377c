//! A stream whose writing side never fails, so that an answer already sent can still be read.
//!
//! A server may answer before it has read the whole request, and close. Our next write then fails, although the answer
//! lies in the receive buffer. HTTP implementations give up on the first failed write and lose it. [`Steady`] sits
//! directly on the socket: after a failed write it swallows what is written and leaves the verdict to reading, which
//! yields the answer, the end of the stream, or an error.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// See the file's head. Dropping it closes the stream.
#[derive(Debug)]
pub(crate) struct Steady<S> {
    stream: S,
    is_deaf: bool,
}

impl<S> Steady<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, is_deaf: false }
    }

    /// Turns a failed write into a swallowed one, from now on.
    fn swallow<T>(&mut self, written: io::Result<T>, instead: T) -> io::Result<T> {
        written.or_else(|error| {
            tracing::trace!(%error, "the peer stopped reading; waiting for its answer");
            self.is_deaf = true;
            Ok(instead)
        })
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Steady<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Steady<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.is_deaf {
            return Poll::Ready(Ok(bytes.len()));
        }
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes));
        Poll::Ready(self.swallow(written, bytes.len()))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let total = slices.iter().map(|slice| slice.len()).sum();
        if self.is_deaf {
            return Poll::Ready(Ok(total));
        }
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, slices));
        Poll::Ready(self.swallow(written, total))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_deaf {
            return Poll::Ready(Ok(()));
        }
        let flushed = ready!(Pin::new(&mut self.stream).poll_flush(cx));
        Poll::Ready(self.swallow(flushed, ()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn an_answer_is_read_after_writing_has_failed() {
        let (near, mut far) = tokio::io::duplex(64);
        let mut near = Steady::new(near);
        far.write_all(b"answer").await.unwrap();
        drop(far);
        near.write_all(b"nobody").await.unwrap();
        near.write_all(b"reads this").await.unwrap();
        near.flush().await.unwrap();
        let mut answer = String::new();
        near.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "answer");
    }
}
