//! Addresses that an operator opens for outgoing calls although they are private: a network and a port.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use ipnet::IpNet;

use crate::text::text_type;

/// A network and a port, `10.0.0.7/32:8080`; IPv6 in brackets, `[fd00::/8]:443`; any port as `*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AllowNet {
    /// The addresses; a text without a prefix length is the one address.
    pub net: IpNet,
    /// The ports.
    pub port: Port,
}

/// Ports of an [`AllowNet`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Port {
    /// `*`.
    Any,
    /// One port, not 0.
    Is(u16),
}

/// Why a text is not an [`AllowNet`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AllowNetError {
    /// No port after the network.
    #[error("`{0}` names no port")]
    NoPort(String),
    /// Not a port and not `*`.
    #[error("`{0}` is not a port")]
    Port(String),
    /// Neither an address nor a network.
    #[error("`{0}` is not a network")]
    Net(String),
    /// An IPv6 network without brackets.
    #[error("the IPv6 network in `{0}` is not in brackets")]
    Brackets(String),
    /// Bits behind the prefix: what was meant is not clear.
    #[error("`{net}` has bits behind its prefix; the network is `{network}`")]
    HostBits {
        /// As written.
        net: String,
        /// With those bits cleared.
        network: IpNet,
    },
}

impl AllowNet {
    /// Whether a connection to `address` is open.
    pub fn allows(&self, address: SocketAddr) -> bool {
        let port = match self.port {
            Port::Any => true,
            Port::Is(port) => port == address.port(),
        };
        port && self.net.contains(&address.ip())
    }
}

impl FromStr for AllowNet {
    type Err = AllowNetError;

    fn from_str(text: &str) -> Result<Self, AllowNetError> {
        let (net, port) = match text.strip_prefix('[') {
            Some(rest) => rest.split_once("]:"),
            None => text.rsplit_once(':'),
        }
        .ok_or_else(|| AllowNetError::NoPort(text.into()))?;
        if net.contains(':') && !text.starts_with('[') {
            return Err(AllowNetError::Brackets(text.into()));
        }
        Ok(Self { port: parse_port(port)?, net: parse_net(net)? })
    }
}

fn parse_port(text: &str) -> Result<Port, AllowNetError> {
    match text.parse() {
        _ if text == "*" => Ok(Port::Any),
        Ok(port) if port != 0 => Ok(Port::Is(port)),
        _ => Err(AllowNetError::Port(text.into())),
    }
}

fn parse_net(text: &str) -> Result<IpNet, AllowNetError> {
    let net = match text.parse::<IpAddr>() {
        Ok(address) => IpNet::from(address),
        Err(_) => text.parse::<IpNet>().map_err(|_| AllowNetError::Net(text.into()))?,
    };
    match net.trunc() {
        network if network == net => Ok(net),
        network => Err(AllowNetError::HostBits { net: text.into(), network }),
    }
}

impl fmt::Display for AllowNet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.net {
            IpNet::V4(net) => write!(f, "{net}:")?,
            IpNet::V6(net) => write!(f, "[{net}]:")?,
        }
        match self.port {
            Port::Any => f.write_str("*"),
            Port::Is(port) => write!(f, "{port}"),
        }
    }
}

text_type!(
    AllowNet,
    pattern: r"^([0-9.]+(/[0-9]+)?|\[[0-9a-fA-F:.]+(/[0-9]+)?\]):(\*|[0-9]+)$",
    hint: "write a network and a port: `10.0.0.7/32:8080`, `[fd00::/8]:443`, or `10.0.0.0/8:*` for every port"
);

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, &str>) {
        let parsed = text.parse::<AllowNet>().map(|p| p.to_string()).map_err(|e| e.to_string());
        assert_eq!(parsed, expected.map(String::from).map_err(String::from), "{text}");
    }

    #[test]
    fn an_opening_is_a_network_and_a_port() {
        check("10.0.0.7/32:8080", Ok("10.0.0.7/32:8080"));
        check("10.0.0.7:8080", Ok("10.0.0.7/32:8080"));
        check("10.0.0.0/8:*", Ok("10.0.0.0/8:*"));
        check("[fd00::/8]:443", Ok("[fd00::/8]:443"));
        check("[::1]:443", Ok("[::1/128]:443"));
    }

    #[test]
    fn a_wrong_opening_says_what_is_wrong() {
        check("10.0.0.7", Err("`10.0.0.7` names no port"));
        check("10.0.0.7:0", Err("`0` is not a port"));
        check("10.0.0.7:http", Err("`http` is not a port"));
        check("example.com:80", Err("`example.com` is not a network"));
        check("10.0.0.7/33:80", Err("`10.0.0.7/33` is not a network"));
        check("fd00::/8:443", Err("the IPv6 network in `fd00::/8:443` is not in brackets"));
        check("10.0.0.7/8:80", Err("`10.0.0.7/8` has bits behind its prefix; the network is `10.0.0.0/8`"));
    }

    #[test]
    fn an_opening_holds_for_its_network_and_port_only() {
        let check = |opening: &str, address: &str, expected: bool| {
            let allowed = opening.parse::<AllowNet>().unwrap().allows(address.parse().unwrap());
            assert_eq!(allowed, expected, "{opening} for {address}");
        };
        check("10.0.0.0/8:8080", "10.1.2.3:8080", true);
        check("10.0.0.0/8:8080", "10.1.2.3:8081", false);
        check("10.0.0.0/8:8080", "11.1.2.3:8080", false);
        check("10.0.0.0/8:*", "10.1.2.3:1", true);
        check("[fd00::/8]:*", "[fd12::1]:1", true);
        check("[fd00::/8]:*", "10.1.2.3:1", false);
    }
}
