//! What a node and the process that runs its models say to each other: a head of three numbers over a socket, and what belongs
//! to it in the memory that they share. Tensors begin at multiples of 64, so that the engine computes with them where they are.

use crate::limits::{RANK_MAX, TENSORS_MAX};
use crate::{Error, Kind};
use std::io::{self, Read, Write};
use std::ops::Range;

/// Where tensors may begin.
const ALIGNMENT: usize = 64;
/// Bytes of a text that is told.
const TEXT_BYTES_MAX: usize = 4096;

/// What a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub(super) enum What {
    /// A piece of a model's file.
    Piece = 1,
    /// All of the file is there: load it.
    Load = 2,
    /// Compute.
    Run = 3,
    /// The model is not needed any more.
    Forget = 4,
    /// It is done.
    Done = 5,
    /// It could not be done.
    Failed = 6,
}

/// The head of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) what: What,
    /// Whose model it is about; of an answer for how long it was computed, in nanoseconds.
    pub(super) number: u64,
    /// How many bytes of the shared memory belong to it.
    pub(super) length: u64,
}

impl Head {
    pub(super) fn send(self, mut to: impl Write) -> io::Result<()> {
        let numbers = [self.what as u64, self.number, self.length];
        to.write_all(numbers.map(u64::to_le_bytes).as_flattened())
    }

    pub(super) fn receive(mut from: impl Read) -> io::Result<Self> {
        let mut bytes = [[0; 8]; 3];
        from.read_exact(bytes.as_flattened_mut())?;
        let [what, number, length] = bytes.map(u64::from_le_bytes);
        let known = [What::Piece, What::Load, What::Run, What::Forget, What::Done, What::Failed];
        let what = known.into_iter().find(|known| *known as u64 == what);
        let what = what.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no such message"))?;
        Ok(Self { what, number, length })
    }
}

/// Tensors that are to be sent: which they are, their shapes and their bytes.
pub(super) struct Packed<'t> {
    head: Vec<u8>,
    tensors: Vec<(usize, &'t [u8])>,
    length: usize,
}

impl<'t> Packed<'t> {
    pub(super) fn of(
        wants: &[bool],
        tensors: impl ExactSizeIterator<Item = (usize, &'t [u64], &'t [u8])>,
    ) -> Self {
        let mut head = Vec::with_capacity(256);
        put(&mut head, wants.len());
        wants.iter().for_each(|wanted| put(&mut head, usize::from(*wanted)));
        put(&mut head, tensors.len());
        let mut bytes = Vec::with_capacity(tensors.len());
        for (index, shape, data) in tensors {
            put(&mut head, index);
            put(&mut head, data.len());
            put(&mut head, shape.len());
            shape.iter().for_each(|size| head.extend_from_slice(&size.to_le_bytes()));
            bytes.push(data);
        }
        let mut length = head.len();
        let place = |data: &'t [u8]| {
            let at = length.next_multiple_of(ALIGNMENT);
            length = at + data.len();
            (at, data)
        };
        let tensors = bytes.into_iter().map(place).collect();
        Self { head, tensors, length }
    }

    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// Each part, and where it goes.
    pub(super) fn parts(&self) -> impl Iterator<Item = (usize, &[u8])> {
        std::iter::once((0, &*self.head)).chain(self.tensors.iter().copied())
    }
}

/// Tensors that came.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Unpacked {
    pub(super) wants: Vec<bool>,
    pub(super) tensors: Vec<Place>,
}

/// Where a tensor lies.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) index: usize,
    pub(super) shape: Vec<u64>,
    pub(super) bytes: Range<usize>,
}

impl Unpacked {
    /// What `message` says, as far as it is possible.
    pub(super) fn of(message: &[u8]) -> Option<Self> {
        let mut rest = message;
        let mut unpacked = Self::default();
        for _ in 0..take(&mut rest, TENSORS_MAX)? {
            unpacked.wants.push(take(&mut rest, 1)? == 1);
        }
        for _ in 0..take(&mut rest, TENSORS_MAX)? {
            let index = take(&mut rest, TENSORS_MAX)?;
            let length = take(&mut rest, message.len())?;
            let rank = take(&mut rest, RANK_MAX)?;
            let shape = (0..rank).map(|_| number(&mut rest)).collect::<Option<_>>()?;
            unpacked.tensors.push(Place { index, shape, bytes: 0..length });
        }
        let mut end = message.len() - rest.len();
        for place in &mut unpacked.tensors {
            let at = end.checked_next_multiple_of(ALIGNMENT)?;
            end = at.checked_add(place.bytes.len()).filter(|end| *end <= message.len())?;
            place.bytes = at..end;
        }
        Some(unpacked)
    }
}

fn put(head: &mut Vec<u8>, number: usize) {
    head.extend_from_slice(&(number as u64).to_le_bytes());
}

fn number(rest: &mut &[u8]) -> Option<u64> {
    let (number, behind) = rest.split_first_chunk()?;
    *rest = behind;
    Some(u64::from_le_bytes(*number))
}

/// A number that is no more than `most`.
fn take(rest: &mut &[u8], most: usize) -> Option<usize> {
    usize::try_from(number(rest)?).ok().filter(|number| *number <= most)
}

/// Kinds of errors that a worker tells of.
const KINDS: [Kind; 5] =
    [Kind::Failed, Kind::InvalidArgument, Kind::Unsupported, Kind::TooLarge, Kind::NotFound];

/// An error as a text whose first byte is its kind.
pub(super) fn error_text(error: &Error) -> Vec<u8> {
    let kind = KINDS.iter().position(|kind| *kind == error.kind()).unwrap_or_default();
    let mut text = vec![kind as u8];
    text.extend(error.to_string().bytes().take(TEXT_BYTES_MAX));
    text
}

/// The error that such a text tells of.
pub(super) fn error_of(text: &[u8]) -> Error {
    let (kind, text) = text.split_first().map_or((0, &[][..]), |(kind, text)| (*kind, text));
    let kind = KINDS.get(usize::from(kind)).copied().unwrap_or(Kind::Failed);
    Error::new(kind, String::from_utf8_lossy(&text[..text.len().min(TEXT_BYTES_MAX)]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(packed: &Packed<'_>) -> Vec<u8> {
        let mut message = vec![0; packed.len()];
        for (at, bytes) in packed.parts() {
            message[at..at + bytes.len()].copy_from_slice(bytes);
        }
        message
    }

    #[test]
    fn tensors_come_as_they_went_and_begin_where_numbers_may() {
        let tensors = [(1, &[2, 3][..], &[1; 24][..]), (0, &[], &[]), (7, &[5], &[9; 5])];
        let packed = Packed::of(&[true, false], tensors.into_iter());
        let message = message(&packed);
        let unpacked = Unpacked::of(&message).unwrap();
        assert_eq!(unpacked.wants, [true, false]);
        for (place, (index, shape, bytes)) in unpacked.tensors.iter().zip(tensors) {
            assert_eq!((place.index, &*place.shape, &message[place.bytes.clone()]), (index, shape, bytes));
            assert_eq!(place.bytes.start % ALIGNMENT, 0);
        }
        for cut in 0..message.len() {
            assert_eq!(Unpacked::of(&message[..cut]), None, "{cut}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let numbers =
            |numbers: &[u64]| numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<_>>();
        assert!(Unpacked::of(&numbers(&[0, 0])).is_some());
        for wrong in [
            &[TENSORS_MAX as u64 + 1][..],
            &[1, 2, 0],
            &[0, TENSORS_MAX as u64 + 1],
            &[0, 1, u64::MAX, 0, 0],
            &[0, 1, 0, u64::MAX, 0],
            &[0, 1, 0, 1, 0],
            &[0, 1, 0, 0, RANK_MAX as u64 + 1, 1, 1, 1, 1, 1, 1, 1, 1, 1],
            &[0, 1, 0, 0, 2, 1],
        ] {
            assert_eq!(Unpacked::of(&numbers(wrong)), None, "{wrong:?}");
        }
    }

    #[test]
    fn an_error_comes_as_it_went() {
        for kind in KINDS {
            let error = error_of(&error_text(&Error::new(kind, "because")));
            assert_eq!((error.kind(), error.to_string()), (kind, "because".to_owned()));
        }
        assert_eq!(error_of(&[]).kind(), Kind::Failed);
        assert_eq!(error_of(&[99, b'x']).to_string(), "x");
    }

    #[test]
    fn a_head_comes_as_it_went_and_rubbish_is_none() {
        let head = Head { what: What::Run, number: 3, length: 9 };
        let mut bytes = Vec::new();
        head.send(&mut bytes).unwrap();
        assert_eq!(Head::receive(&*bytes).unwrap(), head);
        bytes[0] = 99;
        assert!(Head::receive(&*bytes).is_err());
    }
}
