//! One tenant's way out of the node, on one core.
//!
//! The capability crate makes one per tenant and core and calls [`Client::send`] for every outgoing request; later steps
//! of an upstream's policy stand in that function, between the steps that are there. Knows no functions and no guests.

use crate::dial::Dial;
use crate::exchange::{Resend, exchange};
use crate::pool::{Lease, Pool, Room};
use crate::route::{Route, Target};
use crate::task::Task;
use crate::timeouts::{Clock, Timeouts};
use crate::tls::{self, Roots, TlsError};
use crate::{Body, Error, Resolve, Resolver, Servers, head, limits};
use http::{Request, Response, Version};
use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::runtime::{Handle, TryCurrentError};
use tokio::time::{Instant, timeout_at};

/// What a [`Client`] is made from.
#[derive(Clone)]
pub struct ClientConfig {
    /// Whom to trust where an upstream does not say otherwise.
    pub roots: Roots,
    /// Open connections at a time.
    pub connections_max: usize,
    /// Idle HTTP/1.1 connections kept per origin.
    pub idle_per_host_max: usize,
    /// How long an idle connection is kept.
    pub idle_timeout: Duration,
    /// Who knows names.
    pub resolver: Arc<dyn Resolve>,
    /// Addresses that this node listens on; never reachable, whatever is allowed.
    pub own: Arc<[SocketAddr]>,
}

impl ClientConfig {
    /// The default bounds, and a resolver of its own that reads the system's files. Clones share it.
    #[must_use]
    pub fn new(roots: Roots) -> Self {
        Self {
            roots,
            connections_max: limits::CONNECTIONS_DEFAULT,
            idle_per_host_max: limits::IDLE_PER_HOST_DEFAULT,
            idle_timeout: limits::IDLE_DEFAULT,
            resolver: Arc::new(Resolver::new(Servers::system())),
            own: Arc::default(),
        }
    }
}

/// Why a client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// A client is made inside the tokio runtime that will drive its connections.
    #[error("making a client outside a runtime")]
    Runtime(#[source] TryCurrentError),
    /// The cryptography provider cannot be used.
    #[error("setting up TLS")]
    Tls(#[source] TlsError),
}

/// One tenant's client on one core. Never shared between tenants.
///
/// Its connections live on the runtime in which it was made, its home; [`Client::send`] may be polled on any tokio
/// runtime's thread. Dropping the client closes its idle connections; exchanges under way go on.
pub struct Client {
    pool: Arc<Pool>,
    tls: Arc<rustls::ClientConfig>,
    resolver: Arc<dyn Resolve>,
    own: Arc<[SocketAddr]>,
    home: Handle,
    _sweeper: Task<()>,
}

impl Client {
    /// A client whose home is the current runtime.
    ///
    /// # Errors
    /// [`ClientError`]: outside a runtime, or without TLS.
    pub fn new(config: ClientConfig) -> Result<Self, ClientError> {
        let home = Handle::try_current().map_err(ClientError::Runtime)?;
        let tls = tls::settings(&config.roots, None).map_err(ClientError::Tls)?;
        let pool = Arc::new(Pool::new(config.connections_max, config.idle_per_host_max, config.idle_timeout));
        let sweeper = Task::spawn(&home, sweep(Arc::downgrade(&pool), config.idle_timeout));
        Ok(Self { pool, tls, resolver: config.resolver, own: config.own, home, _sweeper: sweeper })
    }

    /// Sends one request and returns the response head with its streaming body.
    ///
    /// A request of version HTTP/2 goes over HTTP/2, to a cleartext origin without asking it first; others over what TLS
    /// agrees on, and HTTP/1.1. No redirect is followed. The body is not bounded in size. A request that was not sent,
    /// because the server had closed the pooled connection, goes out once more on another one; so does an idempotent one
    /// without a body that met the close on its way. `deadline` bounds everything, like [`Timeouts::total`].
    ///
    /// An answer wins over the request's body: one that arrives before the body has been sent is returned, and the
    /// body's later failure or end changes nothing about it. Dropping this future, or the response's body before
    /// its end, cancels the exchange: an HTTP/1.1 connection is closed, an HTTP/2 stream reset.
    ///
    /// # Errors
    /// An [`Error`] per cause; the response's body ends with one where the exchange fails after the head.
    pub async fn send(
        &self,
        request: Request<Body>,
        target: Target<'_>,
        timeouts: Timeouts,
        deadline: Option<Instant>,
    ) -> Result<Response<Body>, Error> {
        self.send_within(request, target, Clock::start(timeouts, deadline), Resend::Client).await
    }

    pub(crate) async fn send_within(
        &self,
        request: Request<Body>,
        target: Target<'_>,
        clock: Clock,
        resend: Resend,
    ) -> Result<Response<Body>, Error> {
        let mut route = target.route(request.uri())?; //              where to, and by whose policy
        if request.version() == Version::HTTP_2 {
            route.key = route.key.for_http2();
        }
        let mut request = head::prepare(request, &route)?; //         what goes on the wire
        if head::is_undecided(&request) {
            request = head::decided(request).await?; //               whether it has a body
        }
        if let Some(lease) = self.pool.take(&route.key, route.rules) {
            match exchange(lease, request, &route.key, clock, resend).await {
                Ok(response) => return Ok(response),
                Err(lost) => request = *lost.again.ok_or(lost.error)?,
            }
        }
        let lease = self.connect(&route, clock).await?;
        exchange(lease, request, &route.key, clock, resend).await.map_err(|lost| lost.error)
    }

    /// A new connection, or one that became free while waiting for room.
    async fn connect(&self, route: &Route<'_>, clock: Clock) -> Result<Lease, Error> {
        let connect = clock.connect();
        let room = clock.room();
        match timeout_at(room.at, self.pool.room(&route.key, route.rules)).await {
            Err(_) => Err(room.expired),
            Ok(Room::Pooled(lease)) => Ok(lease),
            Ok(Room::New(permit)) => {
                let dial = Dial {
                    origin: route.key.origin().clone(),
                    speaks: route.key.speaks(),
                    tls: route.tls().unwrap_or(&self.tls).clone(),
                    rules: route.rules.clone(),
                    own: self.own.clone(),
                    resolver: self.resolver.clone(),
                    limit: connect,
                };
                let dialled = Task::spawn(&self.home, dial.connect(permit)).await;
                let connection = dialled.map_err(|gone| Error::ConnectionTerminated(Arc::new(gone)))??;
                Ok(self.pool.lend(route.key.clone(), connection))
            }
        }
    }
}

/// Closes idle connections in time, until the pool is gone.
async fn sweep(pool: Weak<Pool>, idle_timeout: Duration) {
    loop {
        tokio::time::sleep(idle_timeout / 2).await;
        let Some(pool) = pool.upgrade() else { return };
        pool.sweep();
    }
}
