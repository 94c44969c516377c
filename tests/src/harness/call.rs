//! One call of a test: what is sent, over what, and what is done with the reply. Awaiting it collects the reply and
//! checks what must hold for every one.

use crate::harness::answer::{Answer, Open};
use crate::harness::connection::{Connection, Sent};
use crate::harness::within;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use rustls::ClientConfig;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::mpsc;

/// What a connection speaks.
#[derive(Clone)]
pub enum Over {
    /// HTTP/1.1 in the clear.
    Http1,
    /// HTTP/2 in the clear, with prior knowledge.
    Http2,
    /// Whatever ALPN settles on.
    Tls {
        /// Whom the client trusts and what it offers.
        client: Arc<ClientConfig>,
        /// The name that it asks for.
        name: String,
    },
}

/// Where a call goes.
#[derive(Clone)]
pub(crate) enum Target {
    New { address: SocketAddr, over: Over, secrets: Arc<[String]> },
    On(Connection),
}

/// A call that was not sent yet.
pub struct Call {
    target: Target,
    method: Method,
    path: String,
    headers: HeaderMap,
    body: Body,
}

enum Body {
    Whole(Bytes),
    Streaming(Sent),
}

/// The sending half of a body that a test sends piece by piece. Dropping it ends the body.
pub struct Upload(mpsc::Sender<Frame<Bytes>>);

/// A body that is sent piece by piece.
pub struct Uploaded(mpsc::Receiver<Frame<Bytes>>);

/// A body that a test sends piece by piece.
pub fn upload() -> (Upload, Uploaded) {
    let (sender, receiver) = mpsc::channel(1);
    (Upload(sender), Uploaded(receiver))
}

impl Upload {
    /// Sends some more. False once nobody takes it any more.
    pub async fn send(&self, bytes: impl Into<Bytes>) -> bool {
        within("the node takes more of the body", self.0.send(Frame::data(bytes.into()))).await.is_ok()
    }

    /// Ends the body with trailers.
    pub async fn end_with(self, trailers: HeaderMap) {
        // Nobody takes them: the reply will say so.
        let _ = self.0.send(Frame::trailers(trailers)).await;
    }
}

impl Call {
    pub(crate) fn new(target: Target, method: &str, path: &str) -> Self {
        let method = method.parse().expect("tests use valid methods");
        Self {
            target,
            method,
            path: path.to_owned(),
            headers: HeaderMap::new(),
            body: Body::Whole(Bytes::new()),
        }
    }

    /// Over something else than HTTP/1.1.
    #[must_use]
    pub fn over(mut self, other: Over) -> Self {
        match &mut self.target {
            Target::New { over, .. } => *over = other,
            Target::On(_) => panic!("the connection is open already"),
        }
        self
    }

    /// With this header, besides others of that name.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name: HeaderName = name.parse().expect("tests use valid names");
        self.headers.append(name, HeaderValue::from_str(value).expect("tests use valid values"));
        self
    }

    /// For this host.
    #[must_use]
    pub fn host(self, host: &str) -> Self {
        self.header("host", host)
    }

    /// With this body, whose length is announced.
    #[must_use]
    pub fn body(mut self, bytes: impl Into<Bytes>) -> Self {
        self.body = Body::Whole(bytes.into());
        self
    }

    /// With this body, whose length is not announced.
    #[must_use]
    pub fn streams(mut self, body: Uploaded) -> Self {
        let Uploaded(mut receiver) = body;
        let frames =
            futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx).map(|frame| frame.map(Ok)));
        self.body = Body::Streaming(StreamBody::new(frames).boxed_unsync());
        self
    }

    /// So many calls like this, one after the other, over connections of their own.
    pub async fn times(self, count: usize) -> Vec<Answer> {
        let mut answers = Vec::with_capacity(count);
        for _ in 0..count {
            answers.push(self.again().await);
        }
        answers
    }

    /// So many calls like this at once.
    pub async fn at_once(self, count: usize) -> Vec<Answer> {
        futures_util::future::join_all((0..count).map(|_| self.again().into_future())).await
    }

    fn again(&self) -> Self {
        let Body::Whole(bytes) = &self.body else { panic!("a streamed body can be sent once") };
        Self {
            target: self.target.clone(),
            method: self.method.clone(),
            path: self.path.clone(),
            headers: self.headers.clone(),
            body: Body::Whole(bytes.clone()),
        }
    }

    /// The head of the reply; its body is read as the test wants. Dropping it is what a client does that goes away.
    pub async fn open(self) -> Open {
        let what = format!("a reply to {} {}", self.method, self.path);
        let reply = within(&what, self.try_open()).await;
        reply.unwrap_or_else(|error| panic!("{what}: {error:?}"))
    }

    /// The same, or why there is no reply.
    pub async fn try_open(self) -> std::io::Result<Open> {
        let started = Instant::now();
        let connection = match self.target {
            Target::New { address, over, secrets } => Connection::open(address, &over, secrets).await?,
            Target::On(connection) => connection,
        };
        let body = match self.body {
            Body::Whole(bytes) => Full::new(bytes).boxed_unsync(),
            Body::Streaming(body) => body,
        };
        let request = Request::builder().method(self.method.clone()).uri(&self.path);
        let mut request = request.body(body).expect("tests use valid paths");
        *request.headers_mut() = self.headers;
        let reply = connection.send(request).await.map_err(std::io::Error::other)?;
        Ok(Open::new(connection, &self.method, reply, started))
    }
}

impl IntoFuture for Call {
    type Output = Answer;
    type IntoFuture = Pin<Box<dyn Future<Output = Answer> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.open().await.collect().await })
    }
}
