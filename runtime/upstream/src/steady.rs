//! The socket under a connection: its writing side never fails, and the pool can look at its reading side.
//!
//! A server may answer before it has read the whole request, and close. Our next write then fails, although the answer
//! lies in the receive buffer. HTTP implementations give up on the first failed write and lose it. So after a failed write
//! [`Steady`] swallows what is written and leaves the verdict to reading, which yields the answer, the end of the
//! stream, or an error.
//!
//! A server may also close an idle connection while this core is busy with something else; the driver learns of it
//! only when the runtime next asks the kernel. [`Socket::is_quiet`] asks at once, so that no request is lent a
//! connection whose end has already arrived.

use std::io;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// The socket that a [`Steady`] stream and the pool share. The lock is held for one system call at a time.
#[derive(Clone, Debug)]
pub(crate) struct Socket(Arc<Mutex<TcpStream>>);

impl Socket {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self(Arc::new(Mutex::new(stream)))
    }

    /// Whether nothing has arrived that was not read: no bytes, no end of the stream, no reset.
    pub(crate) fn is_quiet(&self) -> bool {
        let stream = self.stream();
        let peeked = socket2::SockRef::from(&*stream).peek(&mut [MaybeUninit::uninit()]);
        matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// A panic inside one system call's wrapper leaves the socket as it was.
    fn stream(&self) -> MutexGuard<'_, TcpStream> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See the file's head.
#[derive(Debug)]
pub(crate) struct Steady {
    socket: Socket,
    is_deaf: bool,
}

impl Steady {
    pub(crate) fn new(socket: Socket) -> Self {
        Self { socket, is_deaf: false }
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

impl AsyncRead for Steady {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.socket.stream()).poll_read(cx, into)
    }
}

impl AsyncWrite for Steady {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.as_mut().poll_write_vectored(cx, &[io::IoSlice::new(bytes)])
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
        let written = Pin::new(&mut *self.socket.stream()).poll_write_vectored(cx, slices);
        Poll::Ready(self.swallow(ready!(written), total))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// A socket has nothing to flush.
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.socket.stream()).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    /// A socket and its peer, which blocks.
    fn pair() -> (Socket, std::net::TcpStream) {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let near = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        near.set_nonblocking(true).unwrap();
        (Socket::new(TcpStream::from_std(near).unwrap()), listener.accept().unwrap().0)
    }

    #[tokio::test]
    async fn an_answer_is_read_after_writing_has_failed() {
        let (socket, mut far) = pair();
        let mut near = Steady::new(socket);
        near.write_all(b"asked").await.unwrap();
        far.read_exact(&mut [0; 2]).unwrap();
        far.write_all(b"answer").unwrap();
        drop(far); // with unread bytes, so that the kernel resets the connection
        while !near.is_deaf {
            near.write_all(b"nobody reads this").await.unwrap();
        }
        near.write_all(b"nor this").await.unwrap();
        let mut answer = String::new();
        near.read_to_string(&mut answer).await.unwrap();
        assert_eq!(answer, "answer");
    }

    #[tokio::test]
    async fn a_socket_is_quiet_until_something_arrives() {
        let (socket, mut far) = pair();
        assert!(socket.is_quiet());
        far.write_all(b"a").unwrap();
        assert!(!socket.is_quiet());
        Steady::new(socket.clone()).read_exact(&mut [0]).await.unwrap();
        assert!(socket.is_quiet());
        drop(far);
        assert!(!socket.is_quiet());
    }
}
