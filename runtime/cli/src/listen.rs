//! Addresses as people write them on the command line: `0.0.0.0:8080`, or just a port of this machine.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The address that `text` means: `ADDRESS:PORT`, `localhost:PORT`, `:PORT` or `PORT`. Only the first can be reached from
/// elsewhere.
pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
    let port = text.strip_prefix("localhost").unwrap_or(text);
    let port = port.strip_prefix(':').unwrap_or(port);
    let local = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    text.parse().or_else(|_| port.parse().map(local)).map_err(|_| {
        "write an address of this machine and a port, as in 127.0.0.1:3000 or [::1]:3000, or just the port".into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_alone_is_of_this_machine() {
        let check = |text, expected: Option<&str>| {
            assert_eq!(address(text).ok().map(|address| address.to_string()).as_deref(), expected, "{text}");
        };
        check("0.0.0.0:80", Some("0.0.0.0:80"));
        check("[::1]:80", Some("[::1]:80"));
        check("3000", Some("127.0.0.1:3000"));
        check(":3000", Some("127.0.0.1:3000"));
        check("localhost:3000", Some("127.0.0.1:3000"));
        check("example.com:80", None);
        check("127.0.0.1", None);
        check("65536", None);
    }
}
