//! Every bound of a bundle, by name, with its unit and its reason.

const MIB: u64 = 1024 * 1024;

/// Largest component, in bytes. Components that carry an interpreter have about 20 MiB; those with native libraries more.
pub const COMPONENT_BYTES_MAX: u64 = 100 * MIB;
/// Largest precompiled component, in bytes: machine code is three to four times the size of its component.
pub const PRECOMPILED_BYTES_MAX: u64 = 4 * COMPONENT_BYTES_MAX;
/// Largest other file of an app, in bytes: certificates, a few KiB each.
pub const FILE_BYTES_MAX: u64 = MIB;
/// Precompiled forms of one component: a few versions on a few kinds of machine.
pub const PRECOMPILED_MAX: usize = 16;
