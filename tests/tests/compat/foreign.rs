//! Components that are made from `tests/foreign`, and what becomes of a test whose component could not be had here.

use rimward_tests::{App, app};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// An app of the foreign component of that name. `None` where its tool is missing on this machine; that is reported in
/// the last lines of the test run.
pub(crate) fn foreign(name: &str) -> Option<App> {
    let made = |extension: &str| target().join(name).with_extension(extension);
    if let Ok(bytes) = fs::read(made("wasm")) {
        return Some(app(name).component(name, bytes));
    }
    match fs::read_to_string(made("missing")) {
        Ok(why) => report(name, &why),
        Err(_) => panic!("the component made with {name} is not there: run `cargo xtask setup`"),
    }
    None
}

fn target() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("foreign/target")
}

/// Tells the test run that this test could not run.
fn report(name: &str, why: &str) {
    let test = std::thread::current().name().unwrap_or("a test").to_owned();
    let line = format!("{test}: no component made with {name}: {why}\n");
    if let Some(skips) = std::env::var_os("RIMWARD_TEST_SKIPS") {
        let file = OpenOptions::new().append(true).create(true).open(skips);
        file.and_then(|mut file| file.write_all(line.as_bytes())).expect("skips can be reported");
    }
}
