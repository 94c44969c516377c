//! A new connection: resolve, check, connect, check again, TLS, HTTP.
//!
//! Run on the client's home runtime, so that the socket belongs there whichever thread asks. What is connected to is
//! an address that was checked, never a name. Dropping the future closes what was opened.

use crate::address::{AddressRules, is_own};
use crate::connection::{Connection, Sender};
use crate::origin::Origin;
use crate::pool::{Permit, Speaks};
use crate::resolve::Resolve;
use crate::steady::{Socket, Steady};
use crate::task::Task;
use crate::timeouts::Limit;
use crate::witness::{Testimony, Witness};
use crate::{Error, LookupError, limits};
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::pki_types::ServerName;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Where to connect, and by whose rules.
pub(crate) struct Dial {
    pub(crate) origin: Origin,
    /// Where there is no TLS.
    pub(crate) speaks: Speaks,
    pub(crate) tls: Arc<rustls::ClientConfig>,
    pub(crate) rules: AddressRules,
    /// Addresses this node listens on.
    pub(crate) own: Arc<[SocketAddr]>,
    pub(crate) resolver: Arc<dyn Resolve>,
    pub(crate) limit: Limit,
}

impl Dial {
    /// Connects within the limit. The permit is held until the connection is closed.
    pub(crate) async fn connect(self, permit: Permit) -> Result<Connection, Error> {
        match timeout_at(self.limit.at, self.steps(permit)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(self.limit.expired),
        }
    }

    async fn steps(&self, permit: Permit) -> Result<Connection, Error> {
        let found = self.lookup().await?;
        let permitted = self.permitted(found)?;
        let stream = first_connected(interleaved(permitted)).await?;
        let peer = self.checked(&stream)?;
        let socket = Socket::new(stream);
        let stream = Steady::new(socket.clone());
        if !self.origin.is_secure() {
            return match self.speaks {
                Speaks::Http1 => http1(stream, socket, peer, permit).await,
                Speaks::Http2 => http2(stream, peer, permit).await,
            };
        }
        let stream = self.handshake(stream).await?;
        match stream.get_ref().1.alpn_protocol() {
            Some(b"h2") => http2(stream, peer, permit).await,
            _ => http1(stream, socket, peer, permit).await,
        }
    }

    async fn lookup(&self) -> Result<Vec<IpAddr>, Error> {
        if let Some(address) = self.origin.address() {
            return Ok(vec![address]);
        }
        let end = self.limit.at.min(Instant::now() + limits::LOOKUP_MAX);
        match timeout_at(end, self.resolver.resolve(self.origin.host())).await {
            Ok(Ok(found)) => Ok(found),
            Ok(Err(LookupError::TimedOut)) => Err(Error::DnsTimeout),
            Ok(Err(error)) => Err(Error::Dns(error)),
            Err(_) => Err(Error::DnsTimeout),
        }
    }

    /// What of `found` may be connected to; a bad address takes none of the others with it.
    fn permitted(&self, found: Vec<IpAddr>) -> Result<Vec<SocketAddr>, Error> {
        let mut refused = Error::DestinationNotFound;
        let mut permitted = Vec::new();
        for address in found.into_iter().take(limits::ADDRESSES_MAX) {
            match self.check(SocketAddr::new(address.to_canonical(), self.origin.port()), None) {
                Ok(address) => permitted.push(address),
                Err(error) => refused = error,
            }
        }
        if permitted.is_empty() { Err(refused) } else { Ok(permitted) }
    }

    /// The connected peer's address, checked as if it had been resolved.
    fn checked(&self, stream: &TcpStream) -> Result<SocketAddr, Error> {
        let ends = stream.peer_addr().and_then(|peer| Ok((peer, stream.local_addr()?)));
        let (peer, local) = ends.map_err(Error::connecting)?;
        self.check(peer, Some(local.ip()))
    }

    fn check(&self, address: SocketAddr, local: Option<IpAddr>) -> Result<SocketAddr, Error> {
        if is_own(&self.own, address, local) {
            Err(Error::LoopDetected)
        } else if self.rules.permit(address) {
            Ok(address)
        } else {
            Err(Error::DestinationProhibited(address.ip()))
        }
    }

    async fn handshake(&self, stream: Steady) -> Result<TlsStream<Steady>, Error> {
        let name = match self.origin.address() {
            Some(address) => ServerName::from(address),
            None => {
                ServerName::try_from(self.origin.host().to_owned()).map_err(|_| Error::RequestUriInvalid)?
            }
        };
        let connector = TlsConnector::from(self.tls.clone());
        connector.connect(name, stream).await.map_err(Error::handshaking)
    }
}

/// Both families by turns, beginning with the one the resolver put first (RFC 8305, section 4).
fn interleaved(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first_is_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (preferred, other): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|each| each.is_ipv6() == first_is_v6);
    let turns = preferred.len().max(other.len());
    (0..turns).flat_map(|turn| [preferred.get(turn), other.get(turn)]).flatten().copied().collect()
}

/// Tries the addresses in order, each beside the earlier ones after a pause or as soon as one fails.
async fn first_connected(addresses: Vec<SocketAddr>) -> Result<TcpStream, Error> {
    let mut left = addresses.into_iter();
    let mut attempts = FuturesUnordered::new();
    let mut failure = Error::DestinationNotFound;
    loop {
        attempts.extend(left.next().map(TcpStream::connect));
        match timeout(limits::ATTEMPT_STAGGER, attempts.next()).await {
            Ok(Some(Ok(stream))) => {
                return stream.set_nodelay(true).map(|()| stream).map_err(Error::connecting);
            }
            Ok(Some(Err(error))) => failure = Error::connecting(error),
            Ok(None) => return Err(failure),
            Err(_) => {}
        }
    }
}

async fn http1<S>(stream: S, socket: Socket, peer: SocketAddr, permit: Permit) -> Result<Connection, Error>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, driver) = http1::Builder::new()
        .max_buf_size(limits::READ_BYTES_MAX)
        .max_header_size(limits::RESPONSE_HEAD_BYTES_MAX)
        .max_headers(limits::RESPONSE_HEADERS_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(Error::before_head)?;
    Ok(Connection::new(Sender::Http1(sender, socket), peer, drive(driver, permit), Testimony::default()))
}

async fn http2<S>(stream: S, peer: SocketAddr, permit: Permit) -> Result<Connection, Error>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let testimony = Testimony::default();
    let (sender, driver) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        // h2 refuses a list that reaches its limit.
        .max_header_list_size(limits::RESPONSE_HEAD_BYTES_MAX as u32 + 1)
        .initial_stream_window_size(limits::STREAM_WINDOW_BYTES)
        .initial_connection_window_size(limits::CONNECTION_WINDOW_BYTES)
        .max_frame_size(limits::FRAME_BYTES)
        .keep_alive_interval(limits::PING_INTERVAL)
        .keep_alive_timeout(limits::PING_MAX)
        .handshake(TokioIo::new(Witness::new(stream, testimony.clone())))
        .await
        .map_err(Error::before_head)?;
    Ok(Connection::new(Sender::Http2(sender), peer, drive(driver, permit), testimony))
}

/// Spawns the task that moves a connection's bytes. Its failure reaches the exchange that it hurts, so it is only traced.
fn drive(driver: impl Future<Output = hyper::Result<()>> + Send + 'static, permit: Permit) -> Task<()> {
    Task::spawn(&Handle::current(), async move {
        let _permit = permit;
        if let Err(error) = driver.await {
            tracing::trace!(error = &error as &dyn std::error::Error, "a connection ended");
        }
    })
}
