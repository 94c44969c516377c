//! The runtime of the command itself. A node has threads and runtimes of its own; this one waits for it.

use anyhow::{Context, Result};
use std::future::Future;

/// Runs a command's future to its end on this thread.
pub(crate) fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.context("the command's own runtime did not start")?.block_on(future)
}
