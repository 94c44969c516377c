//! An origin: scheme, host and port in the one spelling that policy, pool and wire use.
//!
//! Made by `route` from a request's URI and by [`Upstream`](crate::Upstream) and [`HostPattern`](crate::HostPattern)
//! from configuration. Pure. A host that has a second reading anywhere (odd IPv4 spellings, user information, percent
//! signs, letters beyond ASCII) is refused as `RequestUriInvalid` rather than guessed at.

use crate::Error;
use http::HeaderValue;
use http::uri::{Authority, PathAndQuery, Scheme, Uri};
use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Longest host name, bytes (RFC 1035, section 2.3.4, without the root's dot).
const NAME_BYTES_MAX: usize = 253;
/// Longest label of a host name, bytes (the same section).
const LABEL_BYTES_MAX: usize = 63;

/// Scheme, host and port, normalised: lower case, no trailing dot, no default port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    secure: bool,
    authority: Authority,
    port: u16,
    address: Option<IpAddr>,
}

impl Origin {
    /// The origin of an absolute `http` or `https` URI.
    pub(crate) fn of(uri: &Uri) -> Result<Self, Error> {
        let secure = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => return Err(Error::RequestUriInvalid),
        };
        let authority = uri.authority().ok_or(Error::RequestUriInvalid)?;
        Self::new(secure, authority).ok_or(Error::RequestUriInvalid)
    }

    fn new(secure: bool, given: &Authority) -> Option<Self> {
        let (host, port) = split(given.as_str())?;
        let default = if secure { 443 } else { 80 };
        let port = port.unwrap_or(default);
        let (name, address) = normal_host(host)?;
        let authority = match port == default {
            true if name == given.as_str() => given.clone(),
            true => Authority::try_from(&*name).ok()?,
            false => Authority::try_from(format!("{name}:{port}")).ok()?,
        };
        Some(Self { secure, authority, port, address })
    }

    /// Whether `uri` is written as this origin is: the one spelling of it that needs no parsing to be known.
    pub(crate) fn is_literally(&self, uri: &Uri) -> bool {
        let scheme = if self.secure { Scheme::HTTPS } else { Scheme::HTTP };
        let is_same = |authority: &Authority| authority.as_str() == self.authority.as_str();
        uri.scheme() == Some(&scheme) && uri.authority().is_some_and(is_same)
    }

    /// What stands in `host`.
    pub(crate) fn authority(&self) -> &Authority {
        &self.authority
    }

    pub(crate) fn is_secure(&self) -> bool {
        self.secure
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The host's name, or the text of its address without brackets.
    pub(crate) fn host(&self) -> &str {
        self.authority.host().trim_start_matches('[').trim_end_matches(']')
    }

    /// The address, where the host is one.
    pub(crate) fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// What the `host` header says.
    pub(crate) fn host_header(&self) -> HeaderValue {
        HeaderValue::from_str(self.authority.as_str()).expect("an authority has only visible ASCII")
    }

    /// The absolute URI of `path` here.
    pub(crate) fn uri(&self, path: PathAndQuery) -> Uri {
        let scheme = if self.secure { Scheme::HTTPS } else { Scheme::HTTP };
        let mut parts = http::uri::Parts::default();
        parts.scheme = Some(scheme);
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(path);
        Uri::from_parts(parts).expect("scheme, authority and path make a URI")
    }
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let scheme = if self.secure { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.authority)
    }
}

/// Host and port of an authority. No user information, no empty port.
pub(crate) fn split(authority: &str) -> Option<(&str, Option<u16>)> {
    let host_end = match authority.rfind(']') {
        Some(bracket) => bracket + 1,
        None => authority.find(':').unwrap_or(authority.len()),
    };
    let (host, rest) = authority.split_at(host_end);
    if host.is_empty() || host.contains('@') {
        return None;
    }
    let port = match rest.strip_prefix(':') {
        None if rest.is_empty() => None,
        None => return None,
        // `parse` alone would take `+80`.
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(digits.parse().ok()?),
        Some(_) => return None,
    };
    (port != Some(0)).then_some((host, port))
}

/// A host in its one spelling, and the address that it is, if any. `None` where it has no single reading.
pub(crate) fn normal_host(host: &str) -> Option<(Cow<'_, str>, Option<IpAddr>)> {
    if let Some(inner) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        let address: Ipv6Addr = inner.parse().ok()?;
        return Some((format!("[{address}]").into(), Some(IpAddr::V6(address).to_canonical())));
    }
    let name = lower_case(host.strip_suffix('.').unwrap_or(host));
    if name.len() > NAME_BYTES_MAX || !name.split('.').all(is_label) {
        return None;
    }
    if ends_in_number(&name) {
        // Only the plain four decimal numbers: `0177.1`, `2130706433` and `0x7f.1` mean one thing here, another there.
        let address: Ipv4Addr = name.parse().ok()?;
        return Some((name, Some(address.into())));
    }
    Some((name, None))
}

fn lower_case(name: &str) -> Cow<'_, str> {
    match name.bytes().any(|byte| byte.is_ascii_uppercase()) {
        true => name.to_ascii_lowercase().into(),
        false => name.into(),
    }
}

fn is_label(label: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    (1..=LABEL_BYTES_MAX).contains(&label.len()) && label.bytes().all(allowed)
}

/// Whether a URL parser takes the host for an IPv4 address (WHATWG URL, "ends in a number checker").
fn ends_in_number(name: &str) -> bool {
    let last = name.rsplit('.').next().unwrap_or(name);
    let hex =
        last.strip_prefix("0x").is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
    hex || last.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(uri: &str, expected: Option<&str>) {
        let origin = uri.parse::<Uri>().ok().and_then(|uri| Origin::of(&uri).ok());
        assert_eq!(origin.map(|origin| origin.to_string()).as_deref(), expected, "{uri}");
    }

    #[test]
    fn an_origin_has_one_spelling() {
        check("http://example.com/x", Some("http://example.com"));
        check("http://EXAMPLE.Com:80/", Some("http://example.com"));
        check("https://example.com.:443", Some("https://example.com"));
        check("https://example.com:80", Some("https://example.com:80"));
        check("http://localhost.:8080", Some("http://localhost:8080"));
        check("http://127.0.0.1./", Some("http://127.0.0.1"));
        check("http://[::1]:8080/", Some("http://[::1]:8080"));
        check("http://[0:0:0:0:0:0:0:1]/", Some("http://[::1]"));
        check("http://xn--bcher-kva.example/", Some("http://xn--bcher-kva.example"));
        check("http://10.0.0.1.nip.io/", Some("http://10.0.0.1.nip.io"));
        check("http://my_service/", Some("http://my_service"));
    }

    /// G21.
    #[test]
    fn a_host_with_two_readings_is_refused() {
        for host in [
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "0177.0.0.1",
            "127.1",
            "127.0.0.01",
            "127.0.0.1.1",
            "1.2.3",
            "256.1.1.1",
            "user@example.com",
            "user:pw@example.com",
            "a%2eb",
            "exa mple",
            "a..b",
            ".a",
            "a..",
            "",
            "[::1",
            "[::1%25eth0]",
            "[fe80::1%eth0]",
            "[127.0.0.1]",
            "b\u{fc}cher.example",
            "ex\u{430}mple.com",
            "example.com:",
            "example.com:+80",
            "example.com:0",
            "example.com:65536",
            "foo.0x",
            "1.",
        ] {
            check(&format!("http://{host}/"), None);
        }
        check("/path", None);
        check("ftp://example.com/", None);
        check("example.com", None);
    }

    #[test]
    fn a_mapped_address_is_seen_through() {
        let origin = Origin::of(&"http://[::ffff:7f00:1]/".parse().unwrap()).unwrap();
        assert_eq!(origin.address(), Some([127, 0, 0, 1].into()));
    }

    #[test]
    fn names_and_labels_have_a_longest_length() {
        let label = "a".repeat(LABEL_BYTES_MAX);
        check(&format!("http://{label}"), Some(&format!("http://{label}")));
        check(&format!("http://{label}a"), None);
        let name = [&label[..], &label, &label, &"a".repeat(NAME_BYTES_MAX - 3 * 64)].join(".");
        assert_eq!(name.len(), NAME_BYTES_MAX);
        check(&format!("http://{name}"), Some(&format!("http://{name}")));
        check(&format!("http://{name}a"), None);
    }
}
