//! Named bounds: unit and reason.

/// Descriptors of a process that compiles: standard input, output and error, and what its runtime opens.
pub const COMPILER_DESCRIPTORS: u64 = 32;
