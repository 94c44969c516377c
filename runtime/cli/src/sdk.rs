//! Gives Rust projects the SDK that this binary was made with, while the registry does not have it.
//!
//! The SDK's sources are in the binary. They are unpacked into the user's cache once for each version and content, and
//! the project gets a `.cargo/config.toml` that puts them in place of the registry's `rimward-sdk`. So `rimward build`
//! and a plain `cargo test` or an editor see the same thing. That file names a path of this machine and is therefore
//! kept out of version control by a `.gitignore` beside it; every `rimward build`, `test` and `dev` makes it again
//! where it is missing. A project that has a `.cargo/config.toml` of its own keeps it, and is told what to add.

use crate::embedded::SDK;
use crate::{app, shell};
use anyhow::{Context, Result};
use rimward_bundle::Digest;
use serde::Deserialize;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The package that projects depend on.
const PACKAGE: &str = "rimward-sdk";

/// The first line of a file that is ours to change.
const MARK: &str = "# Written by `rimward`; made again where it is missing. Not for version control.";

/// Why a project could not be given the SDK.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SdkError {
    /// The user's own cargo configuration is in the way.
    #[error(
        "`{}` is your own, so rimward does not change it: add to it (or to `~/.cargo/config.toml`)\n\n    [patch.crates-io]\n    {PACKAGE} = {{ path = \"{}\" }}\n",
        config.display(), sdk.display()
    )]
    ForeignConfig { config: PathBuf, sdk: PathBuf },
    /// The user's own cargo configuration cannot be read.
    #[error("`{}` is no valid TOML", config.display())]
    BadConfig { config: PathBuf, source: toml_edit::TomlError },
    /// A file cannot be written.
    #[error("cannot write `{}`", path.display())]
    Write { path: PathBuf, source: io::Error },
}

/// Makes builds in `folder` find the SDK, if a package there depends on the registry's. Writes nothing otherwise.
pub(crate) fn provide(folder: &Path) -> Result<()> {
    match depends_on_registry(folder)? {
        true => Ok(write_config(folder, &unpack(&app::cache()?)?)?),
        false => Ok(()),
    }
}

/// Gives a new project the SDK.
pub(crate) fn provide_new(project: &Path) -> Result<()> {
    Ok(write_config(project, &unpack(&app::cache()?)?)?)
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    source: Option<String>,
}

/// Whether any package of the workspace in `folder` takes the SDK from a registry, and not from a path of its own.
/// A folder without a `Cargo.toml` does not; what is wrong with one is left to cargo to say when it builds.
fn depends_on_registry(folder: &Path) -> Result<bool> {
    if !folder.join("Cargo.toml").is_file() {
        return Ok(false);
    }
    let mut cargo = shell::host_cargo();
    cargo.args(["metadata", "--no-deps", "--offline", "--format-version=1"]).current_dir(folder);
    let output = cargo.output().context("cannot run `cargo`: install Rust with rustup")?;
    let Ok(metadata) = serde_json::from_slice::<Metadata>(&output.stdout) else { return Ok(false) };
    let from_registry = |dependency: &Dependency| {
        dependency.source.as_deref().is_some_and(|source| source.starts_with("registry+"))
    };
    let mut dependencies = metadata.packages.iter().flat_map(|package| &package.dependencies);
    Ok(dependencies.any(|dependency| dependency.name == PACKAGE && from_registry(dependency)))
}

/// Unpacks the SDK below `cache` unless it is there, whole. Returns the folder of `rimward-sdk`.
fn unpack(cache: &Path) -> Result<PathBuf, SdkError> {
    let folder = cache.join("sdk").join(format!("{}-{}", env!("CARGO_PKG_VERSION"), &digest().hex()[..12]));
    if !is_whole(&folder) {
        unpack_into(&folder).map_err(|source| SdkError::Write { path: folder.clone(), source })?;
    }
    Ok(folder.join("rust"))
}

fn digest() -> Digest {
    let named = SDK.iter().flat_map(|(path, content)| [path.as_bytes(), b"\0", content, b"\0"].concat());
    Digest::of(&named.collect::<Vec<u8>>())
}

fn is_whole(folder: &Path) -> bool {
    let is_there = |(path, content): &(&str, &[u8])| {
        fs::metadata(folder.join(path)).is_ok_and(|about| about.len() == content.len() as u64)
    };
    SDK.iter().all(is_there)
}

/// Writes beside and renames, so that a build never sees half of it.
fn unpack_into(folder: &Path) -> io::Result<()> {
    let parent = folder.parent().expect("the folder is below the cache");
    fs::create_dir_all(parent)?;
    let beside = tempfile::Builder::new().prefix(".new-").tempdir_in(parent)?;
    for (path, content) in SDK {
        let path = beside.path().join(path);
        fs::create_dir_all(path.parent().expect("a file is in a folder"))?;
        fs::write(path, content)?;
    }
    // What is there is not whole: parts of a cache may be deleted at any time.
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    match fs::rename(beside.path(), folder) {
        // Another process was quicker with the same content.
        Err(_) if is_whole(folder) => Ok(()),
        renamed => renamed,
    }
}

fn write_config(project: &Path, sdk: &Path) -> Result<(), SdkError> {
    let folder = project.join(".cargo");
    let config = folder.join("config.toml");
    let path = toml_edit::Value::from(sdk.display().to_string());
    let wanted = format!("{MARK}\n[patch.crates-io]\n{PACKAGE} = {{ path ={} }}\n", path.decorated(" ", ""));
    match fs::read_to_string(&config) {
        Ok(text) if text == wanted => return Ok(()),
        Ok(text) if !text.starts_with(MARK) => return check_own_config(&text, config, sdk),
        _ => {}
    }
    let write =
        |path: PathBuf, text: &str| fs::write(&path, text).map_err(|source| SdkError::Write { path, source });
    fs::create_dir_all(&folder).map_err(|source| SdkError::Write { path: folder.clone(), source })?;
    if !folder.join(".gitignore").exists() {
        write(folder.join(".gitignore"), "/config.toml\n/.gitignore\n")?;
    }
    write(config, &wanted)
}

/// A configuration of the user's own is right if it says where the SDK is.
fn check_own_config(text: &str, config: PathBuf, sdk: &Path) -> Result<(), SdkError> {
    let document = match text.parse::<toml_edit::DocumentMut>() {
        Ok(document) => document,
        Err(source) => return Err(SdkError::BadConfig { config, source }),
    };
    let patch = document.get("patch").and_then(|patch| patch.get("crates-io")?.get(PACKAGE));
    match patch {
        Some(_) => Ok(()),
        None => Err(SdkError::ForeignConfig { config, sdk: sdk.to_owned() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sdk_is_unpacked_once_and_made_whole_again() {
        let cache = tempfile::tempdir().unwrap();
        let sdk = unpack(cache.path()).unwrap();
        assert!(sdk.join("Cargo.toml").is_file() && sdk.join("../macros/src/lib.rs").is_file());
        let kept = sdk.join("kept");
        fs::write(&kept, "").unwrap();
        assert_eq!(unpack(cache.path()).unwrap(), sdk);
        assert!(kept.exists(), "what is whole is left alone");
        fs::write(sdk.join("Cargo.toml"), "").unwrap();
        unpack(cache.path()).unwrap();
        assert!(is_whole(sdk.parent().unwrap()) && !kept.exists());
    }

    #[test]
    fn the_config_is_written_again_when_it_is_ours() {
        let project = tempfile::tempdir().unwrap();
        let config = project.path().join(".cargo/config.toml");
        for sdk in ["/one \"odd\"", "/two"] {
            write_config(project.path(), Path::new(sdk)).unwrap();
            let written: toml_edit::DocumentMut = fs::read_to_string(&config).unwrap().parse().unwrap();
            assert_eq!(written["patch"]["crates-io"][PACKAGE]["path"].as_str(), Some(sdk));
        }
        assert_eq!(
            fs::read_to_string(project.path().join(".cargo/.gitignore")).unwrap(),
            "/config.toml\n/.gitignore\n"
        );
    }

    #[test]
    fn a_config_of_the_users_own_is_left_alone() {
        let check = |own: &str, right: bool| {
            let project = tempfile::tempdir().unwrap();
            let config = project.path().join(".cargo/config.toml");
            fs::create_dir(project.path().join(".cargo")).unwrap();
            fs::write(&config, own).unwrap();
            assert_eq!(write_config(project.path(), Path::new("/sdk")).is_ok(), right, "{own}");
            assert_eq!(fs::read_to_string(&config).unwrap(), own);
        };
        check("[net]\noffline = true\n", false);
        check("[net\n", false);
        check("[patch.crates-io]\nrimward-sdk = { path = \"/mine\" }\n", true);
        check("[patch.crates-io.rimward-sdk]\npath = \"/mine\"\n", true);
    }
}
