//! Machine code beside a component, for a node that has no compiler.
//!
//! It lies in the app's folder as `precompiled/COMPONENT.ENGINE.cwasm`, where `COMPONENT` is the component's sha256 in
//! hexadecimal digits and `ENGINE` the key of the engine that can run it, which only the engine understands. Loading
//! it runs it, so it is as trusted as the folder is; it is never part of what is signed or fetched.

use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::digest::Digest;

/// Machine code of one component for one engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Precompiled {
    /// The key of the engine that it was made by.
    pub engine: String,
    /// What that engine loads.
    pub bytes: Bytes,
}

/// The folder in an app's folder.
pub(crate) const FOLDER: &str = "precompiled";
const SUFFIX: &str = ".cwasm";

/// Where the machine code of `component` for `engine` lies in the app's folder `app`. The key may hold letters, digits,
/// `-`, `_` and `.`.
///
/// # Panics
/// If the key holds anything else.
pub fn precompiled_path(app: &Path, component: &Digest, engine: &str) -> PathBuf {
    assert!(is_key(engine), "an engine's key is plain text");
    app.join(FOLDER).join(format!("{}.{engine}{SUFFIX}", component.hex()))
}

/// The engine's key in the name of a file that holds machine code of `component`.
pub(crate) fn engine_of<'f>(file: &'f str, component: &Digest) -> Option<&'f str> {
    let rest = file.strip_prefix(component.hex().as_str())?.strip_prefix('.')?;
    rest.strip_suffix(SUFFIX).filter(|engine| is_key(engine))
}

fn is_key(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}
