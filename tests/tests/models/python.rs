//! An interpreter that has the packages of `tests/python/requirements.txt`.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A file of `tests/python`.
pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("python").join(name)
}

/// Its interpreter. Made once; whoever comes meanwhile waits.
pub(crate) fn python() -> PathBuf {
    let requirements = script("requirements.txt");
    let wanted = std::fs::read_to_string(&requirements).expect("it is part of the tests");
    let cache =
        std::env::var_os("HOME").map_or_else(std::env::temp_dir, PathBuf::from).join(".cache/rimward");
    std::fs::create_dir_all(&cache).expect("the cache folder can be made");
    let lock =
        std::fs::File::create(cache.join("test-models.lock")).expect("the cache folder can be written");
    lock.lock().expect("a file can be locked");
    let environment = cache.join("test-models");
    let (python, installed) = (environment.join("bin/python"), environment.join("installed"));
    if std::fs::read_to_string(&installed).is_ok_and(|installed| installed == wanted) {
        return python;
    }
    succeeds(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment));
    let pip = ["-m", "pip", "install", "--no-deps", "--no-input", "--disable-pip-version-check", "-r"];
    succeeds(Command::new(&python).args(pip).arg(&requirements));
    std::fs::write(installed, wanted).expect("the cache folder can be written");
    python
}

/// What it says on standard output; a panic with everything that it said where it fails.
pub(crate) fn succeeds(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (said, wrong) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?} failed\n{said}\n{wrong}");
    said.into_owned()
}
