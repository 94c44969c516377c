//! How a test says what the guest `call` is to do.

use rimward_tests::{App, Authority, Call, Certified, TestNode, app};
use rustls::server::WebPkiClientVerifier;
use rustls::{ServerConfig, crypto::ring};
use std::sync::Arc;

/// An app whose function makes the calls that a request asks for.
pub(crate) fn caller() -> App {
    app("call")
}

/// Has the function call `url`.
pub(crate) fn call(node: &TestNode, url: &str) -> Call {
    node.get("/").header("x-to", url)
}

/// An origin of loopback where nobody listens.
pub(crate) fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    format!("http://{}", listener.local_addr().expect("it is bound"))
}

/// A server that shows `certified` and asks clients for a certificate of `authority`.
pub(crate) fn asks_for_a_certificate(authority: &Authority, certified: &Certified) -> Arc<ServerConfig> {
    let provider = Arc::new(ring::default_provider());
    let roots = Arc::new(authority.roots());
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider.clone()).build();
    let (chain, key) = certified.parts();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has the default versions")
        .with_client_cert_verifier(verifier.expect("there is a root"))
        .with_single_cert(chain, key)
        .expect("key and certificate were made for each other");
    Arc::new(config)
}
