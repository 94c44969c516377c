//! Connections: accepting them on each core, handing them to a less loaded one, TLS, HTTP/1.1 and HTTP/2, and the
//! orderly end of each when the node drains.

use crate::answer::answer;
use crate::core::{Core, Load};
use crate::limits::{
    ACCEPT_PAUSE, CONNECTIONS_AHEAD, H2_CONNECTION_WINDOW_BYTES, H2_HEADER_LIST_BYTES, H2_PENDING_RESETS,
    H2_PING, H2_PING_TIME, H2_STREAM_WINDOW_BYTES, H2_STREAMS, HANDSHAKE_TIME, HEAD_BYTES, HEAD_TIME,
    HEADERS_MAX, STREAMS_AHEAD,
};
use crate::node::Shared;
use crate::patience::Patience;
use http::{Request, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use rimward_capability::{ClientScheme, Reply};
use rustls::ServerConfig;
use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio_rustls::TlsAcceptor;

/// What a listening socket's connections speak.
#[derive(Clone)]
pub(crate) enum Transport {
    Clear,
    Tls(Arc<ServerConfig>),
}

/// A connection on its way to the core that will serve it.
pub(crate) struct Handed {
    stream: std::net::TcpStream,
    transport: Transport,
    place: Place,
}

/// A connection's place among those that the node has open.
struct Place {
    node: Arc<Shared>,
    _permit: OwnedSemaphorePermit,
}

impl Place {
    fn take(node: &Arc<Shared>, permit: OwnedSemaphorePermit) -> Self {
        node.metrics.connections.inc();
        Self { node: node.clone(), _permit: permit }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.node.metrics.connections.dec();
    }
}

/// Serves what other cores hand over, until they are gone.
pub(crate) async fn receive(core: Arc<Core>, mut handed: mpsc::UnboundedReceiver<Handed>) {
    while let Some(Handed { stream, transport, place }) = handed.recv().await {
        match TcpStream::from_std(stream) {
            Ok(stream) => serve_on(&core, stream, transport, place),
            Err(error) => tracing::warn!(%error, "a connection was lost on its way to another core"),
        }
    }
}

/// Accepts connections until the node drains. The socket is closed then, so that clients go elsewhere.
pub(crate) async fn accept(core: Arc<Core>, listener: TcpListener, transport: Transport) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let mut draining = core.node.drain.subscribe();
    loop {
        let accepted = tokio::select! {
            biased;
            () = drained(&mut draining) => return Ok(()),
            accepted = accept_one(&core.node, &listener) => accepted,
        };
        match accepted {
            Ok((stream, place)) => place_connection(&core, stream, transport.clone(), place),
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// One connection with a place. Over the limit it waits for one, and what comes after it stays in the kernel's queue.
async fn accept_one(
    node: &Arc<Shared>,
    listener: &tokio::net::TcpListener,
) -> io::Result<(TcpStream, Place)> {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let permit = node.connections.clone().acquire_owned().await.map_err(io::Error::other)?;
                return Ok((stream, Place::take(node, permit)));
            }
            // The client left between its handshake and now.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
                ) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Here, or on the core with the fewest connections if this one is well ahead of it.
fn place_connection(core: &Arc<Core>, stream: TcpStream, transport: Transport, place: Place) {
    let cores = core.node.cores();
    let connections = |load: &Load| load.connections.load(Relaxed);
    let ours = connections(core.load());
    let least = cores
        .iter()
        .min_by_key(|other| connections(&other.load))
        .filter(|other| connections(&other.load) + CONNECTIONS_AHEAD <= ours);
    let Some(other) = least else { return serve_on(core, stream, transport, place) };
    match stream.into_std() {
        Ok(stream) => {
            // The core is gone only when the node is stopping.
            let _ = other.handed.send(Handed { stream, transport, place });
        }
        Err(error) => tracing::warn!(%error, "a connection was lost on its way to another core"),
    }
}

fn serve_on(core: &Arc<Core>, stream: TcpStream, transport: Transport, place: Place) {
    let core = core.clone();
    // Failing, it is slower, not wrong.
    let _ = stream.set_nodelay(true);
    core.load().connections.fetch_add(1, Relaxed);
    let counted = Counted(core.load().clone());
    tokio::spawn(async move {
        let _held = (counted, place);
        match transport {
            Transport::Clear => serve(&core, stream, ClientScheme::Http).await,
            Transport::Tls(config) => {
                let handshake = TlsAcceptor::from(config).accept(stream);
                match tokio::time::timeout(HANDSHAKE_TIME, handshake).await {
                    Ok(Ok(stream)) => serve(&core, stream, ClientScheme::Https).await,
                    Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                    Err(_) => tracing::debug!("a TLS handshake took too long"),
                }
            }
        }
    });
}

struct Counted(Arc<Load>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Relaxed);
    }
}

/// Serves one connection to its end. When the node drains, the client is told to go elsewhere; what it has sent by then is
/// still answered.
pub(crate) async fn serve(
    core: &Arc<Core>,
    io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    scheme: ClientScheme,
) {
    let builder = builder(core);
    let service = service_fn(|request| {
        let core = core.clone();
        async move { Ok::<Reply, Infallible>(answer_somewhere(&core, request, scheme).await) }
    });
    let connection = builder.serve_connection(TokioIo::new(Patience::new(io)), service);
    let mut connection = std::pin::pin!(connection);
    let mut draining = core.node.drain.subscribe();
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = drained(&mut draining) => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = %error, "a connection ended early");
    }
}

/// Until the node drains. Its end is a drain too.
async fn drained(draining: &mut watch::Receiver<bool>) {
    let _ = draining.wait_for(|draining| *draining).await;
}

fn builder(core: &Core) -> Builder<OnCore> {
    let mut builder = Builder::new(OnCore(core.runtime.clone()));
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEAD_BYTES)
        // A client that closes its side is taken to be gone, so that its guest is ended: it cannot be told apart from one
        // that only half-closes until something is written to it.
        .half_close(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(H2_STREAMS)
        .max_header_list_size(H2_HEADER_LIST_BYTES)
        .initial_stream_window_size(H2_STREAM_WINDOW_BYTES)
        .initial_connection_window_size(H2_CONNECTION_WINDOW_BYTES)
        .max_pending_accept_reset_streams(H2_PENDING_RESETS)
        .keep_alive_interval(H2_PING)
        .keep_alive_timeout(H2_PING_TIME);
    builder
}

/// Streams of one HTTP/2 connection run on other cores too when this one has enough to do, so that one connection can use
/// more than one core.
async fn answer_somewhere(core: &Arc<Core>, request: Request<Incoming>, scheme: ClientScheme) -> Reply {
    let Some(other) = other_core(core, request.version()) else {
        return answer(core, request, scheme).await;
    };
    let there = other.clone();
    let running = other.runtime.spawn(async move { answer(&there, request, scheme).await });
    let mut running = AbortOnDrop(running);
    match (&mut running.0).await {
        Ok(reply) => reply,
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    }
}

fn other_core(core: &Arc<Core>, version: Version) -> Option<Arc<Core>> {
    let ours = core.load().invocations();
    if version != Version::HTTP_2 || ours < STREAMS_AHEAD {
        return None;
    }
    let cores = core.node.cores();
    let least = cores.iter().min_by_key(|other| other.load.invocations())?;
    (least.load.invocations() + STREAMS_AHEAD <= ours).then(|| least.core.get().cloned()).flatten()
}

/// A task that ends with whoever waits for it.
pub(crate) struct AbortOnDrop<T>(pub(crate) tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Spawns on the connection's core, wherever it is polled.
#[derive(Clone)]
struct OnCore(tokio::runtime::Handle);

impl<F> hyper::rt::Executor<F> for OnCore
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}
