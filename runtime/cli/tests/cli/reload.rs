//! New settings for a node that runs: taken over whole, or not at all.

use crate::harness::{Folder, Running, address, example, get, get_path, guest, manifest};
use rustix::process::Signal;
use std::net::SocketAddr;

/// A node with TLS, a secret, a tenant of its own and one app.
fn base(folder: &Folder) -> String {
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    folder.write("tls/cert.pem", certified.cert.pem());
    folder.write("tls/key.pem", certified.signing_key.serialize_pem());
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    folder.write("tls/other.pem", other.signing_key.serialize_pem());
    folder.write("secrets/key", "hunter2hunter2\n");
    folder.write("shop/rimward.toml", manifest("shop", "secrets = [\"key\"]"));
    folder.write("shop/function.wasm", example("hello"));
    r#"
[node]
state  = "state"
cache  = "code"
listen = ["127.0.0.1:0"]
[ops]
listen = "127.0.0.1:0"
[tls]
listen = ["127.0.0.1:0"]
[[tls.certificate]]
cert = "tls/cert.pem"
key  = "tls/key.pem"
[tenant.default]
hosts = ["*"]
[secret.key]
file = "secrets/key"
[limits]
concurrency = 8
[[app]]
path = "shop"
"#
    .to_owned()
}

fn start(folder: &Folder) -> (Running, SocketAddr, SocketAddr, String) {
    let base = base(folder);
    folder.write("node.toml", &base);
    let mut node = folder.start(&["serve", "--config", "node.toml", "--json"]);
    let ready = node.event("ready");
    let ops = ready["addresses"]["ops"].as_str().unwrap().parse().unwrap();
    (node, address(&ready), ops, base)
}

const SOCKET: &[&str] = &["--socket", "state/admin.sock"];

fn reload(folder: &Folder) -> crate::harness::Ended {
    folder.run(&[&["reload"], SOCKET].concat())
}

/// What replaces what in the base (appended where that is empty), and what the operator reads.
const BAD: &[(&str, &str, &str)] = &[
    // Syntax.
    ("", "[", "node.toml:"),
    ("", "[[app]", "node.toml:"),
    ("cache  =", "cache", "node.toml:4:"),
    ("concurrency = 8", "concurrency = ", "node.toml:"),
    ("\"state\"", "\"state", "node.toml:3:"),
    ("", "[limits]", "node.toml:"),
    ("", "\u{0}", "node.toml:"),
    // Keys.
    ("cache ", "cash ", "unknown key `cash`"),
    ("[limits]", "[limit]", "unknown key `limit`"),
    ("", "colour = 1\n", "unknown key `colour`"),
    ("[[app]]\n", "[[app]]\nname = \"x\"\n", "unknown key `name`"),
    ("cert =", "certificate =", "unknown key `certificate`"),
    ("hosts =", "host =", "unknown key `host`"),
    // Kinds of values, and limits.
    ("concurrency = 8", "concurrency = 0", "node.toml:"),
    ("concurrency = 8", "concurrency = -1", "node.toml:"),
    ("concurrency = 8", "concurrency = 4294967296", "node.toml:"),
    ("concurrency = 8", "concurrency = \"8\"", "node.toml:"),
    ("concurrency = 8", "concurrency = 8.5", "node.toml:"),
    ("concurrency = 8", "queue = -1", "node.toml:"),
    ("concurrency = 8", "queue-wait = \"soon\"", "node.toml:"),
    ("concurrency = 8", "queue-wait = \"-1s\"", "node.toml:"),
    ("concurrency = 8", "memory = \"0\"", "node.toml:"),
    ("concurrency = 8", "memory = \"1XB\"", "node.toml:"),
    ("concurrency = 8", "connections = 0", "node.toml:"),
    ("hosts = [\"*\"]", "hosts = [\"*\"]\nlimits = { concurrency = 0 }", "node.toml:"),
    ("hosts = [\"*\"]", "hosts = [\"*\"]\nceiling = { cpu = \"0s\" }", "node.toml:"),
    ("hosts = [\"*\"]", "hosts = [\"a b\"]", "node.toml:"),
    ("hosts = [\"*\"]", "hosts = 1", "node.toml:"),
    ("listen = [\"127.0.0.1:0\"]", "listen = [\"localhost\"]", "node.toml:"),
    ("listen = [\"127.0.0.1:0\"]", "listen = [\"127.0.0.1:65536\"]", "node.toml:"),
    ("[ops]\nlisten = \"127.0.0.1:0\"", "[ops]\nlisten = \"never\"", "node.toml:"),
    ("\"code\"\n", "\"code\"\nconfine = \"maybe\"\n", "node.toml:"),
    ("\"code\"\n", "\"code\"\ncores = 0\n", "node.toml:"),
    ("", "[log]\nlevel = \"loud\"\n", "node.toml:"),
    // Names.
    ("[secret.key]", "[secret.Key_1]", "node.toml:"),
    ("path = \"shop\"", "path = \"shop\"\ntenant = \"nobody\"", "nobody"),
    ("", "[tenant.other]\nhosts = [\"a.example\"]\n", "overlaps"),
    ("", "[tenant.default.secret.key]\nfile = \"x\"\n", "`key` is declared here and in"),
    ("", "[[app]]\npath = \"shop\"\n", "`default/shop` is listed twice"),
    ("file = \"secrets/key\"", "file = \"secrets/key\"\nenv = \"KEY\"", "either a `file` or an `env`"),
    ("file = \"secrets/key\"", "", "node.toml:"),
    // What the file names.
    ("tls/cert.pem", "tls/none.pem", "none.pem"),
    ("tls/cert.pem", "shop/rimward.toml", "cannot be used"),
    ("tls/key.pem", "tls/other.pem", "cannot be used together"),
    ("secrets/key", "secrets/none", "cannot read the file"),
    ("[secret.key]\nfile = \"secrets/key\"\n", "", "needs the secret `key`"),
    ("path = \"shop\"", "path = \"gone\"", "gone"),
    ("path = \"shop\"", "path = \"secrets/key\"", "is no component"),
    ("hosts = [\"*\"]", "hosts = [\"*\"]\nlimits = { memory = \"1MiB\" }", "memory"),
    // What a running node cannot change: told with the keys.
    (
        "listen = [\"127.0.0.1:0\"]",
        "listen = [\"127.0.0.1:1\"]",
        "a restart is needed to change `node.listen`",
    ),
    ("\"state\"", "\"elsewhere\"", "`node.state`"),
    ("[ops]\nlisten = \"127.0.0.1:0\"", "[ops]\nlisten = \"off\"", "`ops.listen`"),
    ("[tls]\nlisten = [\"127.0.0.1:0\"]", "[tls]\nlisten = [\"127.0.0.1:1\"]", "`tls.listen`"),
    ("concurrency = 8", "concurrency = 9\nqueue = 3", "`limits.concurrency`, `limits.queue`"),
    ("", "[log]\nformat = \"json\"\n[compile]\ncpu = \"9s\"\n", "`compile.cpu`, `log.format`"),
];

/// F9: whatever is wrong with new settings is told with its place, and the node serves on as it was.
#[test]
fn settings_with_a_problem_change_nothing_and_the_problem_is_told() {
    assert!(BAD.len() >= 40);
    let folder = Folder::new();
    let (node, address, ops, base) = start(&folder);
    for (old, new, told) in BAD {
        assert!(base.contains(old), "{old}");
        let text = if old.is_empty() { format!("{base}{new}") } else { base.replacen(old, new, 1) };
        folder.write("node.toml", text);
        let ended = reload(&folder);
        assert_eq!(ended.status, Some(1), "{new}: {}", ended.stdout);
        assert!(ended.stderr.contains(told), "{new}: {}", ended.stderr);
        assert!(!ended.stderr.contains("hunter2"), "{new}: {}", ended.stderr);
        assert_eq!(get(address).0, 200, "{new}");
    }
    let metrics = get_path(ops, "/metrics").1;
    assert!(metrics.contains(&format!("rimward_reloads_failed_total {}", BAD.len())), "{metrics}");
    assert!(metrics.contains("rimward_reload_is_failed 1"), "{metrics}");
    let status = folder.run(&[&["status"], SOCKET].concat()).succeeds().stdout;
    assert!(status.contains("the last reload changed nothing") && status.contains("log.format"), "{status}");
    folder.write("node.toml", base);
    let kept = reload(&folder).succeeds().stdout;
    assert_eq!(kept, "kept: default/shop\nthe settings are in force\n");
    assert!(get_path(ops, "/metrics").1.contains("rimward_reload_is_failed 0"));
    assert_eq!(node.stop(), Some(0));
}

/// F9: a node does not start with settings that have a problem, and a port that is in use is one.
#[test]
fn a_node_does_not_start_with_a_problem() {
    let folder = Folder::new();
    let base = base(&folder);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = format!("listen = [\"{}\"]", taken.local_addr().unwrap());
    for (new, told) in [(port.as_str(), "another program listens there"), ("listen = 3", "node.toml:5:")] {
        folder.write("node.toml", base.replacen("listen = [\"127.0.0.1:0\"]", new, 1));
        let ended = folder.run(&["serve", "--config", "node.toml"]);
        assert_eq!(ended.status, Some(1));
        assert!(ended.stderr.contains(told), "{}", ended.stderr);
    }
}

/// F9, F18, F24: SIGHUP takes over apps that are new, changed or gone, tenants, and secrets that were rotated; requests
/// under way finish on what they began with.
#[test]
fn a_reload_takes_over_apps_tenants_and_secrets() {
    let folder = Folder::new();
    let (node, address, ops, base) = start(&folder);
    let reloaded = |count: u32| {
        while !get_path(ops, "/metrics").1.contains(&format!("rimward_reloads_total {count}")) {
            std::thread::yield_now();
        }
        assert!(get_path(ops, "/metrics").1.contains("rimward_reload_is_failed 0"), "{}", folder.log());
    };
    folder.write(
        "shop/rimward.toml",
        manifest("shop", "secrets = [\"key\"]")
            + "[[trigger.http]]\nroute = \"GET /new\"\nfunction = \"shop\"\n",
    );
    let more = "[tenant.slow]\nhosts = [\"slow.example\"]\n[[app]]\npath = \"slow\"\ntenant = \"slow\"\n";
    let slow = manifest("slow", "").replace("GET /", "GET /*ms");
    folder.write("slow/rimward.toml", slow).write("slow/function.wasm", guest("sleep"));
    // A confined node reaches what is beside its apps.
    folder.write("node.toml", base.replace("hosts = [\"*\"]", "hosts = [\"localhost\"]") + more);
    assert_eq!(get_path(address, "/new").0, 404);
    node.signal(Signal::HUP);
    reloaded(1);
    assert_eq!(get_path(address, "/new").0, 200, "the app's new revision serves");
    let open = std::thread::spawn(move || crate::harness::get_host(address, "slow.example", "/700"));
    while !get_path(ops, "/metrics").1.contains("rimward_permits_taken 1") {
        std::thread::yield_now();
    }
    folder.write("secrets/key", "rotated\n").write("node.toml", &base);
    let said = reload(&folder).succeeds().stdout;
    assert_eq!(said, "installed: default/shop\nretired: slow/slow\nthe settings are in force\n");
    assert_eq!(open.join().unwrap().0, 200, "a retired app finishes its open request");
    assert_eq!(crate::harness::get_host(address, "slow.example", "/1").0, 404);
    folder.write("secrets/key", "rotated again\n");
    assert_eq!(reload(&folder).succeeds().stdout, "installed: default/shop\nthe settings are in force\n");
    assert_eq!(reload(&folder).succeeds().stdout, "kept: default/shop\nthe settings are in force\n");
    assert!(!folder.log().contains("rotated") && !folder.log().contains("hunter2"));
    assert_eq!(node.stop(), Some(0));
}
