//! The named bounds of the capabilities: unit, default and reason.

use std::time::Duration;

/// Bytes of one body chunk that a guest hands over at once. One write of a guest is at most this large.
pub const BODY_CHUNK_BYTES: usize = 64 << 10;

/// Chunks of a guest's outgoing body that wait for whoever reads it. With the chunk size this bounds what the host holds
/// for each body in flight.
pub const BODY_CHUNKS_QUEUED: usize = 1;

/// Bytes of a reply that are collected, so that a small reply has a `content-length` and is written at once. More is streamed.
pub const REPLY_COLLECTED_BYTES: usize = 64 << 10;

/// How long the rest of a small reply is waited for after its head, where the guest runs on other threads, so that it has
/// a `content-length` too: two ticks.
pub const HOG_REPLY_GRACE: Duration = Duration::from_millis(2);

/// Header block of a request or reply as the guest holds it, bytes in memory (more than on the wire).
pub const HEADER_BYTES: usize = 64 << 10;

/// How finely functions read the time, unless the operator says otherwise. What serves requests needs no more, and
/// measuring what others do on the same processor needs a thousand times more.
pub const CLOCK_STEP: Duration = Duration::from_millis(1);

/// Bytes of randomness that a guest gets in one call.
pub const RANDOM_BYTES: u64 = 64 << 10;

/// Outgoing requests that one invocation may have in flight, where the manifest says nothing.
pub const OUTGOING: usize = 16;

/// Calls from function to function, one inside the other. A chain longer than this is a loop.
pub const CALL_DEPTH: u8 = 16;

/// How long a guest may go on after its reply has ended, to finish what it does afterwards.
pub const LINGER: Duration = Duration::from_secs(1);

/// How long a reply's body may stand still once its head is out: nothing from the guest that long ends it.
pub const STREAM_IDLE: Duration = Duration::from_secs(30);

/// How long a client may leave a request body standing still. That time does not count as the guest's.
pub const REQUEST_IDLE: Duration = Duration::from_secs(30);

/// Bytes of a request body, where the manifest says nothing.
pub const REQUEST_BODY_BYTES: u64 = 10 << 20;

/// Bytes of one line of a function's log; the rest of a longer line is cut.
pub const LOG_LINE_BYTES: usize = 8 << 10;

/// Bytes that one function may log each second, where the manifest says nothing; more lines are dropped and counted.
pub const LOG_BYTES_PER_SECOND: u64 = 64 << 10;

/// What a line costs besides its text, bytes: the fields that are written with it.
pub const LOG_LINE_OVERHEAD_BYTES: usize = 128;

/// What a function may log at once after it was quiet, in seconds of its rate.
pub const LOG_BURST_SECONDS: u32 = 10;

/// Keys and values of a function's configuration, bytes in all.
pub const CONFIG_BYTES: usize = 256 << 10;

/// Keys that `get-many`, `set-many` and `delete-many` take at once.
pub const KEYVALUE_BATCH: usize = 1_000;

/// Pages that one instance may list with cursors that are numbers: each is a key that the host remembers.
pub const KEYVALUE_CURSORS: usize = 5_000;

/// Keys in one page of `list-keys`.
pub const KEYVALUE_PAGE: usize = 1_000;
