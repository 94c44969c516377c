//! How many connections each client address has, so that one client cannot take every place of the node. Looked at once
//! when a connection is accepted and once when it ends.
//!
//! An IPv6 client counts by its network of 64 bits, because that is what one site is given. Clients on this machine are
//! not counted unless the operator has set the limit: all that a local proxy passes on comes from there.

use crate::limits::{ADDRESS_PART, IPV6_CLIENT_BITS};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The connections of every client address.
#[derive(Debug)]
pub(crate) struct Crowd {
    max: u32,
    here: Here,
    counts: Mutex<HashMap<IpAddr, u32>>,
}

/// Whether clients on this machine count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Here {
    Counts,
    Free,
}

/// One connection of an address, until it is dropped.
#[derive(Debug)]
pub(crate) struct Counted(Option<(Arc<Crowd>, IpAddr)>);

impl Crowd {
    /// As many for each address as the operator says, or else a part of all `connections`.
    pub(crate) fn new(wanted: Option<NonZeroU32>, connections: u32) -> Self {
        let max = wanted.map_or_else(|| (connections / ADDRESS_PART).max(1), NonZeroU32::get);
        let here = if wanted.is_some() { Here::Counts } else { Here::Free };
        Self { max, here, counts: Mutex::default() }
    }

    /// A place for one more connection from there, if there is one.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr) -> Option<Counted> {
        let client = client(address);
        if self.here == Here::Free && client.is_loopback() {
            return Some(Counted(None));
        }
        let mut counts = self.counts();
        let count = counts.entry(client).or_default();
        if *count >= self.max {
            return None;
        }
        *count += 1;
        Some(Counted(Some((self.clone(), client))))
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<IpAddr, u32>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let Some((crowd, client)) = self.0.take() else { return };
        if let Entry::Occupied(mut count) = crowd.counts().entry(client) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// What counts as one client.
fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            let bits = address.to_bits() >> (128 - IPV6_CLIENT_BITS) << (128 - IPV6_CLIENT_BITS);
            Ipv6Addr::from_bits(bits).into()
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crowd(max: Option<u32>, connections: u32) -> Arc<Crowd> {
        Arc::new(Crowd::new(max.and_then(NonZeroU32::new), connections))
    }

    fn enter(crowd: &Arc<Crowd>, address: &str) -> Option<Counted> {
        crowd.enter(address.parse().unwrap())
    }

    /// H17: an address has so many places and not one more, until one of them is free again.
    #[test]
    fn an_address_has_so_many_connections() {
        let crowd = crowd(Some(2), 100);
        let first = enter(&crowd, "192.0.2.1").unwrap();
        let _second = enter(&crowd, "::ffff:192.0.2.1").unwrap();
        assert!(enter(&crowd, "192.0.2.1").is_none());
        let _other = enter(&crowd, "192.0.2.2").unwrap();
        drop(first);
        let _third = enter(&crowd, "192.0.2.1").unwrap();
        assert!(enter(&crowd, "192.0.2.1").is_none());
    }

    /// H17: whoever has one IPv6 network has all its addresses.
    #[test]
    fn an_ipv6_network_is_one_client() {
        let crowd = crowd(Some(1), 100);
        let _one = enter(&crowd, "2001:db8:0:1::1").unwrap();
        assert!(enter(&crowd, "2001:db8:0:1:ffff::2").is_none());
        let _other = enter(&crowd, "2001:db8:0:2::1").unwrap();
    }

    /// H17: a proxy on this machine stands for many clients.
    #[test]
    fn this_machine_counts_only_where_the_operator_says_so() {
        for here in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            let free = crowd(None, 4);
            let open: Vec<_> = (0..100).map(|_| enter(&free, here).unwrap()).collect();
            assert!(free.counts().is_empty(), "{here} {}", open.len());
            let counts = crowd(Some(1), 4);
            let _one = enter(&counts, here).unwrap();
            assert!(enter(&counts, here).is_none(), "{here}");
        }
    }

    /// H17: nothing is kept of who has left, and the default is a part of all.
    #[test]
    fn a_client_that_left_is_forgotten() {
        let crowd = crowd(None, 4 * ADDRESS_PART);
        let open: Vec<_> = (0..4).map(|_| enter(&crowd, "192.0.2.1").unwrap()).collect();
        assert!(enter(&crowd, "192.0.2.1").is_none());
        drop(open);
        assert!(crowd.counts().is_empty());
    }
}
