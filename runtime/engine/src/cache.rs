//! Compiled components on disk. Loading compiled code is as good as running it, so an entry is used only if this node
//! wrote it: a MAC with a node-local key covers its name and its content, and the bytes that were checked are the bytes
//! that are loaded. Whatever is damaged, swapped, foreign or unreadable is a miss; what is damaged is removed.
//!
//! Used by [`Engine::load`](crate::Engine::load), from threads that may block. A cache that fails costs compilations and
//! nothing else: reading and writing have no error that stops a component from being served. Bounded in bytes; what was
//! used longest ago makes room. It knows nothing of components but their digests.

mod entry;
mod folder;
mod key;

use crate::code::Generation;
use crate::config::Settings;
use crate::limits::{CACHE_ENTRY_BYTES, CACHE_TURN, CACHE_TURN_POLL};
use folder::Folder;
use sha2::{Digest, Sha256};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Instant;

pub(crate) use entry::Hit;
pub use entry::is_authentic;

const SUFFIX: &str = ".code";

/// The compile cache of a node, or none.
pub struct Cache {
    place: Option<Place>,
}

struct Place {
    folder: PathBuf,
    key: [u8; 32],
    bytes_max: u64,
}

/// Why the cache cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    /// A file or folder could not be read or written.
    #[error("cannot {doing} `{}`", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// Somebody else could write there.
    #[error("`{}` must belong to this user and be writable by nobody else (`chmod 700`)", path.display())]
    NotOurs {
        /// The folder or file.
        path: PathBuf,
    },
    /// The key file has the wrong size.
    #[error("`{}` is not a key of 32 bytes: remove it and a new one is made", path.display())]
    BadKey {
        /// The key file.
        path: PathBuf,
    },
}

/// The right to compile, among all processes that share the cache. Dropping it gives it back.
pub(crate) struct Turn {
    _lock: Option<OwnedFd>,
}

impl Cache {
    /// Bytes of compiled code that a cache keeps where nothing else was said: some hundred JavaScript components.
    pub const BYTES_MAX: u64 = 4 << 30;

    /// No cache: everything is compiled at each start.
    pub fn none() -> Self {
        Self { place: None }
    }

    /// The cache in `folder`, which is made if it is not there, with the key in `key_file`, likewise. At most
    /// `bytes_max` are kept: what was used longest ago is removed first.
    pub fn open(folder: &Path, key_file: &Path, bytes_max: u64) -> Result<Self, CacheError> {
        folder::make_private(folder)?;
        if let Some(parent) = key_file.parent() {
            folder::make_private(parent)?;
        }
        let key = key::read_or_make(key_file)?;
        Ok(Self { place: Some(Place { folder: folder.to_owned(), key, bytes_max }) })
    }

    /// The authentic entry of a component, if there is one.
    pub(crate) fn get(&self, generation: Generation, digest: &[u8; 32]) -> Option<Hit> {
        let place = self.place.as_ref()?;
        let name = entry_name(generation, digest);
        match place.read(&name) {
            Ok(hit) => hit,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => {
                tracing::warn!(entry = name, %error, "a cache entry cannot be read; compiling again");
                None
            }
        }
    }

    /// Writes an entry: whole or not at all, also when the power fails.
    #[cfg_attr(not(feature = "compile"), expect(dead_code, reason = "without a compiler nothing is cached"))]
    pub(crate) fn put(&self, generation: Generation, digest: &[u8; 32], code: &[u8]) -> std::io::Result<()> {
        match &self.place {
            Some(place) => place.write(&entry_name(generation, digest), code),
            None => Ok(()),
        }
    }

    /// Waits until no other process compiles for this cache, so that two that start at once compile a component once.
    /// After [`CACHE_TURN`] it goes on without: a process that was stopped must not hold up this one for ever.
    #[cfg_attr(
        not(feature = "compile"),
        expect(dead_code, reason = "without a compiler nothing is compiled")
    )]
    pub(crate) fn turn(&self) -> Turn {
        let Some(place) = &self.place else { return Turn { _lock: None } };
        let deadline = Instant::now() + CACHE_TURN;
        while Instant::now() < deadline {
            match Folder::open(&place.folder).and_then(|folder| folder.try_lock()) {
                Ok(Some(lock)) => return Turn { _lock: Some(lock) },
                Ok(None) => std::thread::sleep(CACHE_TURN_POLL),
                Err(error) => {
                    tracing::debug!(%error, "the compile cache cannot be locked; compiling without that");
                    break;
                }
            }
        }
        Turn { _lock: None }
    }
}

impl Place {
    fn read(&self, name: &str) -> std::io::Result<Option<Hit>> {
        let folder = Folder::open(&self.folder)?;
        let Some(file) = folder.entry(name)? else {
            self.remove(&folder, name, "is no file of ours, or others can write to it");
            return Ok(None);
        };
        let hit = entry::read(&self.key, name, &file)?;
        match hit {
            // For eviction; a cache on a read-only disk works without it.
            Some(_) => drop(file.set_modified(std::time::SystemTime::now())),
            None => self.remove(&folder, name, "is damaged or was not written by this node"),
        }
        Ok(hit)
    }

    fn remove(&self, folder: &Folder, name: &str, why: &str) {
        tracing::warn!(entry = name, "a cache entry {why}: it is removed, and the component compiled again");
        if let Err(error) = folder.remove(name) {
            tracing::warn!(entry = name, %error, "a damaged cache entry cannot be removed");
        }
    }

    fn write(&self, name: &str, code: &[u8]) -> std::io::Result<()> {
        let bytes = entry::bytes(code);
        if bytes > self.bytes_max.min(CACHE_ENTRY_BYTES) {
            return Err(std::io::Error::other(format!("{bytes} bytes are more than the cache keeps")));
        }
        // A cache may be deleted at any time, also as a whole.
        if !self.folder.exists() {
            folder::make_private(&self.folder).map_err(std::io::Error::other)?;
        }
        let folder = Folder::open(&self.folder)?;
        folder.shrink_to(self.bytes_max - bytes)?;
        let write = || folder.write(name, |file| entry::write(&self.key, name, code, file));
        match write() {
            // The disk is full: what was used longest ago is worth less than what is wanted now.
            Err(error) if error.kind() == std::io::ErrorKind::StorageFull => {
                folder.shrink_by(bytes)?;
                write()
            }
            written => written,
        }
    }
}

/// The sha256 of everything that changes the code: engine version, settings, processor and component.
fn entry_name(generation: Generation, digest: &[u8; 32]) -> String {
    let mut name = Sha256::new();
    name.update(Settings::code_key(generation));
    name.update([0]);
    name.update(std::env::consts::ARCH);
    name.update([0]);
    name.update(digest);
    format!("{}{SUFFIX}", hex::encode(name.finalize()))
}

#[cfg(test)]
mod tests;
