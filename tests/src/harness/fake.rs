//! Fake upstreams: servers on loopback that do what a test says and remember what they were asked. One ends when it is
//! dropped.

use crate::harness::eventually;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, stream};
use http::{HeaderMap, Method, Request, Response, StatusCode, Uri, Version};
use http_body::Frame;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use rustls::ServerConfig;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

type Body = UnsyncBoxBody<Bytes, hyper::Error>;
type Replying = dyn Fn(Seen) -> BoxFuture<'static, Response<Bytes>> + Send + Sync;

/// What a fake upstream does with a request.
#[derive(Clone)]
pub enum Behaviour {
    /// Answers over HTTP/1.1 or HTTP/2 once the request was read to its end.
    Replies(Arc<Replying>),
    /// Answers 200 with this text at once, whatever of the request is still to come.
    Early(Bytes),
    /// Answers 200 with the request's own body, while it arrives.
    StreamsBack,
    /// Answers 200 with this text as the first piece of a body that then stands still.
    Stalls(Bytes),
    /// Never answers.
    Silent,
    /// Reads the head of one request, writes these bytes, and closes the connection.
    Raw(Bytes),
}

/// A request that an upstream got.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Seen {
    pub method: Method,
    pub uri: Uri,
    pub version: Version,
    pub headers: HeaderMap,
    /// Empty where the behaviour does not read it.
    pub body: Bytes,
}

/// A running fake upstream.
pub struct Fake {
    address: SocketAddr,
    scheme: &'static str,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    seen: Mutex<Vec<Seen>>,
    connections: AtomicUsize,
}

impl Shared {
    fn saw(&self, seen: Seen) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
    }
}

/// Starts an upstream; to be called on a runtime.
pub fn fake(behaviour: Behaviour) -> Fake {
    start("http", behaviour, None)
}

/// Starts an upstream that shows this certificate.
pub fn fake_over_tls(behaviour: Behaviour, tls: Arc<ServerConfig>) -> Fake {
    start("https", behaviour, Some(tls))
}

/// Answers every request with this status and no body.
pub fn always(status: u16) -> Behaviour {
    let status = StatusCode::from_u16(status).expect("tests use valid statuses");
    replies(move |_| async move {
        let mut reply = Response::new(Bytes::new());
        *reply.status_mut() = status;
        reply
    })
}

/// Answers every request with its own body and `content-type`.
pub fn echoes() -> Behaviour {
    replies(|seen| async move {
        let mut reply = Response::new(seen.body);
        if let Some(kind) = seen.headers.get(http::header::CONTENT_TYPE) {
            reply.headers_mut().insert(http::header::CONTENT_TYPE, kind.clone());
        }
        reply
    })
}

/// Answers as `reply` says, once the request was read to its end.
pub fn replies<R, F>(reply: R) -> Behaviour
where
    R: Fn(Seen) -> F + Send + Sync + 'static,
    F: Future<Output = Response<Bytes>> + Send + 'static,
{
    Behaviour::Replies(Arc::new(move |seen| reply(seen).boxed()))
}

/// Answers 200 with this text at once, whatever of the request is still to come.
pub fn answers_early(text: &'static str) -> Behaviour {
    Behaviour::Early(text.into())
}

/// Answers 200 with the request's own body, while it arrives.
pub fn streams_back() -> Behaviour {
    Behaviour::StreamsBack
}

/// Answers 200 with this text as the first piece of a body that then stands still.
pub fn stalls_after(text: &'static str) -> Behaviour {
    Behaviour::Stalls(text.into())
}

/// Takes requests and never answers.
pub fn silent() -> Behaviour {
    Behaviour::Silent
}

/// Writes these bytes in place of a reply, and closes the connection.
pub fn raw(bytes: impl Into<Bytes>) -> Behaviour {
    Behaviour::Raw(bytes.into())
}

impl Fake {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its origin.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address)
    }

    /// The requests that it got; the bodies of those that its behaviour reads.
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until it got so many requests.
    pub async fn sees(&self, requests: usize) -> Vec<Seen> {
        let seen = || Some(self.seen()).filter(|seen| seen.len() >= requests);
        eventually(&format!("{requests} requests at the upstream"), seen).await
    }

    /// Connections that it accepted.
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Relaxed)
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn start(scheme: &'static str, behaviour: Behaviour, tls: Option<Arc<ServerConfig>>) -> Fake {
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("loopback has free ports");
    listener.set_nonblocking(true).expect("a socket can be non-blocking");
    let address = listener.local_addr().expect("it is bound");
    let listener = TcpListener::from_std(listener).expect("there is a runtime");
    let shared = Arc::<Shared>::default();
    let task = tokio::spawn(accept(listener, behaviour, tls, shared.clone()));
    Fake { address, scheme, shared, task }
}

async fn accept(
    listener: TcpListener,
    behaviour: Behaviour,
    tls: Option<Arc<ServerConfig>>,
    shared: Arc<Shared>,
) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        shared.connections.fetch_add(1, Relaxed);
        let (behaviour, tls, shared) = (behaviour.clone(), tls.clone(), shared.clone());
        connections.spawn(serve(stream, behaviour, tls, shared));
    }
}

async fn serve(stream: TcpStream, behaviour: Behaviour, tls: Option<Arc<ServerConfig>>, shared: Arc<Shared>) {
    // Failing, it is slower, not wrong.
    let _ = stream.set_nodelay(true);
    match tls {
        None => behave(stream, behaviour, shared).await,
        // Where it fails, the client's side says why.
        Some(tls) => {
            if let Ok(stream) = tokio_rustls::TlsAcceptor::from(tls).accept(stream).await {
                behave(stream, behaviour, shared).await;
            }
        }
    }
}

async fn behave<I>(io: I, behaviour: Behaviour, shared: Arc<Shared>)
where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    if let Behaviour::Raw(bytes) = behaviour {
        // Whatever goes wrong, the connection ends.
        let _ = write_raw(io, &bytes).await;
        return;
    }
    let service = service_fn(move |request| {
        let (behaviour, shared) = (behaviour.clone(), shared.clone());
        async move { reply(request, &behaviour, &shared).await }
    });
    let server = Builder::new(TokioExecutor::new());
    let _ = server.serve_connection(TokioIo::new(io), service).await;
}

async fn write_raw<I: AsyncRead + AsyncWrite + Unpin>(mut io: I, bytes: &[u8]) -> std::io::Result<()> {
    const HEAD_BYTES: usize = 64 << 10;
    let _head = io.read(&mut vec![0; HEAD_BYTES]).await?;
    io.write_all(bytes).await?;
    io.shutdown().await
}

async fn reply(
    request: Request<Incoming>,
    behaviour: &Behaviour,
    shared: &Shared,
) -> Result<Response<Body>, hyper::Error> {
    let (parts, body) = request.into_parts();
    let http::request::Parts { method, uri, version, headers, .. } = parts;
    let mut seen = Seen { method, uri, version, headers, body: Bytes::new() };
    match behaviour {
        Behaviour::Replies(reply) => {
            seen.body = body.collect().await?.to_bytes();
            shared.saw(seen.clone());
            Ok(reply(seen).await.map(full))
        }
        Behaviour::Early(text) => {
            shared.saw(seen);
            Ok(Response::new(full(text.clone())))
        }
        Behaviour::StreamsBack => {
            shared.saw(seen);
            Ok(Response::new(body.boxed_unsync()))
        }
        Behaviour::Stalls(text) => {
            shared.saw(seen);
            let first = stream::iter([Ok(Frame::data(text.clone()))]);
            Ok(Response::new(StreamBody::new(first.chain(stream::pending())).boxed_unsync()))
        }
        Behaviour::Silent | Behaviour::Raw(_) => {
            shared.saw(seen);
            std::future::pending().await
        }
    }
}

fn full(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never| match never {}).boxed_unsync()
}
