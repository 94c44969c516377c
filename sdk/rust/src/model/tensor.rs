//! Numbers in a shape: [`Tensor`] while a function computes with them, [`NamedTensor`] as a model takes and gives them.

use std::fmt;

use thiserror::Error;

use crate::Bytes;

/// Numbers of one type in a shape, in row-major order: the last dimension is the one that varies first.
///
/// ```
/// use rimward_sdk::model::Tensor;
///
/// let rows = Tensor::<f32>::from_shape([2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]).unwrap();
/// assert_eq!(rows.rows().collect::<Vec<_>>(), [[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]);
/// let wrong = Tensor::<f32>::from_shape([2, 3], vec![1.0]).unwrap_err();
/// assert_eq!(wrong.to_string(), "the shape [2, 3] takes 6 values, and there are 1");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor<T> {
    shape: Vec<usize>,
    values: Vec<T>,
}

/// A shape does not have as many elements as there are values.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the shape {shape:?} takes {} values, and there are {values}", wanted(.shape))]
pub struct ShapeError {
    shape: Vec<usize>,
    values: usize,
}

fn wanted(shape: &[usize]) -> String {
    elements(shape).map_or("more than can be".to_owned(), |wanted| wanted.to_string())
}

/// How many elements a shape has, if it can be counted.
fn elements(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1_usize, |elements, size| elements.checked_mul(*size))
}

impl<T: Element> Tensor<T> {
    /// A tensor of these values in this shape, or [`ShapeError`] where their numbers differ.
    pub fn from_shape(shape: impl Into<Vec<usize>>, values: Vec<T>) -> Result<Self, ShapeError> {
        let shape = shape.into();
        match elements(&shape) == Some(values.len()) {
            true => Ok(Self { shape, values }),
            false => Err(ShapeError { shape, values: values.len() }),
        }
    }

    /// How many elements it has in each dimension, the outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// All of its values.
    pub fn values(&self) -> &[T] {
        &self.values
    }

    /// All of its values, without a copy.
    pub fn into_values(self) -> Vec<T> {
        self.values
    }

    /// Its values by the last dimension: each row of a batch, for one. A tensor without elements has no rows.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = &[T]> {
        self.values.chunks_exact(self.shape.last().copied().unwrap_or(1).max(1))
    }

    /// The same values in another shape, or [`ShapeError`] where it has not as many elements.
    pub fn reshaped(self, shape: impl Into<Vec<usize>>) -> Result<Self, ShapeError> {
        Self::from_shape(shape, self.values)
    }

    /// Where the largest value is: the class of a classifier's output. Numbers that are none do not count; of equal ones
    /// the first does.
    pub fn largest(&self) -> Option<usize>
    where
        T: PartialOrd,
    {
        let mut values =
            self.values.iter().enumerate().filter(|(_, value)| value.partial_cmp(value).is_some());
        let first = values.next()?;
        Some(values.fold(first, |best, value| if value.1 > best.1 { value } else { best }).0)
    }

    /// As the model's input of this name.
    pub fn named(&self, name: &str) -> NamedTensor {
        let mut bytes = Vec::new();
        T::write(&self.values, &mut bytes);
        let (shape, bytes) = (self.shape.clone(), bytes.into());
        NamedTensor { name: name.to_owned(), datatype: T::DATATYPE, shape, bytes }
    }
}

/// An input or output of a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedTensor {
    name: String,
    datatype: Datatype,
    shape: Vec<usize>,
    bytes: Bytes,
}

impl NamedTensor {
    /// A tensor of bytes as they go to the model: little-endian, in row-major order. For types that have no [`Element`],
    /// such as `FP16`, and for numbers that are bytes already. Nothing where the shape does not take as many.
    pub fn from_bytes(
        name: &str,
        datatype: Datatype,
        shape: impl Into<Vec<usize>>,
        bytes: impl Into<Bytes>,
    ) -> Option<Self> {
        let (shape, bytes) = (shape.into(), bytes.into());
        let wanted = elements(&shape)?;
        let fits = match datatype.element_bytes() {
            Some(size) => wanted.checked_mul(size) == Some(bytes.len()),
            None => texts(&bytes).is_some_and(|texts| texts.len() == wanted),
        };
        fits.then(|| Self { name: name.to_owned(), datatype, shape, bytes })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its elements are.
    pub fn datatype(&self) -> Datatype {
        self.datatype
    }

    /// How many elements it has in each dimension, the outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Its elements, little-endian.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Its numbers, if they are of this type.
    pub fn tensor<T: Element>(&self) -> Option<Tensor<T>> {
        let values = (self.datatype == T::DATATYPE).then(|| T::read(&self.bytes))??;
        Tensor::from_shape(self.shape.clone(), values).ok()
    }
}

/// What the elements of a tensor are, by the protocol's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the names say it")]
pub enum Datatype {
    Bool,
    Uint8,
    Uint16,
    Uint32,
    Uint64,
    Int8,
    Int16,
    Int32,
    Int64,
    Fp16,
    Bf16,
    Fp32,
    Fp64,
    /// Texts, or bytes of any number.
    Bytes,
}

impl Datatype {
    const ALL: [(Self, &'static str, Option<usize>); 14] = [
        (Self::Bool, "BOOL", Some(1)),
        (Self::Uint8, "UINT8", Some(1)),
        (Self::Uint16, "UINT16", Some(2)),
        (Self::Uint32, "UINT32", Some(4)),
        (Self::Uint64, "UINT64", Some(8)),
        (Self::Int8, "INT8", Some(1)),
        (Self::Int16, "INT16", Some(2)),
        (Self::Int32, "INT32", Some(4)),
        (Self::Int64, "INT64", Some(8)),
        (Self::Fp16, "FP16", Some(2)),
        (Self::Bf16, "BF16", Some(2)),
        (Self::Fp32, "FP32", Some(4)),
        (Self::Fp64, "FP64", Some(8)),
        (Self::Bytes, "BYTES", None),
    ];

    fn row(self) -> (Self, &'static str, Option<usize>) {
        Self::ALL[self as usize]
    }

    fn element_bytes(self) -> Option<usize> {
        self.row().2
    }

    pub(super) fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|row| row.1 == name).map(|row| row.0)
    }
}

impl fmt::Display for Datatype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.row().1)
    }
}

/// What a [`Tensor`] may be made of. Sealed: the protocol's types are all there are.
pub trait Element: sealed::Bytes + Clone {
    /// The protocol's type.
    const DATATYPE: Datatype;
}

mod sealed {
    pub trait Bytes: Sized {
        fn write(values: &[Self], bytes: &mut Vec<u8>);
        /// Nothing where the bytes are no values of the type.
        fn read(bytes: &[u8]) -> Option<Vec<Self>>;
    }
}

macro_rules! numbers {
    ($($number:ty => $datatype:ident),* $(,)?) => {$(
        impl Element for $number {
            const DATATYPE: Datatype = Datatype::$datatype;
        }

        impl sealed::Bytes for $number {
            fn write(values: &[Self], bytes: &mut Vec<u8>) {
                bytes.reserve_exact(size_of_val(values));
                values.iter().for_each(|value| bytes.extend_from_slice(&value.to_le_bytes()));
            }

            fn read(bytes: &[u8]) -> Option<Vec<Self>> {
                let (numbers, rest) = bytes.as_chunks();
                rest.is_empty().then(|| numbers.iter().copied().map(Self::from_le_bytes).collect())
            }
        }
    )*};
}

numbers! {
    u8 => Uint8, u16 => Uint16, u32 => Uint32, u64 => Uint64,
    i8 => Int8, i16 => Int16, i32 => Int32, i64 => Int64,
    f32 => Fp32, f64 => Fp64,
}

impl Element for bool {
    const DATATYPE: Datatype = Datatype::Bool;
}

impl sealed::Bytes for bool {
    fn write(values: &[Self], bytes: &mut Vec<u8>) {
        bytes.extend(values.iter().copied().map(u8::from));
    }

    fn read(bytes: &[u8]) -> Option<Vec<Self>> {
        bytes.iter().all(|byte| *byte <= 1).then(|| bytes.iter().map(|byte| *byte == 1).collect())
    }
}

impl Element for String {
    const DATATYPE: Datatype = Datatype::Bytes;
}

impl sealed::Bytes for String {
    fn write(values: &[Self], bytes: &mut Vec<u8>) {
        for value in values {
            let length = u32::try_from(value.len()).expect("a text is shorter than the memory of a function");
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(value.as_bytes());
        }
    }

    fn read(bytes: &[u8]) -> Option<Vec<Self>> {
        texts(bytes)?.into_iter().map(|text| String::from_utf8(text.to_vec()).ok()).collect()
    }
}

/// The elements of `BYTES`, each behind its length in four bytes.
fn texts(mut bytes: &[u8]) -> Option<Vec<&[u8]>> {
    let mut texts = Vec::new();
    while !bytes.is_empty() {
        let (length, rest) = bytes.split_first_chunk()?;
        let (text, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        texts.push(text);
        bytes = rest;
    }
    Some(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_same_after_they_were_bytes() {
        fn check<T: Element + PartialEq + fmt::Debug>(values: &[T], bytes: &[u8]) {
            let tensor = Tensor::from_shape([values.len()], values.to_vec()).unwrap();
            let named = tensor.named("x");
            assert_eq!((named.datatype(), &named.bytes()[..]), (T::DATATYPE, bytes));
            assert_eq!(named.tensor::<T>().unwrap(), tensor);
        }
        check(&[1.5_f32, -2.0], &[0, 0, 192, 63, 0, 0, 0, 192]);
        check(&[f64::INFINITY], &[0, 0, 0, 0, 0, 0, 240, 127]);
        check(&[-1_i8, 1], &[255, 1]);
        check(&[513_u16], &[1, 2]);
        check(&[i64::MIN], &[0, 0, 0, 0, 0, 0, 0, 128]);
        check(&[true, false], &[1, 0]);
        check(&["ö".to_owned(), String::new()], b"\x02\0\0\0\xc3\xb6\0\0\0\0");
        check::<f32>(&[], &[]);
    }

    #[test]
    fn a_shape_must_have_as_many_elements_as_there_are_values() {
        let check = |shape: &[usize], text: &str| {
            let wrong = Tensor::from_shape(shape, vec![1_u8]).unwrap_err();
            assert_eq!(wrong.to_string(), text);
        };
        check(&[2], "the shape [2] takes 2 values, and there are 1");
        check(&[0], "the shape [0] takes 0 values, and there are 1");
        check(
            &[usize::MAX, 2],
            &format!("the shape [{}, 2] takes more than can be values, and there are 1", usize::MAX),
        );
        assert_eq!(Tensor::from_shape([], vec![1_u8]).unwrap().rows().len(), 1);
        let wrong = Tensor::from_shape([4], vec![1_u8; 4]).unwrap().reshaped([3]);
        assert!(wrong.is_err());
    }

    #[test]
    fn bytes_that_are_no_tensor_are_none() {
        let made = |datatype, shape: &[usize], bytes: &'static [u8]| {
            NamedTensor::from_bytes("x", datatype, shape, bytes).is_some()
        };
        assert!(made(Datatype::Fp16, &[2], &[0; 4]));
        assert!(!made(Datatype::Fp16, &[2], &[0; 3]));
        assert!(!made(Datatype::Fp64, &[usize::MAX], &[]));
        assert!(made(Datatype::Bytes, &[1], b"\x01\0\0\0a"));
        assert!(!made(Datatype::Bytes, &[1], b"\x02\0\0\0a"));
        assert!(!made(Datatype::Bytes, &[2], b"\x01\0\0\0a"));
        let truth = NamedTensor::from_bytes("x", Datatype::Bool, [1], vec![2]).unwrap();
        assert_eq!(truth.tensor::<bool>(), None);
        assert_eq!(truth.tensor::<u8>(), None, "of another type");
        let text = NamedTensor::from_bytes("x", Datatype::Bytes, [1], &b"\x01\0\0\0\xff"[..]).unwrap();
        assert_eq!(text.tensor::<String>(), None);
    }

    #[test]
    fn the_largest_value_is_the_first_of_equals_and_never_one_that_is_no_number() {
        let largest = |values: &[f32]| Tensor::from_shape([values.len()], values.to_vec()).unwrap().largest();
        assert_eq!(largest(&[0.1, 0.7, 0.7, 0.2]), Some(1));
        assert_eq!(largest(&[f32::NAN, -1.0, f32::NAN]), Some(1));
        assert_eq!(largest(&[f32::NAN]), None);
        assert_eq!(largest(&[]), None);
    }

    #[test]
    fn every_type_has_the_row_of_its_place() {
        for (place, (datatype, name, _)) in Datatype::ALL.into_iter().enumerate() {
            assert_eq!((datatype as usize, datatype.to_string()), (place, name.to_owned()));
            assert_eq!(Datatype::parse(name), Some(datatype));
        }
        assert_eq!(Datatype::parse("FP8"), None);
    }
}
