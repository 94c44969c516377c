//! Faults put into the calls of a node, from the first moment or while it runs.

use crate::harness::{Folder, PATIENCE, address, get, guest};
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::time::Instant;

/// A service that is well.
fn origin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let mut line = String::new();
            while stream.read_line(&mut line).is_ok_and(|read| read > 2) {
                line.clear();
            }
            // Whoever went away misses the answer.
            let _ = stream
                .get_mut()
                .write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok");
        }
    });
    address
}

fn write_app(folder: &Folder, origin: SocketAddr) {
    let app = format!(
        "[app]\nname = \"gateway\"\n[function.sends]\ncomponent = \"proxy.wasm\"\nupstreams = [\"origin\"]\n\
         [[trigger.http]]\nroute = \"/*rest\"\nfunction = \"sends\"\n\
         [upstream.origin]\nurl = \"http://{origin}\"\n\
         circuit-breaker = {{ open = \"50ms\", open-max = \"50ms\", consecutive = 2 }}\nretry = {{ attempts = 1 }}\n"
    );
    folder.write("rimward.toml", app).write("proxy.wasm", guest("proxy"));
}

/// Asks until the answer is that status.
fn until(address: SocketAddr, status: u16) {
    let start = Instant::now();
    while get(address).0 != status {
        assert!(start.elapsed() < PATIENCE, "the answer is never {status}");
    }
}

#[test]
fn a_dev_node_is_offline_until_it_is_told_otherwise_and_its_breaker_is_seen() {
    let folder = Folder::new();
    write_app(&folder, origin());
    let mut dev = folder.start(&["dev", "--listen", "127.0.0.1:0", "--json", "--offline"]);
    let address = address(&dev.event("listening"));
    assert_eq!(dev.event("faults")["faults"], "offline");
    dev.event("serving");
    assert_eq!((get(address).0, get(address).0), (502, 502));
    let breaker = dev.event("breaker");
    assert_eq!((&breaker["from"], &breaker["to"]), (&"closed".into(), &"open".into()));
    let list = folder.run(&["fault", "list", "--json"]).succeeds().json();
    assert_eq!(list, serde_json::json!({ "offline": true, "rules": [] }));
    folder.run(&["fault", "clear"]).succeeds().is_golden("fault-none");
    until(address, 200);
    folder
        .run(&["fault", "set", "origin=error:418@100%", "*=latency:1ms±1ms"])
        .succeeds()
        .is_golden("fault-set");
    until(address, 418);
    folder.run(&["fault", "clear", "*"]).succeeds().is_golden("fault-one");
    folder.run(&["fault", "clear", "nobody"]).is_golden("fault-clear-unknown");
    folder.run(&["fault", "set", "orign=reset"]).is_golden("fault-stranger");
    folder.run(&["fault", "set", "origin=slow"]).is_golden("fault-unknown");
    folder.run(&["fault", "clear"]).succeeds();
    until(address, 200);
    let shown = folder.run(&["upstreams", "show", "origin", "--json"]).succeeds().json();
    assert!(shown["injected-faults"].as_u64() > Some(2), "{shown}");
    assert_eq!(dev.stop(), Some(0));
}

#[test]
fn a_dev_node_begins_with_faults() {
    let folder = Folder::new();
    write_app(&folder, origin());
    let fault = ["--fault", "origin=error:418", "--fault-seed", "7"];
    let mut dev = folder.start(&[&["dev", "--listen", "127.0.0.1:0", "--json"], &fault[..]].concat());
    let address = address(&dev.event("listening"));
    dev.event("serving");
    assert_eq!(get(address).0, 418);
    let list = folder.run(&["fault", "list", "--json"]).succeeds().json();
    assert_eq!(
        (&list["seed"], &list["rules"][0]["upstreams"][0]),
        (&7.into(), &"default/gateway/origin".into())
    );
    assert_eq!(dev.stop(), Some(0));
}

#[test]
fn a_node_in_production_takes_faults_only_by_its_operators_word() {
    let run = |allowed: &str| {
        let folder = Folder::new();
        write_app(&folder, origin());
        let node = format!(
            "[node]\nstate = \"state\"\ncache = \"code\"\nlisten = [\"127.0.0.1:0\"]\ncores = 1\n{allowed}\n\
             [ops]\nlisten = \"127.0.0.1:0\"\n[limits]\nconcurrency = 4\n[admin]\nsocket = \"admin.sock\"\n[[app]]\npath = \".\"\n"
        );
        folder.write("node.toml", node);
        let mut node = folder.start(&["--json", "serve", "--config", "node.toml"]);
        node.event("ready");
        let set = folder.run(&["fault", "set", "--offline", "--socket", "admin.sock"]);
        assert_eq!(node.stop(), Some(0));
        set
    };
    run("").is_golden("fault-not-allowed");
    run("fault-injection = true").is_golden("fault-allowed");
}
