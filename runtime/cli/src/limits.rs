//! The command line's named bounds: unit, default and reason. What a node may use is bounded in `rimward-node` and by
//! `node.toml`.

use std::time::Duration;

/// How long open requests may take after the first request to stop.
pub(crate) const DRAIN: Duration = Duration::from_secs(30);

/// How long the new program may take to look at the settings before a restart in place.
pub(crate) const RESTART_CHECK: Duration = Duration::from_secs(30);

/// Log lines that wait to be written. A terminal or a pipe that nobody reads must not stop requests: further lines are
/// dropped and counted.
pub(crate) const LINES_WAITING: usize = 4096;

/// Refused requests that have a line in each second, where only failures have one: enough to see who and why. A flood of
/// them would cost the node more than to refuse them.
pub(crate) const REFUSALS_LOGGED_PER_SECOND: u32 = 100;

/// How long files must be left alone before they are built: an editor's save is several writes.
#[cfg(feature = "compile")]
pub(crate) const QUIET: Duration = Duration::from_millis(100);

/// How long installing may take before `rimward dev` says that it compiles: a component that was compiled before is loaded
/// in milliseconds, one that carries an interpreter is compiled for 20 s.
#[cfg(feature = "compile")]
pub(crate) const COMPILING_SHOWN: Duration = Duration::from_secs(1);

/// Bytes of a request or a reply that a stand-in for an upstream holds in memory.
#[cfg(feature = "compile")]
pub(crate) const MOCK_BODY_BYTES_MAX: usize = 32 << 20;

/// Bytes of a recorded body that stands in the file of replies itself: what an editor shows well.
#[cfg(feature = "compile")]
pub(crate) const RECORDED_INLINE_BYTES: usize = 16 << 10;

/// Changed files that `rimward dev` names; a branch switch changes hundreds.
#[cfg(feature = "compile")]
pub(crate) const CHANGES_SHOWN: usize = 3;

/// Bytes of a body that `rimward invoke` reads: what it holds in memory. A function's own limit is usually far lower.
pub(crate) const DATA_BYTES_MAX: u64 = 256 << 20;

/// Invocations at once in a node that lives for one command.
pub(crate) const ONE_SHOT_CONCURRENCY: u32 = 8;

/// How often `rimward status --watch` asks.
pub(crate) const WATCH_INTERVAL: Duration = Duration::from_secs(1);

/// File descriptors below which `rimward doctor` warns: a node's default for connections, and as much for upstreams,
/// stores and files.
pub(crate) const DESCRIPTORS_WANTED: u64 = 8192;

/// Memory below which `rimward doctor` warns, bytes: the smallest board that the runtime is made for.
pub(crate) const MEMORY_WANTED_BYTES: u64 = 512 << 20;
