//! The headers that the node sets on an upstream call; secrets stand in their values by name.

use std::fmt;
use std::str::FromStr;

use crate::name::{Name, NameError};
use crate::text::text_type;

/// The name of a header that the node may set, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HeaderKey(Box<str>);

/// Why a text is not the name of a header that the node may set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderKeyError {
    /// Not a header's name at all (RFC 9110, section 5.1).
    #[error("`{0}` is not the name of a header")]
    NotAName(String),
    /// One that says how the message is framed or where it goes, which only the connection knows.
    #[error("the header `{0}` is set by the connection itself")]
    Framing(String),
}

/// A header's value, `Bearer {secret:vision-key}`: texts and names of secrets in their order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderTemplate {
    parts: Vec<Part>,
}

/// A piece of a [`HeaderTemplate`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    /// As it stands.
    Text(String),
    /// The value of the secret of that name.
    Secret(Name),
}

/// Why a text is not a header's value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// `{secret:` without its `}`.
    #[error("a `{{secret:` is not closed with `}}`")]
    NotClosed,
    /// Not a secret's name between them.
    #[error("a `{{secret:}}` holds no valid name")]
    Name(#[source] NameError),
    /// A control character, or one that is not ASCII (RFC 9110, section 5.5).
    #[error("the value has a character that headers cannot carry")]
    Character,
}

const OPEN: &str = "{secret:";

/// Headers that describe the connection or the body's framing (RFC 9110, sections 7.2 and 7.6.1; RFC 9112, section 6).
const FRAMING: [&str; 9] = [
    "connection",
    "content-length",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl HeaderKey {
    /// The name, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for HeaderKey {
    type Err = HeaderKeyError;

    fn from_str(text: &str) -> Result<Self, HeaderKeyError> {
        let name = text.parse::<http::HeaderName>().map_err(|_| HeaderKeyError::NotAName(text.into()))?;
        if FRAMING.contains(&name.as_str()) {
            return Err(HeaderKeyError::Framing(name.to_string()));
        }
        Ok(Self(name.as_str().into()))
    }
}

impl std::borrow::Borrow<str> for HeaderKey {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HeaderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_type!(
    HeaderKey,
    pattern: "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$",
    hint: "the name of a header that is not about the connection or the body's framing"
);

impl HeaderTemplate {
    /// The pieces, in order.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }

    /// The secrets that are needed to fill it in.
    pub fn secrets(&self) -> impl Iterator<Item = &Name> {
        self.parts.iter().filter_map(|part| match part {
            Part::Secret(name) => Some(name),
            Part::Text(_) => None,
        })
    }

    /// The value with every secret filled in; the name of the first one that `secret` does not know otherwise.
    pub fn fill<'s>(&self, secret: impl Fn(&Name) -> Option<&'s str>) -> Result<String, &Name> {
        let mut value = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => value.push_str(text),
                Part::Secret(name) => value.push_str(secret(name).ok_or(name)?),
            }
        }
        Ok(value)
    }
}

impl FromStr for HeaderTemplate {
    type Err = HeaderError;

    fn from_str(text: &str) -> Result<Self, HeaderError> {
        if !text.bytes().all(|byte| byte == b'\t' || (b' '..=b'~').contains(&byte)) {
            return Err(HeaderError::Character);
        }
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once(OPEN) {
            let (name, after) = after.split_once('}').ok_or(HeaderError::NotClosed)?;
            push_text(&mut parts, before);
            parts.push(Part::Secret(name.parse().map_err(HeaderError::Name)?));
            rest = after;
        }
        push_text(&mut parts, rest);
        Ok(Self { parts })
    }
}

fn push_text(parts: &mut Vec<Part>, text: &str) {
    if !text.is_empty() {
        parts.push(Part::Text(text.into()));
    }
}

impl fmt::Display for HeaderTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.iter().try_for_each(|part| match part {
            Part::Text(text) => f.write_str(text),
            Part::Secret(name) => write!(f, "{OPEN}{name}}}"),
        })
    }
}

text_type!(
    HeaderTemplate,
    pattern: r"^[\t -~]*$",
    hint: "a header's value is ASCII text; a secret stands in it as `{secret:NAME}`"
);

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(template: &str) -> Result<String, String> {
        let template = template.parse::<HeaderTemplate>().map_err(|error| error.to_string())?;
        let key = |name: &Name| (name.as_str() == "key").then_some("s3cret");
        template.fill(key).map_err(|name| format!("no {name}"))
    }

    #[test]
    fn a_secret_is_filled_into_its_place() {
        assert_eq!(fill("Bearer {secret:key}").unwrap(), "Bearer s3cret");
        assert_eq!(fill("{secret:key}:{secret:key}").unwrap(), "s3cret:s3cret");
        assert_eq!(fill("{not a secret}").unwrap(), "{not a secret}");
        assert_eq!(fill("Bearer {secret:other}").unwrap_err(), "no other");
    }

    #[test]
    fn a_header_of_the_connection_cannot_be_set() {
        assert_eq!("Authorization".parse::<HeaderKey>().unwrap().as_str(), "authorization");
        assert_eq!(
            "Host".parse::<HeaderKey>().unwrap_err().to_string(),
            "the header `host` is set by the connection itself"
        );
        assert_eq!("a b".parse::<HeaderKey>().unwrap_err().to_string(), "`a b` is not the name of a header");
    }

    #[test]
    fn a_broken_value_is_refused() {
        assert_eq!(fill("{secret:key").unwrap_err(), "a `{secret:` is not closed with `}`");
        assert_eq!(fill("{secret:K}").unwrap_err(), "a `{secret:}` holds no valid name");
        assert_eq!(fill("a\r\nb: c").unwrap_err(), "the value has a character that headers cannot carry");
    }
}
