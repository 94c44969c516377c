//! `InferTensorContents`: elements that are sent as numbers of the encoding instead of as they are.
//!
//! Small numbers take less in the message than in the tensor, so what is read is bounded by the shape, and that by what a call
//! may have.

use crate::tensor::elements;
use crate::wire::{Fields, Value, varint};
use crate::{Datatype, Error};
use bytes::Bytes;

/// The message, not gone into yet.
#[derive(Clone, Copy, Default)]
pub(super) struct Contents<'m>(&'m [u8]);

impl<'m> Contents<'m> {
    pub(super) fn of(message: &'m [u8]) -> Self {
        Self(message)
    }

    /// Its elements as a tensor of that type and shape has them, which are `most` bytes at the most.
    pub(super) fn read(self, datatype: Datatype, shape: &[u64], most: usize) -> Result<Bytes, Error> {
        let field = field(datatype)?;
        let count = elements(shape)?;
        let bytes = count.saturating_mul(datatype.element_bytes().unwrap_or(0) as u64);
        if bytes > most as u64 {
            return Err(Error::too_large(format!(
                "its shape {shape:?} takes more bytes than a call may have"
            )));
        }
        let mut list = List { datatype, left: count, bytes: Vec::new() };
        for found in Fields::of(self.0) {
            let (number, value) = found?;
            if number != field {
                return Err(Error::invalid(format!("its contents are of another type than {datatype}")));
            }
            list.take(value)?;
        }
        match list.left {
            0 => Ok(list.bytes.into()),
            left => Err(Error::invalid(format!(
                "the shape {shape:?} has {count} elements, and its contents {}",
                count - left
            ))),
        }
    }
}

/// The field that has elements of that type.
fn field(datatype: Datatype) -> Result<u64, Error> {
    Ok(match datatype {
        Datatype::Bool => 1,
        Datatype::Int8 | Datatype::Int16 | Datatype::Int32 => 2,
        Datatype::Int64 => 3,
        Datatype::Uint8 | Datatype::Uint16 | Datatype::Uint32 => 4,
        Datatype::Uint64 => 5,
        Datatype::Fp32 => 6,
        Datatype::Fp64 => 7,
        Datatype::Bytes => 8,
        Datatype::Fp16 | Datatype::Bf16 => {
            return Err(Error::invalid(format!("{datatype} is sent in `raw_input_contents` only")));
        }
    })
}

struct List {
    datatype: Datatype,
    left: u64,
    bytes: Vec<u8>,
}

impl List {
    fn take(&mut self, value: Value<'_>) -> Result<(), Error> {
        match (self.datatype, value) {
            (Datatype::Bytes, Value::Bytes(string)) => {
                let length =
                    u32::try_from(string.len()).map_err(|_| Error::too_large("a string is too long"))?;
                self.push(&length.to_le_bytes())?;
                self.bytes.extend_from_slice(string);
            }
            // Fixed ones are little-endian in the message too.
            (Datatype::Fp32 | Datatype::Fp64, Value::Fixed(element)) => self.push_fixed(element)?,
            (Datatype::Fp32 | Datatype::Fp64, Value::Bytes(elements)) => {
                let size = self.datatype.element_bytes().unwrap_or(1);
                for element in elements.chunks(size) {
                    self.push_fixed(element)?;
                }
            }
            (_, Value::Number(number)) => self.integer(number)?,
            (_, Value::Bytes(mut packed)) => {
                while !packed.is_empty() {
                    let number = varint(&mut packed).ok_or_else(|| Error::invalid("a number is cut off"))?;
                    self.integer(number)?;
                }
            }
            (_, Value::Fixed(_)) => {
                return Err(Error::invalid(format!("an element is no {}", self.datatype)));
            }
        }
        Ok(())
    }

    fn push_fixed(&mut self, element: &[u8]) -> Result<(), Error> {
        match self.datatype.element_bytes() == Some(element.len()) {
            true => self.push(element),
            false => Err(Error::invalid(format!("an element is no {}", self.datatype))),
        }
    }

    fn integer(&mut self, number: u64) -> Result<(), Error> {
        let datatype = self.datatype;
        let outside = |_| Error::invalid(format!("an element is no {datatype}"));
        // Negative ones are sign-extended to 64 bits.
        let signed = number as i64;
        match datatype {
            Datatype::Bool => self.push(&[u8::from(number != 0)]),
            Datatype::Int8 => self.push(&i8::try_from(signed).map_err(outside)?.to_le_bytes()),
            Datatype::Int16 => self.push(&i16::try_from(signed).map_err(outside)?.to_le_bytes()),
            Datatype::Int32 => self.push(&i32::try_from(signed).map_err(outside)?.to_le_bytes()),
            Datatype::Int64 => self.push(&signed.to_le_bytes()),
            Datatype::Uint8 => self.push(&u8::try_from(number).map_err(outside)?.to_le_bytes()),
            Datatype::Uint16 => self.push(&u16::try_from(number).map_err(outside)?.to_le_bytes()),
            Datatype::Uint32 => self.push(&u32::try_from(number).map_err(outside)?.to_le_bytes()),
            Datatype::Uint64 => self.push(&number.to_le_bytes()),
            _ => Err(Error::invalid(format!("an element is no {datatype}"))),
        }
    }

    fn push(&mut self, element: &[u8]) -> Result<(), Error> {
        let left = self.left.checked_sub(1);
        self.left = left.ok_or_else(|| Error::invalid("it has more elements than its shape"))?;
        self.bytes.extend_from_slice(element);
        Ok(())
    }
}
