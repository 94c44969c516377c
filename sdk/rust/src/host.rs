//! The host under a function: the node through WASI on wasm, the test's own fake elsewhere. Both have the same names, so
//! that this is the only place that tells them apart.

#[cfg(not(target_family = "wasm"))]
mod fake;
#[cfg(target_family = "wasm")]
mod wasi;

#[cfg(not(target_family = "wasm"))]
pub(crate) use fake::*;
#[cfg(target_family = "wasm")]
pub use wasi::*;
