//! The server of a stand-in: requests with their whole bodies, one answer each.

use crate::limits::MOCK_BODY_BYTES_MAX;
use anyhow::{Context, Result};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::net::TcpListener;

/// Answers requests.
pub(super) trait Answers: Send + Sync + 'static {
    /// The answer to one.
    fn answer(&self, request: Request<Bytes>) -> impl Future<Output = Response<Bytes>> + Send;
}

/// Serves on a free port of loopback until the process ends.
pub(super) async fn start(answers: impl Answers) -> Result<SocketAddr> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("a stand-in cannot listen")?;
    let address = listener.local_addr()?;
    let answers = Arc::new(answers);
    tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = listener.accept().await else { continue };
            let answers = answers.clone();
            let service = service_fn(move |request| whole(answers.clone(), request));
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service);
            // The node on the other side says what went wrong.
            tokio::spawn(async move { connection.await.unwrap_or_default() });
        }
    });
    Ok(address)
}

async fn whole(
    answers: Arc<impl Answers>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let answer = match Limited::new(body, MOCK_BODY_BYTES_MAX).collect().await {
        Ok(body) => answers.answer(Request::from_parts(head, body.to_bytes())).await,
        Err(error) => {
            plain(StatusCode::BAD_REQUEST, format!("the stand-in could not read the request: {error}\n"))
        }
    };
    Ok(answer.map(Full::new))
}

/// A reply of the stand-in's own.
pub(super) fn plain(status: StatusCode, text: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(text));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
