//! Commands that end by themselves.

use crate::harness::{Folder, example, manifest};
use serde_json::json;

fn hello() -> Folder {
    let folder = Folder::new();
    let build = "build = { command = \"cp built.wasm function.wasm\", watch = [\"*.wasm\"] }";
    folder.write("rimward.toml", manifest("hello", build)).write("built.wasm", example("hello"));
    folder
}

#[test]
fn a_project_is_made_complete() {
    let folder = Folder::new();
    folder.run(&["new", "shop"]).succeeds().is_golden("new");
    for file in ["Cargo.toml", "src/lib.rs", "rimward.toml", "README.md", ".gitignore", ".cargo/config.toml"]
    {
        assert!(folder.path().join("shop").join(file).is_file(), "{file}");
    }
    let made = folder.run(&["new", "camera", "--template", "offload", "--json"]).succeeds().json();
    assert_eq!(made["template"], "offload");
}

#[test]
fn an_app_is_built_checked_and_invoked() {
    let folder = hello();
    let built = folder.run(&["build", "--json"]).succeeds().json();
    assert_eq!(built["functions"][0]["name"], "hello");
    let checked = folder.run(&["check", "--json"]).succeeds().json();
    assert_eq!(checked["routes"], json!(["GET /"]));
    assert_eq!(checked["functions"][0]["abi"], "wasi:http 0.2");
    let reply = folder.run(&["invoke", "--json"]).succeeds().json();
    assert_eq!(reply["status"], 200);
    let head = folder.run(&["invoke", "-i", "-v"]).succeeds();
    assert!(head.stdout.starts_with("200 OK\n"), "{}", head.stdout);
    assert!(head.stderr.contains("function loaded in"), "{}", head.stderr);
}

#[test]
fn a_function_that_is_not_there_is_told_with_those_that_are() {
    let folder = hello();
    folder.run(&["build"]).succeeds();
    folder.run(&["invoke", "hallo"]).is_golden("error-no-function");
}

#[test]
fn a_bare_component_is_checked() {
    let folder = Folder::new();
    folder.write("hello.wasm", example("hello"));
    let checked = folder.run(&["check", "hello.wasm", "--json"]).succeeds().json();
    assert_eq!(checked["app"], "hello");
}

#[test]
fn machine_code_is_written_for_nodes_without_a_compiler() {
    let folder = hello();
    let built = folder.run(&["build", "--precompile", "--json"]).succeeds().json();
    let path = built["functions"][0]["precompiled"].as_str().unwrap();
    assert!(path.ends_with(".cwasm") && folder.path().join(path).is_file(), "{path}");
}

#[test]
fn the_doctor_looks_at_everything() {
    let told = Folder::new().run(&["doctor", "--json"]).json();
    let names: Vec<_> = told["findings"].as_array().unwrap().iter().map(|finding| &finding["name"]).collect();
    for name in
        ["guest toolchain", "cores", "memory", "instance pool", "file descriptors", "kernel", "port of dev"]
    {
        assert!(names.iter().any(|found| *found == name), "{name} is not in {names:?}");
    }
}
