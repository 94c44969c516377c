//! Every bound of a bundle, by name, with its unit and its reason.

const MIB: u64 = 1024 * 1024;

/// Largest component, in bytes. Components that carry an interpreter have about 20 MiB; those with native libraries more.
pub const COMPONENT_BYTES_MAX: u64 = 100 * MIB;
/// Largest precompiled component, in bytes: machine code is three to four times the size of its component.
pub const PRECOMPILED_BYTES_MAX: u64 = 4 * COMPONENT_BYTES_MAX;
/// Largest model, in bytes. What runs on an edge node has a few MiB; those of speech or of sentences have a hundred.
pub const MODEL_BYTES_MAX: u64 = 256 * MIB;
/// Largest other file of an app, in bytes: certificates, a few KiB each.
pub const FILE_BYTES_MAX: u64 = MIB;
/// Precompiled forms of one component: a few versions on a few kinds of machine.
pub const PRECOMPILED_MAX: usize = 16;

/// Largest image manifest, in bytes: what registries take at the least (OCI distribution specification, "Pushing
/// Manifests").
pub const MANIFEST_BYTES_MAX: u64 = 4 * MIB;
/// Largest config blob, in bytes: a `rimward.toml` has 1 MiB at the most, and its JSON form says each key again.
pub const CONFIG_BYTES_MAX: u64 = 4 * MIB;
/// Layers of one image: a component for each function, models, and a few files.
pub const LAYERS_MAX: usize = 1024;
/// All blobs of one image together, in bytes: they are held in memory while it is installed.
pub const TOTAL_BYTES_MAX: u64 = 512 * MIB;
/// Largest index of an image layout, in bytes: a handful of descriptors.
pub const INDEX_BYTES_MAX: u64 = MIB;
/// Files of an image layout: blobs, manifests and signatures.
pub const LAYOUT_FILES_MAX: usize = 4096;
/// Signatures of one revision: a few keys, old and new ones beside each other while they change.
pub const SIGNATURES_MAX: usize = 64;
/// What one signature signs, in bytes: a digest, a name and two times.
pub const PAYLOAD_BYTES_MAX: u64 = 64 * 1024;
