//! What proves to an upstream who calls, made by the node for each try: the function never sees it, and cannot replace it.
//!
//! Fixed texts are plain headers of the upstream, and certificates belong to TLS; here is what has to be fetched or computed.
//! It comes after everything else has changed the request, because a signature covers it, and before the breaker is asked,
//! because a missing token says nothing about the upstream.

pub mod aws;
pub mod oauth;

use crate::address::Allowed;
use crate::deadline::Time;
use crate::transport::Transport;
use crate::upstream::UpstreamError;
use crate::{Body, Error, Roots, Upstream};
use aws::Signer;
use http::{Request, Response, StatusCode};
use oauth::Tokens;
use tokio::time::{Instant, timeout_at};

/// How the node proves who calls.
#[derive(Clone, Debug)]
pub enum Config {
    /// A bearer token of an authorization server (RFC 6749, section 4.4).
    OAuth(oauth::Config),
    /// A signature of each request with keys of AWS (Signature Version 4).
    Aws(aws::Config),
}

/// See the file's head.
#[derive(Debug)]
pub(crate) enum Auth {
    OAuth(Box<Tokens>),
    Aws(Box<Signer>),
}

impl Auth {
    pub(crate) fn new(config: Config, roots: &Roots, allowed: &[Allowed]) -> Result<Self, UpstreamError> {
        Ok(match config {
            Config::OAuth(config) => {
                let tokens = Tokens::new(config, roots, allowed);
                Self::OAuth(Box::new(tokens.map_err(|error| UpstreamError::Token(Box::new(error)))?))
            }
            Config::Aws(config) => Self::Aws(Box::new(Signer::new(config))),
        })
    }

    /// The request with its proof, within the caller's time.
    pub(crate) async fn authorize<T: Transport>(
        &self,
        transport: &T,
        upstream: &Upstream,
        endpoint: usize,
        request: Request<Body>,
        time: Time,
    ) -> Result<Request<Body>, Error> {
        let authorized = async {
            match self {
                Self::OAuth(tokens) => tokens.authorize(transport, upstream.state(), request).await,
                Self::Aws(signer) => signer.authorize(upstream, endpoint, request).await,
            }
        };
        timeout_at(time.head_by(), authorized).await.unwrap_or(Err(Error::Deadline))
    }

    /// Whether the answer to a try that began at `start` says that the proof was not good, and another one may be.
    pub(crate) fn is_refused(&self, response: &Response<Body>, start: Instant) -> bool {
        match (self, response.status()) {
            (Self::OAuth(tokens), StatusCode::UNAUTHORIZED) => tokens.forget(start),
            (Self::Aws(signer), StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST) => {
                signer.learn_skew(response.headers())
            }
            _ => false,
        }
    }
}
