//! Names that need no DNS server: `localhost` and what the hosts file says.
//!
//! Asked before the cache for every lookup. Pure; the file is read by `setup`.

use crate::limits;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The hosts file (hosts(5)): an address, then its names, `#` for comments.
#[derive(Clone, Debug, Default)]
pub(super) struct Hosts(HashMap<Box<str>, Vec<IpAddr>>);

impl Hosts {
    /// Lines that cannot be read are passed over, as the C library does.
    pub(super) fn parse(text: &str) -> Self {
        let mut hosts = Self::default();
        for line in text.lines() {
            let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
            let Some(address) = words.next().and_then(|word| word.parse::<IpAddr>().ok()) else { continue };
            for name in words {
                hosts.add(name.trim_end_matches('.').to_ascii_lowercase(), address.to_canonical());
            }
        }
        hosts
    }

    fn add(&mut self, name: String, address: IpAddr) {
        if self.0.len() < limits::HOSTS_MAX || self.0.contains_key(&*name) {
            let addresses = self.0.entry(name.into()).or_default();
            if addresses.len() < limits::ADDRESSES_MAX && !addresses.contains(&address) {
                addresses.push(address);
            }
        }
    }

    /// What is known of `name` without asking anybody.
    pub(super) fn get(&self, name: &str) -> Option<Vec<IpAddr>> {
        if let Some(addresses) = self.0.get(name) {
            return Some(addresses.clone());
        }
        is_localhost(name).then(|| vec![Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()])
    }
}

/// RFC 6761, section 6.3: never asked of a server, always loopback.
fn is_localhost(name: &str) -> bool {
    name == "localhost" || name.ends_with(".localhost")
}

/// RFC 6762, section 3: never asked of a DNS server, but of the link.
pub(super) fn is_of_the_link(name: &str) -> bool {
    name.ends_with(".local")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, name: &str, expected: &[&str]) {
        let found = Hosts::parse(text).get(name).unwrap_or_default();
        let expected: Vec<IpAddr> = expected.iter().map(|text| text.parse().unwrap()).collect();
        assert_eq!(found, expected, "{name} in {text:?}");
    }

    #[test]
    fn the_hosts_file_names_addresses() {
        let file =
            "10.0.0.7 Camera camera.lan. # the one outside\n\n# fd00::9 gone\nfd00::7\tcamera\nnonsense x\n";
        check(file, "camera", &["10.0.0.7", "fd00::7"]);
        check(file, "camera.lan", &["10.0.0.7"]);
        check(file, "gone", &[]);
        check(file, "x", &[]);
        check("10.0.0.7 a\n10.0.0.7 a\n", "a", &["10.0.0.7"]);
    }

    #[test]
    fn localhost_is_loopback_whoever_says_otherwise() {
        check("", "localhost", &["::1", "127.0.0.1"]);
        check("", "db.localhost", &["::1", "127.0.0.1"]);
        check("127.0.0.1 localhost", "localhost", &["127.0.0.1"]);
        check("", "notlocalhost", &[]);
    }

    #[test]
    fn the_hosts_file_may_fill_its_bounds_and_no_more() {
        let names: String = (0..=limits::HOSTS_MAX).map(|each| format!("10.0.0.1 h{each}\n")).collect();
        check(&names, &format!("h{}", limits::HOSTS_MAX - 1), &["10.0.0.1"]);
        check(&names, &format!("h{}", limits::HOSTS_MAX), &[]);
        let addresses: String =
            (0..=limits::ADDRESSES_MAX).map(|each| format!("10.0.0.{each} h\n")).collect();
        assert_eq!(Hosts::parse(&addresses).get("h").unwrap().len(), limits::ADDRESSES_MAX);
    }
}
