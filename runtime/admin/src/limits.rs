//! The admin API's named bounds: unit, default and reason.

use std::time::Duration;

/// Connections to the socket at once: some people and some scripts.
pub const CONNECTIONS: usize = 32;

/// How long a client may take to send the head of a request.
pub const HEAD_TIME: Duration = Duration::from_secs(10);

/// Reloads and restarts that were asked for and wait: each is carried out alone.
pub const ASKS_WAITING: usize = 4;

/// How long a client waits for a reload: components may have to be compiled.
pub const RELOAD_TIME: Duration = Duration::from_secs(590);

/// How long one connection may last. The longest answer is a drain.
pub const CONNECTION_TIME: Duration = Duration::from_secs(600);

/// Body of a request, bytes. Today's requests have none or a small one.
pub const BODY_BYTES: usize = 64 << 10;

/// What a client reads of a reply, bytes.
pub const REPLY_BYTES: usize = 16 << 20;

/// How long a client waits for a reply.
pub const REPLY_TIME: Duration = Duration::from_secs(30);

/// How long a client waits for the comparison of a model's sides: as long as both are measured, and a little more.
pub const COMPARE_TIME: Duration = Duration::from_secs(150);

/// Calls of each side of a model that are compared, at most.
pub const COMPARED_CALLS_MAX: u32 = 1000;

/// The longest drain that may be asked for, and what is taken where nothing was said.
pub const DRAIN_MAX: Duration = Duration::from_secs(300);
/// See [`DRAIN_MAX`].
pub const DRAIN_DEFAULT: Duration = Duration::from_secs(30);

/// Deferred calls in a page where nothing was said.
pub const PAGE_DEFAULT: usize = 100;
