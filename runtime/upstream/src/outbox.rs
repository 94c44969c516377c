//! Store and forward: a call that is accepted here is on disk, and is delivered when the upstream can be reached.
//!
//! The node keeps one [`Outbox`] per (tenant, app, upstream), across revisions. The capability crate [pushes](Outbox::push)
//! calls, one task of the node [delivers](Outbox::deliver) them through its [`Courier`], the admin API reads and corrects.
//! Every call is delivered at least once; a second delivery carries the same `idempotency-key`.
//!
//! In order of the way of a call: `draft` reads a request, `landing` takes in its body, `writer` commits groups of changes to
//! the `index` in a `file` on a `shelf`, `drain` carries what is due and writes down what came of it. Nothing but numbers
//! ([`Counts`]) is held in memory. No thread of a caller touches the disk.

mod blob;
mod clock;
mod courier;
mod disk_thread;
mod draft;
mod drain;
mod file;
mod gauges;
mod index;
mod landing;
mod letter;
mod link;
mod policy;
mod shelf;
mod status;
mod trouble;
mod writer;

pub use clock::wall_ms;
pub use courier::{Carrying, Courier, Outcome, Parcel};
pub use draft::{DraftError, draft, id_in, is_deferred};
pub use gauges::Counts;
pub use letter::{Draft, Id, IdError, PushError};
pub use policy::{Backoff, Order, Policy, WhenDamaged, WhenFull};
pub use shelf::Folder;
pub use status::{Answer, AnswerText, Phase, Status};
pub use trouble::{Shut, Trouble};

use crate::random::Random;
use crate::{Body, limits};
use disk_thread::DiskThread;
use file::IndexFile;
use gauges::Gauges;
use http::{HeaderValue, Request, header};
use index::{Change, Effect, Found};
use letter::Content;
use redb::ReadTransaction;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use tokio::sync::Notify;
use writer::Writer;

/// The header that names a call in deliveries and in answers.
pub const IDEMPOTENCY_KEY: http::HeaderName = http::HeaderName::from_static("idempotency-key");

/// See the file's head.
#[derive(Clone)]
pub struct Outbox {
    inner: Arc<Inner>,
}

/// What came of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// The call's id.
    pub id: Id,
    /// Whether it was accepted now: a second call with the same `idempotency-key` is the first one.
    pub is_new: bool,
}

struct Inner {
    file: Arc<IndexFile>,
    writer: Writer,
    disk: DiskThread,
    /// Where large bodies go; none in a simulation.
    blobs: Option<Folder>,
    random: Random,
    changed: Notify,
    hurry: AtomicBool,
    closed: AtomicBool,
    /// Bytes of bodies that are being taken in.
    landing: AtomicU64,
}

impl Outbox {
    /// Opens the outbox of the upstream `name` in `folder`, or makes it, and removes bodies that no call names. Verifies the
    /// whole file, so it takes its time and belongs on a thread that may wait. An outbox whose file cannot be opened is
    /// there all the same: it refuses calls, says why ([`Outbox::shut`]), and tries again.
    ///
    /// # Errors
    /// Its threads could not be started.
    pub fn open(name: &str, folder: Folder, policy: Policy, random: Random) -> io::Result<Self> {
        let gauges = Arc::new(Gauges::default());
        let shelf = Box::new(folder.clone());
        let file = Arc::new(IndexFile::open(name.to_owned(), shelf, Arc::new(policy), gauges));
        if file.shut().is_none() {
            match folder.sweep(|blob| file.read(|snapshot| index::has_blob(snapshot, blob))) {
                Ok(0) => {}
                Ok(swept) => tracing::info!(outbox = name, swept, "bodies without a call were removed"),
                Err(error) => tracing::warn!(outbox = name, %error, "bodies could not be looked through"),
            }
        }
        let writer = Writer::start(file.clone(), folder.clone())?;
        Ok(Self::made(file, writer, DiskThread::start()?, Some(folder), random))
    }

    fn made(
        file: Arc<IndexFile>,
        writer: Writer,
        disk: DiskThread,
        blobs: Option<Folder>,
        random: Random,
    ) -> Self {
        let inner = Inner {
            file,
            writer,
            disk,
            blobs,
            random,
            changed: Notify::new(),
            hurry: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            landing: AtomicU64::new(0),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Accepts a call: when this returns, it is on disk. Dropping the future gives the call up, or leaves open whether it
    /// was accepted.
    ///
    /// # Errors
    /// Nothing was accepted, or, after [`PushError::Failed`], nobody knows.
    pub async fn push(&self, draft: Draft, body: Body) -> Result<Pushed, PushError> {
        let pushed = self.inner.push(draft, body).await;
        match &pushed {
            Ok(_) => self.inner.changed.notify_one(),
            Err(_) => self.inner.file.gauges.refused(),
        }
        pushed
    }

    /// Delivers calls through `courier` until the outbox is closed. One of these runs per outbox.
    pub async fn deliver(&self, courier: &dyn Courier) {
        drain::Drain::new(&self.inner, courier).run().await;
    }

    /// A call's status, if there is such a call.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn status(&self, id: Id) -> Result<Option<Status>, Trouble> {
        if id.mark != self.inner.mark() {
            return Ok(None);
        }
        let found = self.inner.read(move |snapshot| index::find(snapshot, id.number)).await?;
        Ok(Status::of(id, found, self.inner.now_ms()))
    }

    /// Waiting calls, or dead ones, that were accepted after `after`, in that order; at most `most` of them.
    ///
    /// # Errors
    /// The file cannot be read.
    pub async fn list(&self, is_dead: bool, after: Option<Id>, most: usize) -> Result<Vec<Status>, Trouble> {
        let (mark, now_ms) = (self.inner.mark(), self.inner.now_ms());
        let (after, most) = (after.map_or(0, |id| id.number), most.min(limits::outbox::PAGE_MAX));
        let read = move |snapshot: &ReadTransaction| {
            let numbers = index::page(snapshot, is_dead, after, most)?;
            let found = numbers.into_iter().map(|number| Ok((number, index::find(snapshot, number)?)));
            found.collect::<Result<Vec<(u64, Found)>, Trouble>>()
        };
        let found = self.inner.read(read).await?;
        let status = |(number, found)| Status::of(Id { mark, number }, found, now_ms);
        Ok(found.into_iter().filter_map(status).collect())
    }

    /// A dead call is to be delivered once more, a waiting one now. Whether there is such a call.
    ///
    /// # Errors
    /// The file cannot be written.
    pub async fn retry(&self, id: Id) -> Result<bool, Trouble> {
        let did = self.correct(id, Change::Requeue(id.number)).await?
            || self.correct(id, Change::Hurry(id.number)).await?;
        self.drain();
        Ok(did)
    }

    /// Forgets a waiting or dead call. Whether there was one.
    ///
    /// # Errors
    /// The file cannot be written.
    pub async fn discard(&self, id: Id) -> Result<bool, Trouble> {
        self.correct(id, Change::Discard(id.number)).await
    }

    async fn correct(&self, id: Id, change: Change) -> Result<bool, Trouble> {
        if id.mark != self.inner.mark() {
            return Ok(false);
        }
        let effect = self.inner.change(change).await?;
        self.inner.changed.notify_one();
        Ok(effect == Effect::Done(true))
    }

    /// Every waiting call is dead from now on, because of `reason`.
    ///
    /// # Errors
    /// The file cannot be written. Some calls may be dead already.
    pub async fn bury_all(&self, reason: &str) -> Result<(), Trouble> {
        loop {
            let numbers =
                self.inner.read(|snapshot| index::page(snapshot, false, 0, limits::outbox::PAGE_MAX));
            let numbers = numbers.await?;
            if numbers.is_empty() {
                return Ok(());
            }
            for number in numbers {
                let reason = reason.to_owned();
                self.inner.change(Change::Dead { number, reason, counts: false }).await?;
            }
        }
    }

    /// Looks for the upstream at once, whatever was found out about the link. Calls that failed keep their pauses.
    pub fn drain(&self) {
        self.inner.hurry.store(true, Relaxed);
        self.inner.changed.notify_one();
    }

    /// What it holds, and what became of its calls.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.inner.file.gauges.counts(self.inner.now_ms())
    }

    /// Why it refuses calls, if its file cannot be used.
    #[must_use]
    pub fn shut(&self) -> Option<Shut> {
        self.inner.file.shut()
    }

    /// Damaged files that were set aside and are still there.
    ///
    /// # Errors
    /// The disk thread is busy or gone.
    pub async fn set_aside(&self) -> Result<Vec<String>, Trouble> {
        let file = self.inner.file.clone();
        self.inner.disk.run(move || file.aside()).await
    }

    /// How it behaves from now on.
    pub fn configure(&self, policy: Policy) {
        self.inner.file.set_policy(Arc::new(policy));
        self.inner.changed.notify_one();
    }

    /// How it behaves.
    #[must_use]
    pub fn policy(&self) -> Arc<Policy> {
        self.inner.file.policy()
    }

    /// Refuses what comes from now on, ends [`Outbox::deliver`], and returns when what was accepted is on disk and the
    /// file is closed.
    pub async fn close(&self) {
        self.inner.closed.store(true, Relaxed);
        self.inner.changed.notify_one();
        self.inner.writer.close().await;
    }
}

impl Inner {
    fn mark(&self) -> u32 {
        self.file.gauges.mark()
    }

    fn now_ms(&self) -> u64 {
        self.file.clock().now_ms()
    }

    fn is_closed(&self) -> bool {
        self.closed.load(Relaxed)
    }

    fn take_hurry(&self) -> bool {
        self.hurry.swap(false, Relaxed)
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&ReadTransaction) -> Result<T, Trouble> + Send + 'static,
    ) -> Result<T, Trouble> {
        let file = self.file.clone();
        let found = self.disk.run(move || file.read(read).inspect_err(|trouble| file.distrust(trouble)));
        found.await?
    }

    async fn change(&self, change: Change) -> Result<Effect, Trouble> {
        self.writer.change(change).await.map_err(|error| match error {
            PushError::Failed(trouble) => trouble,
            other => Trouble::new(other),
        })
    }

    /// A waiting call as it goes out; `None` if it does not wait any more.
    async fn request(&self, number: u64) -> Result<Option<Request<Body>>, Trouble> {
        let found = self.read(move |snapshot| index::find(snapshot, number)).await?;
        let Found::Waiting(letter, _) = found else { return Ok(None) };
        let mut headers = letter::unpacked(&letter.headers).ok_or_else(unreadable)?;
        if letter.content.bytes() > 0 {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(letter.content.bytes()));
        }
        headers.insert(IDEMPOTENCY_KEY, HeaderValue::from_str(&letter.key).map_err(Trouble::new)?);
        let body = match letter.content {
            Content::Inline(bytes) => blob::whole(bytes),
            Content::Blob { id, bytes } => self.blob_body(id, bytes).await?,
        };
        let mut request = Request::new(body);
        *request.method_mut() = letter.method.parse().map_err(Trouble::new)?;
        *request.uri_mut() = letter.path.parse().map_err(Trouble::new)?;
        *request.headers_mut() = headers;
        Ok(Some(request))
    }

    async fn blob_body(&self, id: u64, bytes: u64) -> Result<Body, Trouble> {
        let Some(folder) = self.blobs.clone() else { return Err(Trouble::new("there are no blobs here")) };
        let disk = self.disk.clone();
        let opened = disk.run(move || blob::open(&folder.blob(id), bytes)).await?;
        Ok(blob::body(opened.map_err(Trouble::new)?, disk))
    }

    /// A kept answer, while a function is to be told of it.
    async fn answer(&self, number: u64) -> Result<Option<Answer>, Trouble> {
        let id = Id { mark: self.mark(), number };
        let found = self.read(move |snapshot| index::find(snapshot, number)).await?;
        let Found::Delivered(kept) = found else { return Ok(None) };
        Ok(Some(Answer {
            id,
            key: kept.key,
            path: kept.path,
            status: http::StatusCode::from_u16(kept.answer.status).map_err(Trouble::new)?,
            headers: letter::unpacked(&kept.answer.headers).ok_or_else(unreadable)?,
            body: kept.answer.body,
            is_whole: kept.answer.is_whole,
        }))
    }
}

fn unreadable() -> Trouble {
    Trouble::new("its headers cannot be read")
}

impl std::fmt::Debug for Outbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Outbox").field("counts", &self.counts()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
