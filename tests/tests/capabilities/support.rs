//! How a test says what the guest `call` is to do, and where upstreams are.

use rimward_tests::{App, Call, TestNode, app};

/// An app whose function makes the calls that a request asks for.
pub(crate) fn caller() -> App {
    app("call")
}

/// With an upstream of that name at a port of loopback; `more` are further lines of its table.
pub(crate) fn reaching(app: App, name: &str, port: u16, more: &str) -> App {
    let allow = format!("127.0.0.1/32:{port}").parse().expect("it is a network");
    app.with(&format!("upstreams = [{name:?}]"))
        .and(&format!("[upstream.{name}]\nurl = \"http://127.0.0.1:{port}\"\n{more}"))
        .bound(|bind| {
            bind.upstreams.entry(name.parse().expect("it is a name")).or_default().allow = vec![allow]
        })
}

/// Has the function call `url`.
pub(crate) fn call(node: &TestNode, url: &str) -> Call {
    node.get("/").header("x-to", url)
}

/// A port of loopback on which nobody listens.
pub(crate) fn closed_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    listener.local_addr().expect("it is bound").port()
}
