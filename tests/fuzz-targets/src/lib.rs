//! What is fuzzed: one function for each reader of bytes that anybody may have written. Each takes any bytes and panics
//! where the reader does not hold what it promises. cargo-fuzz calls them (`cargo xtask fuzz`), and the test beside them
//! with every file of `fuzz/corpus`, so that what was found once is looked at in every run of the tests.

mod routes;

pub use routes::routes;

use bytes::Bytes;
use http::{Method, Request, Version};
use rimward_engine::LoadError;
use rimward_inference::limits::TENSORS_MAX;
use rimward_inference::oip::{ModelMetadata, grpc, http as oip_http};
use rimward_manifest::{App, NodeFile, Problems};

/// A target.
pub type Target = fn(&[u8]);

/// The targets, by the names of their corpora.
pub const ALL: [(&str, Target); 8] = [
    ("manifest", manifest),
    ("node-file", node_file),
    ("routes", routes),
    ("front-door", front_door),
    ("component", component),
    ("cache-entry", cache_entry),
    ("model-call", model_call),
    ("model-file", model_file),
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

/// A call of a model, or a server's answer, over gRPC and over HTTP: which, says the first byte; of HTTP's, two more say how
/// long the JSON is. What is read is written, and read again as the same.
pub fn model_call(bytes: &[u8]) {
    let Some((which, bytes)) = bytes.split_first() else { return };
    match which % 5 {
        0 => {
            let Ok((target, request)) = grpc::read_request(&Bytes::copy_from_slice(bytes)) else { return };
            let written = grpc::write_request(&target, &request, request.id.as_deref()).concat();
            let message = grpc::message(Bytes::from(written)).expect("it is one message");
            assert_eq!(grpc::read_request(&message).expect("it was written here"), (target, request));
        }
        1 => {
            let Ok(response) = grpc::read_response(&Bytes::copy_from_slice(bytes)) else { return };
            let written = grpc::write_response(&response).concat();
            let message = grpc::message(Bytes::from(written)).expect("it is one message");
            assert_eq!(grpc::read_response(&message).expect("it was written here"), response);
        }
        2 => {
            let Ok(metadata) = grpc::read_metadata(bytes) else { return };
            assert!(metadata.signature.inputs.len().max(metadata.signature.outputs.len()) <= TENSORS_MAX);
            let message = grpc::message(Bytes::from(grpc::write_metadata(&metadata).concat()));
            let again =
                grpc::read_metadata(&message.expect("it is one message")).expect("it was written here");
            assert_eq!(again.signature, metadata.signature);
        }
        3 => {
            let (length, body) = header_length(bytes);
            let Ok(request) = oip_http::read_request(body, length.as_deref()) else { return };
            let Ok(written) = oip_http::write_request(&request, request.id.as_deref(), true) else { return };
            let length = written.header_length.map(|length| length.to_string());
            let body = Bytes::from(written.parts.concat());
            let again = oip_http::read_request(body, length.as_deref()).expect("it was written here");
            assert_eq!(again.inputs, request.inputs);
        }
        _ => {
            let (length, body) = header_length(bytes);
            // Whatever they say, they say it or they do not.
            let _ = ModelMetadata::read(&body);
            let _ = oip_http::read_response(body, length.as_deref());
        }
    }
}

fn header_length(bytes: &[u8]) -> (Option<String>, Bytes) {
    match bytes.split_first_chunk() {
        Some(([0, 0], body)) => (None, Bytes::copy_from_slice(body)),
        Some((length, body)) => (Some(u16::from_be_bytes(*length).to_string()), Bytes::copy_from_slice(body)),
        None => (None, Bytes::new()),
    }
}

/// The file of a model, before the engine has it.
pub fn model_file(bytes: &[u8]) {
    match rimward_inference::local::signature(bytes) {
        Ok(signature) => assert!(signature.inputs.len().max(signature.outputs.len()) <= TENSORS_MAX),
        Err(error) => assert!(!error.to_string().is_empty(), "a refusal says why"),
    }
}
