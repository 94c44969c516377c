//! TLS for clients: rustls with ring, HTTP/2 and HTTP/1.1 by ALPN, a certificate for each name (SNI), read again when its
//! files change. A certificate that cannot be read stays as it was, and the log says so.

use crate::limits::CERTIFICATE_POLL;
use arc_swap::ArcSwap;
use rimward_manifest::Certificate;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, ResolvesServerCertUsingSni};
use rustls::sign::CertifiedKey;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read as PEM.
    #[error("cannot read `{}`", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    /// Certificate and key do not fit each other, or the key is of an unknown kind.
    #[error("`{}` and its key cannot be used together", path.display())]
    Pair {
        /// The certificate's file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: rustls::Error,
    },
    /// rustls refused its configuration.
    #[error("TLS cannot be configured")]
    Config(#[source] rustls::Error),
}

/// Whether the certificates that a file names can be used.
pub fn check_certificates(file: &rimward_manifest::NodeFile) -> Result<(), TlsError> {
    file.tls.as_ref().map_or(Ok(()), |tls| Chosen::read(tls.certificates.clone()).map(drop))
}

/// The certificates of a node.
pub(crate) struct Certificates {
    current: ArcSwap<Chosen>,
}

pub(crate) struct Chosen {
    files: Vec<Certificate>,
    by_name: ResolvesServerCertUsingSni,
    first: Arc<CertifiedKey>,
    changed: Vec<Option<SystemTime>>,
}

impl Certificates {
    pub(crate) fn read(files: Vec<Certificate>) -> Result<Arc<Self>, TlsError> {
        Ok(Arc::new(Self { current: ArcSwap::from_pointee(Chosen::read(files)?) }))
    }

    /// Shows these from now on.
    pub(crate) fn replace(&self, chosen: Chosen) {
        self.current.store(Arc::new(chosen));
    }

    pub(crate) fn server_config(self: &Arc<Self>) -> Result<Arc<ServerConfig>, TlsError> {
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(TlsError::Config)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Resolver(self.clone())));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    /// Looks at the files now and then, for as long as it is polled.
    pub(crate) async fn reload(self: Arc<Self>) {
        let mut tried = self.current.load().changed.clone();
        loop {
            tokio::time::sleep(CERTIFICATE_POLL).await;
            let files = self.current.load().files.clone();
            let changed = changed(&files);
            if changed == tried {
                continue;
            }
            match Chosen::read(files) {
                Ok(chosen) => {
                    self.current.store(Arc::new(chosen));
                    tracing::info!("TLS certificates were read again");
                }
                Err(error) => {
                    let error = crate::answer::chain(&error);
                    tracing::error!(error, "TLS certificates changed and cannot be used; the old ones stay");
                }
            }
            tried = changed;
        }
    }
}

impl Chosen {
    pub(crate) fn read(files: Vec<Certificate>) -> Result<Self, TlsError> {
        let changed = changed(&files);
        let mut by_name = ResolvesServerCertUsingSni::new();
        let mut first = None;
        for file in &files {
            let key = Arc::new(certified(file)?);
            for name in names(&key) {
                // A name that is on several certificates belongs to the first; a name that is no DNS name is left out.
                let _ = by_name.add(&name, CertifiedKey::clone(&key));
            }
            first.get_or_insert(key);
        }
        let first = first.expect("the manifest asks for at least one certificate");
        Ok(Self { files, by_name, first, changed })
    }
}

fn changed(files: &[Certificate]) -> Vec<Option<SystemTime>> {
    let when = |path: &PathBuf| std::fs::metadata(path).and_then(|about| about.modified()).ok();
    files.iter().flat_map(|file| [when(&file.cert), when(&file.key)]).collect()
}

fn certified(file: &Certificate) -> Result<CertifiedKey, TlsError> {
    let pem = |path: &PathBuf| {
        let path = path.clone();
        move |source| TlsError::File { path, source }
    };
    let chain = CertificateDer::pem_file_iter(&file.cert)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(pem(&file.cert))?;
    let key = PrivateKeyDer::from_pem_file(&file.key).map_err(pem(&file.key))?;
    CertifiedKey::from_der(chain, key, &ring::default_provider())
        .map_err(|source| TlsError::Pair { path: file.cert.clone(), source })
}

/// The DNS names that a certificate is for.
fn names(key: &CertifiedKey) -> Vec<String> {
    let Some(leaf) = key.cert.first() else { return Vec::new() };
    let Ok(leaf) = webpki::EndEntityCert::try_from(leaf) else { return Vec::new() };
    leaf.valid_dns_names().map(str::to_owned).collect()
}

#[derive(Debug)]
struct Resolver(Arc<Certificates>);

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let chosen = self.0.current.load();
        chosen.by_name.resolve(hello).or_else(|| Some(chosen.first.clone()))
    }
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificates").field("files", &self.current.load().files).finish_non_exhaustive()
    }
}
