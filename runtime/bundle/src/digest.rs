//! The sha256 that names a component, a file or a revision.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};

/// A sha256, written `sha256:` and 64 hexadecimal digits (OCI image specification, "Digests").
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

/// Why a text is not a [`Digest`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// Another algorithm, or none.
    #[error("the digest `{0}` does not begin with `sha256:`")]
    Algorithm(String),
    /// Not 64 lower-case hexadecimal digits behind it.
    #[error("the digest `{0}` has no 64 lower-case hexadecimal digits")]
    Digits(String),
}

const PREFIX: &str = "sha256:";

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The 64 digits without `sha256:`, as they stand in file names.
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }

    /// The 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let digits = text.strip_prefix(PREFIX).ok_or_else(|| DigestError::Algorithm(text.into()))?;
        let upper = digits.bytes().any(|byte| byte.is_ascii_uppercase());
        let mut bytes = [0; 32];
        match hex::decode_to_slice(digits, &mut bytes) {
            Ok(()) if !upper => Ok(Self(bytes)),
            _ => Err(DigestError::Digits(text.into())),
        }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FIPS 180-4, the digest of no bytes.
    const OF_NOTHING: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn a_digest_is_written_and_read_in_one_form() {
        assert_eq!(Digest::of(b"").to_string(), OF_NOTHING);
        assert_eq!(OF_NOTHING.parse::<Digest>().unwrap(), Digest::of(b""));
    }

    #[test]
    fn another_form_is_refused() {
        let upper = format!("sha256:{}", OF_NOTHING[7..].to_uppercase());
        for text in ["", "e3b0", "sha512:e3b0", "sha256:", "sha256:e3b0", &OF_NOTHING[..70], &upper] {
            assert!(text.parse::<Digest>().is_err(), "{text}");
        }
    }
}
