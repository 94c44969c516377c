//! The example's bounds. They hold beside the node's own (`limits` of rimward.toml).

/// Bytes of a stream's name: 64.
pub(crate) const STREAM_BYTES_MAX: usize = 64;
