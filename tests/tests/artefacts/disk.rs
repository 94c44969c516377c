//! A compile cache on a disk that is full: the node compiles at each start, says so, and serves.

use rimward_tests::component;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The `rimward` binary of this build.
fn rimward() -> PathBuf {
    let program = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("rimward");
    assert!(program.exists(), "`{}` is not there: run `cargo build -p rimward`", program.display());
    program
}

/// Runs the shell's `script` where it may mount file systems of its own; `None` where nobody may.
fn where_one_may_mount(folder: &Path, script: &str) -> Option<Output> {
    let mut shell = Command::new("unshare");
    shell.args(["--user", "--map-root-user", "--mount", "sh", "-ec"]);
    let able = shell.arg("mount -t tmpfs none /mnt").output();
    if !able.is_ok_and(|able| able.status.success()) {
        let why = "D15, a cache on a full disk: this user may not mount a file system\n";
        if let Some(skips) = std::env::var_os("RIMWARD_TEST_SKIPS") {
            let file = std::fs::OpenOptions::new().append(true).create(true).open(skips);
            file.and_then(|mut file| std::io::Write::write_all(&mut file, why.as_bytes())).unwrap();
        }
        return None;
    }
    let mut shell = Command::new("unshare");
    shell.args(["--user", "--map-root-user", "--mount", "sh", "-ec", script]);
    shell.env("FOLDER", folder).env("RIMWARD", rimward()).env("RIMWARD_LOG", "warn");
    Some(shell.output().unwrap())
}

/// Invokes a function whose node keeps its cache on a disk of that size.
fn invoke_on(size: &str) -> Option<usize> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("hello.wasm"), component("hello")).unwrap();
    let script = format!(
        r#"mkdir -p -m 700 "$FOLDER/state" "$FOLDER/state/code"
           mount -t tmpfs -o size={size},mode=700 none "$FOLDER/state/code"
           # Files for a moment have no room either.
           export TMPDIR="$FOLDER/state/code"
           "$RIMWARD" invoke --state "$FOLDER/state" --app "$FOLDER/hello.wasm"
           find "$FOLDER/state/code" -type f -name '*.code' | wc -l
           find "$FOLDER/state/code" -type f -name '.new-*' | wc -l"#
    );
    let output = where_one_may_mount(folder.path(), &script)?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let why = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}\n{why}");
    assert!(said.contains("hello"), "{said}\n{why}");
    let counts: Vec<usize> = said.lines().rev().take(2).map(|line| line.trim().parse().unwrap()).collect();
    assert_eq!(counts[0], 0, "nothing half written stays: {said}\n{why}");
    Some(counts[1])
}

/// D15: no room for the code at all.
#[test]
fn a_cache_without_room_is_gone_round() {
    let Some(entries) = invoke_on("64k") else { return };
    assert_eq!(entries, 0);
}

/// D15: the same with room, so that the test above is about the disk.
#[test]
fn a_cache_with_room_is_used() {
    let Some(entries) = invoke_on("64m") else { return };
    assert_eq!(entries, 1);
}
