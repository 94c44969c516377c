//! The one thread that writes to a store: gathers what waits, commits it as a group, answers.
//!
//! Started when the store is opened, ends when its queue is closed and empty, after a last commit to disk. Bound: bytes
//! per group. When the disk fails, or the database panics on a damaged page, every operation of the group is answered
//! with the failure and the file is opened anew before the next group.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::Instant;

use tokio::sync::{oneshot, watch};

use super::file::{OpenError, Opener, StoreFile};
use super::{Shared, Waiting};
use crate::ledger::{Operation, Outcome};
use crate::limits::{GROUP_BYTES_MAX, THREAD_STACK_BYTES};
use crate::store::StoreError;
use crate::stores::Durability;

/// An operation in the queue.
#[derive(Debug)]
pub(super) struct Job {
    operation: Operation,
    waiting: Waiting,
    reply: Reply,
}

type Reply = oneshot::Sender<Result<Outcome, StoreError>>;

impl Job {
    pub(super) fn new(
        operation: Operation,
        waiting: Waiting,
    ) -> (Job, oneshot::Receiver<Result<Outcome, StoreError>>) {
        let (reply, outcome) = oneshot::channel();
        (Job { operation, waiting, reply }, outcome)
    }
}

/// Starts the thread and waits until it has opened the file. The second part closes when the thread has closed it.
pub(super) async fn start(
    path: PathBuf,
    opener: Opener,
    shared: Arc<Shared>,
    jobs: Receiver<Job>,
) -> Result<(Arc<StoreFile>, watch::Receiver<()>), OpenError> {
    let (opened, answer) = oneshot::channel();
    let (running, ended) = watch::channel(());
    let run = move || {
        let _running = running;
        match StoreFile::open(path, opener).map(Arc::new) {
            Err(error) => drop(opened.send(Err(error))),
            Ok(file) => {
                drop(opened.send(Ok(Arc::clone(&file))));
                Writer { file, shared, jobs, unsaved: None }.run();
            }
        }
    };
    let thread = thread::Builder::new().name("store-write".to_owned()).stack_size(THREAD_STACK_BYTES);
    thread.spawn(run).map_err(OpenError::Thread)?;
    let file = answer.await.map_err(|_| OpenError::Closed)??;
    Ok((file, ended))
}

struct Writer {
    file: Arc<StoreFile>,
    shared: Arc<Shared>,
    jobs: Receiver<Job>,
    /// Since when there are commits that are not on disk; only with [`Durability::Interval`].
    unsaved: Option<Instant>,
}

enum Next {
    Group(Vec<Job>),
    Save,
    End,
}

impl Writer {
    fn run(mut self) {
        loop {
            match self.next() {
                Next::Group(jobs) => self.commit(jobs),
                Next::Save => self.save(),
                Next::End => break,
            }
        }
        if self.unsaved.is_some() {
            self.save();
        }
        self.file.close();
    }

    fn next(&self) -> Next {
        let first = match (self.unsaved, self.shared.settings().durability) {
            (None, _) => self.jobs.recv().map_err(|_| RecvTimeoutError::Disconnected),
            (Some(_), Durability::Commit) => return Next::Save,
            (Some(since), Durability::Interval(interval)) => match interval.checked_sub(since.elapsed()) {
                Some(left) => self.jobs.recv_timeout(left),
                None => return Next::Save,
            },
        };
        match first {
            Ok(first) => Next::Group(self.gather(first)),
            Err(RecvTimeoutError::Timeout) => Next::Save,
            Err(RecvTimeoutError::Disconnected) => Next::End,
        }
    }

    fn gather(&self, first: Job) -> Vec<Job> {
        let mut bytes = first.waiting.bytes;
        let mut group = vec![first];
        while bytes < GROUP_BYTES_MAX
            && let Ok(job) = self.jobs.try_recv()
        {
            bytes += job.waiting.bytes;
            group.push(job);
        }
        group
    }

    fn commit(&mut self, jobs: Vec<Job>) {
        let (operations, replies): (Vec<Operation>, Vec<Reply>) =
            jobs.into_iter().map(|job| (job.operation, job.reply)).unzip();
        let settings = self.shared.settings();
        let durability = match settings.durability {
            Durability::Commit => redb::Durability::Immediate,
            Durability::Interval(_) => redb::Durability::None,
        };
        match self.guard(|file| file.apply(operations, &settings.limits, durability)) {
            Ok(outcomes) => answer(replies, outcomes),
            Err(error) => answer(replies, std::iter::repeat_with(|| Err(error.clone()))),
        }
        self.unsaved = match settings.durability {
            Durability::Commit => None,
            Durability::Interval(_) => self.unsaved.or_else(|| Some(Instant::now())),
        };
    }

    fn save(&mut self) {
        self.unsaved = None;
        // A failure has been logged and the file opened anew; nobody waits for this commit.
        let _ = self.guard(StoreFile::save);
    }

    /// Does `work`, and opens the file anew if it fails or panics.
    fn guard<T>(&self, work: impl FnOnce(&StoreFile) -> Result<T, StoreError>) -> Result<T, StoreError> {
        // Nothing of the transaction outlives the panic, and the file is opened anew.
        let result = catch_unwind(AssertUnwindSafe(|| work(&self.file)));
        let result = result.unwrap_or_else(|_| Err(StoreError::failed("the database panicked")));
        result.inspect_err(|error| self.file.recover(error))
    }
}

fn answer(replies: Vec<Reply>, outcomes: impl IntoIterator<Item = Result<Outcome, StoreError>>) {
    for (reply, outcome) in replies.into_iter().zip(outcomes) {
        // A caller that is gone does not want its answer.
        drop(reply.send(outcome));
    }
}
