//! Guests: programs of `tests/guests` that were built before the tests, and components written by hand as text. Called
//! while a node is being made; knows only where files are. A guest that is not there ends the test with the remedy.

use bytes::Bytes;
use std::path::{Path, PathBuf};

/// The component of that name: `tests/guests/wat/NAME.wat`, or the program `tests/guests/src/bin/NAME.rs`.
pub fn component(name: &str) -> Bytes {
    let text = guests().join("wat").join(format!("{name}.wat"));
    if text.exists() {
        return wat::parse_file(&text).unwrap_or_else(|error| panic!("{error}")).into();
    }
    let built = guests().join("target/wasm32-wasip2/release").join(format!("{name}.wasm"));
    match std::fs::read(&built) {
        Ok(bytes) => bytes.into(),
        Err(error) => panic!("the guest `{name}` is not there ({error}): run `cargo xtask setup`"),
    }
}

/// The component that `text` describes in WebAssembly's text format.
pub fn component_of_text(text: &str) -> Bytes {
    wat::parse_str(text).unwrap_or_else(|error| panic!("{error}")).into()
}

fn guests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("guests")
}
