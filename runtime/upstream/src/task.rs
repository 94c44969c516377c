//! A spawned task that ends with its owner.
//!
//! Used for the drivers of connections, for connecting, and for the pool's sweeper. Dropping a [`Task`] aborts it at
//! its next suspension and with it everything it owns.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::runtime::Handle;
use tokio::task::{JoinError, JoinHandle};

/// A task on the client's home runtime, aborted when dropped.
#[derive(Debug)]
pub(crate) struct Task<T>(JoinHandle<T>);

impl<T: Send + 'static> Task<T> {
    pub(crate) fn spawn(home: &Handle, work: impl Future<Output = T> + Send + 'static) -> Self {
        Self(home.spawn(work))
    }
}

impl<T> Future for Task<T> {
    /// An error only when the home runtime is gone or the task panicked.
    type Output = Result<T, JoinError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(ready!(Pin::new(&mut self.0).poll(cx)))
    }
}

impl<T> Drop for Task<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
