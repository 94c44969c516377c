//! Values that are not tables: what can be read out of one, and what is wrong with it otherwise.
//!
//! [`Table`](crate::document::Table) adds the place and the hint. The newtypes of this crate are scalars through
//! [`text_type!`](crate::text::text_type).

use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::PathBuf;

use toml::de::DeValue;

use crate::problem::nearest;
use crate::text::Text;

/// What is wrong with one value, before its place is known.
pub(crate) struct Trouble {
    pub(crate) message: String,
    pub(crate) nearest: Option<String>,
}

/// A value that is not a table.
pub(crate) trait Scalar: Sized {
    /// What a valid value looks like; empty where the message says it all.
    const HINT: &'static str = "";

    /// The value as this type.
    fn scalar(value: &DeValue<'_>) -> Result<Self, Trouble>;
}

impl Trouble {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), nearest: None }
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

/// A string value as `T`.
pub(crate) fn parse_text<T: Text>(value: &DeValue<'_>) -> Result<T, Trouble> {
    let text = value.as_str().ok_or_else(|| expected("a string", value))?;
    text.parse().map_err(|error: T::Err| Trouble::new(error.to_string()))
}

/// What a value is, with its article, for a message.
pub(crate) fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// A value of the wrong type.
pub(crate) fn expected(what: &str, value: &DeValue<'_>) -> Trouble {
    Trouble::new(format!("{what} is expected, not {}", type_name(value)))
}

/// A string value out of a list of words.
pub(crate) fn choice<T: Copy>(value: &DeValue<'_>, words: &[(&str, T)]) -> Result<T, Trouble> {
    let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
    let listed = listed(&names);
    let found = value.as_str().map_or_else(|| type_name(value).to_owned(), |text| format!("`{text}`"));
    let chosen = words.iter().find(|(word, _)| value.as_str() == Some(word));
    chosen.map(|(_, choice)| *choice).ok_or_else(|| Trouble {
        nearest: value.as_str().and_then(|text| nearest(text, names)),
        ..Trouble::new(format!("{found} is not one of {listed}"))
    })
}

/// Names for a message.
pub(crate) fn listed(keys: &[&str]) -> String {
    keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
}

impl Scalar for String {
    const HINT: &'static str = "write it in quotes";

    fn scalar(value: &DeValue<'_>) -> Result<Self, Trouble> {
        value.as_str().map(Self::from).ok_or_else(|| expected("a string", value))
    }
}

impl Scalar for PathBuf {
    fn scalar(value: &DeValue<'_>) -> Result<Self, Trouble> {
        match value.as_str() {
            Some("") => Err(Trouble::new("the path is empty")),
            Some(path) => Ok(path.into()),
            None => Err(expected("a path", value)),
        }
    }
}

impl Scalar for bool {
    const HINT: &'static str = "write it without quotes";

    fn scalar(value: &DeValue<'_>) -> Result<Self, Trouble> {
        value.as_bool().ok_or_else(|| expected("`true` or `false`", value))
    }
}

impl Scalar for u32 {
    fn scalar(value: &DeValue<'_>) -> Result<Self, Trouble> {
        let integer = value.as_integer().ok_or_else(|| expected("a whole number", value))?;
        let number = u32::from_str_radix(integer.as_str(), integer.radix());
        number.map_err(|_| Trouble::new(format!("`{integer}` is not between 0 and {}", u32::MAX)))
    }
}

impl Scalar for NonZeroU32 {
    const HINT: &'static str = "a whole number of at least 1";

    fn scalar(value: &DeValue<'_>) -> Result<Self, Trouble> {
        Self::new(u32::scalar(value)?).ok_or_else(|| Trouble::new("the number is zero"))
    }
}

impl Scalar for SocketAddr {
    const HINT: &'static str =
        "an address is an IP address and a port, as in `127.0.0.1:8080` or `[::]:8080`";

    fn scalar(value: &DeValue<'_>) -> Result<Self, Trouble> {
        let text = value.as_str().ok_or_else(|| expected("an address", value))?;
        text.parse().map_err(|_| Trouble::new(format!("`{text}` is not an address with a port")))
    }
}
