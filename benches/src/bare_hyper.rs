//! The limit: hyper, one runtime for each core on a listening socket of its own, and a reply that needs no function. What
//! a node takes beyond this is what running functions costs. Started by the comparison as a process of its own, and by
//! tests.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use socket2::{Domain, Protocol, Socket, Type};
use std::convert::Infallible;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::thread::JoinHandle;
use tokio::net::TcpStream;
use tokio::sync::watch;

/// What the guest of the comparison answers too.
const REPLY: &[u8] = b"Hello from the edge!\n";

/// Connections that the kernel keeps until they are accepted, for each socket.
const BACKLOG: i32 = 1024;

/// A running server. Dropping it ends it.
pub struct Bare {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    cores: Vec<JoinHandle<()>>,
}

impl Bare {
    /// Starts a server with `cores` threads on a free port of the loopback interface.
    pub fn start(cores: usize) -> io::Result<Self> {
        let first = listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let address = first.local_addr()?;
        let mut listeners = vec![first];
        for _ in 1..cores {
            listeners.push(listen(address)?);
        }
        let (stop, _) = watch::channel(false);
        let cores = listeners.into_iter().map(|listener| {
            let stopping = stop.subscribe();
            std::thread::spawn(move || run_core(listener, stopping))
        });
        Ok(Self { address, cores: cores.collect(), stop })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until it ends, which it does not do by itself.
    pub fn wait(mut self) {
        self.join();
    }

    fn join(&mut self) {
        for core in self.cores.drain(..) {
            // A panic of a core was reported when it happened.
            let _ = core.join();
        }
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        self.stop.send_replace(true);
        self.join();
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

fn run_core(listener: TcpListener, mut stopping: watch::Receiver<bool>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime needs an epoll descriptor only");
    runtime.block_on(async {
        tokio::select! {
            _ = stopping.wait_for(|stop| *stop) => {}
            () = accept(listener) => {}
        }
    });
}

async fn accept(listener: TcpListener) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("the socket does not block");
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    }
}

async fn serve(stream: TcpStream) {
    // Failing, it is slower, not wrong.
    let _ = stream.set_nodelay(true);
    let connection = hyper::server::conn::http1::Builder::new()
        .pipeline_flush(true)
        .serve_connection(TokioIo::new(stream), service_fn(answer));
    // The client may leave whenever it likes.
    let _ = connection.await;
}

async fn answer(_: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::new(Bytes::from_static(REPLY))))
}
