//! A disk in memory for tests: remembers every write and sync, can be made to fail or to hold up syncs, and can be
//! cut off at any moment to see what would be left.

use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use redb::StorageBackend;

use super::file::{Opener, open_backend};

/// The smallest piece that a disk writes whole, in bytes.
const SECTOR_BYTES: usize = 512;

#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    inner: Arc<(Mutex<Inner>, Condvar)>,
}

#[derive(Debug, Default)]
struct Inner {
    content: Vec<u8>,
    events: Vec<Event>,
    full: bool,
    unreadable: bool,
    hold: bool,
    held: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Event {
    Write {
        offset: usize,
        bytes: Vec<u8>,
    },
    Length(usize),
    Sync,
    /// A write was answered: this many so far.
    Answered(u64),
}

impl Disk {
    pub(super) fn with(content: Vec<u8>) -> Disk {
        let disk = Disk::default();
        disk.lock().content = content;
        disk
    }

    pub(super) fn opener(&self) -> Opener {
        let disk = self.clone();
        Box::new(move || open_backend(Path::new("disk"), disk.clone()))
    }

    pub(super) fn content(&self) -> Vec<u8> {
        self.lock().content.clone()
    }

    pub(super) fn events(&self) -> Vec<Event> {
        self.lock().events.clone()
    }

    pub(super) fn syncs(&self) -> usize {
        self.lock().events.iter().filter(|event| matches!(event, Event::Sync)).count()
    }

    pub(super) fn answered(&self, count: u64) {
        self.lock().events.push(Event::Answered(count));
    }

    /// From now on writes fail, as on a full disk, or work again.
    pub(super) fn set_full(&self, full: bool) {
        self.lock().full = full;
    }

    /// From now on reads fail, or work again.
    pub(super) fn set_unreadable(&self, unreadable: bool) {
        self.lock().unreadable = unreadable;
    }

    /// From now on a sync waits for [`Disk::release`].
    pub(super) fn hold(&self) {
        self.lock().hold = true;
    }

    /// Returns once a sync is being held up.
    pub(super) fn wait_until_held(&self) {
        drop(self.inner.1.wait_while(self.lock(), |inner| !inner.held).unwrap());
    }

    pub(super) fn release(&self) {
        self.lock().hold = false;
        self.inner.1.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.0.lock().unwrap()
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.lock().content.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let start = offset as usize;
        let inner = self.lock();
        if inner.unreadable {
            return Err(io::Error::other("bad sector"));
        }
        let bytes = inner.content.get(start..start + out.len());
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.lock().change(Event::Length(len as usize))
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.lock().change(Event::Write { offset: offset as usize, bytes: data.to_vec() })
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut inner = self.lock();
        if inner.hold {
            inner.held = true;
            self.inner.1.notify_all();
            inner = self.inner.1.wait_while(inner, |inner| inner.hold).unwrap();
            inner.held = false;
        }
        inner.events.push(Event::Sync);
        Ok(())
    }
}

impl Inner {
    fn change(&mut self, event: Event) -> io::Result<()> {
        if self.full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        apply(&mut self.content, &event, 0..usize::MAX);
        self.events.push(event);
        Ok(())
    }
}

/// What a power cut after `events` leaves of `content`. What was synced is there; of what came after, each sector of
/// each write is there if `keep` says so.
pub(super) fn after_power_cut(
    mut content: Vec<u8>,
    events: &[Event],
    mut keep: impl FnMut() -> bool,
) -> Vec<u8> {
    let synced = events.iter().rposition(|event| matches!(event, Event::Sync)).unwrap_or(0);
    for (index, event) in events.iter().enumerate() {
        let Event::Write { offset, bytes } = event else {
            apply(&mut content, event, 0..usize::MAX);
            continue;
        };
        let mut start = 0;
        while start < bytes.len() {
            let end = bytes.len().min(start + SECTOR_BYTES - (offset + start) % SECTOR_BYTES);
            if index < synced || keep() {
                apply(&mut content, event, start..end);
            }
            start = end;
        }
    }
    content
}

/// Applies the bytes in `part` of a write, or a new length.
fn apply(content: &mut Vec<u8>, event: &Event, part: Range<usize>) {
    match event {
        Event::Length(length) => content.resize(*length, 0),
        Event::Write { offset, bytes } => {
            let part = part.start..part.end.min(bytes.len());
            content[offset + part.start..offset + part.end].copy_from_slice(&bytes[part]);
        }
        Event::Sync | Event::Answered(_) => {}
    }
}
