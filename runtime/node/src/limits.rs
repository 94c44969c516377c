//! The node's named bounds: unit, default and reason. What the operator sets is in `node.toml` and has its default in
//! `rimward-manifest`.

use std::time::Duration;

/// File descriptors that client connections leave for upstreams, stores, logs and compiling.
pub const DESCRIPTORS_KEPT: u64 = 512;

/// File descriptors without which a node does not start: it opens about half as many itself.
pub const DESCRIPTORS_MIN: u64 = 64;

/// How long a client may take to send the head of a request. Slower ones hold a connection on purpose.
pub const HEAD_TIME: Duration = Duration::from_secs(10);

/// The part of `limits.connections` that may be in a TLS handshake at the same time. Half, so that clients who never finish
/// theirs do not take every place.
pub const HANDSHAKES_PART: u32 = 2;

/// The part of `limits.connections` that one client address may have by default.
pub const ADDRESS_PART: u32 = 4;

/// Bits of an IPv6 address that count as one client: a site has at least as many addresses (RFC 6177).
pub const IPV6_CLIENT_BITS: u32 = 64;

/// Bytes that are read from a client after its connection was closed on this side: more than a function takes by default.
pub const FAREWELL_BYTES: usize = 16 << 20;

/// How long they are read for at the most.
pub const FAREWELL_TIME: Duration = Duration::from_secs(2);

/// How long nothing may come meanwhile. Most clients close at once; a drain waits for the others.
pub const FAREWELL_QUIET: Duration = Duration::from_millis(200);

/// How long a draining node waits for the next request on an HTTP/1.1 connection that is open, to answer it and say that it
/// was the last: a client that sends just when the node closes cannot know whether to send again.
pub const LAST_REQUEST_TIME: Duration = Duration::from_millis(500);

/// How long a TLS handshake may take.
pub const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// How long a client may leave a reply unread before its connection is closed.
pub const WRITE_STALL: Duration = Duration::from_secs(30);

/// Header fields of one HTTP/1.1 request; more are answered with 431.
pub const HEADERS_MAX: usize = 100;

/// Head of one HTTP/1.1 request, bytes; more is answered with 431.
pub const HEAD_BYTES: usize = 64 << 10;

/// Header list of one HTTP/2 request, bytes (RFC 9113, section 6.5.2).
pub const H2_HEADER_LIST_BYTES: u32 = 32 << 10;

/// Streams that one HTTP/2 connection may have open.
pub const H2_STREAMS: u32 = 100;

/// Flow-control window of one HTTP/2 stream, bytes: what the node holds of a body that nobody reads.
pub const H2_STREAM_WINDOW_BYTES: u32 = 64 << 10;

/// Flow-control window of one HTTP/2 connection, bytes.
pub const H2_CONNECTION_WINDOW_BYTES: u32 = 1 << 20;
/// The same for a stream of a connection that models are asked over: a photograph as a tensor comes without a pause.
pub const H2_MODEL_WINDOW_BYTES: u32 = 1 << 20;
/// And for the whole of such a connection.
pub const H2_MODELS_WINDOW_BYTES: u32 = 4 << 20;
/// The largest frame of a connection: HTTP/2's own smallest bound.
pub const H2_FRAME_BYTES: u32 = 16 << 10;
/// And where models are asked: a tensor comes in one, and is read where it will stay.
pub const H2_MODEL_FRAME_BYTES: u32 = 1 << 20;
/// Bytes that are read at once where models are asked over HTTP/1.1, and so the head of a request there, too: most tensors
/// come in two or three pieces.
pub const MODEL_READ_BYTES: usize = 512 << 10;
/// What counts as the time of a call on the listener for models; its body may take longer to come.
pub const INFERENCE_TIME: Duration = Duration::from_secs(60);

/// Streams that an HTTP/2 client may open and reset before they were looked at (rapid reset).
pub const H2_PENDING_RESETS: usize = 20;

/// Streams that an HTTP/2 client may make the node reset over the life of a connection ("MadeYouReset"), by breaking the
/// protocol on them or by opening more than it may.
pub const H2_LOCAL_RESETS: usize = 1024;

/// HTTP/2 frames that a client may send at once without a stream gaining by them: many more than a browser sends when it
/// opens a connection or leaves a page.
pub const H2_CONTROL_FRAMES: u32 = 1024;

/// How many more it may send each second: keep-alive takes less than one.
pub const H2_CONTROL_RATE: u32 = 100;

/// Bytes sent to the client for which it may send one more: it must say that it has read them, and does so every few KiB.
pub const H2_CONTROL_BYTES: usize = 64;

/// How many of them one reset stands for: the node has begun to work on the stream.
pub const H2_RESET_COST: u32 = 2;

/// How long an HTTP/2 connection may be open without a request: it holds a place that others could have. Over HTTP/1.1 that
/// is [`HEAD_TIME`], because a new connection costs a client less there.
pub const H2_IDLE: Duration = Duration::from_secs(300);

/// How often a silent HTTP/2 client is asked whether it is still there.
pub const H2_PING: Duration = Duration::from_secs(30);

/// How long it may take to answer that.
pub const H2_PING_TIME: Duration = Duration::from_secs(20);

/// Connections that wait to be accepted, for each listening socket.
pub const BACKLOG: i32 = 1024;

/// How many more connections than the least loaded core a core keeps before it hands a new one over.
pub const CONNECTIONS_AHEAD: usize = 2;

/// Invocations of HTTP/2 streams that a core runs before further ones go to a core with fewer.
pub const STREAMS_AHEAD: usize = 4;

/// Instances of one function that each core keeps for reuse.
pub const WARM_PER_CORE: usize = 8;

/// How long an instance may be reused: long-lived ones collect what guests leak.
pub const WARM_AGE: Duration = Duration::from_secs(600);

/// How long an instance may wait for its next use.
pub const WARM_IDLE: Duration = Duration::from_secs(60);

/// How long the accept loop waits after it ran out of file descriptors.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How often certificates are looked at for a change.
pub const CERTIFICATE_POLL: Duration = Duration::from_secs(5);

/// How often the node looks how much memory the machine has left.
pub const MEMORY_BEAT: Duration = Duration::from_millis(100);

/// Memory that is left to the machine or to the node's control group, as a part of the whole: below it nothing new begins.
pub const MEMORY_KEPT_PART: u64 = 32;

/// The same at the most, bytes: what the invocations that run already may need until they end.
pub const MEMORY_KEPT_BYTES: u64 = 256 << 20;

/// Overload in which no request had to give up for so long is over.
pub const OVERLOAD_OVER: Duration = Duration::from_secs(1);

/// How long a request that comes during overload waits for a permit at the most.
pub const OVERLOAD_WAIT: Duration = Duration::from_millis(20);

/// Invocations that burn CPU and wait for a core, for each core, before further ones have to wait for a permit: enough to
/// keep the core busy, few enough that each ends soon.
pub const HOGS_WAITING_PER_CORE: usize = 4;

/// `Retry-After` of a refusal for lack of room, seconds: the queue is shorter than that.
pub const RETRY_AFTER_S: u64 = 1;

/// Bytes of a request id that a client sends; others are replaced.
pub const REQUEST_ID_BYTES: usize = 128;

/// Bytes of a reply that [`Node::invoke`](crate::Node::invoke) collects.
pub const INVOKE_REPLY_BYTES: usize = 256 << 20;

/// A secret's value, bytes.
pub const SECRET_BYTES: u64 = 64 << 10;

/// How long the two requests of a reuse check may take.
pub const REUSE_CHECK_TIME: Duration = Duration::from_secs(10);

/// How often a store with `durability = "interval"` is written to disk.
pub const STORE_INTERVAL: Duration = Duration::from_secs(1);

/// Outboxes of one node: each has two threads, a file and a cache of its own.
pub const OUTBOXES_MAX: usize = 128;

/// How long deliveries from an outbox wait while calls of functions that are under way wait for the same upstream, or
/// requests for a permit.
pub const LIVE_CALLS_FIRST: Duration = Duration::from_millis(100);

/// Bytes that are read of what a function replies when it is told of an answer.
pub const TOLD_REPLY_BYTES: usize = 64 << 10;

/// Stack of a core's thread, bytes: guests run on stacks of their own.
pub const CORE_STACK_BYTES: usize = 2 << 20;

/// How long a drain waits between two looks at what is still open.
pub const DRAIN_POLL: Duration = Duration::from_millis(5);

/// How often the files of credentials of upstreams are looked at: certificates and projected tokens are renewed long before
/// their end, and a few small reads in so long cost nothing.
pub const CREDENTIALS_LOOKED_AT: Duration = Duration::from_secs(5);
