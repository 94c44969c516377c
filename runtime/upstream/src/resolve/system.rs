//! The operating system's resolver, called on the runtime's blocking threads.
//!
//! For names that only the C library knows (mDNS, LDAP, whatever `nsswitch.conf` says). It tells no time to live. At most
//! [`LOOKUPS_MAX`](limits::LOOKUPS_MAX) lookups of one resolver run at a time, counted until the system call really ends:
//! giving up on one does not free its thread.

use super::{LookupError, Resolve, Resolving};
use crate::limits;
use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// See the file's head.
#[derive(Clone, Debug)]
pub struct SystemResolver {
    lookups: Arc<Semaphore>,
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self { lookups: Arc::new(Semaphore::new(limits::LOOKUPS_MAX)) }
    }
}

impl Resolve for SystemResolver {
    fn resolve(&self, name: &str) -> Resolving {
        let lookups = self.lookups.clone();
        let name = name.to_owned();
        Box::pin(async move {
            let permit = lookups.acquire_owned().await.map_err(io::Error::other)?;
            let lookup = move || {
                let _permit = permit;
                let found = (name.as_str(), 0).to_socket_addrs()?;
                Ok::<Vec<IpAddr>, io::Error>(
                    found.map(|address| address.ip()).take(limits::ADDRESSES_MAX).collect(),
                )
            };
            let found = tokio::task::spawn_blocking(lookup).await.map_err(io::Error::from)?;
            found.map_err(LookupError::from)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_system_knows_localhost() {
        let addresses = SystemResolver::default().resolve("localhost").await.unwrap();
        assert!(!addresses.is_empty() && addresses.iter().all(IpAddr::is_loopback), "{addresses:?}");
    }

    #[tokio::test]
    async fn a_lookup_beyond_the_limit_waits_for_its_turn() {
        let resolver = SystemResolver::default();
        let all_but_none =
            resolver.lookups.clone().acquire_many_owned(limits::LOOKUPS_MAX as u32).await.unwrap();
        let mut waiting = resolver.resolve("localhost");
        assert!(futures_util::poll!(&mut waiting).is_pending());
        assert_eq!(resolver.lookups.available_permits(), 0);
        drop(all_but_none);
        assert!(waiting.await.is_ok());
    }
}
