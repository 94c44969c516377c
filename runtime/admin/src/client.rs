//! The other end of the socket, for programs on the same machine. One connection for each call: calls are rare.

use crate::limits::{COMPARE_TIME, DRAIN_MAX, RELOAD_TIME, REPLY_BYTES, REPLY_TIME};
use crate::resource::{
    Comparison, DeferredCall, DeferredCalls, Done, Drain, Faults, ForcedBreaker, Functions, Models,
    NewFaults, Outboxes, Problem, Reload, Restart, Status, Upstream, Upstreams,
};
use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::net::UnixStream;

/// Talks to a running node.
#[derive(Debug, Clone)]
pub struct Client {
    socket: PathBuf,
}

/// Why a call did not succeed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody answers there.
    #[error("no node answers on `{}`{}", socket.display(), remedy(source))]
    Connect {
        /// The socket.
        socket: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The connection failed.
    #[error("the connection to the node failed")]
    Http(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The node took too long.
    #[error("the node did not answer within {} s", .0.as_secs())]
    Timeout(Duration),
    /// The node refused.
    #[error("the node refused: {} ({}){}", .0.title, .0.code, detail(.0))]
    Refused(Problem),
    /// The reply is of another version.
    #[error("the node's reply is not understood: is it of another version?")]
    Reply(#[source] serde_json::Error),
}

fn detail(problem: &Problem) -> String {
    problem.detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default()
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            ": is it running? `--socket PATH` names another socket, `admin.socket` in node.toml moves it"
        }
        io::ErrorKind::PermissionDenied => ": only the node's own user and root may ask it",
        _ => "",
    }
}

impl Client {
    /// A client of the node behind `socket`. Connects at each call.
    pub fn new(socket: impl Into<PathBuf>) -> Self {
        Self { socket: socket.into() }
    }

    /// Where it connects.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// What the node is doing.
    pub async fn status(&self) -> Result<Status, ClientError> {
        self.call(Method::GET, "/v1/status", REPLY_TIME).await
    }

    /// The node's functions.
    pub async fn functions(&self) -> Result<Functions, ClientError> {
        self.call(Method::GET, "/v1/functions", REPLY_TIME).await
    }

    /// Drains the node; open requests have `within`.
    pub async fn drain(&self, within: Duration) -> Result<Drain, ClientError> {
        let path = format!("/v1/drain?within-s={}", within.as_secs());
        self.call(Method::POST, &path, DRAIN_MAX + REPLY_TIME).await
    }

    /// Has the node read its settings again.
    pub async fn reload(&self) -> Result<Reload, ClientError> {
        self.call(Method::POST, "/v1/reload", RELOAD_TIME).await
    }

    /// Has the node restart in place. Returns when it has agreed.
    pub async fn restart(&self) -> Result<Restart, ClientError> {
        self.call(Method::POST, "/v1/restart", RELOAD_TIME).await
    }

    /// The upstreams of the apps that serve.
    pub async fn upstreams(&self) -> Result<Upstreams, ClientError> {
        self.call(Method::GET, "/v1/upstreams", REPLY_TIME).await
    }

    /// The faults that calls to upstreams meet.
    pub async fn faults(&self) -> Result<Faults, ClientError> {
        self.call(Method::GET, "/v1/faults", REPLY_TIME).await
    }

    /// Has calls to upstreams meet these faults and no others.
    pub async fn set_faults(&self, faults: &NewFaults) -> Result<Faults, ClientError> {
        let body = serde_json::to_string(faults).map_err(ClientError::Reply)?;
        self.call_with(Method::PUT, "/v1/faults", body, REPLY_TIME).await
    }

    /// Forces the breaker of the upstream `id` (tenant, app and name), or lets it decide again.
    pub async fn force(&self, id: &str, forced: Option<ForcedBreaker>) -> Result<Upstream, ClientError> {
        let body = serde_json::json!({ "forced": forced }).to_string();
        self.call_with(Method::PUT, &format!("/v1/upstreams/{id}/breaker"), body, REPLY_TIME).await
    }

    /// The models of the apps that serve.
    pub async fn models(&self) -> Result<Models, ClientError> {
        self.call(Method::GET, "/v1/models", REPLY_TIME).await
    }

    /// Has each side of the model `id` (tenant, app and name) answer so many calls.
    pub async fn compare(&self, id: &str, calls: u32) -> Result<Comparison, ClientError> {
        self.call(Method::POST, &format!("/v1/models/{id}/compare?calls={calls}"), COMPARE_TIME).await
    }

    /// The outboxes of the node.
    pub async fn outboxes(&self) -> Result<Outboxes, ClientError> {
        self.call(Method::GET, "/v1/outboxes", REPLY_TIME).await
    }

    /// Waiting or dead calls of the outbox `id`, those that were accepted after `after`.
    pub async fn deferred_calls(
        &self,
        id: &str,
        is_dead: bool,
        after: Option<&str>,
        most: usize,
    ) -> Result<DeferredCalls, ClientError> {
        let after = after.map(|after| format!("&after={after}")).unwrap_or_default();
        let path = format!("/v1/outboxes/{id}/calls?dead={is_dead}&most={most}{after}");
        self.call(Method::GET, &path, REPLY_TIME).await
    }

    /// One call of the outbox `id`.
    pub async fn deferred_call(&self, id: &str, call: &str) -> Result<DeferredCall, ClientError> {
        self.call(Method::GET, &format!("/v1/outboxes/{id}/calls/{call}"), REPLY_TIME).await
    }

    /// Has it delivered once more, or now.
    pub async fn retry(&self, id: &str, call: &str) -> Result<Done, ClientError> {
        self.call(Method::POST, &format!("/v1/outboxes/{id}/calls/{call}/retry"), REPLY_TIME).await
    }

    /// Forgets it.
    pub async fn discard(&self, id: &str, call: &str) -> Result<Done, ClientError> {
        self.call(Method::DELETE, &format!("/v1/outboxes/{id}/calls/{call}"), REPLY_TIME).await
    }

    /// Has the node look for the upstream of the outbox `id` at once.
    pub async fn drain_outbox(&self, id: &str) -> Result<Done, ClientError> {
        self.call(Method::POST, &format!("/v1/outboxes/{id}/drain"), REPLY_TIME).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        time: Duration,
    ) -> Result<T, ClientError> {
        self.call_with(method, path, String::new(), time).await
    }

    /// `path` is made of names that the node has told, or of what a person has typed.
    async fn call_with<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: String,
        time: Duration,
    ) -> Result<T, ClientError> {
        let calling = self.exchange(method, path, body);
        let (status, body) =
            tokio::time::timeout(time, calling).await.map_err(|_| ClientError::Timeout(time))??;
        match status.is_success() {
            true => serde_json::from_slice(&body).map_err(ClientError::Reply),
            false => Err(ClientError::Refused(serde_json::from_slice(&body).map_err(ClientError::Reply)?)),
        }
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: String,
    ) -> Result<(http::StatusCode, Bytes), ClientError> {
        let connect = |source| ClientError::Connect { socket: self.socket.clone(), source };
        let stream = UnixStream::connect(&self.socket).await.map_err(connect)?;
        let http = |error: hyper::Error| ClientError::Http(error.into());
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(http)?;
        let mut request = Request::builder().method(method).uri(path).header(http::header::HOST, "node");
        if !body.is_empty() {
            request = request.header(http::header::CONTENT_TYPE, "application/json");
        }
        let request =
            request.body(Full::new(Bytes::from(body))).map_err(|error| ClientError::Http(error.into()))?;
        let exchanging = async {
            let reply = sender.send_request(request).await.map_err(http)?;
            let status = reply.status();
            let body =
                Limited::new(reply.into_body(), REPLY_BYTES).collect().await.map_err(ClientError::Http)?;
            Ok((status, body.to_bytes()))
        };
        // The connection is driven here and ends with the exchange.
        tokio::pin!(exchanging);
        tokio::select! {
            biased;
            done = &mut exchanging => done,
            ended = connection => {
                ended.map_err(http)?;
                exchanging.await
            }
        }
    }
}
