//! Takes minutes, and needs the guest toolchain and the SDK's dependencies.

use crate::harness::Folder;

fn check(template: &str) {
    let folder = Folder::new();
    folder.run(&["new", "made", "--template", template]).succeeds();
    folder.run(&["test", "-C", "made"]).succeeds();
    folder.run(&["build", "-C", "made"]).succeeds();
    folder.run(&["check", "made"]).succeeds();
    if template == "http" {
        let reply = folder.run(&["invoke", "--app", "made", "--path", "/?name=Ada"]).succeeds();
        assert_eq!(reply.stdout, r#"{"text":"Hello, Ada!"}"#);
    }
}

#[test]
fn a_made_project_builds_and_passes_its_own_test() {
    check("http");
}

#[test]
fn a_made_offload_project_builds_and_passes_its_own_tests() {
    check("offload");
}
