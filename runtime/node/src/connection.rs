//! Connections: accepting them on each core, handing them to a less loaded one, TLS, HTTP/1.1 and HTTP/2, and the
//! orderly end of each when the node drains.

use crate::answer::answer;
use crate::conversation::{Conversation, Sending};
use crate::core::{Core, Load};
use crate::crowd::Counted as CountedAddress;
use crate::inference;
use crate::inspect::Fault;
use crate::limits::{
    ACCEPT_PAUSE, CONNECTIONS_AHEAD, H2_CONNECTION_WINDOW_BYTES, H2_FRAME_BYTES, H2_HEADER_LIST_BYTES,
    H2_IDLE, H2_LOCAL_RESETS, H2_MODEL_FRAME_BYTES, H2_MODEL_WINDOW_BYTES, H2_MODELS_WINDOW_BYTES,
    H2_PENDING_RESETS, H2_PING, H2_PING_TIME, H2_STREAM_WINDOW_BYTES, H2_STREAMS, HANDSHAKE_TIME, HEAD_BYTES,
    HEAD_TIME, HEADERS_MAX, LAST_REQUEST_TIME, MODEL_READ_BYTES, STREAMS_AHEAD,
};
use crate::metrics::RefusedFor;
use crate::node::Shared;
use crate::patience::Patience;
use crate::wellformed;
use http::header::CONNECTION;
use http::{HeaderValue, Request, Response, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use rimward_capability::{ClientScheme, Reply};
use rustls::ServerConfig;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio_rustls::TlsAcceptor;

/// What a listening socket's connections speak, and what is asked over them.
#[derive(Clone)]
pub(crate) struct Service {
    pub(crate) transport: Transport,
    pub(crate) serves: Serves,
}

/// What a connection's bytes are in.
#[derive(Clone)]
pub(crate) enum Transport {
    Clear,
    Tls(Arc<ServerConfig>),
}

/// Who answers the requests of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Serves {
    Functions,
    Models,
}

impl Service {
    /// What a socket of it is called where it is handed over.
    pub(crate) fn name(&self) -> &'static str {
        match (self.serves, &self.transport) {
            (Serves::Functions, Transport::Clear) => "http",
            (Serves::Functions, Transport::Tls(_)) => "https",
            (Serves::Models, Transport::Clear) => "models",
            (Serves::Models, Transport::Tls(_)) => "models-tls",
        }
    }
}

/// A connection on its way to the core that will serve it.
pub(crate) struct Handed {
    stream: std::net::TcpStream,
    service: Service,
    place: Place,
    counted: Counted,
}

/// A connection's place among those that the node has open.
struct Place {
    node: Arc<Shared>,
    _permit: OwnedSemaphorePermit,
    _address: CountedAddress,
}

impl Place {
    fn take(node: &Arc<Shared>, permit: OwnedSemaphorePermit, address: CountedAddress) -> Self {
        node.metrics.connections.inc();
        Self { node: node.clone(), _permit: permit, _address: address }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.node.metrics.connections.dec();
    }
}

/// Serves what other cores hand over, until they are gone.
pub(crate) async fn receive(core: Arc<Core>, mut handed: mpsc::UnboundedReceiver<Handed>) {
    while let Some(Handed { stream, service, place, counted }) = handed.recv().await {
        match TcpStream::from_std(stream) {
            Ok(stream) => serve_on(&core, stream, service, place, counted),
            Err(error) => tracing::warn!(%error, "a connection was lost on its way to another core"),
        }
    }
}

/// Accepts connections until the node drains. The socket is closed then, so that clients go elsewhere.
pub(crate) async fn accept(core: Arc<Core>, listener: TcpListener, service: Service) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let _accepting = Accepting::begin(&core.node);
    let mut draining = core.node.drain.subscribe();
    let mut failing = false;
    let mut open = core.node.open.subscribe();
    tokio::select! {
        biased;
        () = drained(&mut draining) => return Ok(()),
        // The sender is the node's.
        _ = open.wait_for(|open| *open) => {}
    }
    loop {
        match accept_one(&core, &listener, &mut draining).await {
            Ok(None) => return Ok(()),
            Ok(Some((stream, place, counted))) => {
                failing = false;
                place_connection(&core, stream, service.clone(), place, counted);
            }
            Err(error) => {
                core.node.metrics.accept_failures.inc();
                // Told once: it goes on for as long as there are no descriptors.
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(%error, "connections cannot be accepted; they wait");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// One connection with a place. Over the node's limit it waits for one, and what comes after it stays in the kernel's
/// queue. Over its address's limit it is closed: others must not wait for that. None when the node drains; what was
/// accepted by then is served.
async fn accept_one(
    core: &Core,
    listener: &tokio::net::TcpListener,
    draining: &mut watch::Receiver<bool>,
) -> io::Result<Option<(TcpStream, Place, Counted)>> {
    let node = &core.node;
    loop {
        let accepted = tokio::select! {
            biased;
            () = drained(draining) => return Ok(None),
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, client)) => {
                let Some(address) = node.crowd.enter(client.ip()) else {
                    node.metrics.connection_refused(RefusedFor::Address);
                    tracing::debug!(%client, "a client has as many connections as it may");
                    continue;
                };
                let counted = Counted::on(core.load());
                let permit = node.connections.clone().acquire_owned().await.map_err(io::Error::other)?;
                return Ok(Some((stream, Place::take(node, permit, address), counted)));
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
fn place_connection(core: &Arc<Core>, stream: TcpStream, service: Service, place: Place, counted: Counted) {
    let cores = core.node.cores();
    let connections = |load: &Load| load.connections.load(Relaxed);
    // Without this one, which is counted already.
    let ours = connections(core.load()) - 1;
    let least = cores
        .iter()
        .min_by_key(|other| connections(&other.load))
        .filter(|other| connections(&other.load) + CONNECTIONS_AHEAD <= ours);
    let Some(other) = least else { return serve_on(core, stream, service, place, counted) };
    match stream.into_std() {
        Ok(stream) => {
            // The core is gone only when the node is stopping.
            let _ = other.handed.send(Handed { stream, service, place, counted: Counted::on(&other.load) });
        }
        Err(error) => tracing::warn!(%error, "a connection was lost on its way to another core"),
    }
}

fn serve_on(core: &Arc<Core>, stream: TcpStream, service: Service, place: Place, counted: Counted) {
    let core = core.clone();
    // Failing, it is slower, not wrong.
    let _ = stream.set_nodelay(true);
    tokio::spawn(async move {
        let _held = (counted, place);
        let Service { transport, serves } = service;
        match transport {
            Transport::Clear => serve(&core, stream, ClientScheme::Http, serves).await,
            Transport::Tls(config) => {
                if let Some(stream) = handshake(&core.node, config, stream).await {
                    serve(&core, stream, ClientScheme::Https, serves).await;
                }
            }
        }
    });
}

/// A client that does not finish its handshake holds a place among those that may be at it, and that for a time only.
async fn handshake(
    node: &Shared,
    config: Arc<ServerConfig>,
    stream: TcpStream,
) -> Option<tokio_rustls::server::TlsStream<TcpStream>> {
    let Ok(_permit) = node.handshakes.try_acquire() else {
        node.metrics.connection_refused(RefusedFor::Handshakes);
        return None;
    };
    let shaken = tokio::time::timeout(HANDSHAKE_TIME, TlsAcceptor::from(config).accept(stream)).await;
    let error = match shaken {
        Ok(Ok(stream)) => return Some(stream),
        Ok(Err(error)) => error,
        Err(_) => io::ErrorKind::TimedOut.into(),
    };
    node.metrics.connection_refused(RefusedFor::Handshake);
    tracing::debug!(%error, "a TLS handshake failed");
    None
}

/// An open connection, on the core that has it or will.
struct Counted(Arc<Load>);

impl Counted {
    fn on(load: &Arc<Load>) -> Self {
        load.connections.fetch_add(1, SeqCst);
        Self(load.clone())
    }
}

/// A task that accepts connections. Its end says that what it accepted is counted.
struct Accepting(Arc<Shared>);

impl Accepting {
    fn begin(node: &Arc<Shared>) -> Self {
        node.accepting.fetch_add(1, SeqCst);
        Self(node.clone())
    }
}

impl Drop for Accepting {
    fn drop(&mut self) {
        self.0.accepting.fetch_sub(1, SeqCst);
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, SeqCst);
    }
}

/// Serves one connection to its end. When the node drains, the client is told to go elsewhere; what it has sent by then is
/// still answered.
pub(crate) async fn serve(
    core: &Arc<Core>,
    io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    scheme: ClientScheme,
    serves: Serves,
) {
    let builder = builder(core, serves);
    let conversation = Arc::<Conversation>::default();
    // HTTP/2 has a way to say that a request was not looked at, HTTP/1.1 has none.
    let may_be_unsure = AtomicBool::new(true);
    let service = service_fn(|request: Request<Incoming>| {
        let core = core.clone();
        let http1 = request.version() != Version::HTTP_2;
        if !http1 {
            may_be_unsure.store(false, Relaxed);
        }
        let answering = conversation.answer();
        async move {
            if !http1 && wellformed::breaks_http2(&request) {
                return Err(h2::Error::from(h2::Reason::PROTOCOL_ERROR));
            }
            let http10 = request.version() == Version::HTTP_10;
            let mut reply = answer_somewhere(&core, request, scheme, serves).await;
            if http1 && core.node.draining.load(Relaxed) {
                reply.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            if http10 && reply.headers().contains_key(CONNECTION) {
                // Otherwise hyper adds that it stays open.
                *reply.version_mut() = Version::HTTP_10;
            }
            Ok::<Response<Sending>, h2::Error>(reply.map(|body| Sending::new(body, answering)))
        }
    });
    let half_closed = core.node.file.limits.half_closed.get();
    let io = Patience::new(io, conversation.clone(), half_closed);
    let connection = builder.serve_connection(TokioIo::new(io), service);
    let mut connection = std::pin::pin!(connection);
    let mut draining = core.node.drain.subscribe();
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = ended_from_here(&mut draining, &conversation) => {
            let wait = if may_be_unsure.load(Relaxed) { LAST_REQUEST_TIME } else { Duration::ZERO };
            match tokio::time::timeout(wait, connection.as_mut()).await {
                Ok(ended) => ended,
                Err(_) => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            }
        }
    };
    let refused_by_hyper = || {
        let error = ended.as_ref().err()?.downcast_ref::<hyper::Error>()?;
        error.is_parse().then_some(Fault::Malformed)
    };
    if let Some(fault) = conversation.found().or_else(refused_by_hyper) {
        core.node.metrics.connection_refused(match fault {
            Fault::Malformed => RefusedFor::Malformed,
            Fault::Flood => RefusedFor::Flood,
        });
    }
    if let Err(error) = ended {
        tracing::debug!(error = %error, "a connection ended early");
    }
}

/// Until the client is told to go elsewhere: the node drains, or nothing was asked for long.
async fn ended_from_here(draining: &mut watch::Receiver<bool>, conversation: &Conversation) {
    tokio::select! {
        () = drained(draining) => {}
        () = conversation.idle(H2_IDLE) => {}
    }
}

/// Until the node drains. Its end is a drain too.
async fn drained(draining: &mut watch::Receiver<bool>) {
    let _ = draining.wait_for(|draining| *draining).await;
}

fn builder(core: &Core, serves: Serves) -> Builder<OnCore> {
    let (stream_window, connection_window, frame) = match serves {
        Serves::Functions => (H2_STREAM_WINDOW_BYTES, H2_CONNECTION_WINDOW_BYTES, H2_FRAME_BYTES),
        // Tensors come whole, and are read as they come.
        Serves::Models => (H2_MODEL_WINDOW_BYTES, H2_MODELS_WINDOW_BYTES, H2_MODEL_FRAME_BYTES),
    };
    let mut builder = Builder::new(OnCore(core.runtime.clone()));
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_headers(HEADERS_MAX)
        .max_buf_size(match serves {
            Serves::Functions => HEAD_BYTES,
            Serves::Models => MODEL_READ_BYTES,
        })
        // So that hyper reads while a reply is made, and sees a client that is gone. One that has only closed its side
        // cannot be told apart at once: `Patience` keeps that from hyper for a while.
        .half_close(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(H2_STREAMS)
        .max_header_list_size(H2_HEADER_LIST_BYTES)
        .initial_stream_window_size(stream_window)
        .initial_connection_window_size(connection_window)
        .max_frame_size(frame)
        .max_pending_accept_reset_streams(H2_PENDING_RESETS)
        .max_local_error_reset_streams(H2_LOCAL_RESETS)
        .keep_alive_interval(H2_PING)
        .keep_alive_timeout(H2_PING_TIME);
    builder
}

/// Streams of one HTTP/2 connection run on other cores too when this one has enough to do, so that one connection can use
/// more than one core.
async fn answer_somewhere(
    core: &Arc<Core>,
    request: Request<Incoming>,
    scheme: ClientScheme,
    serves: Serves,
) -> Reply {
    if serves == Serves::Models {
        return inference::answer(core, request).await;
    }
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
