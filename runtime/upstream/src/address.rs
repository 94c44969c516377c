//! Which addresses may be connected to: the special ranges, and what an operator allows among them.
//!
//! Asked by `dial` for every resolved address and again for the connected peer, and by the pool before it lends a
//! connection to a special address. Pure; knows no names. Ranges are those of the IANA special-purpose registries
//! (RFC 6890) and the clouds' metadata addresses.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

/// Who may connect to an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Anybody: it is an ordinary public address.
    Public,
    /// Whoever an operator allows it to, by network and port: loopback, private and reserved ranges.
    Allowed,
    /// Nobody: metadata services, link-local, multicast, unspecified.
    Never,
}

const fn v4(a: u8, b: u8, c: u8, d: u8, length: u8) -> IpNet {
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, d), length))
}

const fn v6(head: [u16; 3], tail: u16, length: u8) -> IpNet {
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::new(head[0], head[1], head[2], 0, 0, 0, 0, tail), length))
}

/// Every special range; the first that contains an address decides.
const SPECIAL: &[(IpNet, Reach)] = &[
    (v4(0, 0, 0, 0, 8), Reach::Never),                   // this network
    (v4(169, 254, 0, 0, 16), Reach::Never),              // link-local, and most metadata services
    (v4(100, 100, 100, 200, 32), Reach::Never),          // metadata, Alibaba Cloud
    (v4(192, 0, 0, 192, 32), Reach::Never),              // metadata, Oracle Cloud
    (v4(168, 63, 129, 16, 32), Reach::Never),            // host agent, Azure
    (v4(224, 0, 0, 0, 4), Reach::Never),                 // multicast
    (v4(240, 0, 0, 0, 4), Reach::Never),                 // reserved, and broadcast
    (v4(10, 0, 0, 0, 8), Reach::Allowed),                // private
    (v4(100, 64, 0, 0, 10), Reach::Allowed),             // carrier-grade NAT
    (v4(127, 0, 0, 0, 8), Reach::Allowed),               // loopback
    (v4(172, 16, 0, 0, 12), Reach::Allowed),             // private
    (v4(192, 0, 0, 0, 24), Reach::Allowed),              // protocol assignments
    (v4(192, 0, 2, 0, 24), Reach::Allowed),              // documentation
    (v4(192, 88, 99, 0, 24), Reach::Allowed),            // 6to4 relays
    (v4(192, 168, 0, 0, 16), Reach::Allowed),            // private
    (v4(198, 18, 0, 0, 15), Reach::Allowed),             // benchmarking
    (v4(198, 51, 100, 0, 24), Reach::Allowed),           // documentation
    (v4(203, 0, 113, 0, 24), Reach::Allowed),            // documentation
    (v6([0, 0, 0], 1, 128), Reach::Allowed),             // loopback
    (v6([0, 0, 0], 0, 96), Reach::Never),                // unspecified, IPv4-compatible
    (v6([0xfd00, 0x0ec2, 0], 0x254, 128), Reach::Never), // metadata, Amazon
    (v6([0xfd20, 0x00ce, 0], 0x254, 128), Reach::Never), // metadata, Google
    (v6([0xfe80, 0, 0], 0, 10), Reach::Never),           // link-local
    (v6([0xfec0, 0, 0], 0, 10), Reach::Never),           // site-local, deprecated
    (v6([0xff00, 0, 0], 0, 8), Reach::Never),            // multicast
    (v6([0x64, 0xff9b, 1], 0, 48), Reach::Allowed),      // NAT64, local use
    (v6([0x100, 0, 0], 0, 64), Reach::Allowed),          // discard only
    (v6([0x2001, 0, 0], 0, 23), Reach::Allowed),         // protocol assignments, Teredo
    (v6([0x2001, 0xdb8, 0], 0, 32), Reach::Allowed),     // documentation
    (v6([0x3fff, 0, 0], 0, 20), Reach::Allowed),         // documentation
    (v6([0x5f00, 0, 0], 0, 16), Reach::Allowed),         // segment routing
    (v6([0xfc00, 0, 0], 0, 7), Reach::Allowed),          // unique local
];

/// NAT64's well-known prefix (RFC 6052): the IPv4 destination is in the last four bytes.
const NAT64: IpNet = v6([0x64, 0xff9b, 0], 0, 96);
/// 6to4 (RFC 3056): the IPv4 gateway is in bytes two to five.
const SIX_TO_FOUR: IpNet = v6([0x2002, 0, 0], 0, 16);

/// Who may connect to `address`. An IPv4 address inside an IPv6 one is judged as itself.
#[must_use]
pub fn reach(address: IpAddr) -> Reach {
    let address = address.to_canonical();
    let judged = embedded(address).unwrap_or(address);
    SPECIAL.iter().find(|(range, _)| range.contains(&judged)).map_or(Reach::Public, |(_, reach)| *reach)
}

/// The IPv4 address that a packet to this IPv6 address ends at.
fn embedded(address: IpAddr) -> Option<IpAddr> {
    let IpAddr::V6(v6) = address else { return None };
    let bytes = v6.octets();
    if NAT64.contains(&address) {
        Some(IpAddr::from([bytes[12], bytes[13], bytes[14], bytes[15]]))
    } else if SIX_TO_FOUR.contains(&address) {
        Some(IpAddr::from([bytes[2], bytes[3], bytes[4], bytes[5]]))
    } else {
        None
    }
}

/// A network, and perhaps one port of it, that an operator opens: `10.0.0.7/32:8080`, `10.0.0.7:8080`,
/// `fd00::/8:443`, `[::1]:8080`, `192.168.0.0/16` (every port).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed {
    network: IpNet,
    port: Option<u16>,
}

/// An [`Allowed`] that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a network with an optional port, such as `10.0.0.7/32:8080`")]
pub struct AllowedError(Box<str>);

impl FromStr for Allowed {
    type Err = AllowedError;

    fn from_str(text: &str) -> Result<Self, AllowedError> {
        Self::parse(text).ok_or_else(|| AllowedError(text.into()))
    }
}

impl From<SocketAddr> for Allowed {
    /// Exactly this address and port.
    fn from(address: SocketAddr) -> Self {
        Self { network: IpNet::from(address.ip().to_canonical()), port: Some(address.port()) }
    }
}

impl Allowed {
    /// This network, and only this port of it where one is named.
    #[must_use]
    pub fn new(network: IpNet, port: Option<u16>) -> Self {
        Self { network, port }
    }

    fn parse(text: &str) -> Option<Self> {
        if let Ok(address) = text.parse::<SocketAddr>() {
            return Some(Self::from(address));
        }
        let Some((host, rest)) = text.split_once('/') else {
            let address: IpAddr = text.parse().ok()?;
            return Some(Self { network: address.into(), port: None });
        };
        let (length, port) = match rest.split_once(':') {
            Some((length, port)) => (length, Some(port.parse().ok()?)),
            None => (rest, None),
        };
        let host: IpAddr = host.trim_start_matches('[').trim_end_matches(']').parse().ok()?;
        let network = IpNet::new(host, length.parse().ok()?).ok()?;
        Some(Self { network: network.trunc(), port })
    }

    fn contains(&self, address: SocketAddr) -> bool {
        self.network.contains(&address.ip()) && self.port.is_none_or(|port| port == address.port())
    }
}

/// The special addresses that one function or upstream may reach. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub(crate) struct AddressRules(Arc<[Allowed]>);

impl AddressRules {
    pub(crate) fn new(allowed: Vec<Allowed>) -> Self {
        Self(allowed.into())
    }

    pub(crate) fn permit(&self, address: SocketAddr) -> bool {
        self.permit_known(address, reach(address.ip()))
    }

    /// [`AddressRules::permit`] for an address whose reach is known already.
    pub(crate) fn permit_known(&self, address: SocketAddr, reach: Reach) -> bool {
        match reach {
            Reach::Public => true,
            Reach::Never => false,
            Reach::Allowed => {
                let address = SocketAddr::new(address.ip().to_canonical(), address.port());
                self.0.iter().any(|allowed| allowed.contains(address))
            }
        }
    }
}

/// Whether `target` is one of the `own` listening addresses; `local` is our end of the connection, once there is one.
///
/// A listener on every address is also met on addresses nobody listed: a connection to oneself has the same
/// address at both ends.
pub(crate) fn is_own(own: &[SocketAddr], target: SocketAddr, local: Option<IpAddr>) -> bool {
    let ip = target.ip().to_canonical();
    own.iter().filter(|own| own.port() == target.port()).any(|own| {
        let listens = own.ip().to_canonical();
        listens == ip
            || listens.is_unspecified()
                && (ip.is_loopback() || local.is_some_and(|local| local.to_canonical() == ip))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_reach(address: &str, expected: Reach) {
        assert_eq!(reach(address.parse().unwrap()), expected, "{address}");
    }

    /// C12.
    #[test]
    fn special_ranges_are_told_apart_at_their_edges() {
        for (first, last, expected) in [
            ("0.0.0.0", "0.255.255.255", Reach::Never),
            ("10.0.0.0", "10.255.255.255", Reach::Allowed),
            ("100.64.0.0", "100.127.255.255", Reach::Allowed),
            ("127.0.0.0", "127.255.255.255", Reach::Allowed),
            ("169.254.0.0", "169.254.255.255", Reach::Never),
            ("172.16.0.0", "172.31.255.255", Reach::Allowed),
            ("192.0.0.0", "192.0.0.255", Reach::Allowed),
            ("192.0.2.0", "192.0.2.255", Reach::Allowed),
            ("192.88.99.0", "192.88.99.255", Reach::Allowed),
            ("192.168.0.0", "192.168.255.255", Reach::Allowed),
            ("198.18.0.0", "198.19.255.255", Reach::Allowed),
            ("198.51.100.0", "198.51.100.255", Reach::Allowed),
            ("203.0.113.0", "203.0.113.255", Reach::Allowed),
            ("224.0.0.0", "239.255.255.255", Reach::Never),
            ("240.0.0.0", "255.255.255.255", Reach::Never),
            ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", Reach::Allowed),
            ("100::", "100::ffff:ffff:ffff:ffff", Reach::Allowed),
            ("2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", Reach::Allowed),
            ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", Reach::Allowed),
            ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", Reach::Allowed),
            ("5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Reach::Allowed),
            ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Reach::Allowed),
            ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Reach::Never),
            ("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Reach::Never),
            ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Reach::Never),
        ] {
            check_reach(first, expected);
            check_reach(last, expected);
        }
    }

    #[test]
    fn neighbours_of_special_ranges_are_public() {
        for address in [
            "1.0.0.0",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "169.255.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "192.0.3.0",
            "192.88.98.255",
            "192.88.100.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "198.51.99.255",
            "203.0.112.255",
            "223.255.255.255",
            "2001:200::",
            "2001:db7:ffff::",
            "2001:db9::",
            "2606:4700::1111",
        ] {
            check_reach(address, Reach::Public);
        }
    }

    #[test]
    fn metadata_services_are_out_of_reach() {
        for address in [
            "169.254.169.254",
            "169.254.170.2",
            "169.254.169.253",
            "100.100.100.200",
            "192.0.0.192",
            "168.63.129.16",
            "fd00:ec2::254",
            "fd20:ce::254",
        ] {
            check_reach(address, Reach::Never);
        }
    }

    #[test]
    fn an_embedded_ipv4_address_is_judged_as_itself() {
        for (address, expected) in [
            ("::ffff:127.0.0.1", Reach::Allowed),
            ("::ffff:7f00:1", Reach::Allowed),
            ("::ffff:169.254.169.254", Reach::Never),
            ("::ffff:8.8.8.8", Reach::Public),
            ("64:ff9b::10.0.0.1", Reach::Allowed),
            ("64:ff9b::169.254.169.254", Reach::Never),
            ("64:ff9b::8.8.8.8", Reach::Public),
            ("2002:7f00:1::", Reach::Allowed),
            ("2002:a9fe:a9fe::1", Reach::Never),
            ("2002:808:808::1", Reach::Public),
            ("::127.0.0.1", Reach::Never),
            ("::8.8.8.8", Reach::Never),
            ("::", Reach::Never),
            ("::1", Reach::Allowed),
        ] {
            check_reach(address, expected);
        }
    }

    fn check_permit(allowed: &str, address: &str, expected: bool) {
        let rules = AddressRules::new(allowed.split_whitespace().map(|text| text.parse().unwrap()).collect());
        assert_eq!(rules.permit(address.parse().unwrap()), expected, "`{allowed}` and {address}");
    }

    #[test]
    fn only_an_allowed_network_and_port_opens_a_special_address() {
        check_permit("", "8.8.8.8:443", true);
        check_permit("", "10.0.0.7:8080", false);
        check_permit("10.0.0.7/32:8080", "10.0.0.7:8080", true);
        check_permit("10.0.0.7/32:8080", "10.0.0.7:8081", false);
        check_permit("10.0.0.7/32:8080", "10.0.0.8:8080", false);
        check_permit("10.0.0.7:8080", "10.0.0.7:8080", true);
        check_permit("192.168.0.0/16", "192.168.7.7:1", true);
        check_permit("192.168.9.9/16", "192.168.7.7:1", true);
        check_permit("127.0.0.1/32:80 [::1]:80", "[::1]:80", true);
        check_permit("fd00::/8:443", "[fd12::1]:443", true);
        check_permit("fd00::/8:443", "[fd12::1]:80", false);
    }

    #[test]
    fn an_allowed_address_is_met_in_its_mapped_spelling_but_not_through_a_tunnel() {
        check_permit("127.0.0.1/32:80", "[::ffff:127.0.0.1]:80", true);
        check_permit("10.0.0.7/32:80", "[64:ff9b::10.0.0.7]:80", false);
        check_permit("10.0.0.7/32:80", "[2002:a00:7::]:80", false);
    }

    #[test]
    fn no_allowance_opens_what_is_never_reachable() {
        check_permit("0.0.0.0/0 ::/0", "169.254.169.254:80", false);
        check_permit("0.0.0.0/0 ::/0", "[fe80::1]:80", false);
        check_permit("169.254.169.254:80", "169.254.169.254:80", false);
    }

    #[test]
    fn a_malformed_allowance_is_refused() {
        for text in
            ["", "10.0.0.0/33", "10.0.0/8", "10.0.0.0/8:", "10.0.0.0/8:99999", "example.com:80", "::1/129"]
        {
            assert_eq!(text.parse::<Allowed>(), Err(AllowedError(text.into())), "{text}");
        }
    }

    #[test]
    fn own_listeners_are_recognised_on_every_address_they_answer_on() {
        let own = ["0.0.0.0:8080".parse().unwrap(), "10.0.0.5:9464".parse().unwrap()];
        let check = |target: &str, local: Option<&str>, expected| {
            let local = local.map(|local| local.parse().unwrap());
            assert_eq!(is_own(&own, target.parse().unwrap(), local), expected, "{target}");
        };
        check("127.0.0.1:8080", None, true);
        check("[::1]:8080", None, true);
        check("[::ffff:127.0.0.1]:8080", None, true);
        check("10.0.0.5:9464", None, true);
        check("10.0.0.5:8080", None, false);
        check("10.0.0.5:8080", Some("10.0.0.5"), true);
        check("10.0.0.6:8080", Some("10.0.0.5"), false);
        check("127.0.0.1:8081", None, false);
    }
}
