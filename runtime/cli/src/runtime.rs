//! The runtime of the command itself. A node has threads and runtimes of its own and is started before; this one waits
//! for it.

use anyhow::{Context, Result};
use std::future::Future;

/// Runs a command's future to its end on this thread. Work that still blocks elsewhere afterwards (a component that is
/// being compiled) is left behind.
pub(crate) fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("the command's own runtime did not start")?;
    let result = runtime.block_on(future);
    runtime.shutdown_background();
    result
}
