//! How a gRPC call ended ([codes](https://github.com/grpc/grpc/blob/master/doc/statuscodes.md)).

use crate::{Error, Kind};
use std::fmt::Write as _;

/// The code of a call that ended well.
const OK: u32 = 0;
/// Bytes of a server's text that are told.
const MESSAGE_BYTES_MAX: usize = 512;

/// A code, and for whoever called a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The value of `grpc-status`.
    pub code: u32,
    /// What `grpc-message` says.
    pub message: String,
}

impl Status {
    /// The header, or trailer, of the code.
    pub const CODE: &str = "grpc-status";
    /// That of the text.
    pub const MESSAGE: &str = "grpc-message";

    /// That of a failed call.
    #[must_use]
    pub fn failed(error: &Error) -> Self {
        let code = match error.kind() {
            Kind::InvalidArgument => 3,
            Kind::Timeout => 4,
            Kind::NotFound => 5,
            // What gRPC's own libraries say of a message that is too large.
            Kind::TooLarge => 8,
            Kind::Unsupported => 12,
            Kind::Protocol | Kind::Failed => 13,
            Kind::Unavailable => 14,
            Kind::Unauthenticated => 16,
        };
        Self { code, message: error.to_string() }
    }

    /// Of what the headers or trailers say.
    #[must_use]
    pub fn read(code: &str, message: Option<&str>) -> Option<Self> {
        Some(Self { code: code.parse().ok()?, message: unescaped(message.unwrap_or_default()) })
    }

    /// The error that it is, as a server's answer.
    ///
    /// # Errors
    /// Where it is one.
    pub fn accepted(&self) -> Result<(), Error> {
        let kind = match self.code {
            OK => return Ok(()),
            3 | 9 | 11 => Kind::InvalidArgument,
            1 | 8 | 14 => Kind::Unavailable,
            4 => Kind::Timeout,
            5 => Kind::NotFound,
            12 => Kind::Unsupported,
            _ => Kind::Failed,
        };
        let said = if self.message.is_empty() { "it does not say why" } else { &self.message };
        Err(Error::new(kind, format!("the server answered with the gRPC status {}: {said}", self.code)))
    }

    /// What it would be as a status of HTTP, for whoever decides by that whether a server is well and a call is worth another
    /// try; `None` where the server is well.
    #[must_use]
    pub fn http(&self) -> Option<u16> {
        match self.code {
            4 => Some(504),
            8 => Some(429),
            14 => Some(503),
            2 | 13 | 15 => Some(500),
            _ => None,
        }
    }

    /// The text as a header has it: percent-encoded UTF-8.
    #[must_use]
    pub fn escaped(&self) -> String {
        let mut escaped = String::with_capacity(self.message.len());
        for byte in self.message.bytes() {
            match byte {
                b'%' | ..b' ' | 0x7f.. => {
                    // Writing to a string does not fail.
                    let _ = write!(escaped, "%{byte:02X}");
                }
                plain => escaped.push(char::from(plain)),
            }
        }
        escaped
    }
}

fn unescaped(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let digits = behind.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits.filter(|_| *first == b'%').and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { &behind[2..] } else { behind };
    }
    bytes.truncate(MESSAGE_BYTES_MAX);
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_goes_through_a_header() {
        for text in ["", "100 % \u{fc}ber\n", "%zz %4"] {
            let status = Status { code: 3, message: text.to_owned() };
            let escaped = status.escaped();
            assert!(escaped.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{escaped}");
            assert_eq!(Status::read("3", Some(&escaped)), Some(status));
        }
        assert_eq!(unescaped("%zz %4"), "%zz %4", "what is not encoded stays");
        assert_eq!(unescaped(&"x".repeat(MESSAGE_BYTES_MAX + 1)).len(), MESSAGE_BYTES_MAX);
    }

    #[test]
    fn kinds_of_errors_come_back_as_they_went() {
        for kind in [
            Kind::InvalidArgument,
            Kind::Timeout,
            Kind::NotFound,
            Kind::Unsupported,
            Kind::Failed,
            Kind::Unavailable,
        ] {
            let error = Status::failed(&Error::new(kind, "because")).accepted().unwrap_err();
            assert_eq!(error.kind(), kind);
            assert!(error.to_string().contains("because"), "{error}");
        }
        assert!(Status::default().accepted().is_ok());
    }
}
