//! The name of anything that an app or a node declares: a DNS label, because names appear in `*.internal` hosts.

use std::fmt;
use std::str::FromStr;

use crate::limits::NAME_CHARS_MAX;
use crate::text::text_type;

/// A DNS label: 1 to 63 of `a-z`, `0-9` and `-`, with a letter or digit at both ends (RFC 1123, section 2.1).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Box<str>);

/// Why a text is not a [`Name`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing between the quotes.
    #[error("a name is empty")]
    Empty,
    /// Longer than a DNS label.
    #[error("the name `{0}` is longer than {NAME_CHARS_MAX} characters")]
    TooLong(String),
    /// A character that a DNS label cannot have.
    #[error("the name `{name}` has a `{character}`")]
    Character {
        /// The whole text.
        name: String,
        /// The first offending character.
        character: char,
    },
    /// A hyphen at an end.
    #[error("the name `{0}` begins or ends with `-`")]
    Hyphen(String),
}

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let odd = text.chars().find(|c| !matches!(c, 'a'..='z' | '0'..='9' | '-'));
        match odd {
            _ if text.is_empty() => Err(NameError::Empty),
            Some(character) => Err(NameError::Character { name: text.into(), character }),
            None if text.len() > NAME_CHARS_MAX => Err(NameError::TooLong(text.into())),
            None if text.starts_with('-') || text.ends_with('-') => Err(NameError::Hyphen(text.into())),
            None => Ok(Self(text.into())),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.0)
    }
}

impl std::borrow::Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

text_type!(
    Name,
    pattern: "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
    hint: "a name is a DNS label: up to 63 lower-case letters, digits and `-`, not at an end"
);

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<(), &str>) {
        let parsed = text.parse::<Name>();
        match expected {
            Ok(()) => assert_eq!(parsed.unwrap().as_str(), text),
            Err(message) => assert_eq!(parsed.unwrap_err().to_string(), message),
        }
    }

    #[test]
    fn a_name_is_a_dns_label() {
        check("a", Ok(()));
        check("shop-camera-2", Ok(()));
        check("", Err("a name is empty"));
        check("Shop", Err("the name `Shop` has a `S`"));
        check("a.b", Err("the name `a.b` has a `.`"));
        check("-a", Err("the name `-a` begins or ends with `-`"));
        check("a-", Err("the name `a-` begins or ends with `-`"));
    }

    #[test]
    fn a_name_has_at_most_63_characters() {
        assert!("a".repeat(NAME_CHARS_MAX).parse::<Name>().is_ok());
        assert!("a".repeat(NAME_CHARS_MAX + 1).parse::<Name>().is_err());
    }
}
