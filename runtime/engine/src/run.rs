//! Running one guest: polled where its request is, as long as it yields within a tick; moved to the shared pool at its
//! first yield after that, or from the start where its function has overrun lately.

use crate::engine::Engine;
use crate::meter::Usage;
use crate::share::Share;
use async_task::FallibleTask;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::task::JoinHandle;
use tokio::time::Sleep;

/// Where a guest is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Yielding {
    /// It is expected to yield within a tick: on the caller's thread.
    InTime,
    /// Its function has overrun lately: on the shared pool.
    Late,
    /// Whoever waits for it may be another guest's event loop, which cannot hold a second one: in a task of its own on
    /// the caller's thread, until it overruns.
    Apart,
}

/// The guest ended without a result, through a fault of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Lost {
    /// Host code panicked. The panic was reported by the panic hook.
    #[error("the host panicked while it ran the guest")]
    Panicked,
    /// The node is stopping and its pools have ended.
    #[error("the node stopped before the guest ended")]
    Stopped,
}

/// One running guest. Dropping it ends the guest: at once where it is polled in place, at its next yield (a tick at the
/// most) in a task of its own; everything that the guest's future owns is released then.
pub struct Run<T> {
    place: Place<T>,
    usage: Arc<Usage>,
}

enum Place<T> {
    Here(Charged<T>),
    Pool(FallibleTask<Result<T, Lost>>),
    Task(Apart<T>),
    Ended,
}

/// A task of the caller's runtime. Dropping it ends the task at its next yield.
struct Apart<T>(JoinHandle<Result<T, Lost>>);

impl<T> Drop for Apart<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The guest's future with its CPU time charged around every poll.
struct Charged<T> {
    guest: Pin<Box<dyn Future<Output = T> + Send>>,
    usage: Arc<Usage>,
    engine: Arc<Engine>,
    share: Arc<Share>,
    /// Its owner has overdrawn its CPU time: nothing is polled before this has passed.
    rest: Option<Pin<Box<Sleep>>>,
}

impl<T: Send + 'static> Run<T> {
    pub(crate) fn new(
        engine: Arc<Engine>,
        usage: Arc<Usage>,
        share: Arc<Share>,
        yielding: Yielding,
        guest: impl Future<Output = T> + Send + 'static,
    ) -> Self {
        let charged = Charged { guest: Box::pin(guest), usage: usage.clone(), engine, share, rest: None };
        let place = match yielding {
            Yielding::InTime => Place::Here(charged),
            Yielding::Late => to_pool(charged),
            Yielding::Apart => {
                let apart = Self { place: Place::Here(charged), usage: usage.clone() };
                Place::Task(Apart(tokio::spawn(apart)))
            }
        };
        Self { place, usage }
    }

    /// What the guest has used so far.
    pub fn usage(&self) -> &Arc<Usage> {
        &self.usage
    }
}

fn to_pool<T: Send + 'static>(charged: Charged<T>) -> Place<T> {
    let (engine, share) = (charged.engine.clone(), charged.share.clone());
    Place::Pool(engine.hogs().spawn(&share, charged))
}

impl<T: Send + 'static> Future for Run<T> {
    type Output = Result<T, Lost>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if let Place::Here(charged) = &mut this.place {
            match Pin::new(charged).poll(cx) {
                Poll::Pending if !this.usage.overran() => return Poll::Pending,
                Poll::Pending => {
                    let Place::Here(charged) = std::mem::replace(&mut this.place, Place::Ended) else {
                        unreachable!("it was here a moment ago");
                    };
                    this.place = to_pool(charged);
                }
                Poll::Ready(result) => {
                    this.place = Place::Ended;
                    return Poll::Ready(result);
                }
            }
        }
        match &mut this.place {
            Place::Pool(joined) => match Pin::new(joined).poll(cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(joined) => {
                    this.place = Place::Ended;
                    Poll::Ready(joined.unwrap_or(Err(Lost::Stopped)))
                }
            },
            Place::Task(task) => match Pin::new(&mut task.0).poll(cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(joined) => {
                    this.place = Place::Ended;
                    Poll::Ready(joined.unwrap_or(Err(Lost::Stopped)))
                }
            },
            Place::Here(_) | Place::Ended => panic!("a guest was polled after it ended"),
        }
    }
}

impl<T> Future for Charged<T> {
    type Output = Result<T, Lost>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        std::task::ready!(this.poll_rest(cx));
        this.engine.ticker().enter();
        this.usage.enter();
        let polled = catch_unwind(AssertUnwindSafe(|| this.guest.as_mut().poll(cx)));
        this.share.charge(this.usage.leave());
        this.engine.ticker().leave();
        match polled {
            Ok(poll) => poll.map(Ok),
            Err(_panic) => Poll::Ready(Err(Lost::Panicked)),
        }
    }
}

impl<T> Charged<T> {
    /// Ready when the owner has CPU time to spend.
    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            if let Some(rest) = &mut self.rest {
                std::task::ready!(rest.as_mut().poll(cx));
                self.rest = None;
            }
            match self.share.rest() {
                None => return Poll::Ready(()),
                Some(rest) => self.rest = Some(Box::pin(tokio::time::sleep(rest))),
            }
        }
    }
}
