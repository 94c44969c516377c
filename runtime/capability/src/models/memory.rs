//! What calls of models that are under way may take of the node's memory together.
//!
//! A body is counted while it is read, and stays counted until the last piece of it is gone: the bytes themselves hold what
//! they take ([`CallMemory::whole`]).

use bytes::Bytes;
use http::HeaderMap;
use http_body::Body;
use http_body_util::BodyExt;
use rimward_inference::limits::CALL_BYTES_MAX;
use rimward_inference::{Error, Kind};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The unit in which it is counted.
const UNIT: usize = 1024;
/// What a body of unknown length gets first.
const FIRST_BYTES: usize = 64 << 10;

/// The bytes of calls, on their way in and out, tensors among them.
#[derive(Debug)]
pub struct CallMemory {
    free: Arc<Semaphore>,
    bytes: u64,
}

/// Why a body could not be read.
#[derive(Debug)]
pub enum Unread<E> {
    /// It broke off.
    Body(E),
    /// It has more than [`CALL_BYTES_MAX`] bytes.
    TooLarge,
    /// Other calls have taken the memory.
    NoRoom(Error),
}

/// A body, as far as it was read.
enum Read {
    Nothing,
    /// One piece of it, where it came.
    One(Bytes, OwnedSemaphorePermit),
    Several(Vec<u8>, OwnedSemaphorePermit),
}

/// Bytes, and what they take.
struct Counted<B> {
    bytes: B,
    _taken: OwnedSemaphorePermit,
}

impl<B: AsRef<[u8]>> AsRef<[u8]> for Counted<B> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

impl CallMemory {
    /// So many bytes.
    #[must_use]
    pub fn new(bytes: u64) -> Self {
        let units = usize::try_from(bytes).unwrap_or(usize::MAX) / UNIT;
        Self { free: Arc::new(Semaphore::new(units.min(Semaphore::MAX_PERMITS))), bytes }
    }

    /// How many there are.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many are held now.
    #[must_use]
    pub fn used(&self) -> u64 {
        self.bytes.saturating_sub(self.free.available_permits() as u64 * UNIT as u64)
    }

    /// All of a body in one piece, and its trailers.
    ///
    /// # Errors
    /// [`Unread`]: it broke off, it is too large, or there is no room for it.
    pub async fn whole<B>(&self, body: B) -> Result<(Bytes, Option<HeaderMap>), Unread<B::Error>>
    where
        B: Body<Data = Bytes>,
    {
        let mut body = std::pin::pin!(body);
        let (least, exact) = (body.size_hint().lower(), body.size_hint().exact());
        if least > CALL_BYTES_MAX as u64 {
            return Err(Unread::TooLarge);
        }
        let mut trailers = None;
        let mut read = Read::Nothing;
        while let Some(frame) = body.frame().await {
            match frame.map_err(Unread::Body)?.into_data() {
                Ok(data) => read = self.and(read, data, exact)?,
                Err(frame) => trailers = frame.into_trailers().ok(),
            }
        }
        let bytes = match read {
            Read::Nothing => Bytes::new(),
            Read::One(bytes, taken) => Bytes::from_owner(Counted { bytes, _taken: taken }),
            Read::Several(bytes, taken) => Bytes::from_owner(Counted { bytes, _taken: taken }),
        };
        Ok((bytes, trailers))
    }

    /// What was read and `data` behind it. A first piece stays where it is until a second one comes.
    fn and<E>(&self, read: Read, data: Bytes, exact: Option<u64>) -> Result<Read, Unread<E>> {
        let (mut bytes, mut taken) = match read {
            Read::Nothing => {
                self.check(data.len())?;
                let is_whole = exact.is_none_or(|exact| exact <= data.len() as u64);
                let wanted = exact.map_or(0, |exact| exact as usize).max(data.len());
                let taken = self.take(wanted).map_err(Unread::NoRoom)?;
                if is_whole {
                    return Ok(Read::One(data, taken));
                }
                (Vec::with_capacity(wanted), taken)
            }
            Read::One(first, mut taken) => {
                let wanted = FIRST_BYTES.max(2 * first.len());
                self.grow(&mut taken, first.len(), wanted)?;
                let mut bytes = Vec::with_capacity(wanted);
                bytes.extend_from_slice(&first);
                (bytes, taken)
            }
            Read::Several(bytes, taken) => (bytes, taken),
        };
        let length = bytes.len() + data.len();
        self.check(length)?;
        if length > bytes.capacity() {
            let wanted = length.max(2 * bytes.capacity()).min(CALL_BYTES_MAX);
            self.grow(&mut taken, bytes.capacity(), wanted)?;
            bytes.reserve_exact(wanted - bytes.len());
        }
        bytes.extend_from_slice(&data);
        Ok(Read::Several(bytes, taken))
    }

    fn check<E>(&self, length: usize) -> Result<(), Unread<E>> {
        if length > CALL_BYTES_MAX { Err(Unread::TooLarge) } else { Ok(()) }
    }

    fn grow<E>(&self, taken: &mut OwnedSemaphorePermit, from: usize, to: usize) -> Result<(), Unread<E>> {
        taken.merge(self.take(to - from).map_err(Unread::NoRoom)?);
        Ok(())
    }

    /// Bytes that are there already, counted from now on.
    pub(crate) fn hold(&self, bytes: Vec<u8>) -> Result<Bytes, Error> {
        let _taken = self.take(bytes.len())?;
        Ok(Bytes::from_owner(Counted { bytes, _taken }))
    }

    fn take(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Error> {
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        self.free.clone().try_acquire_many_owned(units).map_err(|_| {
            let text = format!(
                "the calls of models under way take the {} bytes that they may together: try again",
                self.bytes
            );
            Error::new(Kind::Unavailable, text)
        })
    }
}

impl<E> Unread<E> {
    /// What is wrong with the call, or else with the body.
    ///
    /// # Errors
    /// The body's own.
    pub fn told(self) -> Result<Error, E> {
        match self {
            Self::Body(error) => Err(error),
            Self::TooLarge => {
                let text = format!("a call has {CALL_BYTES_MAX} bytes at the most");
                Ok(Error::new(Kind::TooLarge, text))
            }
            Self::NoRoom(error) => Ok(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::frames;
    use futures_util::FutureExt as _;
    use http_body_util::Full;
    use std::fmt::Debug;

    fn read<B: Body<Data = Bytes, Error: Debug>>(
        memory: &CallMemory,
        body: B,
    ) -> Result<Bytes, Unread<B::Error>> {
        let read = memory.whole(body).now_or_never().expect("all of it is there");
        read.map(|(bytes, _)| bytes)
    }

    #[test]
    fn what_is_read_is_counted_until_its_last_piece_is_gone() {
        let memory = CallMemory::new(100 * 1024);
        let bytes = read(&memory, Full::new(Bytes::from(vec![7; 100 * 1024]))).unwrap();
        let piece = bytes.slice(10..20);
        drop(bytes);
        let refused = read(&memory, Full::new(Bytes::from_static(b"x")));
        assert!(matches!(refused, Err(Unread::NoRoom(error)) if error.kind() == Kind::Unavailable));
        drop(piece);
        assert_eq!(read(&memory, Full::new(Bytes::from_static(b"x"))).unwrap(), "x");
    }

    #[test]
    fn memory_is_taken_up_to_the_bound_and_no_further() {
        let memory = CallMemory::new(128 << 10);
        let parts = |parts: usize| frames(vec![Bytes::from(vec![1; 64 << 10]); parts]);
        assert_eq!(read(&memory, parts(2)).unwrap().len(), 128 << 10);
        assert!(matches!(read(&memory, parts(3)), Err(Unread::NoRoom(_))));
        assert_eq!(read(&memory, parts(2)).unwrap().len(), 128 << 10, "what was taken is given back");
    }

    #[test]
    fn a_body_has_as_many_bytes_as_a_call_may_and_no_more() {
        let memory = CallMemory::new(1 << 30);
        let body = |bytes: usize| Full::new(Bytes::from(vec![0; bytes]));
        assert_eq!(read(&memory, body(CALL_BYTES_MAX)).unwrap().len(), CALL_BYTES_MAX);
        assert!(matches!(read(&memory, body(CALL_BYTES_MAX + 1)), Err(Unread::TooLarge)));
        let part = Bytes::from(vec![0; 1 << 20]);
        let mut parts = vec![part; CALL_BYTES_MAX >> 20];
        assert_eq!(read(&memory, frames(parts.clone())).unwrap().len(), CALL_BYTES_MAX);
        parts.push(Bytes::from_static(b"x"));
        assert!(matches!(read(&memory, frames(parts)), Err(Unread::TooLarge)));
    }
}
