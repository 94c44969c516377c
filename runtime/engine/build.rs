//! Hands the exact wasmtime version from the lock file to the crate: it is part of every compiled component's cache key,
//! because a patch release may change generated code.

use std::path::Path;

fn main() {
    let mut folder = Path::new(&std::env::var("CARGO_MANIFEST_DIR").expect("cargo sets it")).to_path_buf();
    let lock = loop {
        let candidate = folder.join("Cargo.lock");
        if candidate.exists() {
            break candidate;
        }
        assert!(folder.pop(), "no Cargo.lock above the engine crate");
    };
    let text = std::fs::read_to_string(&lock).expect("the lock file is readable");
    let version = text
        .split("[[package]]")
        .find(|package| package.contains("name = \"wasmtime\"\n"))
        .and_then(|package| package.split("version = \"").nth(1))
        .and_then(|rest| rest.split('"').next())
        .expect("the lock file names wasmtime");
    println!("cargo::rustc-env=RIMWARD_WASMTIME_VERSION={version}");
    println!("cargo::rerun-if-changed={}", lock.display());
}
