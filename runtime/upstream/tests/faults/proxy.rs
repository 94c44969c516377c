//! A proxy that makes faults, and the server behind it.

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rimward_upstream::{Allowed, Body, Client, ClientConfig, Egress, Random, Roots, Target, Timeouts};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::task::{AbortHandle, JoinSet};

/// A proxy that can be made to fail, killed and brought back.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    faults: Arc<Faults>,
    listening: Mutex<Option<AbortHandle>>,
}

struct Faults {
    /// Share of requests that fail, in millionths: half of them with a 503, half with a closed connection.
    failing: AtomicU64,
    seen: AtomicU64,
    random: Random,
    client: Client,
    egress: Egress,
    server: SocketAddr,
}

/// The connection is closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("a fault")]
struct Fault;

impl Proxy {
    pub(crate) async fn start(seed: u64) -> Self {
        let server = serve().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let faults = Arc::new(Faults {
            failing: AtomicU64::new(0),
            seen: AtomicU64::new(0),
            random: Random::seeded(seed),
            client: Client::new(ClientConfig::new(Roots::none())).expect("a client"),
            egress: Egress::new(vec!["*:*".parse().expect("a pattern")], vec![Allowed::from(server)]),
            server,
        });
        let proxy = Self { address, faults, listening: Mutex::default() };
        proxy.listen(listener);
        proxy
    }

    /// This share of the requests fails from now on.
    pub(crate) fn fail(&self, share: f64) {
        self.faults.failing.store((share * 1e6) as u64, Relaxed);
    }

    /// Requests so far.
    pub(crate) fn seen(&self) -> u64 {
        self.faults.seen.load(Relaxed)
    }

    /// Nobody listens, and all connections are gone.
    pub(crate) fn kill(&self) {
        if let Some(listening) = self.listening.lock().expect("no panic").take() {
            listening.abort();
        }
    }

    /// Listens again, at the same address.
    pub(crate) async fn revive(&self) {
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.set_reuseaddr(true).expect("an option");
        socket.bind(self.address).expect("the port is still ours");
        self.listen(socket.listen(1024).expect("a listener"));
    }

    fn listen(&self, listener: TcpListener) {
        let faults = self.faults.clone();
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let faults = faults.clone();
                let service = service_fn(move |request| forward(faults.clone(), request));
                connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
                while connections.try_join_next().is_some() {}
            }
        });
        *self.listening.lock().expect("no panic") = Some(task.abort_handle());
    }
}

async fn forward(faults: Arc<Faults>, request: Request<Incoming>) -> Result<Response<Body>, Fault> {
    faults.seen.fetch_add(1, Relaxed);
    let failing = faults.failing.load(Relaxed);
    if faults.random.number() % 1_000_000 < failing {
        return if faults.random.number().is_multiple_of(2) { Ok(unavailable()) } else { Err(Fault) };
    }
    let (mut head, body) = request.into_parts();
    head.uri = format!("http://{}{}", faults.server, head.uri.path()).parse().expect("a URI");
    let body = body.map_err(rimward_upstream::Error::request_body).boxed_unsync();
    let target = Target::Host(&faults.egress);
    let sent = faults.client.send(Request::from_parts(head, body), target, Timeouts::default(), None);
    sent.await.map_err(|_| Fault)
}

fn unavailable() -> Response<Body> {
    let body = Full::new(Bytes::from_static(b"later")).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
    response
}

/// A server that answers 1 KiB.
async fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = |_| async {
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(&[b'a'; 1024]))))
            };
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)));
        }
    });
    address
}
