//! Reading the files from disk.

use std::fs;
use std::path::Path;

use rimward_manifest::limits::FILE_BYTES_MAX;
use rimward_manifest::{App, NodeFile, ReadError, Secret};

const APP: &str = "[app]\nname = 'a'\n[function.f]\ncomponent = 'f.wasm'\n";

#[test]
fn a_missing_file_says_how_to_get_one() {
    let error = App::read(Path::new("nowhere/rimward.toml")).unwrap_err().to_string();
    assert!(error.starts_with("there is no `nowhere/rimward.toml`: `rimward new NAME`"), "{error}");
}

#[test]
fn problems_name_the_file_that_was_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rimward.toml");
    fs::write(&path, "x = 1").unwrap();
    let Err(ReadError::Invalid(problems)) = App::read(&path) else { panic!("the file is not valid") };
    assert_eq!(problems.file, path.display().to_string());
}

#[test]
fn a_file_has_at_most_a_mebibyte() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rimward.toml");
    let write = |bytes: u64| {
        let comment = "#".repeat(usize::try_from(bytes).unwrap() - APP.len());
        fs::write(&path, format!("{APP}{comment}")).unwrap();
    };
    write(FILE_BYTES_MAX);
    assert!(App::read(&path).is_ok());
    write(FILE_BYTES_MAX + 1);
    assert!(matches!(App::read(&path), Err(ReadError::TooLarge { .. })));
}

#[test]
fn a_file_that_is_no_text_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("rimward.toml");
    fs::write(&path, [0xff, 0xfe]).unwrap();
    assert!(matches!(App::read(&path), Err(ReadError::Read { .. })));
}

#[test]
fn relative_paths_of_a_node_are_taken_from_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.toml");
    let text =
        "[node]\nstate = 'state'\ncache = '/cache'\n[[app]]\npath = 'apps/a'\n[secret.s]\nfile = 's'\n";
    fs::write(&path, text).unwrap();
    let file = NodeFile::read(&path).unwrap();
    assert_eq!(file.node.state, folder.path().join("state"));
    assert_eq!(file.node.cache, Path::new("/cache"));
    assert_eq!(file.apps[0].path, folder.path().join("apps/a"));
    assert_eq!(file.secrets["s"], Secret::File(folder.path().join("s")));
}
