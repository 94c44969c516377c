//! What a running node has given up. What that keeps from an attacker is tested in `runtime/confine`.

use crate::harness::{Folder, address, example, get, guest};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

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

/// What the node's model says.
fn ask(address: std::net::SocketAddr, model: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    write!(
        stream,
        "POST /v2/models/{model}/infer HTTP/1.1\r\nhost: localhost\r\nx-model: {model}\r\nconnection: close\r\n\
         content-length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    reply
}

/// A model needs threads, memory and vector instructions, and nothing that a confined node gave up. G31, C19: one that takes
/// more memory than it may costs its own call.
#[test]
fn a_confined_node_runs_models_and_outlives_them() {
    let files = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/files");
    let folder = Folder::new();
    let app = "[app]\nname = \"shop\"\n[function.asks]\ncomponent = \"model.wasm\"\nmodels = [\"classifier\", \"greedy\"]\n\
               [[trigger.http]]\nroute = \"/*rest\"\nfunction = \"asks\"\n\
               [model.classifier]\nlocal = { file = \"classifier.onnx\" }\n\
               [model.greedy]\nlocal = { file = \"greedy.onnx\" }\n";
    let node = "[node]\nstate = \"state\"\ncache = \"code\"\nlisten = [\"127.0.0.1:0\"]\nconfine = \"required\"\n\
                [ops]\nlisten = \"off\"\n[models]\nmemory = \"256MiB\"\n[[app]]\npath = \"shop\"\n";
    folder.write("shop/rimward.toml", app).write("shop/model.wasm", guest("model")).write("node.toml", node);
    for file in ["classifier.onnx", "greedy.onnx"] {
        folder.write(&format!("shop/{file}"), fs::read(files.join(file)).unwrap());
    }
    let mut node = folder.start(&["serve", "--config", "node.toml", "--json"]);
    let address = address(&node.event("ready"));
    let body = r#"{"inputs":[{"name":"x","shape":[1,3],"datatype":"FP32","data":[0,0,0]}]}"#;
    let greedy = r#"{"inputs":[{"name":"x","shape":[1],"datatype":"INT64","data":[2147483647]}]}"#;
    for _ in 0..2 {
        let reply = ask(address, "classifier", body);
        assert!(reply.contains("\"data\":[0.5,0.5]"), "{reply}\n{}", folder.log());
    }
    let reply = ask(address, "greedy", greedy);
    assert!(
        reply.starts_with("HTTP/1.1 500") && reply.contains("bytes failed; it may have 256 MiB"),
        "{reply}"
    );
    let reply = ask(address, "greedy", greedy);
    assert!(reply.starts_with("HTTP/1.1 503") && reply.contains("it is asked again in"), "{reply}");
    let reply = ask(address, "classifier", body);
    assert!(reply.contains("\"data\":[0.5,0.5]"), "{reply}\n{}", folder.log());
    assert_eq!(node.stop(), Some(0));
}
