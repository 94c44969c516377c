//! The author's loop. Its builds are copies, so that it is the loop that is tested and not cargo.

use crate::harness::{Folder, address, example, get, manifest};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::thread;

/// An app that is built from `source.wasm`, unless there is nothing in it.
fn app() -> Folder {
    let folder = Folder::new();
    let build = "build = { command = \"test -s source.wasm && cp source.wasm function.wasm\", watch = [\"source.wasm\"] }";
    folder.write("rimward.toml", manifest("hello", build)).write("source.wasm", example("hello"));
    folder
}

#[test]
fn a_change_is_served_without_a_failed_request_and_a_failed_build_is_not() {
    let folder = app();
    let mut dev = folder.start(&["dev", "--listen", "127.0.0.1:0", "--json"]);
    let address = address(&dev.event("listening"));
    let first = dev.event("serving");
    assert_eq!(get(address).0, 200);
    let request = dev.event("request");
    assert_eq!((&request["status"], &request["function"]), (&200.into(), &"hello".into()));

    let (stop, answered) = (AtomicBool::new(false), AtomicU32::new(0));
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Relaxed) {
                assert_eq!(get(address).0, 200);
                answered.fetch_add(1, Relaxed);
            }
        });
        folder.write("source.wasm", "");
        assert_eq!(dev.event("failed")["still-serving"], first["revision"]);
        folder.write("source.wasm", example("echo"));
        assert_eq!(dev.event("serving")["replaced"], first["revision"]);
        stop.store(true, Relaxed);
    });
    assert!(answered.into_inner() > 0);
    assert_eq!(dev.stop(), Some(0));
}

#[test]
fn a_changed_declaration_is_served_and_a_wrong_one_is_not() {
    let folder = app();
    let mut dev = folder.start(&["dev", "--listen", "127.0.0.1:0", "--json"]);
    let first = dev.event("serving");
    let right = std::fs::read_to_string(folder.path().join("rimward.toml")).unwrap();
    folder.write("rimward.toml", right.clone() + "hots = \"*\"\n");
    let failed = dev.event("failed");
    assert_eq!(failed["error"]["problems"]["problems"][0]["nearest"], "host");
    folder.write("rimward.toml", right.replace("GET /", "GET /new"));
    let second = dev.event("serving");
    assert_eq!(second["routes"], serde_json::json!(["GET /new"]));
    assert_eq!(second["replaced"], first["revision"]);
    assert_eq!(dev.stop(), Some(0));
}

#[test]
fn status_finds_the_node_of_the_app_in_this_folder() {
    let folder = app();
    let mut dev = folder.start(&["dev", "--listen", "127.0.0.1:0", "--json"]);
    dev.event("serving");
    let status = folder.run(&["status", "--json"]).succeeds().json();
    assert_eq!(status["apps"][0]["app"], "hello");
    assert_eq!(dev.stop(), Some(0));
}
