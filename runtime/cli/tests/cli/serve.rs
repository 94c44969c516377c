//! A node in production.

use crate::harness::{Folder, PATIENCE, address, example, get, manifest};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

#[test]
fn a_bare_component_answers_until_it_is_asked_to_stop() {
    let folder = Folder::new();
    folder.write("hello.wasm", example("hello"));
    let mut node = folder.start(&["serve", "hello.wasm", "--listen", "127.0.0.1:0", "--json"]);
    let ready = node.event("ready");
    assert_eq!(ready["apps"][0], "default/hello");
    assert_eq!(get(address(&ready)).0, 200);
    assert_eq!(node.stop(), Some(0));
}

#[test]
fn a_node_file_names_the_apps_and_status_shows_them() {
    let folder = Folder::new();
    folder.write("shop/rimward.toml", manifest("shop", "")).write("shop/function.wasm", example("hello"));
    let node_toml = "[node]\nstate = \"state\"\ncache = \"code\"\nlisten = [\"127.0.0.1:0\"]\n\
                     [ops]\nlisten = \"off\"\n[[app]]\npath = \"shop\"\n";
    folder.write("node.toml", node_toml);
    let mut node = folder.start(&["serve", "--config", "node.toml", "--json"]);
    let ready = node.event("ready");
    assert_eq!(get(address(&ready)).0, 200);
    let status = || folder.run(&["status", "--config", "node.toml", "--json"]).succeeds().json();
    assert_eq!(status()["apps"][0]["app"], "shop");
    // A request is counted when its reply is out, which the client may see first.
    let started = std::time::Instant::now();
    while status()["apps"][0]["functions"][0]["requests"] != 1 {
        assert!(started.elapsed() < PATIENCE, "{}", status());
    }
    let text = folder.run(&["status", "--socket", "state/admin.sock"]).succeeds().stdout;
    assert!(text.contains("serving") && text.contains("default/shop"), "{text}");
    assert_eq!(node.stop(), Some(0));
}

#[test]
fn an_app_that_is_broken_does_not_keep_the_others_from_being_served() {
    let folder = Folder::new();
    folder.write("shop/rimward.toml", manifest("shop", "")).write("shop/function.wasm", example("hello"));
    let node_toml = "[node]\nstate = \"state\"\ncache = \"code\"\nlisten = [\"127.0.0.1:0\"]\n\
                     [ops]\nlisten = \"off\"\n[[app]]\npath = \"gone\"\n[[app]]\npath = \"shop\"\n";
    folder.write("node.toml", node_toml);
    let mut node = folder.start(&["serve", "--config", "node.toml", "--json"]);
    assert_eq!(node.event("ready")["apps"], serde_json::json!(["default/shop"]));
    assert_eq!(node.stop(), Some(0));
}

/// What a page of the ops listener says.
fn ops(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    reply
}

/// H17: a node that has no file descriptor left still answers its operator, and clients again when it has.
#[test]
fn a_node_without_file_descriptors_answers_its_operator_and_recovers() {
    let folder = Folder::new();
    folder.write("shop/rimward.toml", manifest("shop", "")).write("shop/function.wasm", example("hello"));
    let node_toml = "[node]\nstate = \"state\"\ncache = \"code\"\nlisten = [\"127.0.0.1:0\"]\ncores = 2\n\
                     [ops]\nlisten = \"127.0.0.1:0\"\n[[app]]\npath = \"shop\"\n";
    folder.write("node.toml", node_toml);
    let mut node = folder.start(&["serve", "--config", "node.toml", "--json"]);
    let ready = node.event("ready");
    let operator: SocketAddr = ready["addresses"]["ops"].as_str().unwrap().parse().unwrap();
    assert_eq!(get(address(&ready)).0, 200);
    // As many as it has, and a few.
    node.limit_descriptors(4);
    let clients: Vec<_> = (0..16).map(|_| TcpStream::connect(address(&ready)).unwrap()).collect();
    let failed = |metrics: &str| {
        let line = metrics.lines().find(|line| line.starts_with("rimward_accept_failures_total "));
        line.is_some_and(|line| !line.ends_with(" 0"))
    };
    let started = Instant::now();
    while !failed(&ops(operator, "/metrics")) {
        assert!(started.elapsed() < PATIENCE, "it never ran out");
    }
    assert!(ops(operator, "/readyz").contains("ready"));
    folder.run(&["status", "--config", "node.toml", "--json"]).succeeds();
    drop(clients);
    assert_eq!(get(address(&ready)).0, 200);
    assert_eq!(node.stop(), Some(0));
}
