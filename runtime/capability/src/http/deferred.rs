//! Calls that a function defers: each is written to the outbox of its upstream and answered with the place of its status,
//! which the function may read, or take back, at `http://outbox.internal/<id>`.
//!
//! A function sees the calls to upstreams that it was granted and no others: an id that is not among them does not exist.

use super::errors::{from_upstream, to_upstream};
use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use rimward_upstream::Upstream;
use rimward_upstream::outbox::{self, DraftError, Outbox, PushError, Trouble};
use std::collections::BTreeMap;
use wasmtime_wasi_http::{Error, WasiBody};

/// Where the status of a deferred call is.
pub(super) const OUTBOX_HOST: &str = "outbox.internal";
/// RFC 7240, section 3.
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// How calls to one upstream are deferred.
#[derive(Debug, Clone)]
pub struct Deferral {
    /// Where they wait.
    pub outbox: Outbox,
    /// Whether all of them are, or those that ask for it.
    pub is_always: bool,
}

/// Why a call was not accepted.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    /// It is malformed.
    #[error(transparent)]
    Draft(#[from] DraftError),
    /// There is no room, or the disk failed.
    #[error(transparent)]
    Push(#[from] PushError),
}

impl Deferral {
    /// Whether this call is deferred.
    pub(super) fn takes<B>(&self, request: &Request<B>) -> bool {
        self.is_always || outbox::is_deferred(request.headers())
    }

    /// Writes the call down. When this returns, it is on disk.
    pub(super) async fn accept(
        &self,
        request: Request<WasiBody>,
        upstream: &Upstream,
    ) -> Result<Response<WasiBody>, Refused> {
        let (mut parts, body) = request.into_parts();
        parts.uri = upstream.relative(&parts.uri);
        let draft = outbox::draft(&parts)?;
        let pushed = self.outbox.push(draft, body.map_err(to_upstream).boxed_unsync()).await?;
        let mut response = reply(StatusCode::ACCEPTED, Bytes::new());
        let location = format!("http://{OUTBOX_HOST}/{}", pushed.id);
        let location = HeaderValue::try_from(location).expect("an id is digits and a dash");
        response.headers_mut().insert(LOCATION, location);
        response.headers_mut().insert(PREFERENCE_APPLIED, HeaderValue::from_static("respond-async"));
        Ok(response)
    }
}

impl Refused {
    /// What the guest reads: its own mistakes and the bounds by their case, the rest as a text.
    pub(super) fn into_code(self) -> Error {
        match self {
            Self::Draft(DraftError::Path) => Error::HttpRequestUriTooLong,
            Self::Draft(DraftError::Headers) => Error::HttpRequestHeaderSectionSize(None),
            Self::Draft(DraftError::Key(name)) => {
                Error::HttpRequestHeaderSize { field_name: Some(name.to_owned()), field_size: None }
            }
            Self::Push(PushError::TooLarge { bytes_max }) => Error::HttpRequestBodySize(Some(bytes_max)),
            Self::Push(PushError::Body(error)) => from_upstream(error),
            // Why the disk failed is the operator's to know.
            Self::Push(error) => Error::InternalError(Some(error.to_string())),
        }
    }
}

/// Answers a request to the status of a deferred call.
pub(super) async fn status(
    outboxes: &BTreeMap<String, Deferral>,
    method: &Method,
    path: &str,
) -> Result<Response<WasiBody>, Trouble> {
    let Some(id) = outbox::id_in(path) else { return Ok(reply(StatusCode::NOT_FOUND, Bytes::new())) };
    for Deferral { outbox, .. } in outboxes.values() {
        let found = match *method {
            Method::GET | Method::HEAD => outbox.status(id).await?.map(|status| {
                let mut response = reply(StatusCode::OK, json(&status));
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                response
            }),
            Method::DELETE => outbox.discard(id).await?.then(|| reply(StatusCode::NO_CONTENT, Bytes::new())),
            _ => {
                let mut response = reply(StatusCode::METHOD_NOT_ALLOWED, Bytes::new());
                response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD, DELETE"));
                Some(response)
            }
        };
        if let Some(response) = found {
            return Ok(response);
        }
    }
    Ok(reply(StatusCode::NOT_FOUND, Bytes::new()))
}

fn json(status: &outbox::Status) -> Bytes {
    serde_json::to_vec(status).expect("a status has only texts as keys").into()
}

fn reply(status: StatusCode, body: Bytes) -> Response<WasiBody> {
    let body = Full::new(body).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
