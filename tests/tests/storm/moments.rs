//! What a function and its client may be doing when the client goes away. Whatever a client does is dropped at a random
//! time, so each of these is cut anywhere, the connection's first bytes included.

use rand::Rng;
use rand::rngs::StdRng;
use rimward_tests::{Call, Connection, TestNode, upload};
use std::io;

/// What is going on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Moment {
    /// A short answer, by 0.2 or 0.3.
    Answering(&'static str, &'static str),
    /// A function that waits, until its wall limit or for a minute.
    Waiting(&'static str, &'static str),
    /// A request's body that stops in its middle.
    Sending(&'static str, &'static str),
    /// A function that calls an upstream, which answers, does not, or stops in its middle.
    Calling(&'static str, &'static str, &'static str),
    /// A reply that goes on for ever and is read for a while.
    Streaming(&'static str, &'static str),
}

use Moment::{Answering, Calling, Sending, Streaming, Waiting};

const ALL: [Moment; 14] = [
    Answering("hello.example", "/"),
    Answering("wasi-http-03.example", "/"),
    Waiting("sleep.example", "/60000"),
    Waiting("long.example", "/60000"),
    Waiting("wasi-http-03.example", "/sleep"),
    Sending("echo.example", "/"),
    Sending("wasi-http-03.example", "/echo"),
    Calling("call.example", "/", "quick"),
    Calling("call.example", "/", "silent"),
    Calling("proxy-sdk.example", "/", "stalling"),
    Calling("wasi-http-03.example", "/fan-out", "silent"),
    Calling("wasi-http-03.example", "/fan-out", "quick"),
    Streaming("drips.example", "/"),
    Streaming("drips.example", "/3"),
];

impl Moment {
    pub(crate) fn any(random: &mut StdRng) -> Self {
        ALL[random.random_range(0..ALL.len())]
    }

    /// Does it, for as long as it is let: on this connection, or on one of its own.
    pub(crate) async fn go(self, node: &TestNode, connection: Option<&Connection>) -> io::Result<()> {
        let call = |method: &str, path: &str| -> Call {
            match connection {
                Some(connection) => connection.call(method, path),
                None => node.call(method, path),
            }
        };
        match self {
            Answering(host, path) | Waiting(host, path) => {
                call("GET", path).host(host).try_open().await.map(drop)
            }
            Calling(host, path, upstream) => {
                let to = format!("http://{upstream}.upstream.internal/");
                call("GET", path).host(host).header("x-to", &to).try_open().await.map(drop)
            }
            Sending(host, path) => {
                let (upload, body) = upload();
                let sending = async {
                    while upload.send(vec![7; 8 << 10]).await {
                        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
                    }
                    std::future::pending().await
                };
                tokio::select! {
                    opened = call("POST", path).host(host).streams(body).try_open() => opened.map(drop),
                    () = sending => Ok(()),
                }
            }
            Streaming(host, path) => {
                let mut open = call("GET", path).host(host).try_open().await?;
                while open.piece().await.is_some() {}
                Ok(())
            }
        }
    }
}
