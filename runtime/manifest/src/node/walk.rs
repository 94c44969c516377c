//! From the document to a [`NodeFile`], with the checks that need more than one place of the file.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Serializer;
use toml::de::DeValue;

use super::{
    Admin, AppEntry, Bind, Certificate, Compile, Confine, InferenceTrigger, Log, LogFormat, LogLevel,
    LogRequests, Models, Node, NodeFile, NodeLimits, Ops, Quota, Secret, Tenant, Tls, Triggers,
    UpstreamBinding,
};
use crate::document::Table;
use crate::function_limits::Limits;
use crate::host::HostName;
use crate::limits::TENANT;
use crate::name::Name;
use crate::path::FileAt;
use crate::scalar::{Scalar, Trouble, choice};
use crate::upstream::{Auth, ClientCertificate, Endpoint};

pub(super) fn node_file(root: &mut Table<'_>) -> Option<NodeFile> {
    let default = NodeFile::default();
    let declared = root.names_of("tenant");
    let mut owners = Vec::new();
    let tenants = root.named("tenant", |table| tenant(table, &mut owners));
    let secrets = root.named("secret", secret);
    check_secrets_of_default(root, &declared, &secrets, &tenants);
    let known = if declared.is_empty() { vec![TENANT] } else { declared };
    let has_tls = root.has("tls");
    let has_secret = |owner: &Name, name: &Name| {
        let of_tenant = tenants.get(owner).is_some_and(|tenant| tenant.secrets.contains_key(name));
        of_tenant || (owner.as_str() == TENANT && secrets.contains_key(name))
    };
    let trigger = root.table("trigger", |table| {
        Some(Triggers {
            inference: table.table("inference", |table| inference(table, &known, has_tls, &has_secret)),
        })
    });
    Some(NodeFile {
        node: root.table("node", |table| node(table, has_tls)).unwrap_or_default(),
        tls: root.table("tls", tls),
        ops: root.table("ops", ops).unwrap_or_default(),
        admin: root
            .table("admin", |table| Some(Admin { socket: table.optional("socket") }))
            .unwrap_or_default(),
        apps: root.tables("app", |table| app(table, &known)),
        log: root.table("log", log).unwrap_or_default(),
        limits: root.table("limits", limits).unwrap_or_default(),
        compile: root.table("compile", compile).unwrap_or_default(),
        models: root.table("models", models).unwrap_or_default(),
        trigger: trigger.unwrap_or_default(),
        tenants: if tenants.is_empty() { default.tenants } else { tenants },
        secrets,
    })
}

/// `[secret]` at the top belongs to the tenant `default`.
fn check_secrets_of_default(
    root: &Table<'_>,
    declared: &[&str],
    secrets: &BTreeMap<Name, Secret>,
    tenants: &BTreeMap<Name, Tenant>,
) {
    if !secrets.is_empty() && !declared.is_empty() && !declared.contains(&TENANT) {
        let message =
            format!("these secrets belong to the tenant `{TENANT}`, which this file does not declare");
        root.problem_at("secret", message, "write them as `[tenant.NAME.secret.NAME]`");
    }
    let of_tenant = tenants.get(TENANT).map(|tenant| &tenant.secrets);
    for name in secrets.keys().filter(|name| of_tenant.is_some_and(|secrets| secrets.contains_key(*name))) {
        let message = format!("the secret `{name}` is declared here and in `[tenant.{TENANT}.secret]`");
        root.problem_at("secret", message, "leave one of them out");
    }
}

fn node(table: &mut Table<'_>, has_tls: bool) -> Option<Node> {
    let default = Node::default();
    let listen = table.optional_list("listen");
    if listen.as_ref().is_some_and(Vec::is_empty) && !has_tls {
        table.problem_at("listen", "the node listens nowhere".into(), "name an address here or in `[tls]`");
    }
    Some(Node {
        state: table.optional("state").unwrap_or(default.state),
        cache: table.optional("cache").unwrap_or(default.cache),
        listen: listen.unwrap_or(default.listen),
        cores: table.optional("cores"),
        wasi_http_03: table.optional("wasi-http-03").unwrap_or(default.wasi_http_03),
        stack_zeroing: table.optional("stack-zeroing").unwrap_or(default.stack_zeroing),
        exact_clocks: table.optional("exact-clocks").unwrap_or(default.exact_clocks),
        zone: table.optional("zone"),
        fault_injection: table.optional("fault-injection").unwrap_or(default.fault_injection),
        confine: table.optional("confine").unwrap_or(default.confine),
    })
}

fn tls(table: &mut Table<'_>) -> Option<Tls> {
    let listen = table.required_list("listen", "name at least one address, as in `[\"0.0.0.0:8443\"]`");
    let certificates = table.tables("certificate", certificate);
    table.check_filled("certificate", "name a `cert` and a `key` in `[[tls.certificate]]`");
    Some(Tls { listen: listen?, certificates })
}

fn certificate(table: &mut Table<'_>) -> Option<Certificate> {
    let (cert, key) = (table.required("cert"), table.required("key"));
    Some(Certificate { cert: cert?, key: key? })
}

fn ops(table: &mut Table<'_>) -> Option<Ops> {
    Some(table.optional("listen").map_or_else(Ops::default, |AddressOrOff(listen)| Ops { listen }))
}

fn log(table: &mut Table<'_>) -> Option<Log> {
    Some(Log {
        format: table.optional("format").unwrap_or_default(),
        level: table.optional("level").unwrap_or_default(),
        requests: table.optional("requests").unwrap_or_default(),
    })
}

fn limits(table: &mut Table<'_>) -> Option<NodeLimits> {
    let default = NodeLimits::default();
    Some(NodeLimits {
        concurrency: table.optional("concurrency").unwrap_or(default.concurrency),
        queue: table.optional("queue").unwrap_or(default.queue),
        queue_wait: table.optional("queue-wait").unwrap_or(default.queue_wait),
        memory: table.optional("memory"),
        connections: table.optional("connections").unwrap_or(default.connections),
        connections_per_address: table.optional("connections-per-address"),
        caches: table.optional("caches").unwrap_or(default.caches),
        outboxes: table.optional("outboxes").unwrap_or(default.outboxes),
        half_closed: table.optional("half-closed").unwrap_or(default.half_closed),
        request_min_rate: table.optional("request-min-rate").unwrap_or(default.request_min_rate),
    })
}

fn compile(table: &mut Table<'_>) -> Option<Compile> {
    let default = Compile::default();
    Some(Compile {
        cpu: table.optional("cpu").unwrap_or(default.cpu),
        wall: table.optional("wall").unwrap_or(default.wall),
        memory: table.optional("memory").unwrap_or(default.memory),
    })
}

fn models(table: &mut Table<'_>) -> Option<Models> {
    let default = Models::default();
    Some(Models {
        call_memory: table.optional("call-memory").unwrap_or(default.call_memory),
        memory: table.optional("memory").unwrap_or(default.memory),
        process: table.optional("process").unwrap_or(default.process),
    })
}

/// `has_secret` says whether a tenant has a secret of that name.
fn inference(
    table: &mut Table<'_>,
    tenants: &[&str],
    has_tls: bool,
    has_secret: &dyn Fn(&Name, &Name) -> bool,
) -> Option<InferenceTrigger> {
    let listen = table.optional_list("listen").unwrap_or_default();
    let tls_listen: Vec<SocketAddr> = table.optional_list("tls-listen").unwrap_or_default();
    if listen.is_empty() && tls_listen.is_empty() {
        table.missing::<()>("listen", "models are offered at an address, as in `[\"127.0.0.1:8001\"]`");
    }
    if !tls_listen.is_empty() && !has_tls {
        let why = "there are no certificates for it".to_owned();
        table.problem_at("tls-listen", why, "name them in `[[tls.certificate]]`");
    }
    let tenant = match (table.has("tenant"), tenants) {
        (true, _) => table.required_reference("tenant", "tenant", tenants),
        (false, [only]) => only.parse().ok(),
        (false, _) => table.missing("tenant", "this file declares tenants: say whose models are offered"),
    }?;
    let token = table.optional("token");
    if let Some(token) = token.as_ref().filter(|token| !has_secret(&tenant, token)) {
        let why = format!("the tenant `{tenant}` has no secret `{token}`");
        table.problem_at("token", why, "declare it in `[secret.NAME]`, or in `[tenant.NAME.secret.NAME]`");
    }
    Some(InferenceTrigger {
        listen,
        tls_listen,
        tenant,
        token,
        concurrency: table.optional("concurrency").unwrap_or_else(InferenceTrigger::default_concurrency),
    })
}

/// `owners` holds the hosts of the tenants before this one.
fn tenant(table: &mut Table<'_>, owners: &mut Vec<(String, HostName)>) -> Option<Tenant> {
    let hosts = table.required_list("hosts", "name the hosts of its routes, or `[\"*\"]` for all");
    let tenant = Tenant {
        limits: table.table("limits", quota).unwrap_or_default(),
        ceiling: table.table("ceiling", Limits::read).unwrap_or_default(),
        local_models: table.optional("local-models"),
        secrets: table.named("secret", secret),
        hosts: hosts?,
    };
    let path = table.path().to_owned();
    for host in &tenant.hosts {
        if let Some((owner, theirs)) =
            owners.iter().find(|(owner, theirs)| *owner != path && theirs.overlaps(host))
        {
            let message = format!("the host `{host}` overlaps with `{theirs}` of `[{owner}]`");
            table.problem_at("hosts", message, "a host belongs to one tenant");
        }
        owners.push((path.clone(), host.clone()));
    }
    Some(tenant)
}

fn quota(table: &mut Table<'_>) -> Option<Quota> {
    Some(Quota {
        memory: table.optional("memory"),
        concurrency: table.optional("concurrency"),
        cpu: table.optional("cpu"),
        outgoing: table.optional("outgoing"),
        log_rate: table.optional("log-rate"),
        outboxes: table.optional("outboxes"),
    })
}

fn secret(table: &mut Table<'_>) -> Option<Secret> {
    let declared = table.has("file") || table.has("env");
    let (file, env) = (table.optional("file").map(Secret::File), table.optional("env").map(Secret::Env));
    if !declared {
        return table
            .missing("file` or `env", "a secret comes from a file or from a variable of the environment");
    }
    if file.is_some() && env.is_some() {
        table.problem_at("env", "a secret has either a `file` or an `env`".into(), "leave one of them out");
    }
    file.or(env)
}

fn app(table: &mut Table<'_>, tenants: &[&str]) -> Option<AppEntry> {
    let path = table.required("path");
    let tenant = match table.has("tenant") {
        true => table.required_reference("tenant", "tenant", tenants),
        false => tenant_by_default(table, tenants),
    };
    let bind = table.table("bind", bind).unwrap_or_default();
    Some(AppEntry { path: path?, tenant: tenant?, bind })
}

fn tenant_by_default(table: &mut Table<'_>, tenants: &[&str]) -> Option<Name> {
    table.optional::<Name>("tenant");
    match tenants.contains(&TENANT) {
        true => Some(default_tenant()),
        false => table.missing("tenant", "this file declares tenants, but none named `default`"),
    }
}

fn bind(table: &mut Table<'_>) -> Option<Bind> {
    Some(Bind { upstreams: table.named("upstream", upstream), config: table.map("config") })
}

fn upstream(table: &mut Table<'_>) -> Option<UpstreamBinding> {
    let on_node: fn(PathBuf) -> FileAt = FileAt::Node;
    let binding = UpstreamBinding {
        url: table.optional("url"),
        auth: table.table("auth", Auth::read),
        endpoints: Endpoint::read_all(table),
        allow: table.list("allow"),
        headers: table.map("headers"),
        ca: table.optional("ca").map(on_node),
        client_certificate: table
            .table("client-certificate", |table| ClientCertificate::read(table, on_node)),
    };
    if let Some(auth) = &binding.auth {
        auth.check_headers(&binding.headers, table);
    }
    Some(binding)
}

/// Every path of the file.
pub(super) fn paths(file: &mut NodeFile) -> Vec<&mut PathBuf> {
    let mut paths = vec![&mut file.node.state, &mut file.node.cache];
    paths.extend(&mut file.admin.socket);
    let certificates = file.tls.iter_mut().flat_map(|tls| &mut tls.certificates);
    paths.extend(certificates.flat_map(|certificate| [&mut certificate.cert, &mut certificate.key]));
    let of_tenants = file.tenants.values_mut().flat_map(|tenant| tenant.secrets.values_mut());
    paths.extend(file.secrets.values_mut().chain(of_tenants).filter_map(|secret| match secret {
        Secret::File(path) => Some(path),
        Secret::Env(_) => None,
    }));
    for app in &mut file.apps {
        paths.push(&mut app.path);
        paths.extend(app.bind.upstreams.values_mut().flat_map(files));
    }
    paths
}

fn files(binding: &mut UpstreamBinding) -> impl Iterator<Item = &mut PathBuf> {
    let cert = binding.client_certificate.as_mut().map(|certificate| &mut certificate.cert);
    binding.ca.iter_mut().chain(cert).filter_map(|file| match file {
        FileAt::Node(path) => Some(path),
        FileAt::App(_) => None,
    })
}

pub(super) fn default_tenant() -> Name {
    TENANT.parse().expect("the default tenant's name is a name")
}

/// An address, or `off` for none.
pub(super) struct AddressOrOff(pub(super) Option<SocketAddr>);

const OFF: &str = "off";

pub(super) fn address_or_off<S: Serializer>(
    address: &Option<SocketAddr>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match address {
        Some(address) => serializer.collect_str(address),
        None => serializer.serialize_str(OFF),
    }
}

impl Scalar for AddressOrOff {
    const HINT: &'static str = "an IP address and a port, as in `127.0.0.1:9464`, or `off`";

    fn scalar(value: &DeValue<'_>) -> Result<Self, Trouble> {
        match value.as_str() {
            Some(OFF) => Ok(Self(None)),
            _ => SocketAddr::scalar(value).map(|address| Self(Some(address))),
        }
    }
}

impl Scalar for LogFormat {
    fn scalar(value: &DeValue<'_>) -> Result<Self, Trouble> {
        choice(value, &[("text", Self::Text), ("json", Self::Json)])
    }
}

impl Scalar for LogLevel {
    fn scalar(value: &DeValue<'_>) -> Result<Self, Trouble> {
        choice(
            value,
            &[
                ("error", Self::Error),
                ("warn", Self::Warn),
                ("info", Self::Info),
                ("debug", Self::Debug),
                ("trace", Self::Trace),
            ],
        )
    }
}

impl Scalar for Confine {
    fn scalar(value: &DeValue<'_>) -> Result<Self, Trouble> {
        choice(value, &[("auto", Self::Auto), ("required", Self::Required), ("off", Self::Off)])
    }
}

impl Scalar for LogRequests {
    fn scalar(value: &DeValue<'_>) -> Result<Self, Trouble> {
        choice(value, &[("failures", Self::Failures), ("all", Self::All)])
    }
}
