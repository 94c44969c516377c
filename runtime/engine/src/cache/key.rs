//! The key of a cache: 32 random bytes in a file that only this user can read, made when a node first starts.

use super::CacheError;
use super::folder::is_ours;
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const BYTES: usize = 32;

/// The key in that file, which is made if it is not there.
pub(super) fn read_or_make(path: &Path) -> Result<[u8; BYTES], CacheError> {
    let io = |doing, source| CacheError::Io { doing, path: path.to_owned(), source };
    // Without waiting: opening a pipe would.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let open = || rustix::fs::open(path, flags, Mode::empty());
    let file = match open() {
        Err(rustix::io::Errno::NOENT) => {
            make(path).map_err(|error| io("write the key", error))?;
            open()
        }
        opened => opened,
    };
    read(File::from(file.map_err(|error| io("read the key", error.into()))?), path)
}

fn read(file: File, path: &Path) -> Result<[u8; BYTES], CacheError> {
    let io = |source| CacheError::Io { doing: "read the key", path: path.to_owned(), source };
    let about = file.metadata().map_err(io)?;
    if !about.is_file() || !is_ours(&about) || about.permissions().mode() & 0o077 != 0 {
        return Err(CacheError::NotOurs { path: path.to_owned() });
    }
    let mut key = Vec::new();
    file.take(BYTES as u64 + 1).read_to_end(&mut key).map_err(io)?;
    key.try_into().map_err(|_| CacheError::BadKey { path: path.to_owned() })
}

/// Two processes may do this at once: the first one's key stays.
fn make(path: &Path) -> std::io::Result<()> {
    let mut key = [0_u8; BYTES];
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
