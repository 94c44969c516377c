//! The settings of a node that `RIMWARD_*` variables replace.

use std::str::FromStr;

use super::NodeFile;

/// A variable that cannot be read. Its value is not quoted where it may be a path with a secret in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the environment's `{variable}` is `{value}`, but {expected} is expected")]
pub struct EnvironmentError {
    /// The variable.
    pub variable: String,
    /// What it holds.
    pub value: String,
    /// What it may hold.
    pub expected: &'static str,
}

/// Takes over `value` if `variable` is one of the node's.
pub(super) fn set(file: &mut NodeFile, variable: &str, value: &str) -> Result<(), EnvironmentError> {
    if value.is_empty() {
        return Ok(());
    }
    let taken = match variable {
        "RIMWARD_STATE" => put(&mut file.node.state, value),
        "RIMWARD_CACHE" => put(&mut file.node.cache, value),
        "RIMWARD_LISTEN" => value.split(',').map(|address| address.trim().parse().ok()).collect::<Option<_>>()
            .map(|listen| file.node.listen = listen).ok_or("a list of addresses with ports, separated by commas,"),
        "RIMWARD_CORES" => todo!(),
        _ => Ok(()),
    };
    todo!()
}
