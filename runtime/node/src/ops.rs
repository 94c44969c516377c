//! Metrics and health, on a listener of their own: `/metrics` (OpenMetrics), `/livez` (the process answers), `/readyz` (it
//! takes requests). Bounded in connections and time; nothing here needs a permit, so it answers when the node is full.

use crate::descriptors::Spare;
use crate::limits::{HEAD_TIME, HEADERS_MAX};
use crate::node::Shared;
use crate::status::NodeState;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Connections to the ops listener at once: a scraper and a few people.
const CONNECTIONS: usize = 32;

/// How long one of them may last.
const CONNECTION_TIME: Duration = Duration::from_secs(60);

const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// Serves until the node is gone. It goes on while the node drains, so that `/readyz` can say so.
pub(crate) async fn serve(node: Arc<Shared>, listener: TcpListener) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let mut spare = Spare::default();
    loop {
        let permit = room.clone().acquire_owned().await.map_err(io::Error::other)?;
        let stream = match spare.accept(|| listener.accept()).await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection to the ops listener could not be accepted");
                tokio::time::sleep(crate::limits::ACCEPT_PAUSE).await;
                continue;
            }
        };
        let node = node.clone();
        tokio::spawn(async move {
            let _permit = permit;
            let service = service_fn(|request| {
                let reply = reply(&node, &request);
                async move { Ok::<_, Infallible>(reply) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_TIME)
                .max_headers(HEADERS_MAX)
                .serve_connection(TokioIo::new(stream), service);
            match tokio::time::timeout(CONNECTION_TIME, connection).await {
                Ok(Ok(())) | Err(_) => {}
                Ok(Err(error)) => tracing::debug!(%error, "a connection to the ops listener ended early"),
            }
        });
    }
}

fn reply(node: &Shared, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return text(StatusCode::METHOD_NOT_ALLOWED, TEXT, "only GET is answered here\n".to_owned());
    }
    match request.uri().path() {
        "/metrics" => text(StatusCode::OK, OPEN_METRICS, node.metrics_text()),
        "/livez" => text(StatusCode::OK, TEXT, "alive\n".to_owned()),
        "/readyz" => match node.state() {
            NodeState::Serving if !node.is_loaded() => {
                text(StatusCode::SERVICE_UNAVAILABLE, TEXT, "loading apps\n".to_owned())
            }
            NodeState::Serving => text(StatusCode::OK, TEXT, "ready\n".to_owned()),
            NodeState::Draining => text(StatusCode::SERVICE_UNAVAILABLE, TEXT, "draining\n".to_owned()),
        },
        _ => text(StatusCode::NOT_FOUND, TEXT, "here are /metrics, /livez and /readyz\n".to_owned()),
    }
}

fn text(status: StatusCode, kind: HeaderValue, text: String) -> Response<Full<Bytes>> {
    let mut reply = Response::new(Full::new(Bytes::from(text)));
    *reply.status_mut() = status;
    reply.headers_mut().insert(CONTENT_TYPE, kind);
    reply
}
