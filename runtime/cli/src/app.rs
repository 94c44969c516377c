//! Which app a command is about: a folder with a `rimward.toml`, found from where the command was run, or a bare
//! component.

use anyhow::{Context, Result};
use rimward_bundle::Bundle;
use rimward_manifest::Name;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const MANIFEST: &str = "rimward.toml";

/// There is no app.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NoApp {
    /// Neither the folder nor one above it has a declaration.
    #[error(
        "there is no `{MANIFEST}` in `{}` or a folder above it: `rimward new NAME` makes a new app; to work on an existing one, go to its folder",
        folder.display()
    )]
    NotFound { folder: PathBuf },
    /// The folder itself is not there.
    #[error("cannot open the folder `{}`", folder.display())]
    NoFolder { folder: PathBuf, source: io::Error },
    /// What was named is neither a folder nor a file.
    #[error("cannot read `{}`: name an app's folder or a component (`.wasm`)", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    /// What was named is a file and no component.
    #[error("`{}` is no component", path.display())]
    NotAComponent { path: PathBuf, source: rimward_bundle::ComponentError },
}

/// The folder of the app that `start` is in: the nearest one with a declaration, as cargo and git look for theirs.
pub(crate) fn folder(start: &Path) -> Result<PathBuf, NoApp> {
    if start.join(MANIFEST).is_file() {
        return Ok(start.to_owned());
    }
    let absolute =
        start.canonicalize().map_err(|source| NoApp::NoFolder { folder: start.to_owned(), source })?;
    let found = absolute.ancestors().find(|folder| folder.join(MANIFEST).is_file()).map(Path::to_owned);
    found.ok_or(NoApp::NotFound { folder: absolute })
}

/// The app at `path`: a folder with a declaration, or a bare component.
pub(crate) fn bundle(path: &Path) -> Result<Bundle> {
    let about = fs::metadata(path).map_err(|source| NoApp::Unreadable { path: path.to_owned(), source })?;
    if about.is_dir() {
        return Ok(Bundle::from_directory(path)?);
    }
    let bytes = fs::read(path).map_err(|source| NoApp::Unreadable { path: path.to_owned(), source })?;
    let bundle = Bundle::from_component(name_of(path), bytes);
    Ok(bundle.map_err(|source| NoApp::NotAComponent { path: path.to_owned(), source })?)
}

/// A name for a bare component: its file's, as far as a name may have its characters.
fn name_of(path: &Path) -> Name {
    let stem = path.file_stem().map(OsStr::to_string_lossy).unwrap_or_default();
    label(&stem).unwrap_or_else(|| "component".parse().expect("it is a name"))
}

/// The name nearest to `text`, if it has any letter or digit.
pub(crate) fn label(text: &str) -> Option<Name> {
    let lower = text.to_lowercase();
    let plain: String = lower.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let short: String =
        plain.trim_matches('-').chars().take(rimward_manifest::limits::NAME_CHARS_MAX).collect();
    short.trim_end_matches('-').parse().ok()
}

/// The folder for what this user's commands can make again.
pub(crate) fn cache() -> Result<PathBuf> {
    let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")));
    let base = base.context("there is no cache folder: set HOME or XDG_CACHE_HOME")?;
    Ok(base.join("rimward"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_app_is_found_from_its_folder_and_from_below() {
        let top = tempfile::tempdir().unwrap();
        let below = top.path().join("src/deep");
        fs::create_dir_all(&below).unwrap();
        assert!(matches!(folder(&below), Err(NoApp::NotFound { .. })));
        fs::write(top.path().join(MANIFEST), "").unwrap();
        assert_eq!(folder(top.path()).unwrap(), top.path());
        assert_eq!(folder(&below).unwrap(), top.path().canonicalize().unwrap());
        assert!(matches!(folder(&top.path().join("none")), Err(NoApp::NoFolder { .. })));
    }

    #[test]
    fn a_bare_component_is_named_after_its_file() {
        let check = |file: &str, name: &str| assert_eq!(name_of(Path::new(file)).as_str(), name);
        check("out/Hello_World.wasm", "hello-world");
        check("-x-.wasm", "x");
        check("___.wasm", "component");
        check(&format!("{}.wasm", "a".repeat(80)), &"a".repeat(63));
    }
}
