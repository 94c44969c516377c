//! What a `node.toml` declares.

use std::path::Path;
use std::time::Duration;

use rimward_manifest::{FileAt, HostName, LogFormat, LogLevel, LogRequests, Name, NodeFile, Secret, limits};

/// Every key that this version reads.
pub(crate) const WHOLE: &str = r#"
[node]
state         = "/s"
cache         = "/c"
listen        = ["127.0.0.1:8080", "[::1]:8080"]
cores         = 2
wasi-http-03  = true
stack-zeroing = true
exact-clocks  = true

[tls]
listen = ["0.0.0.0:8443"]
[[tls.certificate]]
cert = "/tls/a.pem"
key  = "/tls/a.key"
[[tls.certificate]]
cert = "/tls/b.pem"
key  = "/tls/b.key"

[ops]
listen = "127.0.0.1:9000"

[admin]
socket = "/run/rimward.sock"

[tenant.default]
hosts   = ["*.example.com"]
limits  = { memory = "512MiB", concurrency = 256, cpu = "150%", outgoing = 64, log-rate = "1MiB" }
ceiling = { memory = "128MiB", cpu = "1s" }

[tenant.acme]
hosts = ["acme.example.org"]
local-models = true
[tenant.acme.secret.key]
env = "ACME_KEY"

[[app]]
path = "/srv/shop-camera"

[[app]]
path   = "/srv/acme"
tenant = "acme"
[app.bind.config]
threshold = "0.9"
[app.bind.upstream.vision]
url                = "http://10.0.0.7:8080"
allow              = ["10.0.0.7/32:8080"]
headers            = { authorization = "Bearer {secret:key}" }
ca                 = "/tls/ca.pem"
client-certificate = { cert = "/tls/client.pem", key = "client-key" }

[secret.vision-key]
file = "/run/credentials/vision-key"

[log]
format   = "json"
level    = "debug"
requests = "all"

[limits]
concurrency = 100
queue       = 0
queue-wait  = "1s"
memory      = "512MiB"
connections = 1000

[compile]
cpu    = "60s"
wall   = "90s"
memory = "512MiB"
"#;

fn whole() -> NodeFile {
    NodeFile::parse(WHOLE).unwrap()
}

#[test]
fn every_key_of_the_node_is_read() {
    let file = whole();
    assert_eq!((file.node.state.as_path(), file.node.cache.as_path()), (Path::new("/s"), Path::new("/c")));
    assert_eq!(file.node.listen, ["127.0.0.1:8080".parse().unwrap(), "[::1]:8080".parse().unwrap()]);
    assert_eq!(file.node.cores.unwrap().get(), 2);
    assert!(file.node.wasi_http_03 && file.node.stack_zeroing && file.node.exact_clocks);
    let tls = file.tls.as_ref().unwrap();
    assert_eq!(tls.listen, ["0.0.0.0:8443".parse().unwrap()]);
    assert_eq!(tls.certificates.len(), 2);
    assert_eq!(tls.certificates[1].key, Path::new("/tls/b.key"));
    assert_eq!(file.ops.listen, Some("127.0.0.1:9000".parse().unwrap()));
    assert_eq!(file.admin_socket(), Path::new("/run/rimward.sock"));
    assert_eq!((file.log.format, file.log.level), (LogFormat::Json, LogLevel::Debug));
    assert_eq!(file.log.requests, LogRequests::All);
    assert_eq!((file.limits.concurrency.get(), file.limits.queue), (100, 0));
    assert_eq!(file.limits.queue_wait.get(), Duration::from_secs(1));
    assert_eq!(file.limits.memory.unwrap().get(), 512 << 20);
    assert_eq!(file.limits.connections.get(), 1000);
    assert_eq!(file.compile.cpu.get(), Duration::from_secs(60));
    assert_eq!(file.compile.wall.get(), Duration::from_secs(90));
    assert_eq!(file.compile.memory.get(), 512 << 20);
}

#[test]
fn every_key_of_a_tenant_is_read() {
    let tenant = &whole().tenants["default"];
    assert_eq!(tenant.hosts, ["*.example.com".parse().unwrap()]);
    assert_eq!(tenant.limits.memory.unwrap().get(), 512 << 20);
    assert_eq!(tenant.limits.concurrency.unwrap().get(), 256);
    assert_eq!(tenant.ceiling.memory.unwrap().get(), 128 << 20);
}

#[test]
fn a_secret_belongs_to_one_tenant() {
    let file = whole();
    let secret =
        |tenant: &str, name: &str| file.secret(&tenant.parse().unwrap(), &name.parse().unwrap()).cloned();
    assert_eq!(secret("default", "vision-key"), Some(Secret::File("/run/credentials/vision-key".into())));
    assert_eq!(secret("acme", "vision-key"), None);
    assert_eq!(secret("acme", "key"), Some(Secret::Env("ACME_KEY".into())));
    assert_eq!(secret("default", "key"), None);
}

#[test]
fn every_key_of_an_app_is_read() {
    let file = whole();
    assert_eq!(file.apps[0].tenant.as_str(), limits::TENANT);
    let app = &file.apps[1];
    assert_eq!((app.path.as_path(), app.tenant.as_str()), (Path::new("/srv/acme"), "acme"));
    assert_eq!(app.bind.config["threshold"], "0.9");
    let vision = &app.bind.upstreams["vision"];
    assert_eq!(vision.url.as_ref().unwrap().to_string(), "http://10.0.0.7:8080/");
    assert_eq!(vision.allow[0].to_string(), "10.0.0.7/32:8080");
    assert_eq!(vision.headers["authorization"].secrets().map(Name::as_str).collect::<Vec<_>>(), ["key"]);
    assert_eq!(vision.ca, Some(FileAt::Node("/tls/ca.pem".into())));
    assert_eq!(vision.client_certificate.as_ref().unwrap().key.as_str(), "client-key");
}

#[test]
fn an_empty_file_is_the_default() {
    let file = NodeFile::parse("").unwrap();
    assert_eq!(file, NodeFile::default());
    assert_eq!(file.node.listen, [limits::NODE_LISTEN.parse().unwrap()]);
    assert_eq!(file.ops.listen, Some(limits::OPS_LISTEN.parse().unwrap()));
    assert_eq!(file.admin_socket(), Path::new("/var/lib/rimward/admin.sock"));
    assert_eq!(file.tenants["default"].hosts, [HostName::Any]);
    assert_eq!(file.tenants.len(), 1);
    assert!(file.tls.is_none() && file.apps.is_empty() && !file.node.wasi_http_03);
}

#[test]
fn ops_can_be_off() {
    assert_eq!(NodeFile::parse("[ops]\nlisten = 'off'").unwrap().ops.listen, None);
}
