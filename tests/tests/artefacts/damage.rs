//! Components that are cut, flipped, or not what a node serves: refused when they are loaded, with the reason, and what was
//! serving goes on.

use crate::code::why_refused;
use bytes::Bytes;
use rimward_tests::{TestNode, app, component, component_of_text, node};
use std::path::PathBuf;

async fn serving() -> TestNode {
    node().own_cache().app("hello").start().await
}

/// What the cache of the node holds.
fn kept(node: &TestNode) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(node.folder().join("cache")).unwrap();
    let mut entries: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    entries.retain(|path| path.extension().is_some_and(|extension| extension == "code"));
    entries.sort();
    entries
}

/// D1: every truncation is refused with the place, nothing is stored, and the earlier revision keeps serving.
#[tokio::test]
async fn a_component_that_is_cut_short_anywhere_is_refused() {
    let node = serving().await;
    let (whole, before) = (component("recurses"), kept(&node));
    let mut at_the_end_of_a_section = 0;
    for len in 0..whole.len() {
        let why = why_refused(&node, whole.slice(..len)).await;
        // What ends where a section does is a smaller component: it lacks what comes last, the handler or the names.
        if why.contains("does not export") || why.contains("answers the same requests") {
            at_the_end_of_a_section += 1;
            continue;
        }
        let wanted = match len {
            0..4 => "not WebAssembly",
            4..8 => "old or unknown binary version",
            _ => "not valid at byte",
        };
        assert!(why.contains(wanted), "{len} bytes: {why}");
        assert_eq!(kept(&node).len(), before.len() + at_the_end_of_a_section, "nothing is stored: {why}");
    }
    assert!(at_the_end_of_a_section < 20, "{at_the_end_of_a_section} of {}", whole.len());
    node.get("/").await.is(200).says("hello\n");
    node.install(app("recurses").named("whole").route("/whole")).await;
}

/// D1: a flipped byte makes it invalid, or another component; either way the node goes on, and nothing invalid is stored.
#[tokio::test]
async fn a_component_with_any_byte_flipped_is_refused_or_another_component() {
    let node = serving().await;
    let whole = component("recurses");
    let mut refused = 0;
    for at in 0..whole.len() {
        let mut bytes = whole.to_vec();
        bytes[at] ^= 1 << (at % 8);
        let before = kept(&node);
        // Where it is valid all the same, its route is taken.
        let why = why_refused(&node, bytes).await;
        if why.contains("cannot be loaded") {
            refused += 1;
            assert_eq!(kept(&node), before, "byte {at} is flipped, and it is stored: {why}");
        }
    }
    assert!(refused > whole.len() / 2, "{refused} of {}", whole.len());
    node.get("/").await.is(200).says("hello\n");
}

/// A component that takes requests as `handler` says, and imports `import`.
fn importing(import: &str, handler: &str) -> Bytes {
    component_of_text(&format!(
        r#"(component
            {import}
            (import "wasi:http/types@0.2.0" (instance $types
              (export "incoming-request" (type (sub resource)))
              (export "response-outparam" (type (sub resource)))))
            (alias export $types "incoming-request" (type $request))
            (alias export $types "response-outparam" (type $out))
            (core module $code (func (export "handle") (param i32 i32)))
            (core instance $code (instantiate $code))
            (func $handle (param "request" (own $request)) (param "response-out" (own $out))
              (canon lift (core func $code "handle")))
            (instance $handler (export "handle" (func $handle)))
            (export "{handler}" (instance $handler)))"#
    ))
}

/// D2: what is sound and does not fit is refused when it is loaded, by name.
#[tokio::test]
async fn a_component_that_does_not_fit_is_refused_at_load_with_the_name_of_what_does_not() {
    const HANDLER: &str = "wasi:http/incoming-handler@0.2.0";
    let node = serving().await;
    let import = |name: &str| format!(r#"(import "{name}" (instance (export "f" (func))))"#);
    let cases: &[(&str, Bytes, &[&str])] = &[
        ("a module", component_of_text("(module)"), &["core module", "wasm32-wasip2"]),
        ("text", Bytes::from("(component)"), &["WebAssembly text", "wasm-tools parse"]),
        ("an empty component", component_of_text("(component)"), &["does not export", "exports nothing"]),
        ("a program", component("command"), &["does not export", "wasi:cli/run@0.2.0"]),
        (
            "an old handler",
            importing("", "wasi:http/incoming-handler@0.1.0"),
            &["does not export", "wasi:http/incoming-handler@0.1.0"],
        ),
        (
            "a handler of the future",
            importing("", "wasi:http/handler@0.9.0"),
            &["does not export", "wasi:http/handler@0.9.0"],
        ),
        ("an unknown import", component("unknown-import"), &["acme:billing/ledger@1.0.0"]),
        (
            "an unknown WASI interface",
            importing(&import("wasi:gpu/device@0.1.0"), HANDLER),
            &["wasi:gpu/device@0.1.0"],
        ),
        (
            "another version of an interface that is there",
            importing(&import("wasi:keyvalue/store@0.4.0"), HANDLER),
            &["wasi:keyvalue/store@0.4.0", "`wasi:keyvalue/store@0.2.0-draft2`"],
        ),
        ("a WASI of the future", importing(&import("wasi:io/poll@0.9.0"), HANDLER), &["wasi:io/poll@0.9.0"]),
        (
            "an interface without the function",
            importing(&import("wasi:clocks/monotonic-clock@0.2.0"), HANDLER),
            &["wasi:clocks/monotonic-clock@0.2.0"],
        ),
    ];
    for (what, bytes, wanted) in cases {
        let why = why_refused(&node, bytes.clone()).await;
        for wanted in *wanted {
            assert!(why.contains(wanted), "{what}: `{wanted}` is not in: {why}");
        }
    }
    node.get("/").await.is(200).says("hello\n");
    node.install(app("fits").route("/fits").component("fits", importing("", HANDLER))).await;
}
