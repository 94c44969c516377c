//! Whether a new toolchain builds components: builds one that uses all that could be missing, and looks at it.
//!
//! Called before a new toolchain takes its place. Nothing is run, because a machine that builds guests need not have
//! an engine.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::assemble::write_crate;
use super::{Doing, WayError, at};
use crate::TARGET;
use crate::command::run;
use crate::environment::clean;
use crate::limits::BUILD_PROBE;

/// What a component begins with: the magic number, version 13, layer 1 (component model, Binary.md, "preamble").
const PREAMBLE: [u8; 8] = *b"\0asm\x0d\0\x01\0";

const MANIFEST: &str = "\
[package]
name = \"probe\"
edition = \"2024\"
[profile.release]
lto = true
";

/// A build script needs the host's standard library.
const BUILD_SCRIPT: &str = "fn main() { println!(\"cargo::rerun-if-changed=build.rs\") }\n";

/// Refers to what an old C library lacks: threads, sockets, names, permissions, links.
const PROGRAM: &str = "\
fn main() {
    let file = std::path::Path::new(\"x\");
    println!(\"{:?}\", std::thread::Builder::new().spawn(|| 1).map(|thread| thread.join().is_ok()));
    println!(\"{:?}\", std::net::TcpStream::connect(\"localhost:1\").and_then(|stream| stream.peer_addr()));
    println!(\"{:?}\", std::net::TcpListener::bind(\"127.0.0.1:1\").and_then(|listener| listener.local_addr()));
    println!(\"{:?}\", std::net::UdpSocket::bind(\"127.0.0.1:1\").and_then(|socket| {
        socket.set_broadcast(true)?;
        socket.send_to(b\"x\", \"127.0.0.1:1\")?;
        socket.recv_from(&mut [0])
    }));
    println!(\"{:?}\", file.canonicalize());
    println!(\"{:?}\", file.metadata().and_then(|found| std::fs::set_permissions(file, found.permissions())));
}
";

/// Builds a component in `work` with the toolchain in `sysroot`.
pub(super) fn verify(work: &Path, sysroot: &Path) -> Result<(), WayError> {
    let probe = work.join("probe");
    write_crate(&probe, MANIFEST, &[("build.rs", BUILD_SCRIPT), ("src/main.rs", PROGRAM)])?;
    let mut cargo = Command::new(sysroot.join("bin/cargo"));
    clean(&mut cargo).current_dir(&probe).args(["build", "--release", "--offline", "--target", TARGET]);
    cargo.env("RUSTC", sysroot.join("bin/rustc")).env("CARGO_TARGET_DIR", probe.join("target"));
    run(&mut cargo, BUILD_PROBE).doing("build a component")?;
    let component = probe.join("target").join(TARGET).join("release/probe.wasm");
    let bytes = fs::read(&component).map_err(at("read", &component))?;
    if bytes.starts_with(&PREAMBLE) {
        return Ok(());
    }
    Err(WayError::Lacks(format!("what it built is not a component: it begins with {:02x?}", bytes.get(..8))))
}
