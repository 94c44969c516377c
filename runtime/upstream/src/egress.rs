//! What one function may reach: patterns for the hosts it names, and the special addresses they may resolve to.
//!
//! Made by the node once per revision from the function's `hosts` and the operator's `allow`; asked by `route` and by
//! `dial` for every request. Pure. The default reaches nothing.

use crate::address::{AddressRules, Allowed};
use crate::origin::{Origin, normal_host, split};
use std::net::IpAddr;
use std::str::FromStr;

/// What one function may reach.
#[derive(Clone, Debug, Default)]
pub struct Egress {
    hosts: Box<[HostPattern]>,
    addresses: AddressRules,
}

impl Egress {
    /// Hosts that may be named, and special addresses that they may lead to. Public addresses need no allowance.
    #[must_use]
    pub fn new(hosts: Vec<HostPattern>, allowed: Vec<Allowed>) -> Self {
        Self { hosts: hosts.into(), addresses: AddressRules::new(allowed) }
    }

    pub(crate) fn permits(&self, origin: &Origin) -> bool {
        self.hosts.iter().any(|pattern| pattern.matches(origin))
    }

    pub(crate) fn addresses(&self) -> &AddressRules {
        &self.addresses
    }
}

/// Origins a function may name: `[scheme://]host[:port]`.
///
/// The host is a name, an address, `*.suffix` (every name below it, not itself), or `*` (any). Without a scheme both are meant;
/// without a port the default port of the scheme; `:*` is any port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPattern {
    secure: Option<bool>,
    host: HostMatch,
    port: PortMatch,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum HostMatch {
    Any,
    /// With its leading dot.
    Below(Box<str>),
    Name(Box<str>),
    Address(IpAddr),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PortMatch {
    Any,
    Default,
    Is(u16),
}

/// A [`HostPattern`] that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a host pattern such as `https://api.example.com:443` or `*.example.com`")]
pub struct HostPatternError(Box<str>);

impl FromStr for HostPattern {
    type Err = HostPatternError;

    fn from_str(text: &str) -> Result<Self, HostPatternError> {
        Self::parse(text).ok_or_else(|| HostPatternError(text.into()))
    }
}

impl HostPattern {
    fn parse(text: &str) -> Option<Self> {
        let (secure, rest) = match text.split_once("://") {
            Some(("http", rest)) => (Some(false), rest),
            Some(("https", rest)) => (Some(true), rest),
            Some(_) => return None,
            None => (None, text),
        };
        let (host, port) = match rest.strip_suffix(":*") {
            Some(host) => (host, PortMatch::Any),
            None => {
                let (host, port) = split(rest)?;
                (host, port.map_or(PortMatch::Default, PortMatch::Is))
            }
        };
        Some(Self { secure, host: HostMatch::parse(host)?, port })
    }

    fn matches(&self, origin: &Origin) -> bool {
        self.secure.is_none_or(|secure| secure == origin.is_secure())
            && self.port.matches(origin)
            && self.host.matches(origin)
    }
}

impl HostMatch {
    fn parse(host: &str) -> Option<Self> {
        if host == "*" {
            return Some(Self::Any);
        }
        let (below, host) = match host.strip_prefix("*.") {
            Some(suffix) => (true, suffix),
            None => (false, host),
        };
        match normal_host(host)? {
            (_, Some(_)) if below => None,
            (_, Some(address)) => Some(Self::Address(address)),
            (name, None) if below => Some(Self::Below(format!(".{name}").into())),
            (name, None) => Some(Self::Name(name.into_owned().into())),
        }
    }

    fn matches(&self, origin: &Origin) -> bool {
        match self {
            Self::Any => true,
            Self::Below(suffix) => origin.address().is_none() && origin.host().ends_with(&**suffix),
            Self::Name(name) => origin.address().is_none() && origin.host() == &**name,
            Self::Address(address) => origin.address() == Some(*address),
        }
    }
}

impl PortMatch {
    fn matches(self, origin: &Origin) -> bool {
        match self {
            Self::Any => true,
            Self::Default => origin.port() == if origin.is_secure() { 443 } else { 80 },
            Self::Is(port) => origin.port() == port,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, uri: &str, expected: bool) {
        let egress = Egress::new(vec![pattern.parse().unwrap()], Vec::new());
        let origin = Origin::of(&uri.parse().unwrap()).unwrap();
        assert_eq!(egress.permits(&origin), expected, "`{pattern}` and {uri}");
    }

    /// G22.
    #[test]
    fn a_pattern_names_scheme_host_and_port() {
        check("https://api.example.com:443", "https://api.example.com/x", true);
        check("https://api.example.com:443", "https://API.example.com.:443/x", true);
        check("https://api.example.com:443", "http://api.example.com:443/", false);
        check("https://api.example.com", "https://api.example.com:8443/", false);
        check("https://api.example.com", "https://api.example.com.evil.net/", false);
        check("https://api.example.com", "https://evil-api.example.com/", false);
        check("api.example.com", "http://api.example.com/", true);
        check("api.example.com", "https://api.example.com/", true);
        check("API.example.com.", "https://api.example.com/", true);
    }

    #[test]
    fn a_suffix_pattern_matches_below_and_not_itself() {
        check("*.example.com", "https://a.example.com/", true);
        check("*.example.com", "https://a.b.example.com/", true);
        check("*.example.com", "https://example.com/", false);
        check("*.example.com", "https://notexample.com/", false);
        check("*.example.com", "https://example.com.evil.net/", false);
    }

    #[test]
    fn other_protocols_ports_stay_closed_to_a_pattern_without_a_port() {
        check("*", "https://anything.example/", true);
        check("*", "http://93.184.215.14/", true);
        for port in [22, 25, 6379, 8080] {
            check("*", &format!("http://anything.example:{port}/"), false);
            check("*:*", &format!("http://anything.example:{port}/"), true);
        }
        check("http://*:8080", "http://anything.example:8080/", true);
        check("http://*:8080", "http://anything.example/", false);
    }

    #[test]
    fn an_address_is_matched_as_an_address() {
        check("http://10.0.0.7:8080", "http://10.0.0.7:8080/", true);
        check("http://10.0.0.7:8080", "http://[::ffff:10.0.0.7]:8080/", true);
        check("http://[::1]:8080", "http://[0:0:0:0:0:0:0:1]:8080/", true);
        check("http://10.0.0.7:8080", "http://10.0.0.8:8080/", false);
    }

    #[test]
    fn nothing_is_reachable_by_default() {
        let origin = Origin::of(&"https://example.com/".parse().unwrap()).unwrap();
        assert!(!Egress::default().permits(&origin));
    }

    #[test]
    fn a_malformed_pattern_is_refused() {
        for text in [
            "",
            "ftp://example.com",
            "https://",
            "a*.example.com",
            "*.*",
            "*.10.0.0.7",
            "user@example.com",
            "0x7f.1",
            "a:b",
            "https://example.com/path",
            "example.com:0",
        ] {
            assert_eq!(text.parse::<HostPattern>(), Err(HostPatternError(text.into())), "{text}");
        }
    }
}
