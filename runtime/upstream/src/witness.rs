//! A TLS stream that remembers why it failed.
//!
//! HTTP/2 passes a failed read on as text only. A server that demands a client certificate says so by an alert after the
//! handshake, and the exchange must still tell that from a lost connection. [`Witness`] sits between TLS and HTTP/2
//! and leaves the first TLS failure in a slot that the connection's exchanges read.

use crate::Error;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Where a TLS failure is left; empty while all is well.
pub(crate) type Testimony = Arc<OnceLock<Error>>;

/// See the file's head. Adds nothing but the memory.
pub(crate) struct Witness<S> {
    stream: S,
    testimony: Testimony,
}

impl<S> Witness<S> {
    pub(crate) fn new(stream: S, testimony: Testimony) -> Self {
        Self { stream, testimony }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Witness<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, into));
        if let Some(failure) = read.as_ref().err().and_then(|error| Error::tls(error)) {
            let _ = self.testimony.set(failure);
        }
        Poll::Ready(read)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Witness<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
