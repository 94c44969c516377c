//! An app as one artifact, named by its digest: manifest, components and files, read from a folder, from an OCI image
//! layout or from blobs, and who vouches for it.
//!
//! Whoever installs an app hands the node a [`Bundle`]; the node knows a revision by [`Bundle::revision`]. Nothing here
//! compiles or runs a component, and nothing is fetched. Sizes are bounded by [`limits`]; a folder that lacks a file or
//! holds something else in its place is refused with the remedy.

mod assemble;
mod bundle;
mod digest;
mod folder;
mod image;
mod key;
mod layout;
pub mod limits;
mod oci;
mod precompiled;
pub mod signature;
mod trust;

pub use assemble::ImageError;
pub use bundle::{Bundle, Component, ComponentError};
pub use digest::{Digest, DigestError};
pub use folder::Error;
pub use image::{Descriptor, Image, Kind, ManifestError, WASM_CONFIG_TYPE};
pub use key::{Algorithm, KeyError, PrivateKey, PublicKey};
pub use layout::{Layout, LayoutError};
pub use oci::{COMPONENT_TYPE, CONFIG_TYPE, FILE_TYPE, MODEL_TYPE};
pub use precompiled::{Precompiled, precompiled_path};
pub use signature::{Claim, Signature, SignatureError};
pub use trust::{Refused, Trust, TrustedKey, Vouched};
