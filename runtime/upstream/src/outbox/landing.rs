//! A call comes in: its body is taken in, small ones into the index, large ones into a file of their own that is on disk
//! before the index names it.
//!
//! Dropped on the way, the file is removed; after a power cut the next start removes it. Bounds: the size of a body, and what
//! all bodies that come in may take together with the waiting ones.

use super::index::{Change, Effect};
use super::letter::{Content, Draft, Id, Letter, PushError, packed};
use super::policy::WhenFull;
use super::shelf::Folder;
use super::trouble::Trouble;
use super::{Inner, Order, Pushed};
use crate::Body;
use crate::limits::outbox as limits;
use bytes::BytesMut;
use http_body_util::BodyExt as _;
use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

impl Inner {
    pub(super) async fn push(self: &Arc<Self>, draft: Draft, body: Body) -> Result<Pushed, PushError> {
        if self.is_closed() {
            return Err(PushError::Closed);
        }
        let mut landing = Landing { inner: self, bytes: 0, blob: None };
        let content = landing.take_in(body).await?;
        let letter = self.letter(draft, content);
        let effect = self.writer.change(Change::Push(Box::new(letter))).await;
        // From now on the index decides about the file, even if nobody knows what it says: the next start does.
        landing.keep();
        match effect? {
            Effect::Pushed { number, is_new } => Ok(Pushed { id: Id { mark: self.mark(), number }, is_new }),
            Effect::Full => Err(PushError::Full),
            Effect::TooLarge => Err(PushError::TooLarge { bytes_max: self.file.policy().bytes_max }),
            Effect::Done(_) => Err(PushError::Failed(Trouble::new("a push was not answered as one"))),
        }
    }

    fn letter(&self, draft: Draft, content: Content) -> Letter {
        let lane = match self.file.policy().order {
            Order::PerKey => Some(draft.lane.unwrap_or_default()),
            Order::All => Some(String::new()),
            Order::None => None,
        };
        Letter {
            accepted_ms: self.now_ms(),
            urgency: draft.urgency.min(limits::URGENCY_MAX),
            is_callers_key: draft.key.is_some(),
            key: draft.key.unwrap_or_else(|| self.made_key()),
            lane,
            method: draft.method.to_string(),
            path: draft.path,
            headers: packed(&draft.headers),
            content,
        }
    }

    /// A random UUID (RFC 9562, section 5.4).
    fn made_key(&self) -> String {
        let (high, low) = (self.random.number(), self.random.number());
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            (low >> 48) & 0x3fff | 0x8000,
            low & 0xffff_ffff_ffff
        )
    }
}

/// A body that is being taken in.
struct Landing<'a> {
    inner: &'a Inner,
    /// What of it counts in the outbox's sum of such bytes.
    bytes: u64,
    blob: Option<(Folder, u64)>,
}

impl Landing<'_> {
    async fn take_in(&mut self, mut body: Body) -> Result<Content, PushError> {
        let mut inline = BytesMut::new();
        let mut file: Option<Arc<File>> = None;
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(PushError::Body)?.into_data() else { continue };
            self.admit(data.len() as u64)?;
            inline.extend_from_slice(&data);
            // Without a folder everything is kept in the index: a simulation has no files.
            if inline.len() <= limits::INLINE_BYTES_MAX || self.inner.blobs.is_none() {
                continue;
            }
            if file.is_none() {
                file = Some(self.begin_blob().await?);
            }
            if let Some(file) = &file
                && inline.len() >= limits::CHUNK_BYTES
            {
                self.write(file, inline.split().to_vec()).await?;
            }
        }
        let Some(file) = file else { return Ok(Content::Inline(inline.freeze())) };
        self.write(&file, inline.to_vec()).await?;
        let Some((folder, id)) = self.blob.clone() else { return Ok(Content::Inline(inline.freeze())) };
        self.work(move || folder.settle_blob(&file)).await?;
        Ok(Content::Blob { id, bytes: self.bytes })
    }

    /// Whether `bytes` more are within the bounds.
    fn admit(&mut self, bytes: u64) -> Result<(), PushError> {
        let policy = self.inner.file.policy();
        self.bytes += bytes;
        let landing = self.inner.landing.fetch_add(bytes, Relaxed) + bytes;
        if self.bytes > policy.body_bytes_max {
            return Err(PushError::TooLarge { bytes_max: policy.body_bytes_max });
        }
        let waiting = match policy.when_full {
            WhenFull::Reject => self.inner.file.gauges.bytes(),
            WhenFull::DropOldest => 0,
        };
        if waiting.saturating_add(landing) > policy.bytes_max {
            return Err(PushError::Full);
        }
        Ok(())
    }

    async fn begin_blob(&mut self) -> Result<Arc<File>, PushError> {
        let Some(folder) = self.inner.blobs.clone() else {
            return Err(PushError::Failed(Trouble::new("there is no folder for bodies")));
        };
        // 0 is no id; one that exists already is an error, and as good as impossible.
        let id = self.inner.random.number().max(1);
        self.blob = Some((folder.clone(), id));
        Ok(Arc::new(self.work(move || folder.new_blob(id)).await?))
    }

    async fn write(&self, file: &Arc<File>, piece: Vec<u8>) -> Result<(), PushError> {
        let file = file.clone();
        self.work(move || (&*file).write_all(&piece)).await
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
    ) -> Result<T, PushError> {
        let done = self.inner.disk.run(work).await.map_err(|_| PushError::Busy)?;
        done.map_err(|error| PushError::Failed(Trouble::new(error)))
    }

    fn keep(&mut self) {
        self.blob = None;
    }
}

impl Drop for Landing<'_> {
    fn drop(&mut self) {
        self.inner.landing.fetch_sub(self.bytes, Relaxed);
        if let Some((folder, id)) = self.blob.take() {
            // If it stays, the next start removes it. The order of work on the disk makes it come after the file's making.
            self.inner.disk.begin(move || drop(std::fs::remove_file(folder.blob(id))));
        }
    }
}
