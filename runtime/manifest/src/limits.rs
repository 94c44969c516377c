//! Every bound and every default of the two files, by name, with its unit and its reason.
//!
//! Bounds guard the parser and what is built from its result; defaults apply where a file says nothing. The
//! schema, the parser and [`Limits::resolve`](crate::Limits::resolve) read them from here only.

use std::num::NonZeroU32;
use std::time::Duration;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

// Bounds.

/// Largest `rimward.toml` or `node.toml`, in bytes. A file written by hand has a few KiB; a parser fed with
/// something else by mistake stops here.
pub const FILE_BYTES_MAX: u64 = MIB;
/// Functions in one app. An app is deployed as a whole, so it stays small enough to be warmed as a whole.
pub const FUNCTIONS_MAX: usize = 256;
/// HTTP triggers in one app: a few per function at the most.
pub const ROUTES_MAX: usize = 1024;
/// Length of one route's path, in bytes. Clients and proxies take paths of 8 KiB at the most; patterns are shorter.
pub const ROUTE_PATH_BYTES_MAX: usize = 1024;
/// Segments in one route: it bounds the depth of the lookup's recursion.
pub const ROUTE_SEGMENTS_MAX: usize = 32;
/// Length of a name, in characters: a DNS label's (RFC 1035, section 2.3.4), because names appear in host names.
pub const NAME_CHARS_MAX: usize = 63;
/// Length of a host name, in characters (RFC 1035, section 2.3.4, in its text form).
pub const HOST_CHARS_MAX: usize = 253;
/// Longest duration, so that adding one to a clock's reading cannot overflow.
pub const DURATION_MAX: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// CPU share that a file may name, percent of one core: more cores than any machine has.
pub const CORES_PERCENT_MAX: u32 = 102_400;

// What a function may use where neither its app nor the tenant says anything.

/// Linear memory of one instance: room for a guest that decodes a photo or brings its own interpreter.
pub const FUNCTION_MEMORY_BYTES: u64 = 128 * MIB;
/// CPU time of one invocation: preparing one media file on a slow board; a hog is stopped soon after.
pub const FUNCTION_CPU: Duration = Duration::from_secs(1);
/// Wall time from admission to the response head: as long as the slowest upstream call may take.
pub const FUNCTION_WALL: Duration = UPSTREAM_TOTAL;
/// Request body: a photo or a scanned page.
pub const FUNCTION_REQUEST_BODY_BYTES: u64 = 10 * MIB;
/// Invocations of one function at once: half of a node's, so that one function cannot fill the node.
pub const FUNCTION_CONCURRENCY: u32 = 64;
/// Silence on a stream after which it is ended: longer than the usual keep-alive comment of 15 s.
pub const FUNCTION_STREAM_IDLE: Duration = Duration::from_secs(30);
/// Outgoing requests of one instance at once: what a browser's six per host grows to with a few hosts.
pub const FUNCTION_OUTGOING: u32 = 16;
/// Log output of one function per second: a few hundred lines; more is a loop.
pub const FUNCTION_LOG_BYTES_PER_SECOND: u64 = 64 * KIB;
/// Elements of all tables of one instance: five times what interpreters use.
pub const FUNCTION_TABLE_ELEMENTS: u32 = 100_000;
/// Live handles of one instance: programs use tens; a leak stops here.
pub const FUNCTION_HANDLES: u32 = 5_000;
/// Strings and lists handed to the node in one call: the largest value of a store, four times.
pub const FUNCTION_HOST_CALL_BYTES: u64 = 4 * MIB;

// How long an upstream is waited for.

/// Resolving, connecting and the TLS handshake: three lost packets on a slow link.
pub const UPSTREAM_CONNECT: Duration = Duration::from_secs(5);
/// From the sent request to the response head: a model server under load.
pub const UPSTREAM_FIRST_BYTE: Duration = Duration::from_secs(10);
/// Between two parts of the response body: a link that changes its radio cell.
pub const UPSTREAM_BETWEEN_BYTES: Duration = Duration::from_secs(10);
/// The whole call: the sum of a slow connect, answer and body.
pub const UPSTREAM_TOTAL: Duration = Duration::from_secs(30);

/// Tries of one call. A call that failed ten times will fail again.
pub const RETRY_ATTEMPTS_MAX: u32 = 10;
/// Calls that an open breaker lets through to see whether an upstream is back: enough for any share of them.
pub const HALF_OPEN_CALLS_MAX: u32 = 1000;
/// How long a breaker stays open the first time: Hystrix's.
pub const BREAKER_OPEN: crate::Duration = crate::Duration::constant(Duration::from_secs(5));
/// Calls to one upstream at a time: as many connections as a tenant's client opens.
pub const BULKHEAD_CONCURRENT: NonZeroU32 = NonZeroU32::new(256).expect("it is not zero");
/// Answers of one upstream that are kept, in bytes: thousands of small ones, and little of a small machine's memory.
pub const CACHE_BYTES: u64 = 16 * MIB;
/// The largest body of one of them.
pub const CACHE_BODY_BYTES: u64 = MIB;
/// What the caches of all apps of a node may take together: a quarter of the smallest machine's memory.
pub const CACHES_BYTES: u64 = 128 * MIB;
/// What the outboxes of all apps of a node may take on disk together: a dozen with the defaults, and half of a small
/// machine's disk.
pub const OUTBOXES_BYTES: u64 = 4 << 30;
/// Faults of one rule: there are fewer kinds.
pub const FAULTS_MAX: usize = 16;
/// Rules of faults that a node has at a time.
pub const FAULT_RULES_MAX: usize = 64;
/// Places of one upstream.
pub const ENDPOINTS_MAX: usize = 64;

/// Bytes of calls that wait in one outbox: days of readings of a small site, and little of an edge machine's disk.
pub const OUTBOX_BYTES: u64 = 256 * MIB;

/// What calls of models under way may take of a node's memory together: two of the largest, or 800 photographs as tensors.
pub const MODELS_CALL_MEMORY: u64 = 512 * MIB;
/// What the models of one tenant may take in their process: ten times what small models for edge machines need.
pub const MODELS_MEMORY: u64 = 1024 * MIB;
/// Calls at once on the listener for models: what a busy machine of many clients sends, and a queue that ends in time.
pub const INFERENCE_CONCURRENCY: u32 = 128;

// A node without a node.toml.

/// Where a node keeps what it must remember.
pub const NODE_STATE: &str = "/var/lib/rimward";
/// Where a node keeps what it can make again.
pub const NODE_CACHE: &str = "/var/cache/rimward";
/// Where a node listens: loopback, because nobody configured who may come.
pub const NODE_LISTEN: &str = "127.0.0.1:8080";
/// Where metrics and health are served: loopback, on the usual port of OpenTelemetry's Prometheus
/// exporter.
pub const OPS_LISTEN: &str = "127.0.0.1:9464";
/// The admin socket's file name in the state directory.
pub const ADMIN_SOCKET: &str = "admin.sock";
/// The tenant of an app that names none.
pub const TENANT: &str = "default";
/// Invocations at once on the whole node: past 100 to 200 pooled instances throughput no longer grows.
pub const NODE_CONCURRENCY: u32 = 128;
/// CPU time for compiling one component: one with a JavaScript interpreter takes 20 s on a server, ten times that on a
/// board.
pub const COMPILE_CPU: Duration = Duration::from_secs(600);
/// Time for compiling one component, while the node goes on serving.
pub const COMPILE_WALL: Duration = Duration::from_secs(900);
/// Address space of the process that compiles, in bytes.
pub const COMPILE_MEMORY: u64 = 1536 * 1024 * 1024;
/// Requests that wait for a permit: two rounds of the node's concurrency.
pub const NODE_QUEUE: u32 = 256;
/// How long a request waits for a permit: a client that waits longer is better told to try again.
pub const NODE_QUEUE_WAIT: Duration = Duration::from_millis(500);
/// How long a client that closed its side may wait for the next byte: scripts do that and wait a moment; most clients that
/// close are gone.
pub const NODE_HALF_CLOSED: Duration = Duration::from_secs(10);
/// Bytes a second of a request's body on average: what a slow radio link has. A client below it holds a permit on purpose.
pub const NODE_REQUEST_MIN_RATE: u32 = 500;
/// Open client connections: below the usual limit of file descriptors with room for files and upstreams.
pub const NODE_CONNECTIONS: u32 = 4096;
