//! Memory that a node shares with the process that runs its models: tensors go through it without the kernel's help.
//!
//! Each side copies in and out of it; only the worker looks at what the node wrote where it lies. Neither side can make it
//! shorter, which would end the other one.

#![allow(unsafe_code, reason = "memory that another process has too is mapped; decision record 0018")]

use crate::Error;
use memmap2::{MmapOptions, MmapRaw};
use rustix::fs::{FallocateFlags, MemfdFlags, SealFlags};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

pub(super) struct Region {
    map: MmapRaw,
    file: File,
}

impl Region {
    /// A new one. Pages are there once they are written to.
    pub(super) fn new(bytes: usize) -> io::Result<Self> {
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = File::from(rustix::fs::memfd_create("tensors", flags)?);
        file.set_len(bytes as u64)?;
        rustix::fs::fcntl_add_seals(&file, SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL)?;
        Self::map(file, bytes)
    }

    /// The one that somebody else made.
    pub(super) fn of(file: OwnedFd) -> io::Result<Self> {
        let file = File::from(file);
        let bytes = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        Self::map(file, bytes)
    }

    fn map(file: File, bytes: usize) -> io::Result<Self> {
        let map = MmapOptions::new().len(bytes).map_raw(&file)?;
        Ok(Self { map, file })
    }

    pub(super) fn file(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Puts `bytes` at `at`.
    pub(super) fn write(&self, at: usize, bytes: &[u8]) -> Result<(), Error> {
        self.check(at, bytes.len())?;
        // SAFETY: the range is in the mapping, which nobody makes shorter, and no memory of ours is in that.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), self.map.as_mut_ptr().add(at), bytes.len()) };
        Ok(())
    }

    /// A copy of what lies at `at`. Whatever the other side does meanwhile, it is bytes.
    pub(super) fn copy(&self, at: usize, length: usize) -> Result<Vec<u8>, Error> {
        self.check(at, length)?;
        let mut copy = Vec::with_capacity(length);
        // SAFETY: the range is in the mapping, which nobody makes shorter; `copy` has room for it and is written whole.
        unsafe {
            std::ptr::copy_nonoverlapping(self.map.as_ptr().add(at), copy.as_mut_ptr(), length);
            copy.set_len(length);
        }
        Ok(copy)
    }

    /// What lies at `at`, for the worker: the node writes nothing there until it has the answer.
    pub(super) fn slice(&self, at: usize, length: usize) -> Result<&[u8], Error> {
        self.check(at, length)?;
        // SAFETY: the range is in the mapping, which nobody makes shorter and which lives as long as `self`; the node, which
        // the worker trusts, leaves it alone while the worker works.
        Ok(unsafe { std::slice::from_raw_parts(self.map.as_ptr().add(at), length) })
    }

    fn check(&self, at: usize, length: usize) -> Result<(), Error> {
        match at.checked_add(length) {
            Some(end) if end <= self.map.len() => Ok(()),
            _ => Err(Error::too_large(format!("{length} bytes do not fit into the memory for tensors"))),
        }
    }

    /// Gives pages of a range back.
    pub(super) fn release(&self, from: usize, to: usize) -> io::Result<()> {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        Ok(rustix::fs::fallocate(&self.file, flags, from as u64, (to - from) as u64)?)
    }
}
