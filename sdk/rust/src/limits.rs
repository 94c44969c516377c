//! The SDK's bounds. The node's own limits (`limits` of rimward.toml) hold besides; these keep a mistake inside a
//! function from becoming one of them.

/// Bytes that [`Body::bytes`](crate::Body::bytes) and what builds on it collect: 16 MiB.
///
/// An eighth of the memory that a function has by default, so that a body can be decoded beside its bytes.
/// [`Body::bytes_up_to`](crate::Body::bytes_up_to) takes another bound; reading by chunks needs none.
pub const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Bytes of a model's answer, all outputs together: 64 MiB.
///
/// Half of the memory that a function has by default.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Bytes of one chunk read from a request or from an answer: 64 KiB.
///
/// Large enough that the calls into the host do not count, small enough to hold many at once.
pub const CHUNK_BYTES_MAX: usize = 64 * 1024;

/// Times that [`Store::update`](crate::keyvalue::Store::update) tries to swap a value: 16.
///
/// Losing that often to others means that the key is too busy for compare-and-swap.
pub const UPDATE_ATTEMPTS_MAX: usize = 16;
