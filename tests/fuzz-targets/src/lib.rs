//! What is fuzzed: one function for each reader of bytes that anybody may have written. Each takes any bytes and panics
//! where the reader does not hold what it promises. cargo-fuzz calls them (`cargo xtask fuzz`), and the test beside them
//! with every file of `fuzz/corpus`, so that what was found once is looked at in every run of the tests.

mod routes;

pub use routes::routes;

use http::{Method, Request, Version};
use rimward_engine::LoadError;
use rimward_manifest::{App, NodeFile, Problems};

/// A target.
pub type Target = fn(&[u8]);

/// The targets, by the names of their corpora.
pub const ALL: [(&str, Target); 6] = [
    ("manifest", manifest),
    ("node-file", node_file),
    ("routes", routes),
    ("front-door", front_door),
    ("component", component),
    ("cache-entry", cache_entry),
];

/// A `rimward.toml`: what is accepted has names that are DNS labels and files inside of the app's folder.
pub fn manifest(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match App::parse(text) {
        Ok(app) => {
            let names = app.functions.keys().chain([&app.name]);
            assert!(names.into_iter().all(|name| (1..=63).contains(&name.as_str().len())));
            let inside = |path: &str| !path.starts_with('/') && !path.split('/').any(|part| part == "..");
            assert!(app.files().iter().all(|path| inside(path.as_str())));
        }
        Err(problems) => say(&problems),
    }
}

/// A `node.toml`.
pub fn node_file(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Err(problems) = NodeFile::parse(text) {
        say(&problems);
    }
}

fn say(problems: &Problems) {
    assert!(!problems.to_string().is_empty(), "a refusal says why");
}

/// The head of a request: lines for the method, the target, the version and each `host`. Whatever is let in has one host
/// that routes can be looked up by, and a path. Then the same bytes as what a client sends: how they are cut into pieces
/// does not decide whether they are let in.
pub fn front_door(bytes: &[u8]) {
    let whole = rimward_node::untrusted::is_let_in(bytes, bytes.len().max(1));
    for piece in [1, 2, 7, 64] {
        assert_eq!(rimward_node::untrusted::is_let_in(bytes, piece), whole, "in pieces of {piece}");
    }
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let (method, target) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let version = match lines.next().unwrap_or_default() {
        b"2" => Version::HTTP_2,
        b"1.0" => Version::HTTP_10,
        _ => Version::HTTP_11,
    };
    let Ok(method) = Method::from_bytes(method) else { return };
    let request = lines
        .fold(Request::builder().method(method).uri(target).version(version), |request, host| {
            request.header("host", host)
        });
    let Ok(request) = request.body(()) else { return };
    if let Some(host) = rimward_node::untrusted::host(&request) {
        let odd =
            |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | '@' | '?' | '#' | ',' | '\\');
        assert!(!host.is_empty() && !host.contains(odd), "{host:?}");
        assert!(request.uri().path().starts_with('/') || request.method() == Method::OPTIONS);
    }
}

/// A component, before it is compiled.
pub fn component(bytes: &[u8]) {
    if let Err(LoadError::Invalid { reason, offset }) = rimward_engine::inspect(bytes) {
        assert!(
            !reason.is_empty() && offset.is_some_and(|offset| offset <= bytes.len()),
            "{offset:?}: {reason}"
        );
    }
}

/// An entry of the compile cache: nobody who lacks the key writes one.
pub fn cache_entry(bytes: &[u8]) {
    const NAME: &str = "5f2e8a52bd6ac4a7b1c2f6b4a3f7d8e901122334455667788990aabbccddeeff.code";
    assert!(!rimward_engine::is_authentic(&[9; 32], NAME, bytes), "it was forged");
}
