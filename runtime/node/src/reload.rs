//! New settings for a running node. Everything is prepared first: certificates are read, secrets too, every app that is new
//! or different is compiled and linked under the new settings. Only when all of that went well is anything replaced, and
//! then all of it. On any problem the node goes on as it was. Requests under way finish on what they began with.

use crate::install::{self, InstallError, Placement, Prepared};
use crate::node::{Apps, Node, Settings, Shared};
use crate::status::LastReload;
use crate::tls::{Chosen, TlsError};
use rimward_bundle::Bundle;
use rimward_manifest::{Name, NodeFile};
use std::sync::Arc;

/// What a reload changed, by `tenant/app`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Apps that are new, or run on another revision, other settings or other secrets.
    pub installed: Vec<String>,
    /// Apps that stay as they were.
    pub kept: Vec<String>,
    /// Apps that are no longer listed. Their open requests finish.
    pub retired: Vec<String>,
}

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The file changes what a running node cannot.
    #[error("a restart is needed to change {}: `rimward restart`, or put back what was there", keys(.0))]
    Restart(Vec<String>),
    /// A certificate cannot be used.
    #[error("the certificates cannot be used")]
    Tls(#[from] TlsError),
    /// An app cannot be served.
    #[error("`{app}` cannot be served")]
    Install {
        /// Which.
        app: String,
        /// Why not.
        #[source]
        source: InstallError,
    },
    /// Two entries have one app.
    #[error("`{0}` is listed twice: an app has one entry")]
    Twice(String),
    /// Outgoing calls of a new tenant cannot be set up.
    #[error("outgoing calls cannot be set up")]
    Client(#[from] rimward_upstream::ClientError),
    /// The node stops.
    #[error("the node stops")]
    Stopped,
}

fn keys(keys: &[String]) -> String {
    keys.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
}

impl Node {
    /// Takes over `file`, with these apps and no others. On any error nothing has changed.
    pub async fn reload(
        &self,
        file: NodeFile,
        apps: Vec<(Bundle, Placement)>,
    ) -> Result<Reloaded, ReloadError> {
        let _alone = self.shared.changing.lock().await;
        let reloaded = reload(&self.shared, file, apps).await;
        match &reloaded {
            Ok(_) => self.tell_reloaded(None),
            Err(error) => self.tell_reloaded(Some(crate::answer::chain(error))),
        }
        reloaded
    }

    /// The settings could not even be read. Counted and shown as a reload that failed.
    pub fn reload_failed(&self, problem: String) {
        self.tell_reloaded(Some(problem));
    }

    fn tell_reloaded(&self, problem: Option<String>) {
        let metrics = &self.shared.metrics;
        metrics.reloads.inc();
        metrics.reload_is_failed.set(i64::from(problem.is_some()));
        if problem.is_some() {
            metrics.reloads_failed.inc();
        }
        *self.shared.last_reload() = Some(LastReload { problem });
    }
}

async fn reload(
    node: &Arc<Shared>,
    file: NodeFile,
    apps: Vec<(Bundle, Placement)>,
) -> Result<Reloaded, ReloadError> {
    let before = node.settings.load_full();
    let fixed = node.file.needs_restart(&file);
    if !fixed.is_empty() {
        return Err(ReloadError::Restart(fixed));
    }
    let certificates = file.tls.as_ref().map(|tls| Chosen::read(tls.certificates.clone())).transpose()?;
    let settings = Settings::of(file, &node.memory, Some(&before));
    let running = node.apps().clone();
    let (mut next, mut reloaded) = (Apps::new(), Reloaded::default());
    for (bundle, placement) in apps {
        let key = (placement.tenant.clone(), bundle.app.name.clone());
        let name = text(&key);
        if next.contains_key(&key) {
            return Err(ReloadError::Twice(name));
        }
        let failed = |source| ReloadError::Install { app: name.clone(), source };
        if is_unchanged(&before, &settings, &running, &bundle, &placement).map_err(failed)? {
            next.insert(key.clone(), running[&key].clone());
            reloaded.kept.push(name);
        } else {
            let Prepared { placed, .. } =
                install::prepare(node, &settings, bundle, placement).await.map_err(failed)?;
            next.insert(key, placed);
            reloaded.installed.push(name);
        }
    }
    reloaded.retired = running.keys().filter(|key| !next.contains_key(*key)).map(text).collect();
    open_clients(node, &settings).await?;
    let whole = |source| ReloadError::Install { app: "the apps together".to_owned(), source };
    install::swap(node, &settings, next, None).map_err(whole)?;
    if let (Some(current), Some(chosen)) = (&node.certificates, certificates) {
        current.replace(chosen);
    }
    node.settings.store(Arc::new(settings));
    Ok(reloaded)
}

/// Whether the app runs as it would be installed now: the same code, names, tenant and secrets.
fn is_unchanged(
    before: &Settings,
    after: &Settings,
    running: &Apps,
    bundle: &Bundle,
    placement: &Placement,
) -> Result<bool, InstallError> {
    let Some(placed) = running.get(&(placement.tenant.clone(), bundle.app.name.clone())) else {
        return Ok(false);
    };
    let tenant = |settings: &Settings| settings.tenants.get(&placement.tenant).cloned();
    Ok(placed.revision.digest == bundle.revision
        && *placed.bind == placement.bind
        && tenant(before) == tenant(after)
        && *placed.secrets == install::read_secrets(after, &bundle.app, placement)?)
}

/// On each core's own runtime, which drives the connections.
async fn open_clients(node: &Arc<Shared>, settings: &Settings) -> Result<(), ReloadError> {
    let tenants: Arc<[Name]> = settings.tenants.keys().cloned().collect();
    for core in node.cores().iter().filter_map(|port| port.core.get()) {
        let (there, tenants) = (core.clone(), tenants.clone());
        let opened = core.runtime.spawn(async move { there.open_clients(&tenants) });
        opened.await.map_err(|_| ReloadError::Stopped)??;
    }
    Ok(())
}

fn text((tenant, app): &(Name, Name)) -> String {
    format!("{tenant}/{app}")
}
