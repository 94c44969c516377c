//! A named array of numbers, as it goes over the wire: no copy is made of what is in it.

use crate::limits::{NAME_BYTES_MAX, RANK_MAX};
use crate::{Datatype, Error};
use bytes::Bytes;

/// A tensor whose parts fit together.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    name: String,
    datatype: Datatype,
    shape: Vec<u64>,
    bytes: Bytes,
}

impl Tensor {
    /// A tensor of `bytes`: its elements in row-major order, little-endian.
    ///
    /// # Errors
    /// The name is too long, the shape has too many dimensions or elements, the bytes are not as many as it says, or they
    /// are no values of the type.
    pub fn new(
        name: impl Into<String>,
        datatype: Datatype,
        shape: Vec<u64>,
        bytes: Bytes,
    ) -> Result<Self, Error> {
        let tensor = Self { name: name.into(), datatype, shape, bytes };
        check_name("a tensor", &tensor.name)?;
        tensor.check().map_err(|error| error.about(format_args!("tensor `{}`", tensor.name)))?;
        Ok(tensor)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What its elements are.
    #[must_use]
    pub fn datatype(&self) -> Datatype {
        self.datatype
    }

    /// How many elements it has in each dimension, the outermost first.
    #[must_use]
    pub fn shape(&self) -> &[u64] {
        &self.shape
    }

    /// Its elements.
    #[must_use]
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The same under another name.
    ///
    /// # Errors
    /// The name is too long.
    pub fn named(mut self, name: &str) -> Result<Self, Error> {
        check_name("a tensor", name)?;
        name.clone_into(&mut self.name);
        Ok(self)
    }

    /// How many elements it has.
    #[must_use]
    pub fn len(&self) -> usize {
        // `new` has seen that it does not overflow.
        self.shape.iter().product::<u64>() as usize
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether an element is neither finite nor anything but a floating-point number.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        match self.datatype {
            // A number is not finite where every bit of its exponent is set (IEEE 754, section 3.4).
            Datatype::Fp16 => {
                self.is_everywhere(|bytes: [u8; 2]| u16::from_le_bytes(bytes) & 0x7c00 != 0x7c00)
            }
            Datatype::Bf16 => {
                self.is_everywhere(|bytes: [u8; 2]| u16::from_le_bytes(bytes) & 0x7f80 != 0x7f80)
            }
            Datatype::Fp32 => self.is_everywhere(|bytes| f32::from_le_bytes(bytes).is_finite()),
            Datatype::Fp64 => self.is_everywhere(|bytes| f64::from_le_bytes(bytes).is_finite()),
            _ => true,
        }
    }

    fn is_everywhere<const N: usize>(&self, is: impl Fn([u8; N]) -> bool) -> bool {
        let (elements, _) = self.bytes.as_chunks::<N>();
        // Without an early end, so that it is compiled to vector instructions: nearly always all of them are.
        elements.iter().fold(true, |all, element| all & is(*element))
    }

    fn check(&self) -> Result<(), Error> {
        let elements = elements(&self.shape)?;
        let Some(element_bytes) = self.datatype.element_bytes() else {
            return self.check_strings(elements);
        };
        let wanted = elements.checked_mul(element_bytes as u64);
        if wanted != Some(self.bytes.len() as u64) {
            let wanted = wanted.map_or("more than can be".to_owned(), |wanted| wanted.to_string());
            return Err(Error::invalid(format!(
                "{} of shape {:?} takes {wanted} bytes, and it has {}",
                self.datatype,
                self.shape,
                self.bytes.len()
            )));
        }
        if self.datatype == Datatype::Bool && self.bytes.iter().any(|byte| *byte > 1) {
            return Err(Error::invalid("a BOOL is 0 or 1"));
        }
        Ok(())
    }

    fn check_strings(&self, elements: u64) -> Result<(), Error> {
        let mut found = 0_u64;
        for string in self.strings() {
            string.ok_or_else(|| Error::invalid("its last string is cut off"))?;
            found += 1;
        }
        if found != elements {
            return Err(Error::invalid(format!(
                "BYTES of shape {:?} are {elements} strings, and it has {found}",
                self.shape
            )));
        }
        Ok(())
    }

    /// The elements of BYTES; `None` for one that is cut off, which is the last then.
    pub(crate) fn strings(&self) -> impl Iterator<Item = Option<&[u8]>> {
        let mut rest: &[u8] = &self.bytes;
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            let string = rest
                .split_first_chunk()
                .and_then(|(length, behind)| behind.split_at_checked(u32::from_le_bytes(*length) as usize));
            rest = string.map_or(&[], |(_, behind)| behind);
            Some(string.map(|(string, _)| string))
        })
    }
}

/// How many elements a shape has.
pub(crate) fn elements(shape: &[u64]) -> Result<u64, Error> {
    if shape.len() > RANK_MAX {
        return Err(Error::too_large(format!(
            "it has {} dimensions, and {RANK_MAX} are the most",
            shape.len()
        )));
    }
    // As addresses are, and a dimension of none does not hide one that is too large.
    let fits = |elements: u64, size: &u64| {
        elements.checked_mul((*size).max(1)).filter(|elements| i64::try_from(*elements).is_ok())
    };
    let filled = shape.iter().try_fold(1, fits);
    filled.ok_or_else(|| {
        Error::invalid(format!("the shape {shape:?} has more elements than can be counted"))
    })?;
    Ok(shape.iter().product())
}

pub(crate) fn check_name(what: &str, name: &str) -> Result<(), Error> {
    if name.is_empty() {
        return Err(Error::invalid(format!("{what} needs a name")));
    }
    if name.len() > NAME_BYTES_MAX {
        return Err(Error::too_large(format!(
            "the name of {what} has {} bytes, and {NAME_BYTES_MAX} are the most",
            name.len()
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;

    fn tensor(datatype: Datatype, shape: &[u64], bytes: &[u8]) -> Result<Tensor, Error> {
        Tensor::new("x", datatype, shape.to_vec(), Bytes::copy_from_slice(bytes))
    }

    #[test]
    fn parts_that_fit_together_are_a_tensor() {
        for (datatype, shape, bytes) in [
            (Datatype::Fp32, &[2, 3][..], &[0; 24][..]),
            (Datatype::Fp32, &[], &[0; 4]),
            (Datatype::Int64, &[0, 7], &[]),
            (Datatype::Bool, &[2], &[0, 1]),
            (Datatype::Bytes, &[2], b"\x02\0\0\0ab\0\0\0\0"),
            (Datatype::Uint8, &[1; RANK_MAX], &[9]),
        ] {
            let tensor = tensor(datatype, shape, bytes).unwrap();
            assert_eq!(tensor.len(), shape.iter().product::<u64>() as usize);
        }
    }

    /// G31: the parts of a tensor that do not fit together are told, and nothing is allocated for what a shape says.
    #[test]
    fn parts_that_do_not_fit_are_refused() {
        for (datatype, shape, bytes, why) in [
            (Datatype::Fp32, &[2, 3][..], &[0; 23][..], "takes 24 bytes, and it has 23"),
            (Datatype::Fp64, &[u64::MAX, 2], &[], "more elements than can be counted"),
            (Datatype::Fp64, &[0, u64::MAX, 2], &[], "more elements than can be counted"),
            (Datatype::Fp64, &[1 << 62], &[], "more than can be"),
            (Datatype::Bool, &[1], &[2], "0 or 1"),
            (Datatype::Uint8, &[1; RANK_MAX + 1], &[9], "9 dimensions"),
            (Datatype::Bytes, &[1], b"\x03\0\0\0ab", "cut off"),
            (Datatype::Bytes, &[1], b"\x03\0\0", "cut off"),
            (Datatype::Bytes, &[3], b"\x02\0\0\0ab\0\0\0\0", "are 3 strings, and it has 2"),
        ] {
            let error = tensor(datatype, shape, bytes).unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
            assert!(error.to_string().starts_with("tensor `x`: "), "{error}");
        }
        let long = "x".repeat(NAME_BYTES_MAX);
        let none = || Bytes::from_static(&[1]);
        Tensor::new(long.clone(), Datatype::Bool, vec![], none()).unwrap();
        let error = Tensor::new(long + "x", Datatype::Bool, vec![], none()).unwrap_err();
        assert_eq!(error.kind(), Kind::TooLarge);
        assert!(Tensor::new("", Datatype::Bool, vec![], none()).is_err());
    }

    #[test]
    fn what_is_not_finite_is_seen_in_every_type_that_has_it() {
        let with =
            |datatype, bytes: &[u8], elements| tensor(datatype, &[elements], bytes).unwrap().is_finite();
        assert!(with(Datatype::Fp32, &[1.0_f32.to_le_bytes(), f32::MAX.to_le_bytes()].concat(), 2));
        assert!(!with(Datatype::Fp32, &[1.0_f32.to_le_bytes(), f32::NAN.to_le_bytes()].concat(), 2));
        assert!(!with(Datatype::Fp64, &f64::INFINITY.to_le_bytes(), 1));
        assert!(with(Datatype::Fp16, &0x7bff_u16.to_le_bytes(), 1));
        assert!(!with(Datatype::Fp16, &0xfc00_u16.to_le_bytes(), 1));
        assert!(with(Datatype::Bf16, &0x7f7f_u16.to_le_bytes(), 1));
        assert!(!with(Datatype::Bf16, &0x7fc0_u16.to_le_bytes(), 1));
        assert!(with(Datatype::Int32, &[0xff; 4], 1));
    }
}
