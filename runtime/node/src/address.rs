//! Where a node listens, with every port resolved.

use serde::Serialize;
use std::net::SocketAddr;

/// Where a node listens.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Addresses {
    /// Requests in cleartext.
    pub http: Vec<SocketAddr>,
    /// Requests over TLS.
    pub https: Vec<SocketAddr>,
    /// Models for other machines, in cleartext.
    pub models: Vec<SocketAddr>,
    /// Models for other machines, over TLS.
    pub models_tls: Vec<SocketAddr>,
    /// Metrics and health.
    pub ops: Option<SocketAddr>,
}

impl Addresses {
    /// All of them: none is ever an upstream.
    pub(crate) fn all(&self) -> Vec<SocketAddr> {
        let models = self.models.iter().chain(&self.models_tls);
        self.http.iter().chain(&self.https).chain(models).chain(&self.ops).copied().collect()
    }
}
