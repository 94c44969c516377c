//! From a name to addresses.
//!
//! `dial` resolves each name once per new connection and connects only to what it got and checked, so that a
//! name that changes its answer between check and use gains nothing. A resolver knows no policy.
//!
//! [`Resolver`] is the node's own, one for the process: names that need no server (`names`), then the cache (`cache`),
//! then a DNS server (`ask`, `message`, `wire`). [`SystemResolver`] is the C library's, for names that only it knows.

mod ask;
mod cache;
mod message;
mod names;
mod setup;
mod system;
mod wire;

pub use cache::Resolver;
pub use setup::{Servers, Setup};
pub use system::SystemResolver;

use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

/// A lookup under way. Dropping it gives up the answer.
pub type Resolving = Pin<Box<dyn Future<Output = Result<Vec<IpAddr>, LookupError>> + Send>>;

/// Something that knows names.
pub trait Resolve: Send + Sync + 'static {
    /// The addresses of `name` (lower case, no trailing dot), in the order in which to try them; none where the name
    /// exists and has no address.
    fn resolve(&self, name: &str) -> Resolving;
}

/// Why a lookup has no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LookupError {
    /// The server says that there is no such name (RFC 1035, section 4.1.1, code 3).
    #[error("no such name")]
    NoSuchName,
    /// The server answered with this code of failure: 2 is its own failure, 5 a refusal.
    #[error("the DNS server failed with code {0}")]
    Failed(u16),
    /// No server answered in time.
    #[error("no DNS server answered in time")]
    TimedOut,
    /// What came back cannot be an answer.
    #[error("the DNS server's answer is not usable: {0}")]
    Unusable(&'static str),
    /// No server can be reached, or the system's resolver failed.
    #[error("asking for the name")]
    Io(#[source] Arc<std::io::Error>),
}

impl LookupError {
    /// The code that a DNS server answered with, where one did.
    #[must_use]
    pub fn code(&self) -> Option<u16> {
        match self {
            Self::NoSuchName => Some(3),
            Self::Failed(code) => Some(*code),
            Self::TimedOut | Self::Unusable(_) | Self::Io(_) => None,
        }
    }

    /// Whether a server that is in order has said it: then an older answer is worth nothing.
    fn is_final(&self) -> bool {
        matches!(self, Self::NoSuchName)
    }
}

impl From<std::io::Error> for LookupError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(Arc::new(error))
    }
}
