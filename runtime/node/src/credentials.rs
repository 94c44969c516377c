//! What calls to upstreams carry to prove who calls: secrets in headers, certificates, keys. Filled in when an app is
//! installed, and again whenever a file that it comes from has changed, so that tokens and certificates which somebody
//! rotates need no reload. Calls under way are not disturbed; what cannot be used is told, and the old one stays.

use crate::limits::CREDENTIALS_LOOKED_AT;
use crate::secrets;
use crate::upstreams::UpstreamId;
use rimward_manifest::{AppPath, ClientAuth, FileAt, Name, Secret as Source, Upstream as Declared};
use rimward_upstream::auth::{self, aws, oauth};
use rimward_upstream::{Identity, Roots, Secret, Upstream, UpstreamConfig};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Contents of files.
pub(crate) type Files<P> = BTreeMap<P, Vec<u8>>;

/// Fills in what `declared` says of credentials.
///
/// # Errors
/// A secret that `secrets` does not have.
pub(crate) fn put(
    config: &mut UpstreamConfig,
    declared: &Declared,
    secrets: &BTreeMap<Name, String>,
    of_app: &Files<AppPath>,
    of_node: &Files<PathBuf>,
) -> Result<(), Name> {
    let secret =
        |name: &Name| secrets.get(name).map(|value| Secret::new(&**value)).ok_or_else(|| name.clone());
    let file = |file: &FileAt| match file {
        FileAt::App(path) => of_app[path].clone(),
        FileAt::Node(path) => of_node[path].clone(),
    };
    config.headers.clear();
    for (key, template) in &declared.headers {
        let value = template.fill(|secret| secrets.get(secret).map(String::as_str)).map_err(Name::clone)?;
        config.headers.push((key.as_str().to_owned(), Secret::new(value)));
    }
    config.ca_pem = declared.ca.as_ref().map(file);
    if let Some(certificate) = &declared.client_certificate {
        let key_pem = secret(&certificate.key)?;
        config.identity = Some(Identity { certificates_pem: file(&certificate.cert), key_pem });
    }
    let Some(auth) = &declared.auth else { return Ok(()) };
    if let Some(declared) = &auth.oauth {
        config.auth = Some(auth::Config::OAuth(oauth::Config {
            token_url: declared.token_url.get().to_string(),
            client_id: declared.client_id.clone(),
            client_secret: secret(&declared.client_secret)?,
            scope: declared.scope.clone().unwrap_or_default(),
            audience: declared.audience.clone(),
            style: match declared.client_auth {
                Some(ClientAuth::Post) => oauth::Style::Post,
                Some(ClientAuth::Basic) | None => oauth::Style::Basic,
            },
            ca_pem: config.ca_pem.clone(),
        }));
    }
    if let Some(declared) = &auth.aws {
        config.auth = Some(auth::Config::Aws(aws::Config {
            region: declared.region.clone(),
            service: declared.service.clone(),
            access_key: secret(&declared.access_key)?,
            secret_key: secret(&declared.secret_key)?,
            session_token: declared.session_token.as_ref().map(secret).transpose()?,
        }));
    }
    Ok(())
}

/// Reads the files of the node that `declared` names.
pub(crate) fn node_files(declared: &Declared) -> Result<Files<PathBuf>, (PathBuf, std::io::Error)> {
    let cert = declared.client_certificate.as_ref().map(|certificate| &certificate.cert);
    let paths = declared.ca.iter().chain(cert).filter_map(|file| match file {
        FileAt::Node(path) => Some(path),
        FileAt::App(_) => None,
    });
    let read = |path: &PathBuf| match std::fs::read(path) {
        Ok(content) => Ok((path.clone(), content)),
        Err(error) => Err((path.clone(), error)),
    };
    paths.map(read).collect()
}

/// An upstream whose credentials come from files, and what they are now.
pub(crate) struct Followed {
    pub(crate) id: UpstreamId,
    pub(crate) upstream: Weak<Upstream>,
    pub(crate) declared: Declared,
    /// As it was made, with the credentials of that time.
    pub(crate) config: UpstreamConfig,
    pub(crate) roots: Roots,
    /// Where the secrets that it carries come from.
    pub(crate) sources: BTreeMap<Name, Source>,
    pub(crate) secrets: BTreeMap<Name, String>,
    pub(crate) of_app: Files<AppPath>,
    pub(crate) of_node: Files<PathBuf>,
    /// What was wrong when it was last looked at.
    pub(crate) problem: Option<String>,
}

impl std::fmt::Debug for Followed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Followed").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Followed {
    /// Whether any of it comes from a file, so that there is something to look at.
    pub(crate) fn has_files(&self) -> bool {
        !self.of_node.is_empty() || self.sources.values().any(|source| matches!(source, Source::File(_)))
    }

    /// Looks at the files and takes over what has changed. Returns itself for the next time, until the upstream is gone.
    fn look(mut self) -> Option<Self> {
        let upstream = self.upstream.upgrade()?;
        let UpstreamId { tenant, app, upstream: name } = &self.id;
        let problem = match self.read() {
            Err(problem) => Some(problem),
            Ok((secrets, of_node)) if secrets == self.secrets && of_node == self.of_node => None,
            Ok((secrets, of_node)) => match self.renew(&upstream, &secrets, &of_node) {
                Ok(()) => {
                    tracing::info!(%tenant, %app, upstream = %name, "credentials were renewed");
                    (self.secrets, self.of_node) = (secrets, of_node);
                    None
                }
                Err(problem) => Some(problem),
            },
        };
        if let Some(problem) = problem.as_ref().filter(|problem| self.problem.as_ref() != Some(*problem)) {
            tracing::warn!(%tenant, %app, upstream = %name, problem, "changed credentials cannot be used; the old ones stay");
        }
        self.problem = problem;
        Some(self)
    }

    fn read(&self) -> Result<(BTreeMap<Name, String>, Files<PathBuf>), String> {
        let read = |(name, source): (&Name, &Source)| match secrets::read(source) {
            Ok(value) => Ok((name.clone(), value)),
            Err(error) => Err(format!("secret `{name}`: {}", crate::answer::chain(&error))),
        };
        let secrets = self.sources.iter().map(read).collect::<Result<_, String>>()?;
        let of_node =
            node_files(&self.declared).map_err(|(path, error)| format!("`{}`: {error}", path.display()))?;
        Ok((secrets, of_node))
    }

    fn renew(
        &self,
        upstream: &Upstream,
        secrets: &BTreeMap<Name, String>,
        of_node: &Files<PathBuf>,
    ) -> Result<(), String> {
        let mut config = self.config.clone();
        put(&mut config, &self.declared, secrets, &self.of_app, of_node)
            .map_err(|name| format!("there is no secret `{name}`"))?;
        upstream.renew(config, &self.roots).map_err(|error| crate::answer::chain(&error))
    }
}

/// Looks at the files again and again, until the upstream is gone with its revision.
pub(crate) async fn follow(mut followed: Followed) {
    loop {
        // A tenth of jitter: the upstreams of a node do not all read at one moment.
        let jitter = CREDENTIALS_LOOKED_AT.mul_f64(0.1 * rand::random::<f64>());
        tokio::time::sleep(CREDENTIALS_LOOKED_AT - Duration::min(jitter, CREDENTIALS_LOOKED_AT)).await;
        // A disk that hangs must not hold up a core.
        match tokio::task::spawn_blocking(move || followed.look()).await {
            Ok(Some(next)) => followed = next,
            Ok(None) | Err(_) => return,
        }
    }
}

/// What of `all` an upstream carries.
pub(crate) fn carried(declared: &Declared, all: &BTreeMap<Name, String>) -> BTreeMap<Name, String> {
    let names = declared.secrets();
    all.iter()
        .filter(|(name, _)| names.contains(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

/// The upstreams of a revision, and which of them follow files.
pub(crate) type Made = (BTreeMap<Name, Arc<Upstream>>, Vec<Followed>);
