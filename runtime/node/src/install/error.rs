//! Why a bundle is refused, in the operator's and the author's words, each with what to do about it.

use crate::OutboxError;
use crate::models::ModelError;
use crate::secrets::SecretError;
use rimward_capability::Refused;
use rimward_engine::LoadError;
use rimward_manifest::{AboveCeiling, HostName, Name};
use rimward_store::OpenError;
use rimward_upstream::UpstreamError;
use std::path::PathBuf;

/// Why a bundle was not installed. What was serving before still is.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// The tenant is not declared.
    #[error("this node has no tenant `{0}`: declare `[tenant.{0}]` in node.toml")]
    NoTenant(Name),
    /// A limit is above the operator's ceiling.
    #[error("function `{function}`: {}", above.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    AboveCeiling {
        /// The function.
        function: Name,
        /// Every limit that is.
        above: Vec<AboveCeiling>,
    },
    /// A function may hold more memory than its tenant altogether.
    #[error(
        "function `{function}` may hold {declared} bytes of memory, more than the {quota} of its tenant altogether"
    )]
    AboveQuota {
        /// The function.
        function: Name,
        /// Its limit.
        declared: u64,
        /// The tenant's.
        quota: u64,
    },
    /// The caches of all apps take more memory than the operator gives them.
    #[error(
        "the caches of all apps' upstreams may take {caches} bytes together, more than the {most} of `limits.caches` in node.toml"
    )]
    Caches {
        /// As all apps declare them.
        caches: u64,
        /// As node.toml allows.
        most: u64,
    },
    /// The outboxes of all apps take more of the disk than the operator gives them.
    #[error(
        "the outboxes of all apps may take {outboxes} bytes on disk together, more than the {most} of `limits.outboxes` in node.toml"
    )]
    Outboxes {
        /// As all apps declare them, with what is kept of dead calls and answers.
        outboxes: u64,
        /// As node.toml allows.
        most: u64,
    },
    /// The outboxes of a tenant's apps take more of the disk than the operator gives it.
    #[error(
        "the outboxes of tenant `{tenant}` may take {outboxes} bytes on disk together, more than the {most} of its `limits.outboxes` in node.toml"
    )]
    TenantOutboxes {
        /// Whose.
        tenant: Name,
        /// As its apps declare them, with what is kept of dead calls and answers.
        outboxes: u64,
        /// As node.toml allows.
        most: u64,
    },
    /// A model is to run on the node, and the operator said that those of its tenant may not, or did not say that they may
    /// where they run in the node's own process beside those of others.
    #[error(
        "the model `{name}` has a `local` side, which needs `local-models = true` in the tenant's table of node.toml: models \
         of this tenant may not run on the node"
    )]
    LocalModels {
        /// The model.
        name: Name,
    },
    /// A model's file cannot be run.
    #[error("the model `{name}` cannot be loaded")]
    Model {
        /// The model.
        name: Name,
        /// Why.
        source: ModelError,
    },
    /// A host belongs to somebody else.
    #[error(
        "the route `{route}` is on a host that does not belong to tenant `{tenant}`, which has {}",
        hosts_text(hosts)
    )]
    Host {
        /// The route with its host.
        route: String,
        /// The tenant.
        tenant: Name,
        /// Its hosts.
        hosts: Vec<HostName>,
    },
    /// Two apps answer the same requests.
    #[error(
        "the route `{route}` of app `{app}` answers the same requests as `{existing}` of app `{owner}`: change one of them, or give them different hosts"
    )]
    Conflict {
        /// The app that was to be installed.
        app: Name,
        /// Its route.
        route: String,
        /// The app that is there.
        owner: Name,
        /// Its route.
        existing: String,
    },
    /// A secret is not bound.
    #[error(
        "the app needs the secret `{name}`: bind it in node.toml with `[secret.{name}]` and `file = \"...\"` or `env = \"...\"`"
    )]
    NoSecret {
        /// Its name.
        name: Name,
    },
    /// A secret is bound and cannot be read.
    #[error("the secret `{name}` cannot be read")]
    Secret {
        /// Its name.
        name: Name,
        /// Why not.
        #[source]
        source: SecretError,
    },
    /// What callers of the listener for models show cannot be read.
    #[error("the secret of `trigger.inference.token` cannot be read")]
    Token(#[source] SecretError),
    /// A file on the node cannot be read.
    #[error("cannot read `{}`", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: std::io::Error,
    },
    /// A binding names something that the app does not have.
    #[error("node.toml binds the upstream `{upstream}`, which app `{app}` does not have")]
    Binding {
        /// The app.
        app: Name,
        /// The name.
        upstream: Name,
    },
    /// An upstream cannot be used as it is declared.
    #[error("upstream `{name}`")]
    Upstream {
        /// Its name.
        name: Name,
        /// What is wrong.
        #[source]
        source: UpstreamError,
    },
    /// A host that a function asks for cannot be matched.
    #[error("function `{function}`: {reason}")]
    Grant {
        /// The function.
        function: Name,
        /// What is wrong.
        reason: String,
    },
    /// A store cannot be opened.
    #[error("store `{name}` cannot be opened")]
    Store {
        /// Its name.
        name: Name,
        /// Why not.
        #[source]
        source: OpenError,
    },
    /// An outbox cannot be opened.
    #[error("the outbox of the upstream `{name}` cannot be opened")]
    Outbox {
        /// The upstream.
        name: Name,
        /// Why not.
        #[source]
        source: OutboxError,
    },
    /// A component needs what the operator has not switched on.
    #[error(
        "function `{function}` uses `wasi:http` 0.3, which this node does not serve: set `wasi-http-03 = true` under `[node]` in node.toml"
    )]
    WasiHttp03 {
        /// The function.
        function: Name,
    },
    /// A component cannot be compiled or loaded.
    #[error("function `{function}` cannot be loaded")]
    Load {
        /// The function.
        function: Name,
        /// Why not.
        #[source]
        source: LoadError,
    },
    /// A component is refused.
    #[error("function `{function}` is refused")]
    Refused {
        /// The function.
        function: Name,
        /// Why.
        #[source]
        source: Refused,
    },
    /// A function cannot be reused as its manifest asks.
    #[error(
        "function `{function}` asks for `reuse`, but its instance did not answer a second request ({reason}): remove `reuse`; JavaScript components answer once for each instance"
    )]
    Reuse {
        /// The function.
        function: Name,
        /// How the second request failed.
        reason: String,
    },
    /// The node is stopping.
    #[error("the node is stopping")]
    Stopped,
}

fn hosts_text(hosts: &[HostName]) -> String {
    match hosts {
        [] => "none".to_owned(),
        hosts => hosts.iter().map(|host| format!("`{host}`")).collect::<Vec<_>>().join(", "),
    }
}
