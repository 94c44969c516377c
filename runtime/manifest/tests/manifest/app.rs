//! What a `rimward.toml` declares.

use std::path::Path;
use std::time::Duration;

use rimward_manifest::{
    App, ConfidenceRule, Durability, FileAt, HostName, Limits, ModelMode, ModelPlace, Name, NodeFile, Reuse,
    StoreKind, UpstreamBinding, limits,
};

/// Every key that this version reads.
pub(crate) const WHOLE: &str = r#"
[app]
name = "shop-camera"
version = "1.2.0"

[function.classify]
component = "target/wasm32-wasip2/release/classify.wasm"
build     = { command = "cargo build --release", dir = "guest", watch = ["src/**", "Cargo.toml"] }
limits    = { memory = "64MiB", cpu = "200ms", wall = "2s", request-body = "8MiB", concurrency = 64, stream-idle = "10s", stream-max = "1h", stream-min-rate = "1KiB", outgoing = 4, log-rate = "1KiB", table-elements = 9, handles = 8, host-call = "1MiB" }
reuse     = 100
upstreams = ["vision"]
hosts     = ["https://api.example.com:443", "http://*.example.org"]
functions = ["report"]
models    = ["classifier"]
stores    = ["sightings", "cache"]
config    = { threshold = "0.8" }
secrets   = ["camera-key"]

[function.report]
component = "report.wasm"
reuse     = "fresh"

[[trigger.http]]
route    = "POST /classify"
host     = "shop.example.com"
function = "classify"

[[trigger.http]]
route    = "/report/:day"
function = "report"

[upstream.vision]
url                = "https://vision.example.com/v2"
timeout            = { connect = "200ms", first-byte = "800ms", between-bytes = "5s", total = "2s" }
headers            = { Authorization = "Bearer {secret:vision-key}" }
ca                 = "certs/ca.pem"
client-certificate = { cert = "certs/client.pem", key = "client-key" }

[store.cache]
kind       = "memory"
durability = "interval"

[model.classifier]
place             = "auto"
mode              = "escalate"
deadline          = "150ms"
min-confidence    = 0.7
confidence        = "softmax"
confidence-output = "scores"
allow-non-finite  = true
remote            = { upstream = "vision", model = "resnet50", version = "2", protocol = "oip-http", binary = true }
local             = { file = "models/mobilenet.onnx" }
"#;

fn whole() -> App {
    App::parse(WHOLE).unwrap()
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn names<'n>(names: impl IntoIterator<Item = &'n Name>) -> Vec<&'n str> {
    names.into_iter().map(Name::as_str).collect()
}

#[test]
fn every_key_of_a_function_is_read() {
    let app = whole();
    assert_eq!((app.name.as_str(), app.version.as_deref()), ("shop-camera", Some("1.2.0")));
    assert_eq!(names(app.functions.keys()), ["classify", "report"]);
    let classify = &app.functions["classify"];
    assert_eq!(classify.component, Path::new("target/wasm32-wasip2/release/classify.wasm"));
    let build = classify.build.as_ref().unwrap();
    assert_eq!(
        (build.command.as_str(), build.dir.as_deref()),
        ("cargo build --release", Some(Path::new("guest")))
    );
    assert_eq!(build.watch, ["src/**", "Cargo.toml"]);
    assert_eq!(classify.reuse, Reuse::Times(100));
    assert_eq!(names(&classify.upstreams), ["vision"]);
    assert_eq!(names(&classify.functions), ["report"]);
    assert_eq!(names(&classify.stores), ["cache", "sightings"]);
    assert_eq!(names(&classify.secrets), ["camera-key"]);
    assert_eq!(classify.config["threshold"], "0.8");
    let hosts: Vec<String> = classify.hosts.iter().map(ToString::to_string).collect();
    assert_eq!(hosts, ["http://*.example.org:80", "https://api.example.com:443"]);
}

#[test]
fn what_is_not_named_is_denied_or_has_its_default() {
    let report = &whole().functions["report"];
    assert_eq!(report.reuse, Reuse::Fresh);
    assert_eq!(report.limits, Limits::default());
    assert!(report.upstreams.is_empty() && report.hosts.is_empty() && report.functions.is_empty());
    assert!(report.stores.is_empty() && report.config.is_empty() && report.secrets.is_empty());
}

#[test]
fn an_http_trigger_has_a_route_a_host_and_a_function() {
    let app = whole();
    let trigger = |index: usize| {
        let trigger = &app.http[index];
        (trigger.route.to_string(), trigger.host.to_string(), trigger.function.to_string())
    };
    assert_eq!(trigger(0), ("POST /classify".into(), "shop.example.com".into(), "classify".into()));
    assert_eq!(trigger(1), ("/report/:day".into(), "*".into(), "report".into()));
}

#[test]
fn every_key_of_an_upstream_is_read() {
    let vision = &whole().upstreams["vision"];
    assert_eq!(vision.url.get().as_str(), "https://vision.example.com/v2");
    let timeouts = vision.timeout.resolve();
    assert_eq!(timeouts.connect, Duration::from_millis(200));
    assert_eq!(timeouts.first_byte, Duration::from_millis(800));
    assert_eq!(timeouts.between_bytes, Duration::from_secs(5));
    assert_eq!(timeouts.total, Duration::from_secs(2));
    assert_eq!(vision.headers["authorization"].to_string(), "Bearer {secret:vision-key}");
    assert_eq!(vision.ca, Some(FileAt::App("certs/ca.pem".parse().unwrap())));
    let certificate = vision.client_certificate.as_ref().unwrap();
    assert_eq!(certificate.cert, FileAt::App("certs/client.pem".parse().unwrap()));
    assert_eq!(certificate.key.as_str(), "client-key");
}

#[test]
fn a_store_without_a_declaration_is_durable() {
    let app = whole();
    let store = |name| (app.store(name).kind, app.store(name).durability);
    assert_eq!(store("cache"), (StoreKind::Memory, Durability::Interval));
    assert_eq!(store("sightings"), (StoreKind::Durable, Durability::Commit));
}

#[test]
fn the_secrets_of_an_app_are_those_that_it_reads_and_those_that_its_calls_carry() {
    assert_eq!(names(whole().secrets()), ["camera-key", "client-key", "vision-key"]);
}

#[test]
fn the_files_of_an_app_are_those_that_its_upstreams_and_models_name() {
    let app = whole();
    let files: Vec<&str> = app.files().into_iter().map(|path| path.as_str()).collect();
    assert_eq!(files, ["certs/ca.pem", "certs/client.pem", "models/mobilenet.onnx"]);
}

#[test]
fn a_bare_component_answers_every_request_and_is_granted_nothing() {
    let app = App::of_component(name("hello"), "hello.wasm".into());
    assert_eq!(app.http[0].route.to_string(), "/*rest");
    assert_eq!(app.http[0].host, HostName::Any);
    assert_eq!(names(app.functions.keys()), ["hello"]);
    assert!(app.secrets().is_empty() && app.files().is_empty());
}

#[test]
fn undeclared_limits_and_timeouts_have_their_defaults() {
    let resolved = Limits::default().resolve(&Limits::default()).unwrap();
    assert_eq!(resolved.memory_bytes_max, limits::FUNCTION_MEMORY_BYTES);
    assert_eq!(resolved.cpu, limits::FUNCTION_CPU);
    assert_eq!(resolved.wall, limits::FUNCTION_WALL);
    assert_eq!(resolved.request_body_bytes_max, limits::FUNCTION_REQUEST_BODY_BYTES);
    assert_eq!(resolved.concurrency, limits::FUNCTION_CONCURRENCY);
    assert_eq!(resolved.stream_idle, limits::FUNCTION_STREAM_IDLE);
    assert_eq!(resolved.stream_max, None);
    assert_eq!(resolved.outgoing, limits::FUNCTION_OUTGOING);
    assert_eq!(resolved.log_bytes_per_second, limits::FUNCTION_LOG_BYTES_PER_SECOND);
}

/// The limits of an app under a ceiling, both as inline tables.
fn resolve(declared: &str, ceiling: &str) -> Result<rimward_manifest::FunctionLimits, Vec<String>> {
    let app = format!("[app]\nname = \"a\"\n[function.f]\ncomponent = \"f.wasm\"\nlimits = {declared}\n");
    let node = format!("[tenant.default]\nhosts = [\"*\"]\nceiling = {ceiling}\n");
    let declared = App::parse(&app).unwrap().functions["f"].limits.clone();
    let ceiling = NodeFile::parse(&node).unwrap().tenants["default"].ceiling.clone();
    declared.resolve(&ceiling).map_err(|above| above.iter().map(ToString::to_string).collect())
}

#[test]
fn a_declared_limit_holds_up_to_the_ceiling() {
    let resolved = resolve("{ memory = '64MiB', wall = '5s' }", "{ memory = '64MiB', wall = '6s' }").unwrap();
    assert_eq!(resolved.memory_bytes_max, 64 << 20);
    assert_eq!(resolved.wall, Duration::from_secs(5));
}

#[test]
fn every_limit_above_the_ceiling_is_refused_with_both_values() {
    let every = "{ memory = '65MiB', cpu = '2s', wall = '3s', request-body = '2MiB', concurrency = 3, \
                 stream-idle = '2s', stream-max = '2h', outgoing = 2, log-rate = '2KiB', stream-min-rate = '1KiB', \
                 table-elements = 3, handles = 3, host-call = '2MiB' }";
    let ceiling = "{ memory = '64MiB', cpu = '1s', wall = '2s', request-body = '1MiB', concurrency = 2, \
                   stream-idle = '1s', stream-max = '1h', outgoing = 1, log-rate = '1KiB', stream-min-rate = '2KiB', \
                   table-elements = 2, handles = 2, host-call = '1MiB' }";
    let above = resolve(every, ceiling).unwrap_err();
    assert_eq!(above.len(), 13);
    assert!(
        above.contains(
            &"the limit `stream-min-rate = 1KiB` is below the tenant's ceiling of `2KiB`".to_owned()
        )
    );
    assert_eq!(above[0], "the limit `memory = 65MiB` is above the tenant's ceiling of `64MiB`");
    assert_eq!(above[6], "the limit `stream-max = 2h` is above the tenant's ceiling of `1h`");
}

#[test]
fn a_default_above_the_ceiling_is_lowered_to_it() {
    let resolved = resolve("{}", "{ memory = '1MiB', stream-max = '1h', outgoing = 1 }").unwrap();
    assert_eq!(resolved.memory_bytes_max, 1 << 20);
    assert_eq!(resolved.stream_max, Some(Duration::from_secs(3600)));
    assert_eq!(resolved.outgoing, 1);
}

#[test]
fn a_binding_replaces_what_it_names_and_leaves_the_rest() {
    let node = r#"
        [[app]]
        path = "/srv/shop"
        [app.bind.upstream.vision]
        url     = "http://10.0.0.7:8080"
        headers = { authorization = "Basic {secret:other}", x-node = "7" }
        ca      = "/etc/ca.pem"
    "#;
    let node = NodeFile::parse(node).unwrap();
    let binding: &UpstreamBinding = &node.apps[0].bind.upstreams["vision"];
    let declared = whole().upstreams["vision"].clone();
    let bound = declared.clone().bind(binding);
    assert_eq!(bound.url.to_string(), "http://10.0.0.7:8080/");
    assert_eq!(bound.headers["authorization"].to_string(), "Basic {secret:other}");
    assert_eq!(bound.headers["x-node"].to_string(), "7");
    assert_eq!(bound.ca, Some(FileAt::Node("/etc/ca.pem".into())));
    assert_eq!(bound.client_certificate, declared.client_certificate);
    assert_eq!(bound.timeout, declared.timeout);
}

#[test]
fn every_key_of_a_model_is_read() {
    let app = whole();
    assert_eq!(names(&app.functions["classify"].models), ["classifier"]);
    let model = &app.models["classifier"];
    assert_eq!((model.place(), model.mode()), (ModelPlace::Auto, ModelMode::Escalate));
    assert_eq!(model.deadline.unwrap().get(), Duration::from_millis(150));
    assert!((model.min_confidence.unwrap().get() - 0.7).abs() < 1e-9);
    assert_eq!(
        (model.confidence, model.confidence_output.as_deref()),
        (Some(ConfidenceRule::Softmax), Some("scores"))
    );
    assert!(model.allow_non_finite);
    let remote = model.remote.as_ref().unwrap();
    assert_eq!((remote.upstream.as_str(), remote.model.as_deref()), ("vision", Some("resnet50")));
    assert_eq!((remote.version.as_deref(), remote.binary), (Some("2"), Some(true)));
    let file = &model.local.as_ref().unwrap().file;
    assert!(app.files().contains(file), "it belongs to the bundle");
}

#[test]
fn a_model_is_placed_by_what_it_has() {
    let of = |keys: &str| {
        let text = format!(
            "[app]\nname = 'a'\n[function.f]\ncomponent = 'f.wasm'\n[upstream.u]\nurl = 'http://u'\n[model.m]\n{keys}"
        );
        App::parse(&text).map(|app| app.models["m"].clone()).map_err(|problems| problems.to_string())
    };
    let (local, remote) = ("local = { file = 'm.onnx' }\n", "remote = { upstream = 'u' }\n");
    let both = format!("{local}{remote}");
    let at = |keys: &str| of(keys).map(|model| (model.place(), model.mode())).unwrap();
    assert_eq!(at(local).0, ModelPlace::Local);
    assert_eq!(at(remote).0, ModelPlace::Remote);
    assert_eq!(at(&both), (ModelPlace::Auto, ModelMode::Hedge));
    assert_eq!(at(&format!("{both}min-confidence = 1")).1, ModelMode::Escalate);
    for (keys, why) in [
        (String::new(), "`local` or `remote"),
        (format!("{local}place = 'auto'"), "the model has no `remote`, which this place needs"),
        (format!("{remote}place = 'local'"), "the model has no `local`, which this place needs"),
        (format!("{local}min-confidence = 0.5"), "answered on both sides"),
        (format!("{both}place = 'remote'\nmode = 'hedge'"), "answered on both sides"),
        (format!("{both}mode = 'escalate'"), "nothing says when to escalate"),
        (format!("{both}min-confidence = 1.1"), "`1.1` is not between 0 and 1"),
        (format!("{both}min-confidence = nan"), "is not between 0 and 1"),
        (format!("{both}min-confidence = '0.5'"), "a number is expected"),
        ("remote = { upstream = 'v' }".to_owned(), "`v`"),
        ("remote = { upstream = 'u', model = '' }".to_owned(), "`model` is empty"),
        ("local = { file = '../m.onnx' }".to_owned(), "leaves the app's folder"),
        ("remote = { upstream = 'u', protocol = 'grpc' }".to_owned(), "`oip-http`"),
    ] {
        let problem = of(&keys).unwrap_err();
        assert!(problem.contains(why), "{keys}: {problem}");
    }
}
