//! Who changes an outbox's index: a thread that gathers what waits, commits it as a group, and answers.
//!
//! Started when the outbox is opened; ends, and closes the file, when its queue is closed and empty. While the disk is busy
//! with one group the next one gathers, so throughput rises with load. Bound: bytes that wait; beyond them a change is
//! refused as busy. Simulations commit each change at once, on the caller's own thread.

use super::file::IndexFile;
use super::index::{Change, Effect};
use super::letter::PushError;
use super::shelf::Folder;
use super::trouble::Trouble;
use crate::limits::outbox as limits;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use tokio::sync::{oneshot, watch};

type Reply = oneshot::Sender<Result<Effect, Trouble>>;

struct Job {
    change: Change,
    bytes: u64,
    reply: Reply,
}

/// The way to the writer.
pub(super) struct Writer {
    waiting_bytes: Arc<AtomicU64>,
    queue: Queue,
}

enum Queue {
    /// Gone once the outbox is being closed; the second part closes when the file is.
    Thread(Mutex<Option<Sender<Job>>>, watch::Receiver<()>),
    /// On the caller's thread.
    #[cfg(test)]
    Here(Arc<IndexFile>),
}

impl Writer {
    /// Starts the thread.
    pub(super) fn start(file: Arc<IndexFile>, blobs: Folder) -> io::Result<Self> {
        let (queue, jobs) = channel();
        let (running, ended) = watch::channel(());
        let waiting_bytes = Arc::new(AtomicU64::new(0));
        let its_bytes = waiting_bytes.clone();
        let run = move || {
            let _running = running;
            serve(&file, &blobs, &its_bytes, &jobs);
            file.close();
        };
        let thread = thread::Builder::new().name("outbox-write".to_owned());
        thread.stack_size(limits::THREAD_STACK_BYTES).spawn(run)?;
        let queue = Queue::Thread(Mutex::new(Some(queue)), ended);
        Ok(Self { waiting_bytes, queue })
    }

    /// Everything happens on the caller's thread.
    #[cfg(test)]
    pub(super) fn here(file: Arc<IndexFile>) -> Self {
        Self { waiting_bytes: Arc::default(), queue: Queue::Here(file) }
    }

    /// Makes a change, and returns when it is on disk. Dropping the future loses the answer only.
    pub(super) async fn change(&self, change: Change) -> Result<Effect, PushError> {
        let (queue, bytes) = match (&self.queue, &change) {
            #[cfg(test)]
            (Queue::Here(file), _) => return change_here(file, change).map_err(PushError::Failed),
            (Queue::Thread(queue, _), Change::Push(letter)) => (queue, letter.bytes()),
            (Queue::Thread(queue, _), _) => (queue, 0),
        };
        let before = self.waiting_bytes.fetch_add(bytes, Relaxed);
        // What the node does to waiting calls is never refused: it has bounds of its own.
        if bytes > 0 && before > 0 && before + bytes > limits::WRITE_QUEUE_BYTES_MAX {
            self.waiting_bytes.fetch_sub(bytes, Relaxed);
            return Err(PushError::Busy);
        }
        let (reply, answer) = oneshot::channel();
        let sent = match &*queue.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(queue) => queue.send(Job { change, bytes, reply }).is_ok(),
            None => false,
        };
        if !sent {
            return Err(PushError::Closed);
        }
        answer.await.unwrap_or(Err(Trouble::new("the writer ended"))).map_err(PushError::Failed)
    }

    /// Refuses what comes from now on, and waits until what was accepted is on disk and the file is closed.
    pub(super) async fn close(&self) {
        match &self.queue {
            #[cfg(test)]
            Queue::Here(file) => file.close(),
            Queue::Thread(queue, ended) => {
                drop(queue.lock().unwrap_or_else(PoisonError::into_inner).take());
                let mut ended = ended.clone();
                while ended.changed().await.is_ok() {}
            }
        }
    }
}

fn serve(file: &IndexFile, blobs: &Folder, waiting_bytes: &AtomicU64, jobs: &Receiver<Job>) {
    while let Ok(first) = jobs.recv() {
        let mut group = vec![first];
        while group.len() < limits::GROUP_MAX
            && let Ok(job) = jobs.try_recv()
        {
            group.push(job);
        }
        let bytes = group.iter().map(|job| job.bytes).sum();
        let (changes, replies): (Vec<Change>, Vec<Reply>) =
            group.into_iter().map(|job| (job.change, job.reply)).unzip();
        match file.apply(changes) {
            Ok((effects, happened)) => {
                for (reply, effect) in replies.into_iter().zip(effects) {
                    // A caller that is gone does not want its answer.
                    drop(reply.send(Ok(effect)));
                }
                unlink(blobs, &happened.blobs);
            }
            Err(trouble) => replies.into_iter().for_each(|reply| drop(reply.send(Err(trouble.clone())))),
        }
        waiting_bytes.fetch_sub(bytes, Relaxed);
    }
}

#[cfg(test)]
fn change_here(file: &IndexFile, change: Change) -> Result<Effect, Trouble> {
    let (effects, _) = file.apply(vec![change])?;
    Ok(effects.into_iter().next().expect("one change has one effect"))
}

/// Removes bodies that no call needs any more. One that stays is removed at the next start.
fn unlink(blobs: &Folder, ids: &[u64]) {
    for id in ids {
        if let Err(error) = std::fs::remove_file(blobs.blob(*id))
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(blob = id, %error, "a body that was delivered could not be removed");
        }
    }
}
