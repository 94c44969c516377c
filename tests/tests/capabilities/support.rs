//! How a test says what the guest `call` is to do.

use rimward_tests::{App, Call, TestNode, app};

/// An app whose function makes the calls that a request asks for.
pub(crate) fn caller() -> App {
    app("call")
}

/// Has the function call `url`.
pub(crate) fn call(node: &TestNode, url: &str) -> Call {
    node.get("/").header("x-to", url)
}

/// An origin of loopback where nobody listens.
pub(crate) fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has free ports");
    format!("http://{}", listener.local_addr().expect("it is bound"))
}
