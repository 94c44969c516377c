//! A body on its way from a file, or from memory, to the upstream. At most one piece of it is in memory at a time.

use super::disk_thread::DiskThread;
use crate::limits::outbox::CHUNK_BYTES;
use crate::{Body, Error};
use bytes::Bytes;
use futures_util::stream::unfold;
use http_body::Frame;
use http_body_util::{BodyExt as _, Full, StreamBody};
use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;
use std::sync::Arc;

/// Of bytes that are in memory already.
pub(super) fn whole(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}

/// A file that has as many bytes as it should have.
pub(super) fn open(path: &Path, bytes: u64) -> io::Result<File> {
    let file = File::open(path)?;
    match file.metadata()?.len() == bytes {
        true => Ok(file),
        false => Err(io::Error::new(io::ErrorKind::InvalidData, "the file of a body has the wrong length")),
    }
}

/// What is in `file`, read piece by piece on `disk`.
pub(super) fn body(file: File, disk: DiskThread) -> Body {
    let pieces = unfold(Some((file, disk)), |left| async {
        let (mut file, disk) = left?;
        let read = move || -> io::Result<(File, Vec<u8>)> {
            let mut piece = Vec::with_capacity(CHUNK_BYTES);
            file.by_ref().take(CHUNK_BYTES as u64).read_to_end(&mut piece)?;
            Ok((file, piece))
        };
        match disk.run(read).await {
            Ok(Ok((_, piece))) if piece.is_empty() => None,
            Ok(Ok((file, piece))) => Some((Ok(Frame::data(Bytes::from(piece))), Some((file, disk)))),
            Ok(Err(error)) => Some((Err(Error::RequestBody(Arc::new(error))), None)),
            Err(trouble) => Some((Err(Error::RequestBody(Arc::new(trouble))), None)),
        }
    });
    StreamBody::new(pieces).boxed_unsync()
}
