//! The front door's readers for fuzzing, which reaches them without a socket. Nothing else calls this.

use crate::inspect::Inspection;
use crate::wellformed;
use http::Request;
use tokio::io::ReadBuf;

/// The host of a request that is well formed.
pub fn host<B>(request: &Request<B>) -> Option<&str> {
    wellformed::host(request).ok()
}

/// Whether what a client sends, in pieces of that size, is let through to the end.
pub fn is_let_in(bytes: &[u8], piece: usize) -> bool {
    let mut inspection = Inspection::default();
    let mut storage = vec![0; piece];
    bytes.chunks(piece).all(|piece| {
        let mut buffer = ReadBuf::new(&mut storage);
        buffer.put_slice(piece);
        inspection.read(&mut buffer, 0).is_none()
    })
}
