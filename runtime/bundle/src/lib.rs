//! An app as one artifact, named by its digest: manifest, components and files, read from a folder or from memory.
//!
//! Whoever installs an app hands the node a [`Bundle`]; the node knows a revision by [`Bundle::revision`]. Nothing here
//! compiles or runs a component, and nothing is fetched. Sizes are bounded by [`limits`]; a folder that lacks a file or
//! holds something else in its place is refused with the remedy.

mod bundle;
mod digest;
mod folder;
pub mod limits;
mod oci;
mod precompiled;

pub use bundle::{Bundle, Component, ComponentError};
pub use digest::{Digest, DigestError};
pub use folder::Error;
pub use oci::{COMPONENT_TYPE, CONFIG_TYPE, FILE_TYPE};
pub use precompiled::{Precompiled, precompiled_path};
