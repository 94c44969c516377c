//! Compiled components on disk. Loading compiled code is as good as running it, so an entry is used only if this node
//! wrote it: a MAC with a node-local key covers its name and its content, and it is checked on the file descriptor that
//! is loaded. Whatever is damaged, swapped, foreign or unreadable is a miss. Entries are written beside and renamed.
//!
//! An entry is the code as wasmtime made it, then [`MAGIC`], then the MAC. The name is the sha256 of everything that
//! changes the code: engine version, settings and component.

use crate::code::Generation;
use crate::config::Settings;
use crate::limits::CACHE_ENTRY_BYTES;
use hmac::{Hmac, Mac};
use rustix::fs::{Mode, OFlags};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

const MAGIC: &[u8; 16] = b"rimward code v1\n";
const MAC_BYTES: usize = 32;
const SUFFIX: &str = "code";

/// The compile cache of a node, or none.
pub struct Cache {
    place: Option<Place>,
}

struct Place {
    folder: PathBuf,
    key: [u8; 32],
    bytes_max: u64,
}

/// An authentic entry. The file stays open, so that what was checked is what is loaded.
pub(crate) struct Hit {
    file: File,
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
        make_private_folder(folder)?;
        if let Some(parent) = key_file.parent() {
            make_private_folder(parent)?;
        }
        let key = read_or_make_key(key_file)?;
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
        let Some(place) = &self.place else {
            return Ok(());
        };
        let name = entry_name(generation, digest);
        place.make_room(code.len() as u64)?;
        let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(&place.folder)?;
        file.write_all(code)?;
        file.write_all(MAGIC)?;
        file.write_all(&place.mac(&name).chain_update(code).finalize().into_bytes())?;
        file.as_file().sync_all()?;
        file.persist(place.folder.join(&name)).map_err(|error| error.error)?;
        File::open(&place.folder)?.sync_all()
    }
}

impl Hit {
    /// A path that leads to the very file that was checked.
    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.file.as_raw_fd()))
    }
}

impl Place {
    fn read(&self, name: &str) -> std::io::Result<Option<Hit>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::open(self.folder.join(name), flags, Mode::empty())?);
        let about = file.metadata()?;
        if !about.is_file() || !is_ours(&about) || about.len() > CACHE_ENTRY_BYTES {
            return Ok(None);
        }
        if !self.is_authentic(name, &mut file, about.len())? {
            tracing::warn!(
                entry = name,
                "a cache entry is damaged or was not written by this node; compiling again"
            );
            return Ok(None);
        }
        // For eviction; a cache on a read-only disk works without it.
        let _ = file.set_modified(SystemTime::now());
        Ok(Some(Hit { file }))
    }

    /// Reads piece by piece: the code of an interpreter has tens of megabytes, which a small machine should not hold twice.
    fn is_authentic(&self, name: &str, file: &mut File, entry_bytes: u64) -> std::io::Result<bool> {
        let Some(code_bytes) = entry_bytes.checked_sub((MAGIC.len() + MAC_BYTES) as u64) else {
            return Ok(false);
        };
        let mut mac = self.mac(name);
        std::io::copy(&mut file.take(code_bytes), &mut mac)?;
        let (mut magic, mut written) = ([0; MAGIC.len()], [0; MAC_BYTES]);
        file.read_exact(&mut magic)?;
        file.read_exact(&mut written)?;
        Ok(magic == *MAGIC && mac.verify_slice(&written).is_ok())
    }

    /// The MAC of an entry, to which its code is still to be added.
    fn mac(&self, name: &str) -> Hmac<Sha256> {
        let mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes keys of any size");
        mac.chain_update(name.as_bytes()).chain_update([0])
    }

    /// Removes what was used longest ago until `bytes` more fit, and whatever a crash has left half written.
    fn make_room(&self, bytes: u64) -> std::io::Result<()> {
        let mut entries = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            let entry = entry?;
            // Another process may remove it at the same moment.
            let Ok(about) = entry.metadata() else {
                continue;
            };
            entries.push((about.modified().unwrap_or(SystemTime::UNIX_EPOCH), about.len(), entry.path()));
        }
        entries.sort();
        let mut total: u64 = entries.iter().map(|(_, len, _)| len).sum();
        for (_, len, path) in entries {
            if total + bytes <= self.bytes_max {
                break;
            }
            let _ = std::fs::remove_file(&path);
            total -= len;
        }
        Ok(())
    }
}

fn entry_name(generation: Generation, digest: &[u8; 32]) -> String {
    let mut name = Sha256::new();
    name.update(Settings::code_key(generation));
    name.update([0]);
    name.update(std::env::consts::ARCH);
    name.update([0]);
    name.update(digest);
    format!("{}.{SUFFIX}", hex::encode(name.finalize()))
}

fn is_ours(about: &std::fs::Metadata) -> bool {
    const WRITABLE_BY_OTHERS: u32 = 0o022;
    about.uid() == rustix::process::geteuid().as_raw() && about.permissions().mode() & WRITABLE_BY_OTHERS == 0
}

fn make_private_folder(folder: &Path) -> Result<(), CacheError> {
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

fn read_or_make_key(path: &Path) -> Result<[u8; 32], CacheError> {
    let io = |doing, source| CacheError::Io { doing, path: path.to_owned(), source };
    match rustix::fs::open(path, OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()) {
        Ok(file) => read_key(File::from(file), path),
        Err(rustix::io::Errno::NOENT) => {
            make_key(path).map_err(|error| io("write the key", error))?;
            let file = File::open(path).map_err(|error| io("read the key", error))?;
            read_key(file, path)
        }
        Err(error) => Err(io("read the key", error.into())),
    }
}

fn read_key(mut file: File, path: &Path) -> Result<[u8; 32], CacheError> {
    let io = |source| CacheError::Io { doing: "read the key", path: path.to_owned(), source };
    let about = file.metadata().map_err(io)?;
    if !is_ours(&about) || about.permissions().mode() & 0o077 != 0 {
        return Err(CacheError::NotOurs { path: path.to_owned() });
    }
    let mut key = Vec::new();
    file.read_to_end(&mut key).map_err(io)?;
    key.try_into().map_err(|_| CacheError::BadKey { path: path.to_owned() })
}

/// Two processes may do this at once: the first one's key stays.
fn make_key(path: &Path) -> std::io::Result<()> {
    let mut key = [0_u8; 32];
    rand::Rng::fill(&mut rand::rng(), &mut key);
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file =
        tempfile::Builder::new().permissions(PermissionsExt::from_mode(0o600)).tempfile_in(folder)?;
    file.write_all(&key)?;
    file.as_file().sync_all()?;
    match file.persist_noclobber(path) {
        Ok(_) => File::open(folder)?.sync_all(),
        Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error.error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &[u8] = b"native code, as far as the cache cares";
    const DIGEST: [u8; 32] = [7; 32];

    fn cache(folder: &Path) -> Cache {
        Cache::open(&folder.join("cache"), &folder.join("keys/cache.key"), Cache::BYTES_MAX).unwrap()
    }

    fn entry(folder: &Path) -> PathBuf {
        folder.join("cache").join(entry_name(Generation::Plain, &DIGEST))
    }

    fn filled() -> (tempfile::TempDir, Cache) {
        let folder = tempfile::tempdir().unwrap();
        let cache = cache(folder.path());
        cache.put(Generation::Plain, &DIGEST, CODE).unwrap();
        (folder, cache)
    }

    fn hits(cache: &Cache) -> bool {
        cache.get(Generation::Plain, &DIGEST).is_some()
    }

    #[test]
    fn an_entry_is_found_again_also_by_the_next_process() {
        let (folder, cache) = filled();
        assert!(hits(&cache));
        assert!(hits(&self::cache(folder.path())));
        let found = std::fs::read(cache.get(Generation::Plain, &DIGEST).unwrap().path()).unwrap();
        assert!(found.starts_with(CODE));
    }

    #[test]
    fn another_component_or_engine_has_another_entry() {
        let (_folder, cache) = filled();
        assert!(cache.get(Generation::Concurrent, &DIGEST).is_none());
        assert!(cache.get(Generation::Plain, &[8; 32]).is_none());
    }

    #[test]
    fn any_flipped_byte_is_a_miss() {
        let (folder, cache) = filled();
        let good = std::fs::read(entry(folder.path())).unwrap();
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            std::fs::write(entry(folder.path()), bad).unwrap();
            assert!(!hits(&cache), "byte {at}");
        }
        for len in 0..good.len() {
            std::fs::write(entry(folder.path()), &good[..len]).unwrap();
            assert!(!hits(&cache), "{len} bytes");
        }
    }

    #[test]
    fn an_entry_under_another_name_is_a_miss() {
        let (folder, cache) = filled();
        std::fs::rename(
            entry(folder.path()),
            folder.path().join("cache").join(entry_name(Generation::Plain, &[8; 32])),
        )
        .unwrap();
        assert!(cache.get(Generation::Plain, &[8; 32]).is_none());
    }

    #[test]
    fn an_entry_of_another_node_is_a_miss() {
        let (ours, cache) = filled();
        let (theirs, _) = filled();
        std::fs::copy(entry(theirs.path()), entry(ours.path())).unwrap();
        assert!(!hits(&cache));
    }

    #[test]
    fn a_link_in_place_of_an_entry_is_a_miss() {
        let (folder, cache) = filled();
        let aside = folder.path().join("aside");
        std::fs::rename(entry(folder.path()), &aside).unwrap();
        std::os::unix::fs::symlink(&aside, entry(folder.path())).unwrap();
        assert!(!hits(&cache));
    }

    #[test]
    fn a_folder_that_others_can_write_to_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Cache::open(&folder.path().join("cache"), &folder.path().join("keys/cache.key"), 0);
        open().unwrap();
        std::fs::set_permissions(folder.path().join("cache"), PermissionsExt::from_mode(0o777)).unwrap();
        assert!(matches!(open(), Err(CacheError::NotOurs { .. })));
    }

    #[test]
    fn a_key_that_others_can_read_is_refused() {
        let (folder, _) = filled();
        std::fs::set_permissions(folder.path().join("keys/cache.key"), PermissionsExt::from_mode(0o644))
            .unwrap();
        let opened = Cache::open(&folder.path().join("cache"), &folder.path().join("keys/cache.key"), 0);
        assert!(matches!(opened, Err(CacheError::NotOurs { .. })));
    }

    #[test]
    fn what_was_used_longest_ago_makes_room() {
        let folder = tempfile::tempdir().unwrap();
        let entry_bytes = (CODE.len() + MAGIC.len() + MAC_BYTES) as u64;
        let bytes_max = 2 * entry_bytes;
        let cache =
            Cache::open(&folder.path().join("cache"), &folder.path().join("keys/cache.key"), bytes_max)
                .unwrap();
        for n in [1, 2] {
            cache.put(Generation::Plain, &[n; 32], CODE).unwrap();
        }
        let first = folder.path().join("cache").join(entry_name(Generation::Plain, &[1; 32]));
        File::options().write(true).open(first).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        assert!(cache.get(Generation::Plain, &[1; 32]).is_some(), "using it makes it the youngest");
        cache.put(Generation::Plain, &[3; 32], CODE).unwrap();
        assert!(cache.get(Generation::Plain, &[1; 32]).is_some());
        assert!(cache.get(Generation::Plain, &[2; 32]).is_none());
    }
}
