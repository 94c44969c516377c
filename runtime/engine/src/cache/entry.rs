//! One entry: the code as wasmtime made it, then [`MAGIC`], then a MAC over the entry's name and the code. What is read is
//! copied into memory that nobody can change any more, and the MAC is taken of what was copied: the file may be written
//! to, cut or replaced meanwhile or later, and the node runs what it has checked.

use crate::limits::CACHE_ENTRY_BYTES;
use hmac::{Hmac, Mac};
use rustix::fs::{MemfdFlags, SealFlags};
use sha2::Sha256;
use std::fs::File;
use std::io::{ErrorKind, Read, Result, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

const MAGIC: &[u8; 16] = b"rimward code v1\n";
const MAC_BYTES: usize = 32;
pub(super) const TRAILER_BYTES: usize = MAGIC.len() + MAC_BYTES;

/// An authentic entry's code, sealed in memory: neither written to nor cut short any more.
pub(crate) struct Hit {
    sealed: File,
}

impl Hit {
    /// A path that leads to the very bytes that were checked.
    pub(crate) fn path(&self) -> PathBuf {
        PathBuf::from(format!("/proc/self/fd/{}", self.sealed.as_raw_fd()))
    }
}

/// The size of the entry of `code`.
pub(super) fn bytes(code: &[u8]) -> u64 {
    (code.len() + TRAILER_BYTES) as u64
}

pub(super) fn write(key: &[u8; 32], name: &str, code: &[u8], to: &mut impl Write) -> Result<()> {
    to.write_all(code)?;
    to.write_all(MAGIC)?;
    to.write_all(&mac(key, name).chain_update(code).finalize().into_bytes())
}

/// The code of an entry of that name; `None` where it is not authentic.
pub(super) fn read(key: &[u8; 32], name: &str, file: &File) -> Result<Option<Hit>> {
    let entry_bytes = file.metadata()?.len();
    let Some(code_bytes) = entry_bytes.checked_sub(TRAILER_BYTES as u64) else { return Ok(None) };
    if entry_bytes > CACHE_ENTRY_BYTES {
        return Ok(None);
    }
    let mut trailer = [0; TRAILER_BYTES];
    match file.read_exact_at(&mut trailer, code_bytes) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    }
    // What is plainly none is not copied.
    if !trailer.starts_with(MAGIC) {
        return Ok(None);
    }
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let mut copy =
        Copy { to: File::from(rustix::fs::memfd_create("rimward-code", flags)?), mac: mac(key, name) };
    let copied = std::io::copy(&mut file.take(code_bytes), &mut copy)?;
    if copied != code_bytes || copy.mac.verify_slice(&trailer[MAGIC.len()..]).is_err() {
        return Ok(None);
    }
    rustix::fs::fcntl_add_seals(
        &copy.to,
        SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL,
    )?;
    Ok(Some(Hit { sealed: copy.to }))
}

/// Whether `entry` is what a node with this key wrote under that name. For tests and fuzzing; a node reads files.
#[doc(hidden)]
pub fn is_authentic(key: &[u8; 32], name: &str, entry: &[u8]) -> bool {
    let file = || {
        let mut file = File::from(rustix::fs::memfd_create("entry", MemfdFlags::CLOEXEC)?);
        file.write_all(entry)?;
        std::io::Seek::rewind(&mut file)?;
        read(key, name, &file)
    };
    file().is_ok_and(|hit| hit.is_some())
}

/// Copies and takes the MAC of what it copies.
struct Copy {
    to: File,
    mac: Hmac<Sha256>,
}

impl Write for Copy {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        self.to.write_all(bytes)?;
        self.mac.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> Result<()> {
        Ok(())
    }
}

/// The MAC of an entry, to which its code is still to be added.
fn mac(key: &[u8; 32], name: &str) -> Hmac<Sha256> {
    let mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any size");
    mac.chain_update(name.as_bytes()).chain_update([0])
}
