//! Runs the futures of one invocation on the component's one thread. When none of them can go on, it waits in
//! `wasi:io/poll` for what they wait for. One [`run`] at a time; it ends when the main future and everything spawned
//! have ended, so that a call whose answer came early still sends the rest of its body.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use wasip2::io::poll::{Pollable, poll};

type Task = Pin<Box<dyn Future<Output = ()>>>;

thread_local! {
    static WAITING: RefCell<Vec<Option<Entry>>> = const { RefCell::new(Vec::new()) };
    static SPAWNED: RefCell<Vec<Task>> = const { RefCell::new(Vec::new()) };
}

/// A pollable that some future waits for.
struct Entry {
    pollable: Pollable,
    is_ready: bool,
    waker: Waker,
}

/// Runs a future, and what it spawns, to the end.
pub(super) fn run(main: impl Future<Output = ()> + 'static) {
    let woken = Arc::new(Woken(AtomicBool::new(true)));
    let waker = Waker::from(woken.clone());
    let mut context = Context::from_waker(&waker);
    let mut tasks: Vec<Task> = vec![Box::pin(main)];
    while !tasks.is_empty() {
        if woken.0.swap(false, Ordering::Relaxed) {
            tasks.retain_mut(|task| task.as_mut().poll(&mut context).is_pending());
            let spawned = SPAWNED.take();
            woken.0.fetch_or(!spawned.is_empty(), Ordering::Relaxed);
            tasks.extend(spawned);
        } else {
            wait_for_any();
        }
    }
}

/// Runs a future beside the one that spawns it.
pub(super) fn spawn(task: impl Future<Output = ()> + 'static) {
    SPAWNED.with_borrow_mut(|spawned| spawned.push(Box::pin(task)));
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Blocks until a pollable is ready, and wakes everyone whose pollable is.
fn wait_for_any() {
    WAITING.with_borrow_mut(|waiting| {
        let mut entries: Vec<&mut Entry> =
            waiting.iter_mut().flatten().filter(|entry| !entry.is_ready).collect();
        assert!(!entries.is_empty(), "a future of the function waits for nothing that the host knows");
        let pollables: Vec<&Pollable> = entries.iter().map(|entry| &entry.pollable).collect();
        for index in poll(&pollables) {
            let entry = &mut entries[index as usize];
            entry.is_ready = true;
            entry.waker.wake_by_ref();
        }
    });
}

/// Waits for a pollable. It is a child of the resource it was subscribed from and must be dropped before it.
#[derive(Debug)]
pub(super) struct Ready(State);

#[derive(Debug)]
enum State {
    New(Option<Pollable>),
    Waiting(usize),
}

pub(super) fn ready(pollable: Pollable) -> Ready {
    Ready(State::New(Some(pollable)))
}

impl Future for Ready {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            State::New(pollable) => {
                let pollable = pollable.take().expect("put there by `ready`, taken once");
                if pollable.ready() {
                    self.0 = State::New(Some(pollable));
                    return Poll::Ready(());
                }
                let waker = context.waker().clone();
                self.0 = State::Waiting(insert(Entry { pollable, is_ready: false, waker }));
                Poll::Pending
            }
            State::Waiting(key) => WAITING.with_borrow_mut(|waiting| {
                let entry = waiting[*key].as_mut().expect("held until this is dropped");
                if entry.is_ready {
                    return Poll::Ready(());
                }
                entry.waker.clone_from(context.waker());
                Poll::Pending
            }),
        }
    }
}

impl Drop for Ready {
    fn drop(&mut self) {
        if let State::Waiting(key) = self.0 {
            WAITING.with_borrow_mut(|waiting| waiting[key] = None);
        }
    }
}

fn insert(entry: Entry) -> usize {
    WAITING.with_borrow_mut(|waiting| match waiting.iter().position(Option::is_none) {
        Some(free) => {
            waiting[free] = Some(entry);
            free
        }
        None => {
            waiting.push(Some(entry));
            waiting.len() - 1
        }
    })
}
