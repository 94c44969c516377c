//! An upstream for many requests, on a thread of its own: sends every body back while it arrives and remembers nothing.
//! It keeps connections open, or closes each without a word after a number of answers, as servers do.

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread::JoinHandle;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// How it treats connections.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Closes {
    /// Never.
    Never,
    /// After so many answers, without saying so before. It answers requests without a body only.
    After(u32),
}

/// A running origin. Dropping it ends it.
pub(crate) struct Origin {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Origin {
    pub(crate) fn start(closes: Closes) -> Self {
        let (tell, told) = mpsc::channel();
        let (stop, stopping) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("there is room for a runtime").block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports");
                tell.send(listener.local_addr().expect("it is bound")).expect("somebody waits for it");
                tokio::select! {
                    () = accept(listener, closes) => {}
                    _ = stopping => {}
                }
            });
        });
        let address = told.recv().expect("the thread starts");
        Self { address, stop: Some(stop), thread: Some(thread) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // Its panic was printed.
            let _ = thread.join();
        }
    }
}

async fn accept(listener: TcpListener, closes: Closes) {
    while let Ok((stream, _)) = listener.accept().await {
        // Whatever goes wrong shows at the client.
        let _ = stream.set_nodelay(true);
        match closes {
            Closes::Never => drop(tokio::spawn(keep(stream))),
            Closes::After(answers) => drop(tokio::spawn(close_after(stream, answers))),
        }
    }
}

async fn keep(stream: TcpStream) {
    let service = service_fn(async |request: Request<Incoming>| {
        Ok::<_, Infallible>(Response::new(request.into_body()))
    });
    // Whatever goes wrong shows at the client.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

async fn close_after(stream: TcpStream, answers: u32) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    for _ in 0..answers {
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await?;
    }
    Ok(())
}
