//! The connections of one client: lent to exchanges, kept while idle, bounded in number.
//!
//! Keyed by origin and TLS identity. Policy is not part of the key: a connection to a special address is lent only to
//! whoever may reach that address, so two functions with different rules share what both may use and nothing else.
//! At the limit of connections the longest idle one makes room; without one, a request waits.

use crate::address::AddressRules;
use crate::connection::Connection;
use crate::origin::Origin;
use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash, Hasher, RandomState};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// What makes two connections interchangeable.
#[derive(Clone, Debug)]
pub(crate) struct Key {
    origin: Origin,
    speaks: Speaks,
    /// Of the others: an upstream's key is made once and looked up twice for each request.
    hash: u64,
    /// Whose roots and client certificate: 0 is the client's own, others are upstreams'.
    identity: u64,
}

/// What a connection to a cleartext origin speaks; over TLS both sides agree on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Speaks {
    Http1,
    /// Without being asked whether it can (RFC 9113, section 3.3), as gRPC does.
    Http2,
}

impl Key {
    pub(crate) fn new(origin: Origin, identity: u64) -> Self {
        Self::speaking(origin, identity, Speaks::Http1)
    }

    /// The same place for requests that need HTTP/2.
    pub(crate) fn for_http2(self) -> Self {
        match self.origin.is_secure() {
            true => self,
            false => Self::speaking(self.origin, self.identity, Speaks::Http2),
        }
    }

    fn speaking(origin: Origin, identity: u64, speaks: Speaks) -> Self {
        /// One for all pools, so that a key may be made before it is known in which it is looked up.
        static STATE: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        let hash = STATE.hash_one((&origin, identity, speaks));
        Self { origin, speaks, hash, identity }
    }

    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    pub(crate) fn speaks(&self) -> Speaks {
        self.speaks
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash
            && self.identity == other.identity
            && self.speaks == other.speaks
            && self.origin == other.origin
    }
}

impl Eq for Key {}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// A connection in use. Dropping it closes an HTTP/1.1 connection; [`Lease::release`] keeps it.
pub(crate) struct Lease {
    pub(crate) connection: Connection,
    /// Whether it served a request before, so that the server may be about to close it.
    pub(crate) is_reused: bool,
    key: Key,
    pool: Arc<Pool>,
}

impl Lease {
    /// The exchange is over and the connection can be used again.
    pub(crate) fn release(self) {
        self.pool.give_back(self.key, self.connection);
    }
}

/// The right to one open connection, held by its driver.
pub(crate) struct Permit {
    // Dropped in this order: whoever is notified finds the permit free.
    _room: OwnedSemaphorePermit,
    _wake: WakeOnDrop,
}

struct WakeOnDrop(Arc<Notify>);

impl Drop for WakeOnDrop {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}

/// How a request gets its connection.
pub(crate) enum Room {
    Pooled(Lease),
    New(Permit),
}

pub(crate) struct Pool {
    kept: Mutex<HashMap<Key, Vec<Kept>>>,
    room: Arc<Semaphore>,
    /// A connection became free or was closed.
    changed: Arc<Notify>,
    idle_per_host_max: usize,
    idle_timeout: Duration,
}

struct Kept {
    connection: Connection,
    /// When it was last given back.
    since: Instant,
}

impl Pool {
    pub(crate) fn new(connections_max: usize, idle_per_host_max: usize, idle_timeout: Duration) -> Self {
        Self {
            kept: Mutex::default(),
            room: Arc::new(Semaphore::new(connections_max)),
            changed: Arc::default(),
            idle_per_host_max,
            idle_timeout,
        }
    }

    /// A kept connection that `rules` permit, the most recently used one first.
    pub(crate) fn take(self: &Arc<Self>, key: &Key, rules: &AddressRules) -> Option<Lease> {
        let connection = {
            let mut kept = self.kept();
            let connections = kept.get_mut(key)?;
            connections.retain(|kept| !kept.connection.is_closed());
            let usable = |kept: &Kept| kept.connection.is_free() && kept.connection.is_permitted(rules);
            let at = connections.iter().rposition(usable)?;
            connections[at].connection.share().unwrap_or_else(|| connections.swap_remove(at).connection)
        };
        Some(Lease { connection, is_reused: true, key: key.clone(), pool: self.clone() })
    }

    /// A kept connection, or the right to make one; waits while there is neither. Dropping this gives up the place.
    pub(crate) async fn room(self: &Arc<Self>, key: &Key, rules: &AddressRules) -> Room {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if let Some(lease) = self.take(key, rules) {
                return Room::Pooled(lease);
            }
            if let Ok(room) = self.room.clone().try_acquire_owned() {
                return Room::New(Permit { _room: room, _wake: WakeOnDrop(self.changed.clone()) });
            }
            self.evict_oldest();
            changed.await;
        }
    }

    /// Lends a connection just made. One that can be shared is kept at once, unless another one has room.
    pub(crate) fn lend(self: &Arc<Self>, key: Key, connection: Connection) -> Lease {
        if let Some(share) = connection.share() {
            let mut kept = self.kept();
            let connections = kept.entry(key.clone()).or_default();
            if !connections.iter().any(|kept| !kept.connection.is_closed() && kept.connection.is_free()) {
                connections.push(Kept { connection: share, since: Instant::now() });
                self.changed.notify_one();
            }
        }
        Lease { connection, is_reused: false, key, pool: self.clone() }
    }

    fn give_back(&self, key: Key, connection: Connection) {
        let since = Instant::now();
        {
            let mut kept = self.kept();
            let connections = kept.entry(key).or_default();
            connections.retain(|kept| !kept.connection.is_closed());
            if let Some(known) = connections.iter_mut().find(|kept| kept.connection.is_same(&connection)) {
                known.since = since;
            } else if !connection.is_shared() && connections.len() < self.idle_per_host_max {
                connections.push(Kept { connection, since });
            }
        }
        self.changed.notify_one();
    }

    /// Closes what is closed already, idle too long, or stuck behind a request that never ends.
    pub(crate) fn sweep(&self) {
        let now = Instant::now();
        self.kept().retain(|_, connections| {
            connections.retain(|kept| {
                let is_busy = kept.connection.is_shared() && kept.connection.lent() > 0;
                !kept.connection.is_closed() && (is_busy || now < kept.since + self.idle_timeout)
            });
            !connections.is_empty()
        });
    }

    fn evict_oldest(&self) {
        let mut kept = self.kept();
        let idle = kept.values_mut().filter_map(|connections| {
            let idle = |kept: &Kept| kept.connection.lent() == 0;
            let at = (0..connections.len())
                .filter(|&at| idle(&connections[at]))
                .min_by_key(|&at| connections[at].since)?;
            Some((connections[at].since, connections, at))
        });
        if let Some((_, connections, at)) = idle.min_by_key(|(since, ..)| *since) {
            connections.swap_remove(at);
        }
    }

    /// Never held across an await; a panic inside leaves the table whole.
    fn kept(&self) -> MutexGuard<'_, HashMap<Key, Vec<Kept>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
