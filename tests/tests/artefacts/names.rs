//! Names and paths that lead elsewhere: refused when the app is read, before any file is opened.

use rimward_bundle::Bundle;
use rimward_manifest::App;
use rimward_tests::{chain, component};
use std::os::unix::fs::symlink;
use std::path::Path;

/// What is wrong with an app whose name, function, store and upstream are called like this.
fn problems(name: &str) -> Vec<(&'static str, Option<String>)> {
    let quoted = toml_text(name);
    let of = |text: String| App::parse(&text).err().map(|problems| problems.to_string());
    vec![
        ("app", of(format!("[app]\nname = {quoted}\n[function.f]\ncomponent = \"f.wasm\"\n"))),
        ("function", of(format!("[app]\nname = \"a\"\n[function.{quoted}]\ncomponent = \"f.wasm\"\n"))),
        (
            "store",
            of(format!("[app]\nname = \"a\"\n[function.f]\ncomponent = \"f.wasm\"\nstores = [{quoted}]\n")),
        ),
        (
            "upstream",
            of(format!(
                "[app]\nname = \"a\"\n[function.f]\ncomponent = \"f.wasm\"\n[upstream.{quoted}]\nurl = \"https://a.example\"\n"
            )),
        ),
    ]
}

fn toml_text(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => quoted.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => quoted.push(c),
        }
    }
    quoted + "\""
}

/// D16: names are DNS labels, up to their longest and no further; nothing else becomes part of a path or a host.
#[test]
fn names_are_dns_labels_and_nothing_else() {
    let longest = "a".repeat(63);
    for good in ["a", "shop-camera-2", &longest] {
        for (what, why) in problems(good) {
            assert_eq!(why, None, "{what} `{good}`");
        }
    }
    let (too_long, very_long) = ("a".repeat(64), "a".repeat(300));
    let bad = [
        "",
        ".",
        "..",
        "../x",
        "a/b",
        "a\\b",
        "/etc",
        "A",
        "a_b",
        "a.b",
        "-a",
        "a-",
        "a b",
        "é",
        "名前",
        "ａ",
        "a\u{202e}b",
        "a\0",
        "a\n",
        "%2e%2e",
        "con:",
        &too_long,
        &very_long,
    ];
    for bad in bad {
        for (what, why) in problems(bad) {
            assert!(why.is_some(), "{what} `{bad:?}` is accepted");
        }
    }
}

fn app_in(folder: &Path, ca: &str) {
    let text = format!(
        "[app]\nname = \"a\"\n[function.f]\ncomponent = \"f.wasm\"\nupstreams = [\"u\"]\n\
         [upstream.u]\nurl = \"https://a.example\"\nca = {}\n",
        toml_text(ca)
    );
    std::fs::write(folder.join("rimward.toml"), text).unwrap();
    std::fs::write(folder.join("f.wasm"), component("hello")).unwrap();
}

/// D16: paths in a manifest stay below the app's folder.
#[test]
fn a_path_that_leaves_the_folder_of_the_app_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let longest = "a".repeat(300);
    for bad in ["../ca.pem", "a/../../ca.pem", "./ca.pem", "a//ca.pem", "..\\ca.pem", "a/..", "a\0b", ""] {
        app_in(folder.path(), bad);
        assert!(Bundle::from_directory(folder.path()).is_err(), "`{bad:?}` is accepted");
    }
    app_in(folder.path(), &longest);
    assert!(Bundle::from_directory(folder.path()).is_err(), "no file system has such a name");
    app_in(folder.path(), "certs/ca é.pem");
    std::fs::create_dir(folder.path().join("certs")).unwrap();
    std::fs::write(folder.path().join("certs/ca é.pem"), "a certificate").unwrap();
    let bundle = Bundle::from_directory(folder.path()).unwrap();
    assert_eq!(bundle.files.len(), 1);
}

/// D16: links lead to files of the app, and to no other.
#[test]
fn a_link_that_leaves_the_folder_of_the_app_is_refused() {
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let secret = elsewhere.path().join("secret");
    std::fs::write(&secret, "of the node's operator").unwrap();
    app_in(folder.path(), "ca.pem");
    let link = folder.path().join("ca.pem");
    symlink(&secret, &link).unwrap();
    let refused = Bundle::from_directory(folder.path()).unwrap_err();
    assert!(chain(&refused).contains("leads out of the app's folder"), "{}", chain(&refused));
    std::fs::remove_file(&link).unwrap();
    std::fs::write(folder.path().join("real.pem"), "of the app").unwrap();
    symlink("real.pem", &link).unwrap();
    assert!(Bundle::from_directory(folder.path()).is_ok());
    // A folder on the way.
    app_in(folder.path(), "certs/secret");
    symlink(elsewhere.path(), folder.path().join("certs")).unwrap();
    assert!(Bundle::from_directory(folder.path()).is_err());
}

/// D16: what is no file is refused, and not waited for.
#[test]
fn what_is_no_file_is_refused_and_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    app_in(folder.path(), "ca.pem");
    let pipe = std::process::Command::new("mkfifo").arg(folder.path().join("ca.pem")).status().unwrap();
    assert!(pipe.success());
    let refused = Bundle::from_directory(folder.path()).unwrap_err();
    assert!(chain(&refused).contains("is not a file"), "{}", chain(&refused));
    std::fs::remove_file(folder.path().join("f.wasm")).unwrap();
    symlink("/dev/zero", folder.path().join("f.wasm")).unwrap();
    assert!(Bundle::from_directory(folder.path()).is_err());
}
