//! Fake services: hyper where the service behaves, a script over a raw stream where it does not.

use super::Error;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// A service on loopback, stopped when dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Server {
    /// How many connections were made to it.
    pub(crate) fn connections(&self) -> usize {
        self.accepted.load(SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Runs `script` on each connection, with the connection's number, from 0.
pub(crate) async fn raw<F>(script: impl Fn(TcpStream, usize) -> F + Send + Sync + 'static) -> Server
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = accepted.clone();
    let task = tokio::spawn(async move {
        let mut scripts = tokio::task::JoinSet::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            scripts.spawn(script(stream, count.fetch_add(1, SeqCst)));
        }
    });
    Server { address, accepted, task }
}

/// Serves HTTP/1.1 with `answer`.
pub(crate) async fn http<F>(answer: impl Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static) -> Server
where
    F: Future<Output = Response<UnsyncBoxBody<Bytes, Error>>> + Send + 'static,
{
    raw(move |stream, _| serve(stream, false, answer.clone())).await
}

/// Serves HTTP over TLS, HTTP/2 where the client takes it.
pub(crate) async fn https<F>(
    tls: Arc<rustls::ServerConfig>,
    answer: impl Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
) -> Server
where
    F: Future<Output = Response<UnsyncBoxBody<Bytes, Error>>> + Send + 'static,
{
    let acceptor = TlsAcceptor::from(tls);
    raw(move |stream, _| {
        let (acceptor, answer) = (acceptor.clone(), answer.clone());
        async move {
            let Ok(stream) = acceptor.accept(stream).await else { return };
            let is_h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            serve(stream, is_h2, answer).await;
        }
    })
    .await
}

async fn serve<S, F>(stream: S, is_h2: bool, answer: impl Fn(Request<Incoming>) -> F + Send + 'static)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: Future<Output = Response<UnsyncBoxBody<Bytes, Error>>> + Send + 'static,
{
    let service = service_fn(move |request| {
        let answered = answer(request);
        async move { Ok::<_, Error>(answered.await) }
    });
    let io = TokioIo::new(stream);
    // A client that goes away is no failure of a test.
    let _ = match is_h2 {
        true => {
            http2::Builder::new(TokioExecutor::new())
                .auto_date_header(false)
                .serve_connection(io, service)
                .await
        }
        false => http1::Builder::new().serve_connection(io, service).await,
    };
}

/// Serves `text` to every request.
pub(crate) async fn always(text: &'static str) -> Server {
    http(move |_| async move { Response::new(super::full(text)) }).await
}

/// Reads up to the end of a request's head. Empty at the end of the stream.
pub(crate) async fn read_head(stream: &mut TcpStream) -> String {
    read_until(stream, "\r\n\r\n").await
}

pub(crate) async fn read_until(stream: &mut TcpStream, end: &str) -> String {
    let mut head = Vec::new();
    while !head.ends_with(end.as_bytes()) {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap()
}

/// Answers with these bytes; the client may be gone.
pub(crate) async fn say(stream: &mut TcpStream, bytes: &str) {
    let _ = stream.write_all(bytes.as_bytes()).await;
}
