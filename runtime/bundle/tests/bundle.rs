//! Bundles from folders and from bare components, and what their revisions depend on.
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::collections::BTreeMap;
use std::error::Error as _;
use std::fs::{self, File};
use std::path::Path;

use rimward_bundle::limits::{
    COMPONENT_BYTES_MAX, FILE_BYTES_MAX, MODEL_BYTES_MAX, PRECOMPILED_BYTES_MAX, PRECOMPILED_MAX,
};
use rimward_bundle::{Bundle, Component, ComponentError, Digest, Error, precompiled_path};
use rimward_manifest::{App, Name};
use tempfile::TempDir;

/// The smallest component, with `tail` behind its header.
fn component(tail: &[u8]) -> Vec<u8> {
    [b"\0asm\x0d\0\x01\0", tail].concat()
}

const MODULE: &[u8] = b"\0asm\x01\0\0\0";

const MANIFEST: &str = r#"
[app]
name = "shop"
version = "1.0.0"
[function.b]
component = "b.wasm"
config = { greeting = "" }
[function.a]
component = "out/a.wasm"
build = { command = "make a" }
upstreams = ["vision"]
[[trigger.http]]
route = "GET /a"
function = "a"
[upstream.vision]
url = "https://vision.example.com"
ca = "certs/ca.pem"
"#;

/// The folder of an app with two functions and a file.
fn folder(manifest: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(&folder, "rimward.toml", manifest.as_bytes());
    write(&folder, "out/a.wasm", &component(b"a"));
    write(&folder, "b.wasm", &component(b"b"));
    write(&folder, "certs/ca.pem", b"pem");
    folder
}

fn write(folder: &TempDir, file: &str, bytes: &[u8]) {
    let path = folder.path().join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn resize(folder: &TempDir, file: &str, bytes: u64) {
    File::options().write(true).open(folder.path().join(file)).unwrap().set_len(bytes).unwrap();
}

fn bundle(folder: &TempDir) -> Bundle {
    Bundle::from_directory(folder.path()).unwrap()
}

fn refused(folder: &TempDir) -> Error {
    Bundle::from_directory(folder.path()).unwrap_err()
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

#[test]
fn a_folder_is_read_whole() {
    let bundle = bundle(&folder(MANIFEST));
    assert_eq!(bundle.app.name.as_str(), "shop");
    assert_eq!(bundle.components["a"].bytes, component(b"a"));
    assert_eq!(bundle.components["b"].digest, Digest::of(&component(b"b")));
    let files: Vec<_> = bundle.files.iter().map(|(path, bytes)| (path.as_str(), &bytes[..])).collect();
    assert_eq!(files, [("certs/ca.pem", &b"pem"[..])]);
}

#[test]
fn a_component_that_was_not_built_names_its_command() {
    let folder = folder(MANIFEST);
    fs::remove_file(folder.path().join("out/a.wasm")).unwrap();
    let path = folder.path().join("out/a.wasm");
    assert_eq!(
        refused(&folder).to_string(),
        format!(
            "the component of `a` is not at `{}`: `rimward build` makes it with `make a`",
            path.display()
        )
    );
    write(&folder, "out/a.wasm", &component(b"a"));
    fs::remove_file(folder.path().join("b.wasm")).unwrap();
    assert!(refused(&folder).to_string().ends_with("build it, or correct `component` in rimward.toml"));
}

#[test]
fn a_file_of_the_wrong_kind_says_what_it_is() {
    let check = |bytes: &[u8], expected: ComponentError| {
        let folder = folder(MANIFEST);
        write(&folder, "b.wasm", bytes);
        let error = refused(&folder);
        assert!(error.to_string().ends_with("is not the component of `b`"), "{error}");
        assert_eq!(error.source().unwrap().to_string(), expected.to_string());
    };
    check(MODULE, ComponentError::Module);
    check(b"#!/bin/sh", ComponentError::NotWasm);
    check(b"", ComponentError::NotWasm);
}

#[test]
fn a_missing_file_of_the_app_is_named() {
    let folder = folder(MANIFEST);
    fs::remove_file(folder.path().join("certs/ca.pem")).unwrap();
    assert!(refused(&folder).to_string().ends_with("certs/ca.pem`"));
}

#[test]
fn a_folder_without_a_declaration_says_how_to_get_one() {
    let folder = tempfile::tempdir().unwrap();
    assert!(refused(&folder).source().unwrap().to_string().contains("rimward new"));
}

#[test]
fn a_component_has_at_most_128_mebibytes() {
    let folder = folder(MANIFEST);
    resize(&folder, "b.wasm", COMPONENT_BYTES_MAX);
    assert_eq!(bundle(&folder).components["b"].bytes.len() as u64, COMPONENT_BYTES_MAX);
    resize(&folder, "b.wasm", COMPONENT_BYTES_MAX + 1);
    assert!(matches!(refused(&folder), Error::TooLarge { bytes_max: COMPONENT_BYTES_MAX, .. }));
}

#[test]
fn a_file_of_the_app_has_at_most_a_mebibyte() {
    let folder = folder(MANIFEST);
    resize(&folder, "certs/ca.pem", FILE_BYTES_MAX);
    assert!(Bundle::from_directory(folder.path()).is_ok());
    resize(&folder, "certs/ca.pem", FILE_BYTES_MAX + 1);
    assert!(matches!(refused(&folder), Error::TooLarge { bytes_max: FILE_BYTES_MAX, .. }));
}

#[test]
fn a_model_has_at_most_256_mebibytes() {
    let folder = folder(&format!("{MANIFEST}[model.m]\nlocal = {{ file = 'm.onnx' }}\n"));
    write(&folder, "m.onnx", b"");
    resize(&folder, "m.onnx", MODEL_BYTES_MAX);
    assert_eq!(bundle(&folder).files[&"m.onnx".parse().unwrap()].len() as u64, MODEL_BYTES_MAX);
    resize(&folder, "m.onnx", MODEL_BYTES_MAX + 1);
    assert!(matches!(refused(&folder), Error::TooLarge { bytes_max: MODEL_BYTES_MAX, .. }));
}

/// Writes machine code for a component of the folder.
fn precompile(folder: &TempDir, component: &[u8], engine: &str, code: &[u8]) -> std::path::PathBuf {
    let path = precompiled_path(folder.path(), &Digest::of(component), engine);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, code).unwrap();
    path
}

#[test]
fn precompiled_forms_are_found_by_component_and_engine() {
    let folder = folder(MANIFEST);
    precompile(&folder, &component(b"a"), "48.0.8-p2", b"for a");
    precompile(&folder, &component(b"a"), "48.0.8-p3", b"for a too");
    precompile(&folder, &component(b"old"), "48.0.8-p2", b"for what a was");
    write(&folder, "precompiled/README", b"nothing");
    let bundle = bundle(&folder);
    let code =
        |function: &str, engine| bundle.components[function].precompiled(engine).map(|bytes| bytes.to_vec());
    assert_eq!(code("a", "48.0.8-p2"), Some(b"for a".to_vec()));
    assert_eq!(code("a", "48.0.8-p3"), Some(b"for a too".to_vec()));
    assert_eq!(code("a", "49"), None);
    assert_eq!(code("b", "48.0.8-p2"), None);
}

#[test]
fn a_component_has_at_most_16_precompiled_forms() {
    let folder = folder(MANIFEST);
    for engine in 0..PRECOMPILED_MAX {
        precompile(&folder, &component(b"a"), &engine.to_string(), b"code");
    }
    assert_eq!(bundle(&folder).components["a"].precompiled.len(), PRECOMPILED_MAX);
    precompile(&folder, &component(b"a"), "more", b"code");
    assert!(matches!(refused(&folder), Error::TooManyPrecompiled { .. }));
}

#[test]
fn a_precompiled_form_is_bounded() {
    let folder = folder(MANIFEST);
    let path = precompile(&folder, &component(b"a"), "48", b"code");
    File::options().write(true).open(path).unwrap().set_len(PRECOMPILED_BYTES_MAX + 1).unwrap();
    assert!(matches!(refused(&folder), Error::TooLarge { bytes_max: PRECOMPILED_BYTES_MAX, .. }));
}

#[test]
fn a_bare_component_is_an_app() {
    let bundle = Bundle::from_component(name("hello"), component(b"")).unwrap();
    assert_eq!(bundle.app, App::of_component(name("hello"), "hello.wasm".into()));
    assert_eq!(bundle.components.len(), 1);
    assert_eq!(Bundle::from_component(name("hello"), MODULE).unwrap_err(), ComponentError::Module);
}

#[test]
fn the_revision_is_the_digest_of_the_manifest_and_pinned() {
    let bundle = bundle(&folder(MANIFEST));
    assert_eq!(Digest::of(&bundle.oci_manifest()), bundle.revision);
    assert_eq!(
        bundle.revision.to_string(),
        "sha256:509a64e206da38418842a17f31bd04c4e7445af760777bd7cd64af1c45484b0c"
    );
}

#[test]
fn the_manifest_names_the_config_the_components_and_the_files() {
    let bundle = bundle(&folder(MANIFEST));
    let digest = |bytes: &[u8]| Digest::of(bytes).to_string();
    let layer = |media_type: &str, bytes: &[u8], title: &str| {
        serde_json::json!({
            "annotations": { "org.opencontainers.image.title": title },
            "digest": digest(bytes), "mediaType": media_type, "size": bytes.len(),
        })
    };
    let config = bundle.oci_config();
    let expected = serde_json::json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "artifactType": "application/vnd.rimward.app.v1+json",
        "config": {
            "digest": digest(&config), "mediaType": "application/vnd.rimward.app.v1+json", "size": config.len(),
        },
        "layers": [
            layer("application/wasm", &component(b"a"), "a.wasm"),
            layer("application/wasm", &component(b"b"), "b.wasm"),
            layer("application/vnd.rimward.app.file.v1", b"pem", "certs/ca.pem"),
        ],
    });
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&bundle.oci_manifest()).unwrap(), expected);
}

#[test]
fn the_config_is_the_declaration_without_what_only_the_author_needs() {
    let bundle = bundle(&folder(MANIFEST));
    let (a, b) = (Digest::of(&component(b"a")), Digest::of(&component(b"b")));
    let expected = format!(
        r#"{{"app":{{"name":"shop","version":"1.0.0"}},"function":{{"a":{{"component":"{a}","upstreams":["vision"]}},"#,
    ) + &format!(r#""b":{{"component":"{b}","config":{{"greeting":""}}}}}},"#)
        + r#""trigger":{"http":[{"function":"a","host":"*","route":"GET /a"}]},"#
        + r#""upstream":{"vision":{"ca":"certs/ca.pem","url":"https://vision.example.com/"}}}"#;
    assert_eq!(String::from_utf8(bundle.oci_config()).unwrap(), expected);
}

#[test]
fn a_revision_depends_on_what_is_deployed_and_on_nothing_else() {
    let revision = |manifest: &str| bundle(&folder(manifest)).revision;
    let first = revision(MANIFEST);
    assert_eq!(revision(MANIFEST), first);
    assert_eq!(revision(&MANIFEST.replace("make a", "make b")), first);
    assert_eq!(revision(&format!("# a comment\n{MANIFEST}\n[store]\n")), first);
    assert_ne!(revision(&MANIFEST.replace("1.0.0", "1.0.1")), first);
    assert_ne!(revision(&MANIFEST.replace("GET /a", "GET /b")), first);

    let changed = folder(MANIFEST);
    write(&changed, "certs/ca.pem", b"other");
    assert_ne!(bundle(&changed).revision, first);
    write(&changed, "certs/ca.pem", b"pem");
    write(&changed, "b.wasm", &component(b"c"));
    assert_ne!(bundle(&changed).revision, first);
    write(&changed, "b.wasm", &component(b"b"));
    precompile(&changed, &component(b"a"), "48", b"code");
    assert_eq!(bundle(&changed).revision, first);
}

#[test]
fn a_component_elsewhere_is_the_same_deployment() {
    let moved = folder(&MANIFEST.replace("out/a.wasm", "./target/../a.wasm"));
    fs::create_dir(moved.path().join("target")).unwrap();
    write(&moved, "a.wasm", &component(b"a"));
    assert_eq!(bundle(&moved).revision, bundle(&folder(MANIFEST)).revision);
}

#[test]
#[should_panic(expected = "one component per function")]
fn a_bundle_has_a_component_for_every_function() {
    let app = App::of_component(name("hello"), Path::new("hello.wasm").into());
    Bundle::new(app, BTreeMap::<Name, Component>::new(), BTreeMap::new());
}
