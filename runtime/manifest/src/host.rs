//! Host names as files write them: which hosts a route or a tenant answers for, and where a function may call.
//!
//! Only the pattern is parsed here; whether a call is allowed is decided by the crate that makes it.

use std::fmt;
use std::str::FromStr;

use ::url::Host;

use crate::limits::HOST_CHARS_MAX;
use crate::text::text_type;

/// Host names: all of them, those under one, or one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum HostName {
    /// `*`: every host.
    #[default]
    Any,
    /// `*.example.com`: every name with one or more labels before `example.com`, which is held in lower case and
    /// without the `*.`.
    Under(Box<str>),
    /// One host, in lower case, international names in their ASCII form, IPv6 addresses in brackets.
    Exact(Box<str>),
}

/// Where a function may send requests: `*`, or `scheme://host[:port]` with a host that may begin with `*.`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum HostPattern {
    /// `*`: every origin whose address the node allows.
    Any,
    /// One scheme, host pattern and port.
    Origin {
        /// `http` or `https`.
        scheme: Scheme,
        /// The hosts.
        host: HostName,
        /// The port; the scheme's own where none was written.
        port: u16,
    },
}

/// The protocol of an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scheme {
    /// Cleartext; port 80.
    Http,
    /// TLS; port 443.
    Https,
}

/// Why a text is not a host or an origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostError {
    /// No `http://` or `https://` in front.
    #[error("the origin `{0}` does not begin with `http://` or `https://`")]
    Scheme(String),
    /// Something that no host name has.
    #[error("`{0}` is not a host name")]
    Host(String),
    /// A `*` that is not the whole first label.
    #[error("the `*` in `{0}` is not the whole first label")]
    Wildcard(String),
    /// Not a port.
    #[error("`{0}` is not a port")]
    Port(String),
    /// A path, a query or a user name.
    #[error("the origin `{0}` has more than scheme, host and port")]
    NotAnOrigin(String),
}

impl HostName {
    /// Whether every host of `other` is also one of `self`'s.
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) => true,
            (Self::Under(suffix), Self::Exact(host)) => is_under(host, suffix),
            (Self::Under(suffix), Self::Under(inner)) => suffix == inner || is_under(inner, suffix),
            (Self::Exact(host), Self::Exact(other)) => host == other,
            _ => false,
        }
    }

    /// Whether any host is one of both.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.covers(other) || other.covers(self)
    }
}

/// Whether `host` has one or more labels before `suffix`; both in lower case.
pub(crate) fn is_under(host: &str, suffix: &str) -> bool {
    host.strip_suffix(suffix).is_some_and(|labels| labels.len() > 1 && labels.ends_with('.'))
}

impl FromStr for HostName {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let (wildcard, rest) = text.strip_prefix("*.").map_or((false, text), |rest| (true, rest));
        if rest.contains('*') {
            return Err(HostError::Wildcard(text.into()));
        }
        let rest = rest.strip_suffix('.').unwrap_or(rest);
        let host = Host::parse(rest).map_err(|_| HostError::Host(text.into()))?;
        match (wildcard, host) {
            (true, Host::Domain(domain)) => Ok(Self::Under(checked(domain, text)?)),
            (true, _) => Err(HostError::Wildcard(text.into())),
            (false, Host::Domain(domain)) => Ok(Self::Exact(checked(domain, text)?)),
            (false, address) => Ok(Self::Exact(address.to_string().into())),
        }
    }
}

/// The URL parser lets some characters pass that no host name on the wire has.
fn checked(domain: String, text: &str) -> Result<Box<str>, HostError> {
    let label = |label: &str| {
        !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
    };
    let valid = domain.len() <= HOST_CHARS_MAX && domain.split('.').all(label);
    if valid { Ok(domain.into()) } else { Err(HostError::Host(text.into())) }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Under(suffix) => write!(f, "*.{suffix}"),
            Self::Exact(host) => f.write_str(host),
        }
    }
}

text_type!(
    HostName,
    pattern: r"^(\*|(\*\.)?[^*/:@ ]+|\[[0-9a-fA-F:.]+\])$",
    hint: "a host is a name without scheme and port, `*.` and a name for all names under it, or `*` for all"
);

impl Scheme {
    /// The port of an origin that names none.
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }

    /// The scheme as it stands in a URL.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }
}

impl FromStr for HostPattern {
    type Err = HostError;

    fn from_str(text: &str) -> Result<Self, HostError> {
        if text == "*" {
            return Ok(Self::Any);
        }
        let (scheme, rest) = match text.split_once("://") {
            Some(("http", rest)) => (Scheme::Http, rest),
            Some(("https", rest)) => (Scheme::Https, rest),
            _ => return Err(HostError::Scheme(text.into())),
        };
        if rest.contains(['/', '?', '#', '@']) {
            return Err(HostError::NotAnOrigin(text.into()));
        }
        let (host, port) = split_port(rest);
        let port = match port {
            None => scheme.default_port(),
            Some(port) => {
                port.parse().ok().filter(|port| *port != 0).ok_or_else(|| HostError::Port(port.into()))?
            }
        };
        Ok(Self::Origin { scheme, host: host.parse()?, port })
    }
}

/// Splits at the colon before a port, leaving those inside an IPv6 address's brackets.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Origin { scheme, host, port } => write!(f, "{}://{host}:{port}", scheme.as_str()),
        }
    }
}

text_type!(
    HostPattern,
    pattern: r"^(\*|https?://[^/?#@]+)$",
    hint: "a host to call is `scheme://host[:port]`, where the host may begin with `*.`, or `*` for all"
);

#[cfg(test)]
mod tests {
    use super::*;

    fn check_origin(text: &str, expected: Result<&str, &str>) {
        let parsed = text.parse::<HostPattern>().map(|p| p.to_string()).map_err(|e| e.to_string());
        assert_eq!(parsed, expected.map(String::from).map_err(String::from), "{text}");
    }

    fn check_host(text: &str, expected: Result<&str, &str>) {
        let parsed = text.parse::<HostName>().map(|p| p.to_string()).map_err(|e| e.to_string());
        assert_eq!(parsed, expected.map(String::from).map_err(String::from), "{text}");
    }

    fn check_overlap(one: &str, other: &str, expected: bool) {
        let (one, other) = (one.parse::<HostName>().unwrap(), other.parse::<HostName>().unwrap());
        assert_eq!(one.overlaps(&other), expected, "{one} and {other}");
        assert_eq!(other.overlaps(&one), expected, "{other} and {one}");
    }

    #[test]
    fn an_origin_has_a_scheme_a_host_and_a_port() {
        check_origin("*", Ok("*"));
        check_origin("https://api.example.com", Ok("https://api.example.com:443"));
        check_origin("http://API.Example.com:8080", Ok("http://api.example.com:8080"));
        check_origin("https://*.example.com", Ok("https://*.example.com:443"));
        check_origin("https://*:8443", Ok("https://*:8443"));
        check_origin("http://10.0.0.7:8080", Ok("http://10.0.0.7:8080"));
        check_origin("http://[::1]", Ok("http://[::1]:80"));
        check_origin("http://[::1]:81", Ok("http://[::1]:81"));
    }

    #[test]
    fn a_wrong_origin_says_what_is_wrong() {
        check_origin(
            "api.example.com",
            Err("the origin `api.example.com` does not begin with `http://` or `https://`"),
        );
        check_origin("ftp://a", Err("the origin `ftp://a` does not begin with `http://` or `https://`"));
        check_origin("http://a/b", Err("the origin `http://a/b` has more than scheme, host and port"));
        check_origin("http://u@a", Err("the origin `http://u@a` has more than scheme, host and port"));
        check_origin("http://a:99999", Err("`99999` is not a port"));
        check_origin("http://a:0", Err("`0` is not a port"));
        check_origin("http://a.*.b", Err("the `*` in `a.*.b` is not the whole first label"));
        check_origin("http://*.10.0.0.7", Err("the `*` in `*.10.0.0.7` is not the whole first label"));
    }

    #[test]
    fn a_host_is_held_in_its_ascii_lower_case_form() {
        check_host("Shop.Example.COM.", Ok("shop.example.com"));
        check_host("bücher.example", Ok("xn--bcher-kva.example"));
        check_host("0x7f.1", Ok("127.0.0.1"));
        check_host("a b", Err("`a b` is not a host name"));
        check_host("", Err("`` is not a host name"));
        check_host("a..b", Err("`a..b` is not a host name"));
    }

    #[test]
    fn a_host_has_at_most_253_characters() {
        let labels = "a.".repeat((HOST_CHARS_MAX - 1) / 2);
        let (at_limit, over) = (format!("{labels}b"), format!("{labels}bb"));
        assert_eq!(at_limit.len(), HOST_CHARS_MAX);
        assert!(at_limit.parse::<HostName>().is_ok());
        assert!(over.parse::<HostName>().is_err());
    }

    #[test]
    fn hosts_overlap_when_one_covers_the_other() {
        check_overlap("*", "a.example.com", true);
        check_overlap("*.example.com", "a.example.com", true);
        check_overlap("*.example.com", "a.b.example.com", true);
        check_overlap("*.example.com", "*.b.example.com", true);
        check_overlap("*.example.com", "example.com", false);
        check_overlap("*.example.com", "badexample.com", false);
        check_overlap("a.example.com", "a.example.com", true);
        check_overlap("a.example.com", "b.example.com", false);
    }
}
