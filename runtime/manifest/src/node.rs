//! What an operator declares in `node.toml`: where the node listens, whose apps it runs, and what they may use.
//!
//! Read by `rimward serve`; the node and the admin API only see the result. Without a file,
//! [`NodeFile::default`] holds. A setting is taken from the command line, then `RIMWARD_*`
//! ([`NodeFile::with_environment`]), then the file, then the default.

mod changes;
mod environment;
mod walk;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;

use crate::bytes::Bytes;
use crate::cores::Cores;
use crate::document;
use crate::duration::Duration;
use crate::function_limits::Limits;
use crate::header::{HeaderKey, HeaderTemplate};
use crate::host::HostName;
use crate::limits;
use crate::name::Name;
use crate::net::AllowNet;
use crate::path::FileAt;
use crate::problem::Problems;
use crate::read::{ReadError, read};
use crate::upstream::{Auth, ClientCertificate, Endpoint};
use crate::url::BaseUrl;

pub use environment::EnvironmentError;

/// What one `node.toml` declares. Its JSON form has the file's shape.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct NodeFile {
    /// The node as a whole.
    pub node: Node,
    /// TLS listeners and their certificates; without it the node serves cleartext only.
    pub tls: Option<Tls>,
    /// Metrics and health.
    pub ops: Ops,
    /// The admin API.
    pub admin: Admin,
    /// The owners of apps, by name. Where none is declared, `default` owns every host.
    #[serde(rename = "tenant")]
    pub tenants: BTreeMap<Name, Tenant>,
    /// The secrets of the tenant `default`, by name.
    #[serde(rename = "secret")]
    pub secrets: BTreeMap<Name, Secret>,
    /// Apps that run from the start.
    #[serde(rename = "app")]
    pub apps: Vec<AppEntry>,
    /// The log.
    pub log: Log,
    /// What the node as a whole takes on.
    pub limits: NodeLimits,
    /// What compiling one component may take.
    pub compile: Compile,
    /// What models may take.
    pub models: Models,
    /// What else than requests to functions reaches the node.
    pub trigger: Triggers,
}

/// The node as a whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Node {
    /// The directory of what the node must remember.
    pub state: PathBuf,
    /// The directory of what the node can make again; it may be deleted at any time.
    pub cache: PathBuf,
    /// Where requests arrive in cleartext (HTTP/1.1, and HTTP/2 with prior knowledge); it may be empty beside `[tls]`.
    pub listen: Vec<SocketAddr>,
    /// Cores that serve requests; every core that the process may use by default.
    pub cores: Option<NonZeroU32>,
    /// Whether components of `wasi:http` 0.3 are served.
    #[serde(rename = "wasi-http-03")]
    pub wasi_http_03: bool,
    /// Whether the native stack that a guest runs on is cleared before the next one gets it.
    pub stack_zeroing: bool,
    /// Whether functions read the time to the nanosecond instead of the millisecond.
    pub exact_clocks: bool,
    /// Where the node is: upstreams' endpoints in the same zone are preferred.
    pub zone: Option<Name>,
    /// Whether `rimward fault` may put faults into the calls of this node.
    pub fault_injection: bool,
    /// Whether the node and the processes that compile give up what they do not need.
    pub confine: Confine,
}

/// Whether processes of the node give up the files, system calls and rights that they do not need.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Confine {
    /// As far as the kernel allows; what is missing is logged.
    #[default]
    Auto,
    /// Wholly; the node does not start where the kernel lacks a part.
    Required,
    /// Not at all.
    Off,
}

/// TLS listeners and their certificates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Tls {
    /// Where requests arrive over TLS (HTTP/1.1 and HTTP/2 by ALPN).
    pub listen: Vec<SocketAddr>,
    /// The certificates. The name that the client asks for chooses; the first one answers for unknown names.
    #[serde(rename = "certificate")]
    pub certificates: Vec<Certificate>,
}

/// A certificate and its private key; both are read again when they change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// The certificate chain (PEM).
    pub cert: PathBuf,
    /// The private key (PEM).
    pub key: PathBuf,
}

/// What models may take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Models {
    /// The bytes of calls under way together, on their way in and out.
    pub call_memory: Bytes,
    /// Memory of the process that runs a tenant's models, with everything that is in it.
    pub memory: Bytes,
    /// Whether models run in a process of their own.
    pub process: bool,
}

/// What else than requests to functions reaches the node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Triggers {
    /// Models for other machines.
    pub inference: Option<InferenceTrigger>,
}

/// Models for other machines: a listener that speaks the Open Inference Protocol, over HTTP and over gRPC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct InferenceTrigger {
    /// Where it is in cleartext; it may be empty beside `tls-listen`.
    #[serde(default)]
    pub listen: Vec<SocketAddr>,
    /// Where it is over TLS, with the certificates of `[tls]`.
    #[serde(default)]
    pub tls_listen: Vec<SocketAddr>,
    /// Whose models; the node's one tenant by default.
    #[serde(default = "walk::default_tenant")]
    pub tenant: Name,
    /// The secret of that tenant that callers show, as `authorization: Bearer ...`; anybody may call by default.
    pub token: Option<Name>,
    /// Calls at once.
    #[serde(default = "InferenceTrigger::default_concurrency")]
    pub concurrency: NonZeroU32,
}

impl InferenceTrigger {
    fn default_concurrency() -> NonZeroU32 {
        NonZeroU32::new(limits::INFERENCE_CONCURRENCY).expect("the default is not zero")
    }
}

/// Metrics and health.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Ops {
    /// Where they are served; `"off"` serves them nowhere.
    #[serde(serialize_with = "walk::address_or_off")]
    #[schemars(with = "String")]
    pub listen: Option<SocketAddr>,
}

/// The admin API.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Admin {
    /// The path of its socket; `admin.sock` in the state directory by default.
    pub socket: Option<PathBuf>,
}

/// An owner of apps.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tenant {
    /// The hosts that its routes may be on. A host belongs to one tenant.
    pub hosts: Vec<HostName>,
    /// What its apps may use together.
    #[serde(default)]
    pub limits: Quota,
    /// The highest limits that its functions may declare.
    #[serde(default)]
    pub ceiling: Limits,
    /// Whether models of its apps may run on the node; only where it is the one tenant by default.
    #[serde(rename = "local-models")]
    pub local_models: Option<bool>,
    /// The secrets of its apps, by name.
    #[serde(default, rename = "secret")]
    pub secrets: BTreeMap<Name, Secret>,
}

/// What the apps of a tenant may use together.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Quota {
    /// Memory of its live instances together, and the most that one function may declare; the node's by default.
    pub memory: Option<Bytes>,
    /// Invocations at once, of all its functions; the node's by default.
    pub concurrency: Option<NonZeroU32>,
    /// CPU time of its functions together, in percent of one core; unlimited by default.
    pub cpu: Option<Cores>,
    /// Outgoing requests at once, of all its functions; unlimited by default.
    pub outgoing: Option<NonZeroU32>,
    /// What its functions may log together in a second; unlimited by default.
    pub log_rate: Option<Bytes>,
    /// What the outboxes of its apps may take on disk, as they declare them; the node's by default.
    pub outboxes: Option<Bytes>,
}

/// Where a secret's value comes from. It is read when an app needs it, never logged and never written anywhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Secret {
    /// A file, without its last newline.
    File(PathBuf),
    /// A variable of the node's environment.
    Env(String),
}

/// An app that runs from the start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AppEntry {
    /// The app's folder.
    pub path: PathBuf,
    /// Its owner; `default` where none is named.
    #[serde(default = "walk::default_tenant")]
    pub tenant: Name,
    /// What the names in the app mean on this node.
    #[serde(default)]
    pub bind: Bind,
}

/// What the names in an app mean on this node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Bind {
    /// Upstreams by name.
    #[serde(rename = "upstream")]
    pub upstreams: BTreeMap<Name, UpstreamBinding>,
    /// Config values by key; they replace those of every function that declares the key.
    pub config: BTreeMap<String, String>,
}

/// What an upstream is on this node. What is not named stays as the app declares it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct UpstreamBinding {
    /// Where it is.
    pub url: Option<BaseUrl>,
    /// What proves to it who calls, in place of the app's.
    pub auth: Option<Auth>,
    /// Its places, in place of the app's.
    pub endpoints: Vec<Endpoint>,
    /// Private addresses that calls to it may reach.
    pub allow: Vec<AllowNet>,
    /// Headers that the node sets on every call, besides or instead of the app's.
    pub headers: BTreeMap<HeaderKey, HeaderTemplate>,
    /// Certificate authorities (PEM) that are trusted for it besides the system's.
    pub ca: Option<FileAt>,
    /// The certificate that the node shows to it.
    pub client_certificate: Option<ClientCertificate>,
}

/// The log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// How a line looks.
    pub format: LogFormat,
    /// The least important level that is written.
    pub level: LogLevel,
    /// Which requests have a line.
    pub requests: LogRequests,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object.
    Json,
}

/// How important a log line is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LogLevel {
    /// Something is lost or refused.
    Error,
    /// Something needs attention soon.
    Warn,
    /// What an operator wants to know.
    #[default]
    Info,
    /// What a developer wants to know.
    Debug,
    /// Everything.
    Trace,
}

/// Which requests have a log line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LogRequests {
    /// Those that failed.
    #[default]
    Failures,
    /// Every one.
    All,
}

/// What the node as a whole takes on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct NodeLimits {
    /// Invocations at once.
    pub concurrency: NonZeroU32,
    /// Requests that wait for a permit; 0 refuses at once.
    pub queue: u32,
    /// How long a request waits for a permit.
    pub queue_wait: Duration,
    /// Memory of all instances; a part of the machine's by default.
    pub memory: Option<Bytes>,
    /// What the caches of upstreams' answers may take, as all apps declare them.
    pub caches: Bytes,
    /// What outboxes may take on disk, as all apps declare them.
    pub outboxes: Bytes,
    /// Open client connections.
    pub connections: NonZeroU32,
    /// Open client connections from one address, or one IPv6 network of 64 bits; a quarter of `connections` by default,
    /// and then clients on this machine are not counted.
    pub connections_per_address: Option<NonZeroU32>,
    /// How long a client that closed its side after its request may wait for the next byte of the reply.
    pub half_closed: Duration,
    /// Bytes a second at which a request's body must come on average, after a grace of 30 s; 0 for no such limit.
    pub request_min_rate: u32,
}

/// What compiling one component may take, in its process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Compile {
    /// CPU time.
    pub cpu: Duration,
    /// Time.
    pub wall: Duration,
    /// Address space.
    pub memory: Bytes,
}

impl NodeFile {
    /// What `text` declares, or every problem in it. Relative paths stay relative.
    pub fn parse(text: &str) -> Result<Self, Problems> {
        document::parse("node.toml", text, walk::node_file)
    }

    /// What the file at `path` declares; relative paths in it are taken from its directory.
    pub fn read(path: &Path) -> Result<Self, ReadError> {
        let mut file = read(path, "leave it out to run with the defaults, or write one", Self::parse)?;
        file.resolve_paths(path.parent().unwrap_or(Path::new("")));
        Ok(file)
    }

    /// The file with what `RIMWARD_*` variables of the environment say instead.
    ///
    /// | variable | setting |
    /// |---|---|
    /// | `RIMWARD_STATE` | `node.state` |
    /// | `RIMWARD_CACHE` | `node.cache` |
    /// | `RIMWARD_LISTEN` | `node.listen`, separated by commas |
    /// | `RIMWARD_CORES` | `node.cores` |
    /// | `RIMWARD_WASI_HTTP_03` | `node.wasi-http-03` |
    /// | `RIMWARD_CONFINE` | `node.confine` |
    /// | `RIMWARD_OPS_LISTEN` | `ops.listen` |
    /// | `RIMWARD_ADMIN_SOCKET` | `admin.socket` |
    /// | `RIMWARD_LOG_FORMAT` | `log.format` |
    /// | `RIMWARD_LOG_LEVEL` | `log.level` |
    /// | `RIMWARD_LOG_REQUESTS` | `log.requests` |
    ///
    /// Other variables are left alone, and so are empty ones. The first value that cannot be read is an error.
    pub fn with_environment<N, V>(
        mut self,
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self, EnvironmentError>
    where
        N: AsRef<str>,
        V: AsRef<str>,
    {
        for (name, value) in variables {
            environment::set(&mut self, name.as_ref(), value.as_ref())?;
        }
        Ok(self)
    }

    /// The keys that `after` changes and that a running node cannot take over.
    pub fn needs_restart(&self, after: &Self) -> Vec<String> {
        changes::needs_restart(self, after)
    }

    /// The secret `name` of the tenant. No tenant has another's secrets.
    pub fn secret(&self, tenant: &Name, name: &Name) -> Option<&Secret> {
        let of_default = self.secrets.get(name).filter(|_| tenant.as_str() == limits::TENANT);
        of_default.or_else(|| self.tenants.get(tenant)?.secrets.get(name))
    }

    /// The admin API's socket.
    pub fn admin_socket(&self) -> PathBuf {
        self.admin.socket.clone().unwrap_or_else(|| self.node.state.join(limits::ADMIN_SOCKET))
    }

    fn resolve_paths(&mut self, directory: &Path) {
        for path in walk::paths(self) {
            *path = directory.join(&*path);
        }
    }
}

impl Default for NodeFile {
    /// A node on loopback, with one tenant that owns every host.
    fn default() -> Self {
        let everything = Tenant { hosts: vec![HostName::Any], ..Tenant::default() };
        Self {
            node: Node::default(),
            tls: None,
            ops: Ops::default(),
            admin: Admin::default(),
            tenants: BTreeMap::from([(walk::default_tenant(), everything)]),
            secrets: BTreeMap::new(),
            apps: Vec::new(),
            log: Log::default(),
            limits: NodeLimits::default(),
            compile: Compile::default(),
            models: Models::default(),
            trigger: Triggers::default(),
        }
    }
}

impl Default for Models {
    fn default() -> Self {
        Self {
            call_memory: Bytes::new(limits::MODELS_CALL_MEMORY).expect("the default is not zero"),
            memory: Bytes::new(limits::MODELS_MEMORY).expect("the default is not zero"),
            process: true,
        }
    }
}

impl Default for Node {
    fn default() -> Self {
        Self {
            state: limits::NODE_STATE.into(),
            cache: limits::NODE_CACHE.into(),
            listen: vec![limits::NODE_LISTEN.parse().expect("the default is an address")],
            cores: None,
            wasi_http_03: false,
            stack_zeroing: false,
            exact_clocks: false,
            zone: None,
            fault_injection: false,
            confine: Confine::Auto,
        }
    }
}

impl Default for Ops {
    fn default() -> Self {
        Self { listen: Some(limits::OPS_LISTEN.parse().expect("the default is an address")) }
    }
}

impl Default for NodeLimits {
    fn default() -> Self {
        Self {
            concurrency: NonZeroU32::new(limits::NODE_CONCURRENCY).expect("the default is not zero"),
            queue: limits::NODE_QUEUE,
            queue_wait: Duration::constant(limits::NODE_QUEUE_WAIT),
            memory: None,
            connections: NonZeroU32::new(limits::NODE_CONNECTIONS).expect("the default is not zero"),
            connections_per_address: None,
            caches: Bytes::new(limits::CACHES_BYTES).expect("the default is not zero"),
            outboxes: Bytes::new(limits::OUTBOXES_BYTES).expect("the default is not zero"),
            half_closed: Duration::constant(limits::NODE_HALF_CLOSED),
            request_min_rate: limits::NODE_REQUEST_MIN_RATE,
        }
    }
}

impl Default for Compile {
    fn default() -> Self {
        Self {
            cpu: Duration::constant(limits::COMPILE_CPU),
            wall: Duration::constant(limits::COMPILE_WALL),
            memory: Bytes::new(limits::COMPILE_MEMORY).expect("the default is a size"),
        }
    }
}
