//! Protocol buffers as fields: what ONNX files and gRPC messages are made of
//! ([encoding](https://protobuf.dev/programming-guides/encoding/)).
//!
//! Read in order, without a copy and without going into anything, so that what is read of a message is bounded by whoever
//! reads; written behind each other.

use crate::Error;

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'m> {
    /// A varint.
    Number(u64),
    /// Bytes, a text, a message, or numbers without gaps.
    Bytes(&'m [u8]),
    /// Four or eight bytes.
    Fixed(&'m [u8]),
}

/// Reads a message. After an error it ends.
pub(crate) struct Fields<'m> {
    rest: &'m [u8],
}

impl<'m> Fields<'m> {
    pub(crate) fn of(message: &'m [u8]) -> Self {
        Self { rest: message }
    }

    fn field(&mut self) -> Option<(u64, Value<'m>)> {
        let tag = varint(&mut self.rest)?;
        let value = match tag & 7 {
            0 => Value::Number(varint(&mut self.rest)?),
            1 => Value::Fixed(self.take(8)?),
            2 => {
                let length = usize::try_from(varint(&mut self.rest)?).ok()?;
                Value::Bytes(self.take(length)?)
            }
            5 => Value::Fixed(self.take(4)?),
            _ => return None,
        };
        Some((tag >> 3, value))
    }

    fn take(&mut self, length: usize) -> Option<&'m [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }
}

impl<'m> Iterator for Fields<'m> {
    type Item = Result<(u64, Value<'m>), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.rest = &[];
        }
        Some(field.ok_or_else(|| Error::invalid("it cannot be read, or it is cut off")))
    }
}

/// Takes a varint from the front of `rest`.
pub(crate) fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (byte, behind) = rest.split_first()?;
        *rest = behind;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Writes a varint.
pub(crate) fn put_varint(message: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        message.push(number as u8 | 0x80);
        number >>= 7;
    }
    message.push(number as u8);
}

/// Writes a number or a flag; 0 is what a field that is left out says.
pub(crate) fn put_number(message: &mut Vec<u8>, field: u64, number: u64) {
    if number != 0 {
        put_varint(message, field << 3);
        put_varint(message, number);
    }
}

/// Writes what stands before `length` bytes.
pub(crate) fn put_head(message: &mut Vec<u8>, field: u64, length: usize) {
    put_varint(message, field << 3 | 2);
    put_varint(message, length as u64);
}

/// Writes bytes, a text, or a message.
pub(crate) fn put_bytes(message: &mut Vec<u8>, field: u64, bytes: &[u8]) {
    put_head(message, field, bytes.len());
    message.extend_from_slice(bytes);
}

/// Writes a text; the empty one is what a field that is left out says.
pub(crate) fn put_text(message: &mut Vec<u8>, field: u64, text: &str) {
    if !text.is_empty() {
        put_bytes(message, field, text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_they_are_written() {
        let mut message = Vec::new();
        put_number(&mut message, 1, 0);
        put_number(&mut message, 2, u64::MAX);
        put_text(&mut message, 3, "");
        put_text(&mut message, 400, "text");
        message.extend_from_slice(&[5 << 3 | 5, 1, 2, 3, 4]);
        let fields: Vec<_> = Fields::of(&message).map(Result::unwrap).collect();
        assert_eq!(
            fields,
            [(2, Value::Number(u64::MAX)), (400, Value::Bytes(b"text")), (5, Value::Fixed(&[1, 2, 3, 4]))]
        );
    }

    #[test]
    fn what_is_cut_off_is_an_error_and_the_end() {
        for message in [&[8][..], &[10, 2, 1], &[9, 0, 0], &[13, 0], &[0xff; 11], &[11]] {
            let mut fields = Fields::of(message);
            assert!(fields.next().unwrap().is_err(), "{message:?}");
            assert!(fields.next().is_none(), "{message:?}");
        }
    }
}
