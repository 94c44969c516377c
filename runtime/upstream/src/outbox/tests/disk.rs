//! A disk in memory: remembers every write and sync, fails when told to, and can be cut off at any moment to see what
//! would be left.

use crate::outbox::shelf::{Shelf, open_backend};
use crate::outbox::trouble::Shut;
use redb::{Database, StorageBackend};
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};

/// The smallest piece that a disk writes whole, in bytes.
const SECTOR_BYTES: usize = 512;

#[derive(Clone, Debug, Default)]
pub(super) struct Disk(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    start: Vec<u8>,
    content: Vec<u8>,
    events: Vec<Event>,
    fault: Option<Fault>,
    aside: Vec<Vec<u8>>,
    opens: usize,
    counted: usize,
}

/// What goes wrong, when so many writes and syncs have gone well.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fault {
    pub(super) after: usize,
    pub(super) kind: io::ErrorKind,
    /// Whether only that one fails, or all that follow too.
    pub(super) is_once: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Event {
    Write {
        offset: usize,
        bytes: Vec<u8>,
    },
    Length(usize),
    Sync,
    /// A call was acknowledged.
    Acknowledged(String),
}

impl Disk {
    pub(super) fn with(content: Vec<u8>) -> Self {
        let disk = Self::default();
        disk.lock().start.clone_from(&content);
        disk.lock().content = content;
        disk
    }

    pub(super) fn content(&self) -> Vec<u8> {
        self.lock().content.clone()
    }

    pub(super) fn events(&self) -> Vec<Event> {
        self.lock().events.clone()
    }

    pub(super) fn acknowledged(&self, key: &str) {
        self.lock().events.push(Event::Acknowledged(key.to_owned()));
    }

    pub(super) fn set_fault(&self, fault: Option<Fault>) {
        let mut inner = self.lock();
        inner.fault = fault;
        inner.counted = 0;
    }

    /// Whether the fault has happened.
    pub(super) fn has_failed(&self) -> bool {
        let inner = self.lock();
        inner.fault.is_some_and(|fault| inner.counted > fault.after)
    }

    pub(super) fn opens(&self) -> usize {
        self.lock().opens
    }

    /// What a power cut now leaves.
    pub(super) fn cut(&self, keep: impl FnMut() -> bool) -> Vec<u8> {
        let inner = self.lock();
        after_power_cut(inner.start.clone(), &inner.events, keep)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap()
    }
}

impl Shelf for Disk {
    fn open(&self) -> Result<Database, Shut> {
        self.lock().opens += 1;
        open_backend(self.clone(), 7)
    }

    fn set_aside(&self, _wall_ms: u64) -> io::Result<String> {
        let mut inner = self.lock();
        let content = std::mem::take(&mut inner.content);
        inner.aside.push(content);
        Ok(format!("aside-{}", inner.aside.len()))
    }

    fn aside(&self) -> Vec<String> {
        (1..=self.lock().aside.len()).map(|number| format!("aside-{number}")).collect()
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.lock().content.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let start = offset as usize;
        let inner = self.lock();
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
        self.lock().change(Event::Sync)
    }
}

impl Inner {
    fn change(&mut self, event: Event) -> io::Result<()> {
        if let Some(fault) = self.fault {
            self.counted += 1;
            if self.counted == fault.after + 1 || (self.counted > fault.after && !fault.is_once) {
                return Err(fault.kind.into());
            }
        }
        apply(&mut self.content, &event, 0..usize::MAX);
        self.events.push(event);
        Ok(())
    }
}

/// What a power cut after `events` leaves of `content`. What was synced is there; of what came after, each sector of each
/// write is there if `keep` says so.
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
        Event::Sync | Event::Acknowledged(_) => {}
    }
}
