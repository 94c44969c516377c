//! Where an operator's settings come from: the file that `--config` names, else the usual one if it is there, else the
//! defaults; then the environment's `RIMWARD_*`. What the command line says comes on top of that.

use anyhow::Result;
use rimward_manifest::NodeFile;
use std::path::{Path, PathBuf};

/// Where the file usually is.
pub(crate) const USUAL: &str = "/etc/rimward/node.toml";

/// Which file it is.
pub(crate) fn path(config: Option<&Path>) -> Option<PathBuf> {
    let usual = Path::new(USUAL);
    config.or_else(|| usual.exists().then_some(usual)).map(Path::to_owned)
}

/// The settings of a node that runs as the operator says.
pub(crate) fn read(config: Option<&Path>) -> Result<NodeFile> {
    with_environment(path(config).as_deref().map(NodeFile::read).transpose()?.unwrap_or_default())
}

/// The settings with what the environment says instead. Variables that are no text cannot be ours.
pub(crate) fn with_environment(file: NodeFile) -> Result<NodeFile> {
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Ok(file.with_environment(variables)?)
}
