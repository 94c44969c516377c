//! The bounds of the measuring programs: unit, default and reason.

use std::time::Duration;

/// Head and body of one reply, bytes. Replies that are measured are small; a larger one is a server gone wrong.
pub const REPLY_BYTES: usize = 1 << 20;

/// Header fields of one reply.
pub const REPLY_HEADERS: usize = 32;

/// Connections of one load. Each is a task and a socket of one thread.
pub const CONNECTIONS: usize = 10_000;

/// Requests of one open-loop load: their intended starts are kept in a queue when the server does not keep up.
pub const OPEN_LOOP_REQUESTS: u64 = 10_000_000;

/// How long a server may take until it says where it listens. The first start of a node compiles its components.
pub const READY_WAIT: Duration = Duration::from_secs(120);

/// How long a load may take beyond its own time: a reply that never comes would hold it up for ever.
pub const REPLY_WAIT: Duration = Duration::from_secs(10);

/// Last lines of a server's output that an error quotes.
pub const QUOTED_LINES: usize = 10;

/// Rounds at the most: each takes about half a minute.
pub const ROUNDS: u32 = 1_000;
