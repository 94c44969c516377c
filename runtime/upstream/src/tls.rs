//! TLS towards services: trust roots, client certificates, the settings of a session.
//!
//! Roots are loaded once by the node and shared; settings are made once per client and per upstream with an identity or
//! roots of its own, and each has its own session cache, so that no session crosses a tenant. Failures are found
//! when a client or an upstream is made, not when it is used.

use crate::Secret;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;

/// Certificate authorities that servers are checked against. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Roots(Arc<RootCertStore>);

/// Why TLS settings cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The PEM text has no certificate or a damaged one.
    #[error("reading certificates from PEM")]
    Certificates(#[source] rustls::pki_types::pem::Error),
    /// The PEM text has no private key or a damaged one.
    #[error("reading a private key from PEM")]
    Key(#[source] rustls::pki_types::pem::Error),
    /// A certificate cannot be a trust root.
    #[error("adding a trust root")]
    Root(#[source] rustls::Error),
    /// Certificate and key do not go together.
    #[error("using a client certificate")]
    Identity(#[source] rustls::Error),
    /// The cryptography provider has none of TLS's versions.
    #[error("choosing TLS versions")]
    Versions(#[source] rustls::Error),
}

impl Roots {
    /// The operating system's roots. Damaged ones are skipped; a system without any trusts nobody, and both are logged.
    #[must_use]
    pub fn system() -> Self {
        let loaded = rustls_native_certs::load_native_certs();
        for error in &loaded.errors {
            tracing::warn!(%error, "a trust root of the system is unreadable");
        }
        let mut roots = RootCertStore::empty();
        let (added, _) = roots.add_parsable_certificates(loaded.certs);
        if added == 0 {
            tracing::warn!("the system has no trust roots; every https call needs its own `ca`");
        }
        Self(Arc::new(roots))
    }

    /// No root at all: only upstreams with their own authority can be called over TLS.
    #[must_use]
    pub fn none() -> Self {
        Self(Arc::new(RootCertStore::empty()))
    }

    /// These roots and the certificates of a PEM text, at least one.
    ///
    /// # Errors
    /// [`TlsError::Certificates`] and [`TlsError::Root`].
    pub fn with_pem(&self, pem: &[u8]) -> Result<Self, TlsError> {
        let mut roots = RootCertStore::clone(&self.0);
        for certificate in certificates(pem)? {
            roots.add(certificate).map_err(TlsError::Root)?;
        }
        Ok(Self(Arc::new(roots)))
    }
}

/// A client certificate: its chain and its key, both PEM.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The certificate, then those that lead to its root.
    pub certificates_pem: Vec<u8>,
    /// The private key of the first certificate.
    pub key_pem: Secret,
}

/// Settings that check servers against `roots`, show `identity` if asked, and offer HTTP/2 and HTTP/1.1.
pub(crate) fn settings(roots: &Roots, identity: Option<&Identity>) -> Result<Arc<ClientConfig>, TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(TlsError::Versions)?
        .with_root_certificates(roots.0.clone());
    let mut settings = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => builder
            .with_client_auth_cert(certificates(&identity.certificates_pem)?, key(&identity.key_pem)?)
            .map_err(TlsError::Identity)?,
    };
    settings.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(settings))
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found: Vec<_> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(TlsError::Certificates)?;
    if found.is_empty() {
        return Err(TlsError::Certificates(rustls::pki_types::pem::Error::NoItemsFound));
    }
    Ok(found)
}

fn key(pem: &Secret) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(pem.expose().as_bytes()).map_err(TlsError::Key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_without_a_certificate_is_no_root() {
        assert!(matches!(Roots::none().with_pem(b"not a certificate"), Err(TlsError::Certificates(_))));
    }

    #[test]
    fn an_identity_needs_its_own_key() {
        let one = rcgen::generate_simple_self_signed(["a".to_owned()]).unwrap();
        let other = rcgen::generate_simple_self_signed(["b".to_owned()]).unwrap();
        let identity = |key_pem: String| Identity {
            certificates_pem: one.cert.pem().into_bytes(),
            key_pem: Secret::new(key_pem),
        };
        assert!(settings(&Roots::none(), Some(&identity(one.signing_key.serialize_pem()))).is_ok());
        let wrong = settings(&Roots::none(), Some(&identity(other.signing_key.serialize_pem())));
        assert!(matches!(wrong, Err(TlsError::Identity(_))));
        let missing = settings(&Roots::none(), Some(&identity(String::new())));
        assert!(matches!(missing, Err(TlsError::Key(_))));
    }
}
