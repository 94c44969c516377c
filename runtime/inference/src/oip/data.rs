//! Elements of a tensor as JSON, in one list or in lists of lists, and as bytes.

use crate::limits::RANK_MAX;
use crate::tensor::elements;
use crate::{Datatype, Error, Tensor};
use bytes::Bytes;
use serde::de::{self, DeserializeSeed, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;
use std::io::Write as _;

/// Reads `data`. What it says is bounded by what `shape` says, and that by the text's own length.
pub(super) fn read(datatype: Datatype, shape: &[u64], data: &RawValue) -> Result<Bytes, Error> {
    let most = elements(shape)?;
    if matches!(datatype, Datatype::Fp16 | Datatype::Bf16) {
        return Err(Error::invalid(format!("{datatype} has no form in JSON: send it as binary data")));
    }
    let mut list = List { datatype, bytes: Vec::new(), left: most, most };
    let mut json = serde_json::Deserializer::from_str(data.get());
    Elements { list: &mut list, depth: 0 }
        .deserialize(&mut json)
        .map_err(|error| Error::invalid(format!("its data cannot be read: {error}")))?;
    if list.left > 0 {
        let found = most - list.left;
        return Err(Error::invalid(format!("the shape {shape:?} has {most} elements, and its data {found}")));
    }
    Ok(list.bytes.into())
}

struct List {
    datatype: Datatype,
    bytes: Vec<u8>,
    left: u64,
    most: u64,
}

impl List {
    fn push(&mut self, element: &[u8]) -> Result<(), String> {
        let left = self.left.checked_sub(1);
        self.left =
            left.ok_or_else(|| format!("it has more than the {} elements of its shape", self.most))?;
        self.bytes.extend_from_slice(element);
        Ok(())
    }

    fn integer(&mut self, value: i128) -> Result<(), String> {
        let datatype = self.datatype;
        let outside = |_| format!("{value} is no {datatype}");
        match datatype {
            Datatype::Uint8 => self.push(&u8::try_from(value).map_err(outside)?.to_le_bytes()),
            Datatype::Uint16 => self.push(&u16::try_from(value).map_err(outside)?.to_le_bytes()),
            Datatype::Uint32 => self.push(&u32::try_from(value).map_err(outside)?.to_le_bytes()),
            Datatype::Uint64 => self.push(&u64::try_from(value).map_err(outside)?.to_le_bytes()),
            Datatype::Int8 => self.push(&i8::try_from(value).map_err(outside)?.to_le_bytes()),
            Datatype::Int16 => self.push(&i16::try_from(value).map_err(outside)?.to_le_bytes()),
            Datatype::Int32 => self.push(&i32::try_from(value).map_err(outside)?.to_le_bytes()),
            Datatype::Int64 => self.push(&i64::try_from(value).map_err(outside)?.to_le_bytes()),
            Datatype::Bool => match value {
                0 | 1 => self.push(&[value as u8]),
                _ => Err(format!("{value} is no BOOL")),
            },
            _ => self.float(value as f64),
        }
    }

    fn float(&mut self, value: f64) -> Result<(), String> {
        match self.datatype {
            Datatype::Fp32 if (value as f32).is_finite() => self.push(&(value as f32).to_le_bytes()),
            Datatype::Fp64 => self.push(&value.to_le_bytes()),
            // As JavaScript and Python may write whole numbers.
            Datatype::Fp32 | Datatype::Bytes | Datatype::Bool => {
                Err(format!("{value} is no {}", self.datatype))
            }
            _ if value.fract() == 0.0 && value.abs() <= 9_007_199_254_740_992.0 => {
                self.integer(value as i128)
            }
            _ => Err(format!("{value} is no {}", self.datatype)),
        }
    }

    fn string(&mut self, value: &str) -> Result<(), String> {
        let length = u32::try_from(value.len()).map_err(|_| "a string is too long".to_owned())?;
        if self.datatype != Datatype::Bytes {
            return Err(format!("a string is no {}", self.datatype));
        }
        self.push(&length.to_le_bytes())?;
        self.bytes.extend_from_slice(value.as_bytes());
        Ok(())
    }
}

/// One element, or a list of them.
struct Elements<'l> {
    list: &'l mut List,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for Elements<'_> {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, json: D) -> Result<(), D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Elements<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, or a list of them", self.list.datatype)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut lists: A) -> Result<(), A::Error> {
        if self.depth == RANK_MAX {
            return Err(de::Error::custom(format!("its lists are nested more than {RANK_MAX} deep")));
        }
        let Self { list, depth } = self;
        while lists.next_element_seed(Elements { list: &mut *list, depth: depth + 1 })?.is_some() {}
        Ok(())
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<(), E> {
        match self.list.datatype {
            Datatype::Bool => self.list.push(&[u8::from(value)]).map_err(E::custom),
            other => Err(E::custom(format!("{value} is no {other}"))),
        }
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<(), E> {
        self.list.integer(i128::from(value)).map_err(E::custom)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<(), E> {
        self.list.integer(i128::from(value)).map_err(E::custom)
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<(), E> {
        self.list.float(value).map_err(E::custom)
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<(), E> {
        self.list.string(value).map_err(E::custom)
    }
}

/// Writes the elements of `tensor` as one list.
pub(super) fn write(tensor: &Tensor, json: &mut Vec<u8>) -> Result<(), Error> {
    json.push(b'[');
    match tensor.datatype() {
        Datatype::Bool => each(tensor, json, |bytes: [u8; 1]| bytes[0] == 1)?,
        Datatype::Uint8 => each(tensor, json, u8::from_le_bytes)?,
        Datatype::Uint16 => each(tensor, json, u16::from_le_bytes)?,
        Datatype::Uint32 => each(tensor, json, u32::from_le_bytes)?,
        Datatype::Uint64 => each(tensor, json, u64::from_le_bytes)?,
        Datatype::Int8 => each(tensor, json, i8::from_le_bytes)?,
        Datatype::Int16 => each(tensor, json, i16::from_le_bytes)?,
        Datatype::Int32 => each(tensor, json, i32::from_le_bytes)?,
        Datatype::Int64 => each(tensor, json, i64::from_le_bytes)?,
        Datatype::Fp32 | Datatype::Fp64 if !tensor.is_finite() => {
            return Err(no_form(tensor, "a number in it is not finite, which JSON cannot say"));
        }
        Datatype::Fp32 => each(tensor, json, f32::from_le_bytes)?,
        Datatype::Fp64 => each(tensor, json, f64::from_le_bytes)?,
        Datatype::Fp16 | Datatype::Bf16 => return Err(no_form(tensor, "its type has no form in JSON")),
        Datatype::Bytes => {
            for (index, string) in tensor.strings().flatten().enumerate() {
                let text =
                    std::str::from_utf8(string).map_err(|_| no_form(tensor, "a string in it is no text"))?;
                separate(json, index);
                put(json, &text);
            }
        }
    }
    json.push(b']');
    Ok(())
}

fn each<const N: usize, T: serde::Serialize>(
    tensor: &Tensor,
    json: &mut Vec<u8>,
    read: impl Fn([u8; N]) -> T,
) -> Result<(), Error> {
    let (elements, _) = tensor.bytes().as_chunks::<N>();
    for (index, element) in elements.iter().enumerate() {
        separate(json, index);
        put(json, &read(*element));
    }
    Ok(())
}

fn separate(json: &mut Vec<u8>, index: usize) {
    if index > 0 {
        json.push(b',');
    }
}

fn put(json: &mut Vec<u8>, value: &impl serde::Serialize) {
    serde_json::to_writer(json.by_ref(), value).expect("numbers and texts can be written to memory");
}

fn no_form(tensor: &Tensor, why: &str) -> Error {
    Error::new(
        crate::Kind::Unsupported,
        format!("tensor `{}` ({}): {why}; ask for it as binary data", tensor.name(), tensor.datatype()),
    )
}
