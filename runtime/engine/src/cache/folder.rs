//! The folder of a cache, opened anew for every use and checked each time: it is ours, nobody else can write to it, and it
//! is no link. Everything in it is reached through the open folder, so that a folder which is swapped meanwhile changes
//! nothing. Only files named like entries are counted or removed: a folder that was named by mistake loses nothing.

use super::{CacheError, SUFFIX};
use crate::limits::CACHE_HALF_WRITTEN;
use rustix::fs::{AtFlags, Dir, FileType, FlockOperation, Mode, OFlags, Stat};
use std::fs::{File, Metadata};
use std::io::{Error, Result};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

/// What an entry is called while it is being written.
const HALF_WRITTEN: &str = ".new-";
/// Whoever compiles holds a lock on it.
const LOCK: &str = ".compiling";

pub(super) struct Folder(OwnedFd);

/// A file that is named like an entry.
struct Entry {
    /// Nanoseconds since 1970.
    used: i128,
    bytes: u64,
    name: String,
}

impl Folder {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let folder = File::from(rustix::fs::open(path, flags, Mode::empty())?);
        match is_ours(&folder.metadata()?) {
            true => Ok(Self(folder.into())),
            false => {
                Err(Error::other("the cache folder belongs to somebody else, or others can write to it"))
            }
        }
    }

    /// The open file of an entry; `None` where something else is there, or a file that others can write to.
    pub(super) fn entry(&self, name: &str) -> Result<Option<File>> {
        // Without waiting: opening a pipe would.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = match rustix::fs::openat(&self.0, name, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(rustix::io::Errno::LOOP | rustix::io::Errno::NXIO) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let about = file.metadata()?;
        Ok(Some(file).filter(|_| about.is_file() && is_ours(&about)))
    }

    pub(super) fn remove(&self, name: &str) -> Result<()> {
        match rustix::fs::unlinkat(&self.0, name, AtFlags::empty()) {
            Err(rustix::io::Errno::NOENT) => Ok(()),
            removed => Ok(removed?),
        }
    }

    /// Writes a file beside, and renames it when all of it is on the disk.
    pub(super) fn write(&self, name: &str, content: impl FnOnce(&mut File) -> Result<()>) -> Result<()> {
        let beside = format!("{HALF_WRITTEN}{:016x}", rand::random::<u64>());
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.0, &beside, flags, Mode::RUSR | Mode::WUSR)?;
        let written = self.finish(File::from(file), content, &beside, name);
        if written.is_err() {
            // The first error is the one to tell; what stays is removed later.
            let _ = self.remove(&beside);
        }
        written
    }

    fn finish(
        &self,
        mut file: File,
        content: impl FnOnce(&mut File) -> Result<()>,
        beside: &str,
        name: &str,
    ) -> Result<()> {
        content(&mut file)?;
        file.sync_all()?;
        rustix::fs::renameat(&self.0, beside, &self.0, name)?;
        Ok(rustix::fs::fsync(&self.0)?)
    }

    /// Removes what was used longest ago until the entries have at most `bytes_max`, and what a crash has left half written.
    pub(super) fn shrink_to(&self, bytes_max: u64) -> Result<()> {
        let entries = self.entries()?;
        let total: u64 = entries.iter().map(|entry| entry.bytes).sum();
        self.remove_oldest(entries, total.saturating_sub(bytes_max));
        Ok(())
    }

    /// Removes what was used longest ago until so many bytes are free that were not.
    pub(super) fn shrink_by(&self, bytes: u64) -> Result<()> {
        self.remove_oldest(self.entries()?, bytes);
        Ok(())
    }

    fn remove_oldest(&self, mut entries: Vec<Entry>, mut bytes: u64) {
        entries.sort_by_key(|entry| entry.used);
        for entry in entries {
            if bytes == 0 {
                return;
            }
            if self.remove(&entry.name).is_ok() {
                bytes = bytes.saturating_sub(entry.bytes);
            }
        }
    }

    fn entries(&self) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for entry in Dir::read_from(&self.0)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().to_str() else { continue };
            if !is_entry(name) && !name.starts_with(HALF_WRITTEN) {
                continue;
            }
            // Another process may remove it at the same moment.
            let Ok(about) = rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            if FileType::from_raw_mode(about.st_mode) != FileType::RegularFile {
                continue;
            }
            if name.starts_with(HALF_WRITTEN) {
                self.remove_if_left(name, &about);
                continue;
            }
            entries.push(Entry { used: used(&about), bytes: size(&about), name: name.to_owned() });
        }
        Ok(entries)
    }

    /// Another process may be writing it; nobody writes for that long.
    fn remove_if_left(&self, name: &str, about: &Stat) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_nanos().cast_signed());
        if now - used(about) > CACHE_HALF_WRITTEN.as_nanos().cast_signed() {
            // It is tried again with the next entry.
            let _ = self.remove(name);
        }
    }

    /// The lock of whoever compiles, unless another process has it.
    pub(super) fn try_lock(&self) -> Result<Option<OwnedFd>> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.0, LOCK, flags, Mode::RUSR | Mode::WUSR)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(file)),
            Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Named by a digest, as all entries are.
fn is_entry(name: &str) -> bool {
    let digest = name.strip_suffix(SUFFIX);
    digest.is_some_and(|digest| digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

#[allow(clippy::unnecessary_cast, clippy::useless_conversion, reason = "the types differ by architecture")]
fn used(about: &Stat) -> i128 {
    i128::from(about.st_mtime) * 1_000_000_000 + about.st_mtime_nsec as i128
}

fn size(about: &Stat) -> u64 {
    u64::try_from(about.st_size).unwrap_or(0)
}

/// A file or folder of this user that nobody else can write to.
pub(super) fn is_ours(about: &Metadata) -> bool {
    const WRITABLE_BY_OTHERS: u32 = 0o022;
    about.uid() == rustix::process::geteuid().as_raw() && about.permissions().mode() & WRITABLE_BY_OTHERS == 0
}

/// Makes the folder if it is not there, for this user only; an error where it is there and others can write to it.
pub(super) fn make_private(folder: &Path) -> std::result::Result<(), CacheError> {
    let io = |doing, source| CacheError::Io { doing, path: folder.to_owned(), source };
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| io("create the folder", error))?;
    let about = std::fs::symlink_metadata(folder).map_err(|error| io("look at", error))?;
    match about.is_dir() && is_ours(&about) {
        true => Ok(()),
        false => Err(CacheError::NotOurs { path: folder.to_owned() }),
    }
}
