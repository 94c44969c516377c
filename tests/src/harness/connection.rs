//! Client connections: HTTP/1.1, HTTP/2 with prior knowledge, or whatever TLS and ALPN settle on. Every call opens one of
//! its own unless the test keeps one. Dropping the last handle closes it, at once and without ceremony.

use crate::harness::call::{Call, Over, Target};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, Uri, Version, header};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls_pki_types::{CertificateDer, ServerName};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

/// A request's body on its way to the node.
pub(crate) type Sent = UnsyncBoxBody<Bytes, Infallible>;

/// An open connection to a node.
#[derive(Clone)]
pub struct Connection {
    sender: Sender,
    address: SocketAddr,
    secrets: Arc<[String]>,
    certificate: Option<CertificateDer<'static>>,
    driver: Arc<Driver>,
}

#[derive(Clone)]
enum Sender {
    Http1(Arc<Mutex<http1::SendRequest<Sent>>>),
    Http2(http2::SendRequest<Sent>),
}

/// The task that moves the connection's bytes.
struct Driver(JoinHandle<()>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Connection {
    /// Opens one.
    pub(crate) async fn open(
        address: SocketAddr,
        over: &Over,
        secrets: Arc<[String]>,
    ) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        let (sender, driver, certificate) = match over {
            Over::Http1 => http1(stream).await.map(|(sender, driver)| (sender, driver, None)),
            Over::Http2 => http2(stream).await.map(|(sender, driver)| (sender, driver, None)),
            Over::Tls { client, name } => {
                let name = ServerName::try_from(name.clone()).expect("tests use valid names");
                let stream = tokio_rustls::TlsConnector::from(client.clone()).connect(name, stream).await?;
                let session = stream.get_ref().1;
                let certificate = session.peer_certificates().and_then(|chain| chain.first()).cloned();
                let (sender, driver) = match session.alpn_protocol() {
                    Some(b"h2") => http2(stream).await?,
                    _ => http1(stream).await?,
                };
                Ok((sender, driver, certificate.map(CertificateDer::into_owned)))
            }
        }?;
        Ok(Self { sender, address, secrets, certificate, driver: Arc::new(Driver(driver)) })
    }

    /// A call over this connection.
    pub fn call(&self, method: &str, path: &str) -> Call {
        Call::new(Target::On(self.clone()), method, path)
    }

    /// A GET over this connection.
    pub fn get(&self, path: &str) -> Call {
        self.call("GET", path)
    }

    /// A POST over this connection.
    pub fn post(&self, path: &str) -> Call {
        self.call("POST", path)
    }

    /// Whether the node has closed it.
    pub fn is_closed(&self) -> bool {
        self.driver.0.is_finished()
    }

    /// What it speaks.
    pub fn version(&self) -> Version {
        match self.sender {
            Sender::Http1(_) => Version::HTTP_11,
            Sender::Http2(_) => Version::HTTP_2,
        }
    }

    /// The certificate that the node showed.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        self.certificate.as_ref().expect("the connection has TLS")
    }

    pub(crate) fn secrets(&self) -> Arc<[String]> {
        self.secrets.clone()
    }

    pub(crate) async fn send(&self, mut request: Request<Sent>) -> hyper::Result<Response<Incoming>> {
        let default = HeaderValue::from_str(&self.address.to_string()).expect("an address is plain");
        match &self.sender {
            Sender::Http1(sender) => {
                request.headers_mut().entry(header::HOST).or_insert(default);
                sender.lock().await.send_request(request).await
            }
            Sender::Http2(sender) => {
                let host = request.headers_mut().remove(header::HOST).unwrap_or(default);
                *request.uri_mut() = absolute(request.uri(), &host);
                sender.clone().send_request(request).await
            }
        }
    }
}

fn absolute(uri: &Uri, host: &HeaderValue) -> Uri {
    let path = uri.path_and_query().expect("a call has a path").clone();
    let built = Uri::builder().scheme("http").authority(host.as_bytes()).path_and_query(path).build();
    built.expect("the parts are valid")
}

async fn http1<I>(io: I) -> std::io::Result<(Sender, JoinHandle<()>)>
where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let (sender, driver) = http1::handshake(TokioIo::new(io)).await.map_err(std::io::Error::other)?;
    Ok((Sender::Http1(Arc::new(Mutex::new(sender))), spawn(driver)))
}

async fn http2<I>(io: I) -> std::io::Result<(Sender, JoinHandle<()>)>
where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(64 << 10).initial_connection_window_size(1 << 20);
    let (sender, driver) = builder.handshake(TokioIo::new(io)).await.map_err(std::io::Error::other)?;
    Ok((Sender::Http2(sender), spawn(driver)))
}

fn spawn(driver: impl Future<Output = hyper::Result<()>> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(async move {
        // Whoever called learns of an error by the call.
        let _ = driver.await;
    })
}
