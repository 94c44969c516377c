//! faults C13: who is trusted, and how a refusal is told.

use crate::support::certificates::{Authority, Certificate};
use crate::support::servers::{Server, https};
use crate::support::{call, client, client_with, full, get, get_text, text};
use http::{Response, Version};
use rimward_upstream::{Client, Error, Identity, Roots, Upstream, UpstreamConfig};
use rustls::ServerConfig;
use std::sync::Arc;

/// An authority, a certificate of it, and clients that trust it.
pub(crate) struct Trusting {
    authority: Authority,
    certificate: Certificate,
}

pub(crate) fn trusting(name: &str) -> Trusting {
    let authority = Authority::new();
    let certificate = authority.issue(name);
    Trusting { authority, certificate }
}

impl Trusting {
    pub(crate) fn server(&self, protocols: &[&str]) -> Arc<ServerConfig> {
        self.certificate.server(None, protocols)
    }

    /// A client whose roots are this authority.
    pub(crate) fn client(&self) -> Client {
        let roots = Roots::none().with_pem(self.authority.pem.as_bytes()).unwrap();
        client_with(|config| config.roots = roots)
    }

    /// An upstream that brings this authority with it.
    pub(crate) fn upstream(&self, server: &Server) -> Upstream {
        self.upstream_as(server, None)
    }

    fn upstream_as(&self, server: &Server, identity: Option<Identity>) -> Upstream {
        let ca_pem = Some(self.authority.pem.clone().into_bytes());
        Upstream::new(UpstreamConfig { ca_pem, identity, ..config(server, "localhost") }, &Roots::none())
            .unwrap()
    }
}

fn config(server: &Server, name: &str) -> UpstreamConfig {
    let port = server.address.port();
    UpstreamConfig {
        allowed: vec![server.address.into()],
        ..UpstreamConfig::new(format!("https://{name}:{port}"))
    }
}

/// An upstream that trusts whom its client trusts.
pub(crate) fn secure_upstream(server: &Server, name: &str) -> Upstream {
    Upstream::new(config(server, name), &Roots::none()).unwrap()
}

async fn answering(tls: Arc<ServerConfig>) -> Server {
    https(tls, |request| async move { Response::new(full(format!("{:?}", request.version()))) }).await
}

#[tokio::test]
async fn http2_is_spoken_where_it_is_offered() {
    let trusting = trusting("localhost");
    for (protocols, version) in [
        (&["h2", "http/1.1"][..], Version::HTTP_2),
        (&["http/1.1"], Version::HTTP_11),
        (&[], Version::HTTP_11),
    ] {
        let server = answering(trusting.server(protocols)).await;
        let response = call(
            &trusting.client(),
            &secure_upstream(&server, "localhost"),
            get("http://it.upstream.internal/"),
        )
        .await;
        assert_eq!(text(response.unwrap()).await.unwrap(), format!("{version:?}"));
    }
}

#[tokio::test]
async fn an_upstreams_own_authority_is_trusted_for_it() {
    let trusting = trusting("localhost");
    let server = answering(trusting.server(&["h2"])).await;
    assert_eq!(get_text(&client(), &trusting.upstream(&server)).await.unwrap(), "HTTP/2.0");
}

#[tokio::test]
async fn a_certificate_that_is_not_acceptable_is_told_apart() {
    let authority = Authority::new();
    let roots = Roots::none().with_pem(authority.pem.as_bytes()).unwrap();
    let client = client_with(|config| config.roots = roots);
    for (what, certificate) in [
        ("expired", authority.issue_until("localhost", 2001)),
        ("wrong name", authority.issue("other.example")),
        ("untrusted", Authority::new().issue("localhost")),
    ] {
        let server = answering(certificate.server(None, &["h2"])).await;
        let failed = get_text(&client, &secure_upstream(&server, "localhost")).await;
        assert!(matches!(failed, Err(Error::TlsCertificate(_))), "{what}: {failed:?}");
    }
}

#[tokio::test]
async fn a_demanded_client_certificate_is_shown_where_there_is_one() {
    let trusting = trusting("localhost");
    let clients = Authority::new();
    for protocols in [&["h2"][..], &["http/1.1"]] {
        let server = answering(trusting.certificate.server(Some(&clients), protocols)).await;
        let identity = clients.issue("our node").identity();
        assert!(get_text(&client(), &trusting.upstream_as(&server, Some(identity))).await.is_ok());
        for (what, identity) in
            [("none", None), ("a stranger's", Some(Authority::new().issue("stranger").identity()))]
        {
            let failed = get_text(&client(), &trusting.upstream_as(&server, identity)).await;
            assert!(matches!(failed, Err(Error::TlsAlert(_))), "{what} {protocols:?}: {failed:?}");
        }
    }
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_is_a_protocol_error() {
    let server = crate::support::servers::raw(|mut stream, _| async move {
        crate::support::servers::say(&mut stream, "HTTP/1.1 400 Bad Request\r\n\r\n").await;
    })
    .await;
    let failed = get_text(&client(), &secure_upstream(&server, "localhost")).await;
    assert!(matches!(failed, Err(Error::TlsProtocol(_))), "{failed:?}");
}
