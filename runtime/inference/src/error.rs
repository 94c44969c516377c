//! Why there is no answer from a model, by cause.

use std::error;
use std::fmt;

/// What kind of failure it is: whoever asked does something else about each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// There is no such model, or no such version of it.
    NotFound,
    /// Whoever calls has not shown that it may.
    Unauthenticated,
    /// The call is wrong: a name, a type, a shape or a value.
    InvalidArgument,
    /// A bound of the node's or the server's on size.
    TooLarge,
    /// The time for the call is over.
    Timeout,
    /// The model cannot be asked now; later it may be.
    Unavailable,
    /// What was asked for cannot be done by this backend.
    Unsupported,
    /// A server's answer is not what the protocol or its own metadata says.
    Protocol,
    /// The model failed.
    Failed,
}

impl Kind {
    /// A word for it, for metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NotFound => "not-found",
            Self::Unauthenticated => "unauthenticated",
            Self::InvalidArgument => "invalid-argument",
            Self::TooLarge => "too-large",
            Self::Timeout => "timeout",
            Self::Unavailable => "unavailable",
            Self::Unsupported => "unsupported",
            Self::Protocol => "protocol",
            Self::Failed => "failed",
        }
    }
}

/// A failed call of a model, with a text for whoever made it.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    message: String,
    is_held_back: bool,
    source: Option<Box<dyn error::Error + Send + Sync>>,
}

impl Error {
    /// An error of that kind.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), is_held_back: false, source: None }
    }

    /// The same of a call that the node itself did not let out: it says nothing of the server.
    #[must_use]
    pub fn held_back(self) -> Self {
        Self { is_held_back: true, ..self }
    }

    pub(crate) fn is_held_back(&self) -> bool {
        self.is_held_back
    }

    /// The same with what was behind it.
    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(Kind::InvalidArgument, message)
    }

    pub(crate) fn too_large(message: impl Into<String>) -> Self {
        Self::new(Kind::TooLarge, message)
    }

    /// The same fault, found in what a server said instead of in what a caller said.
    pub(crate) fn of_server(self) -> Self {
        match self.kind {
            Kind::InvalidArgument | Kind::Unsupported => Self { kind: Kind::Protocol, ..self },
            _ => self,
        }
    }

    /// The same with what it concerns before its text.
    pub(crate) fn about(mut self, what: impl fmt::Display) -> Self {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// What kind it is.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl error::Error for Error {
    fn source(&self) -> Option<&(dyn error::Error + 'static)> {
        let source: &(dyn error::Error + 'static) = self.source.as_deref()?;
        Some(source)
    }
}
