//! An amount of bytes as people write it: `64MiB`, or a plain integer.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use toml::de::DeValue;

use crate::scalar::{Scalar, Trouble, expected, parse_text};
use crate::text::Text;

/// An amount of bytes, never zero. Written with `B`, `kB`, `MB`, `GB` (powers of 1000), `KiB`, `MiB`, `GiB`
/// (powers of 1024), or as a plain integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(u64);

/// Why a text is not an amount of bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BytesError {
    /// No whole number at the start.
    #[error("the size `{0}` does not start with a whole number")]
    Number(String),
    /// A unit that is not one of ours.
    #[error("the size `{size}` has the unknown unit `{unit}`")]
    Unit {
        /// The whole text.
        size: String,
        /// What follows the number.
        unit: String,
    },
    /// Nothing at all.
    #[error("the size is zero")]
    Zero,
    /// More than 64 bits hold.
    #[error("the size `{0}` is larger than any machine")]
    TooLarge(String),
}

/// Largest first, so that `Display` finds the shortest exact form.
const UNITS: [(&str, u64); 7] = [
    ("GiB", 1 << 30),
    ("GB", 1_000_000_000),
    ("MiB", 1 << 20),
    ("MB", 1_000_000),
    ("KiB", 1 << 10),
    ("kB", 1_000),
    ("B", 1),
];

impl Bytes {
    /// `bytes` as an amount; `None` for zero.
    pub const fn new(bytes: u64) -> Option<Self> {
        if bytes == 0 { None } else { Some(Self(bytes)) }
    }

    /// The amount in bytes.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl FromStr for Bytes {
    type Err = BytesError;

    fn from_str(text: &str) -> Result<Self, BytesError> {
        let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, unit) = text.split_at(digits);
        if number.is_empty() {
            return Err(BytesError::Number(text.into()));
        }
        let unit = unit.trim_start();
        let factor = UNITS.iter().find(|(name, _)| *name == unit || unit.is_empty() && *name == "B");
        let Some((_, factor)) = factor else {
            return Err(BytesError::Unit { size: text.into(), unit: unit.into() });
        };
        let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(*factor));
        let bytes = bytes.ok_or_else(|| BytesError::TooLarge(text.into()))?;
        Self::new(bytes).ok_or(BytesError::Zero)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = UNITS.iter().find(|(_, factor)| self.0.is_multiple_of(*factor));
        let (unit, factor) = exact.expect("every amount is a multiple of one byte");
        write!(f, "{}{unit}", self.0 / factor)
    }
}

impl Text for Bytes {
    const PATTERN: &'static str = "^[0-9]+ *(B|kB|MB|GB|KiB|MiB|GiB)?$";
}

impl Scalar for Bytes {
    const HINT: &'static str =
        "a size is a whole number with `B`, `kB`, `MB`, `GB`, `KiB`, `MiB` or `GiB`, as in `64MiB`";

    fn scalar(value: &DeValue<'_>) -> Result<Self, Trouble> {
        match value {
            DeValue::String(_) => parse_text(value),
            DeValue::Integer(integer) => {
                let bytes = u64::from_str_radix(integer.as_str(), integer.radix());
                let bytes = bytes.map_err(|_| Trouble::new(format!("`{integer}` is not a size")))?;
                Self::new(bytes).ok_or_else(|| Trouble::new(BytesError::Zero.to_string()))
            }
            other => Err(expected("a size", other)),
        }
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl JsonSchema for Bytes {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Bytes".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": Self::HINT,
            "oneOf": [{ "type": "string", "pattern": Self::PATTERN }, { "type": "integer", "minimum": 1 }],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<u64, &str>) {
        let parsed = text.parse::<Bytes>().map(Bytes::get).map_err(|error| error.to_string());
        assert_eq!(parsed, expected.map_err(String::from), "{text}");
    }

    #[test]
    fn a_size_is_a_number_and_a_unit() {
        check("64MiB", Ok(64 << 20));
        check("64 MiB", Ok(64 << 20));
        check("8KiB", Ok(8192));
        check("2GiB", Ok(2 << 30));
        check("5kB", Ok(5_000));
        check("5MB", Ok(5_000_000));
        check("1GB", Ok(1_000_000_000));
        check("17", Ok(17));
        check("17B", Ok(17));
    }

    #[test]
    fn a_wrong_size_says_what_is_wrong() {
        check("64MX", Err("the size `64MX` has the unknown unit `MX`"));
        check("64mib", Err("the size `64mib` has the unknown unit `mib`"));
        check("MiB", Err("the size `MiB` does not start with a whole number"));
        check("-1MiB", Err("the size `-1MiB` does not start with a whole number"));
        check("1.5MiB", Err("the size `1.5MiB` has the unknown unit `.5MiB`"));
        check("0MiB", Err("the size is zero"));
        check("99999999999GiB", Err("the size `99999999999GiB` is larger than any machine"));
    }

    #[test]
    fn a_size_is_written_in_its_largest_exact_unit() {
        for text in ["64MiB", "1GiB", "5MB", "1025B", "1KiB"] {
            assert_eq!(text.parse::<Bytes>().unwrap().to_string(), text);
        }
    }
}
