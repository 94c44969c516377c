//! What a newcomer does wrong, and what the command says to it: the cause and the remedy.

use crate::harness::{Folder, example, manifest};
use std::net::TcpListener;

const MODULE: &[u8] = b"\0asm\x01\0\0\0";
const EMPTY_COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

#[test]
fn the_wrong_folder_is_told_with_the_way_to_a_right_one() {
    Folder::new().run(&["dev"]).is_golden("error-wrong-folder");
    Folder::new().run(&["build", "-C", "nowhere"]).is_golden("error-no-folder");
}

#[test]
fn every_problem_of_a_manifest_is_told_at_once() {
    let folder = Folder::new();
    let text = manifest("shop", "comand = \"make\"\nlimits = { memory = \"64\", wal = \"1s\" }");
    folder.write("rimward.toml", text);
    folder.run(&["check"]).is_golden("error-unknown-key");
    folder.run(&["check", "--json"]).is_golden("error-unknown-key-json");
}

#[test]
fn two_routes_that_answer_the_same_are_told() {
    let folder = Folder::new();
    let twice = manifest("shop", "") + "[[trigger.http]]\nroute = \"GET /\"\nfunction = \"shop\"\n";
    folder.write("rimward.toml", twice).run(&["dev"]).is_golden("error-route-conflict");
}

#[test]
fn a_component_that_was_not_built_is_told_with_the_command() {
    let folder = Folder::new();
    folder.write("rimward.toml", manifest("shop", "build = { command = \"make\" }"));
    folder.run(&["check"]).is_golden("error-not-built");
    folder.run(&["invoke"]).is_golden("error-not-built");
}

#[test]
fn what_is_no_function_is_told_with_what_it_is() {
    let folder = Folder::new();
    folder.write("rimward.toml", manifest("shop", ""));
    folder.write("function.wasm", MODULE).run(&["check"]).is_golden("error-module");
    folder.write("function.wasm", "hello").run(&["check"]).is_golden("error-not-wasm");
    folder.write("function.wasm", EMPTY_COMPONENT).run(&["check"]).is_golden("error-no-handler");
}

#[test]
fn an_import_that_was_not_granted_is_told_with_the_grant() {
    let folder = Folder::new();
    folder.write("rimward.toml", manifest("counter", "")).write("function.wasm", example("counter"));
    folder.run(&["check"]).is_golden("error-not-granted");
}

/// H20: for requests, over TLS or not, and for metrics.
#[test]
fn a_taken_port_is_told() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = Folder::new();
    folder.write("rimward.toml", manifest("hello", "")).write("function.wasm", EMPTY_COMPONENT);
    folder.run(&["dev", "--listen", &address]).without(&address, "[ADDRESS]").is_golden("error-port");
    let served = folder.run(&["serve", "function.wasm", "--listen", &address]);
    served.without(&address, "[ADDRESS]").is_golden("error-port");
    let node_toml = format!("[node]\nlisten = [\"127.0.0.1:0\"]\n[ops]\nlisten = \"{address}\"\n");
    folder.write("node.toml", node_toml);
    let served = folder.run(&["serve", "function.wasm", "--config", "node.toml"]);
    served.without(&address, "[ADDRESS]").is_golden("error-port");
}

/// H20: a process that may open next to nothing says so, and does not start.
#[test]
fn too_few_file_descriptors_are_told() {
    let folder = Folder::new();
    folder.write("function.wasm", EMPTY_COMPONENT);
    let serve = folder.rimward(&["serve", "function.wasm", "--listen", "127.0.0.1:0"]);
    let limited = "ulimit -n 32; exec \"$0\" \"$@\"";
    let mut limited_serve = std::process::Command::new("sh");
    limited_serve.args(["-c", limited]).arg(serve.get_program()).args(serve.get_args());
    limited_serve.current_dir(folder.path()).env("XDG_CACHE_HOME", folder.path().join("cache"));
    let said = folder.ended(limited_serve.output().unwrap());
    assert_eq!(said.status, Some(1), "{}", said.stderr);
    assert!(said.stderr.contains("may have 32 files open and needs 64"), "{}", said.stderr);
}

#[test]
fn a_missing_toolchain_is_told_with_the_command_that_sets_it_up() {
    let folder = Folder::new();
    let build = "build = { command = \"cargo build --target wasm32-wasip2\" }";
    folder.write("rimward.toml", manifest("hello", build));
    let output = folder.rimward(&["build"]).env("RIMWARD_GUEST_TOOLCHAIN", "no-such").output().unwrap();
    let said = folder.ended(output);
    assert_eq!(said.status, Some(1));
    for text in ["needs a Rust toolchain", "`rimward doctor --fix`", "RIMWARD_GUEST_TOOLCHAIN"] {
        assert!(said.stderr.contains(text), "{}", said.stderr);
    }
}

#[test]
fn a_build_that_fails_shows_why() {
    let folder = Folder::new();
    folder.write("rimward.toml", manifest("hello", "build = { command = \"echo 'no luck'; exit 3\" }"));
    folder.run(&["build"]).is_golden("error-build-failed");
}

#[test]
fn a_secret_that_is_not_set_is_told_with_its_variable() {
    let folder = Folder::new();
    folder.write("rimward.toml", manifest("hello", "secrets = [\"vision-key\"]"));
    folder.write("function.wasm", EMPTY_COMPONENT).run(&["invoke"]).is_golden("error-secret");
}

#[test]
fn a_folder_that_is_not_empty_is_left_alone() {
    let folder = Folder::new();
    folder.write("shop/notes", "mine").run(&["new", "shop"]).is_golden("error-new-not-empty");
    folder.run(&["new", "My_Shop"]).is_golden("error-new-name");
}

#[test]
fn a_node_that_does_not_run_is_told() {
    Folder::new().run(&["status", "--socket", "none.sock"]).is_golden("error-no-node");
    Folder::new().run(&["serve", "none.wasm"]).is_golden("error-no-component");
    Folder::new().run(&["serve", "--config", "none.toml"]).is_golden("error-no-config");
}
