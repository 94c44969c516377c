//! What a running node has given up. What that keeps from an attacker is tested in `runtime/confine`.

use crate::harness::{Folder, address, example, get};
use std::fs;

fn served(folder: &Folder, node_toml: &str) -> (u16, String, String, String) {
    folder
        .write("hello.wasm", example("hello"))
        .write("node.toml", format!("{node_toml}[ops]\nlisten = \"off\"\n"));
    let mut node = folder.start(&[
        "serve",
        "hello.wasm",
        "--config",
        "node.toml",
        "--listen",
        "127.0.0.1:0",
        "--state",
        "state",
        "--json",
    ]);
    let status = get(address(&node.event("ready"))).0;
    let of =
        |file: &str| fs::read_to_string(format!("/proc/{}/{file}", node.pid().as_raw_nonzero())).unwrap();
    let (about, limits) = (of("status"), of("limits"));
    assert_eq!(node.stop(), Some(0));
    (status, about, limits, folder.log())
}

fn field<'a>(text: &'a str, name: &str) -> &'a str {
    text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim()
}

/// F18, D3: a node that serves is confined, has no core dumps and gets no new privileges; it compiled its component in a
/// process inside of that, and says what it gave up.
#[test]
fn a_node_that_serves_is_confined_and_says_so() {
    let folder = Folder::new();
    let (status, about, limits, log) = served(&folder, "");
    assert_eq!(status, 200);
    assert_eq!((field(&about, "NoNewPrivs:"), field(&about, "Seccomp:")), ("1", "2"));
    let core = field(&limits, "Max core file size");
    assert!(core.starts_with('0'), "{core}");
    assert!(log.contains("confined") && log.contains("system calls"), "{log}");
    assert!(log.contains("compiled=1"), "the component was compiled by the confined node: {log}");
    let root = rustix::process::geteuid().is_root();
    assert_eq!(log.contains("the node runs as root"), root, "{log}");
}

/// F18: the operator may require it, or do without it, and then the log says so.
#[test]
fn confining_is_the_operators_choice() {
    let folder = Folder::new();
    let (status, about, ..) = served(&folder, "[node]\nconfine = \"required\"\n");
    assert_eq!((status, field(&about, "Seccomp:")), (200, "2"));
    let folder = Folder::new();
    let (status, about, _, log) = served(&folder, "[node]\nconfine = \"off\"\n");
    assert_eq!((status, field(&about, "Seccomp:")), (200, "0"));
    assert!(log.contains("this process is not confined"), "{log}");
}
