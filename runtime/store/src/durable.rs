//! A store in a file, which survives power cuts.
//!
//! Writes go through a queue to the store's one writer thread, which commits whatever waits as one group and answers
//! after the commit is on disk: while the disk is busy with one group the next one gathers, so throughput rises with
//! load. Reads run on a few threads shared by all stores, on a snapshot, and never wait for a writer. No caller's
//! thread ever touches the disk.
//!
//! Bound: bytes that wait for the writer, and reads that wait for a thread; beyond them an operation is refused as
//! busy. After a failure of the disk the operations at hand fail and the file is opened anew.

mod file;
mod readers;
mod writer;

#[cfg(test)]
mod disk;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use redb::ReadTransaction;
use tokio::sync::watch;

pub use self::file::OpenError;
pub(crate) use self::readers::Readers;

use self::file::{Opener, StoreFile};
use self::writer::Job;
use crate::ledger::{Operation, Outcome};
use crate::limits::{Limits, WRITE_OVERHEAD_BYTES, WRITE_QUEUE_BYTES_MAX};
use crate::store::{Answer, Batch, Entry, Page, Store, StoreError, Swap, Version};
use crate::stores::Settings;

/// An open store. When the last clone is dropped, what was accepted is written and the file is closed, without
/// anyone waiting for it.
#[derive(Clone, Debug)]
pub(crate) struct Durable {
    handle: Arc<Handle>,
}

#[derive(Debug)]
struct Handle {
    file: Arc<StoreFile>,
    shared: Arc<Shared>,
    readers: Arc<Readers>,
    /// Gone once the store is being closed.
    queue: Mutex<Option<Sender<Job>>>,
    /// Closed by the writer's end.
    ended: watch::Receiver<()>,
}

/// What the handle and its writer both see.
#[derive(Debug)]
struct Shared {
    settings: Mutex<Settings>,
    waiting_bytes: AtomicUsize,
}

/// Room taken in the queue, given back when dropped.
#[derive(Debug)]
struct Waiting {
    shared: Arc<Shared>,
    bytes: usize,
}

impl Durable {
    /// Opens the file at `path`, or makes it.
    pub(crate) async fn open_file(
        path: PathBuf,
        settings: Settings,
        readers: Arc<Readers>,
    ) -> Result<Durable, OpenError> {
        let at = path.clone();
        Durable::open(path, Box::new(move || file::open_or_create(&at)), settings, readers).await
    }

    /// Starts the writer thread, which opens the file with `opener`, now and after a failure. `path` is for messages.
    async fn open(
        path: PathBuf,
        opener: Opener,
        settings: Settings,
        readers: Arc<Readers>,
    ) -> Result<Durable, OpenError> {
        let shared = Arc::new(Shared { settings: Mutex::new(settings), waiting_bytes: AtomicUsize::new(0) });
        let (queue, jobs) = channel();
        let (file, ended) = writer::start(path, opener, Arc::clone(&shared), jobs).await?;
        let handle = Handle { file, shared, readers, queue: Mutex::new(Some(queue)), ended };
        Ok(Durable { handle: Arc::new(handle) })
    }

    pub(crate) fn configure(&self, settings: Settings) {
        *locked(&self.handle.shared.settings) = settings;
    }

    /// Refuses what comes from now on, and waits until what was accepted is on disk and the file is closed.
    pub(crate) async fn close(&self) {
        drop(locked(&self.handle.queue).take());
        let mut ended = self.handle.ended.clone();
        while ended.changed().await.is_ok() {}
    }

    fn operate<T: Send + 'static>(&self, operation: Operation, answer: fn(Outcome) -> T) -> Answer<T> {
        let handle = Arc::clone(&self.handle);
        Box::pin(async move {
            operation.check(&handle.limits())?;
            let waiting = handle.shared.admit(operation.bytes())?;
            let (job, outcome) = Job::new(operation, waiting);
            handle.queue(job)?;
            outcome.await.unwrap_or(Err(StoreError::Closed)).map(answer)
        })
    }

    fn read<T, F>(&self, read: F) -> Answer<T>
    where
        T: Send + 'static,
        F: FnOnce(&ReadTransaction, &Limits) -> Result<T, StoreError> + Send + 'static,
    {
        let handle = Arc::clone(&self.handle);
        Box::pin(async move {
            let (file, limits) = (Arc::clone(&handle.file), handle.limits());
            let result = handle.readers.run(move || file.read(|snapshot| read(snapshot, &limits))).await;
            if let Err(StoreError::Failed(_)) = &result {
                handle.check_file();
            }
            result
        })
    }
}

impl Store for Durable {
    fn get(&self, key: &str) -> Answer<Option<Entry>> {
        let key = key.to_owned();
        self.read(move |snapshot, limits| {
            limits.check_key(&key)?;
            file::get(snapshot, &key)
        })
    }

    fn keys(&self, cursor: Option<&str>, limit: usize) -> Answer<Page> {
        let cursor = cursor.map(str::to_owned);
        self.read(move |snapshot, limits| file::keys(snapshot, cursor.as_deref(), limits.page_keys(limit)))
    }

    fn write(&self, batch: Batch) -> Answer<()> {
        self.operate(Operation::Write(batch), Outcome::written)
    }

    fn compare_and_swap(&self, key: &str, expected: Option<Version>, value: Bytes) -> Answer<Swap> {
        self.operate(Operation::Swap { key: key.to_owned(), expected, value }, Outcome::swapped)
    }

    fn increment(&self, key: &str, delta: i64) -> Answer<i64> {
        self.operate(Operation::Increment { key: key.to_owned(), delta }, Outcome::incremented)
    }
}

impl Handle {
    fn limits(&self) -> Limits {
        self.shared.settings().limits
    }

    /// Lets the writer find out, by a write without changes, whether the file must be opened anew: a failed read makes
    /// redb refuse everything after it. If the queue is full, the writer finds out anyway.
    fn check_file(&self) {
        let operation = Operation::Write(Batch::new());
        if let Ok(waiting) = self.shared.admit(operation.bytes()) {
            let _ = self.queue(Job::new(operation, waiting).0);
        }
    }

    fn queue(&self, job: Job) -> Result<(), StoreError> {
        let queue = locked(&self.queue);
        queue.as_ref().ok_or(StoreError::Closed)?.send(job).map_err(|_| StoreError::Closed)
    }
}

impl Shared {
    fn settings(&self) -> Settings {
        *locked(&self.settings)
    }

    /// Room for `bytes` more, unless too much waits already. An empty queue takes anything.
    fn admit(self: &Arc<Self>, bytes: usize) -> Result<Waiting, StoreError> {
        let bytes = bytes + WRITE_OVERHEAD_BYTES;
        let before = self.waiting_bytes.fetch_add(bytes, Ordering::Relaxed);
        let waiting = Waiting { shared: Arc::clone(self), bytes };
        if before > 0 && before + bytes > WRITE_QUEUE_BYTES_MAX { Err(StoreError::Busy) } else { Ok(waiting) }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.shared.waiting_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nothing panics while it holds one of these locks")
}
