//! Every bound of this crate: name, unit, default, reason.
//!
//! Read by the file that enforces the bound; reaching one is an [`Error`](crate::Error) named beside it.

use std::time::Duration;

/// Getting a connection: waiting for room, DNS, TCP and TLS together. Past it: `ConnectionTimeout`.
/// Five seconds outlast one lost SYN (1 s) and one more (3 s) on a bad link.
pub const CONNECT_DEFAULT: Duration = Duration::from_secs(5);
/// From the last byte of the request to the response head. Past it: `FirstByteTimeout`.
/// Thirty seconds leave room for a model server that loads its model.
pub const FIRST_BYTE_DEFAULT: Duration = Duration::from_secs(30);
/// Between two pieces of the response body, while somebody waits for one. Past it: `BetweenBytesTimeout`.
pub const BETWEEN_BYTES_DEFAULT: Duration = Duration::from_secs(30);
/// The whole exchange, response body included. Past it: `TotalTimeout`. Ten minutes let streamed answers run.
pub const TOTAL_DEFAULT: Duration = Duration::from_secs(600);
/// No timeout is shorter: one timer tick.
pub const TIMEOUT_MIN: Duration = Duration::from_millis(1);
/// No timeout is longer: a call that nobody can wait for is a lost connection.
pub const TIMEOUT_MAX: Duration = Duration::from_secs(3600);

/// One name lookup. Past it: `DnsTimeout`. Below [`CONNECT_DEFAULT`], so that the cause is told apart.
pub const LOOKUP_MAX: Duration = Duration::from_secs(3);
/// Lookups that may occupy a blocking thread of one resolver at a time; further ones wait within
/// [`LOOKUP_MAX`]. A dead DNS server must not take all blocking threads of the runtime.
pub const LOOKUPS_MAX: usize = 16;
/// Addresses used of one lookup; the others are ignored. A name with a thousand records is no better than with 16.
pub const ADDRESSES_MAX: usize = 16;
/// Pause before the next address is tried beside the ones still connecting (RFC 8305, section 5: 250 ms).
pub const ATTEMPT_STAGGER: Duration = Duration::from_millis(250);

/// Open connections of one client. A further request waits for room, at most [`CONNECTION_WAIT_MAX`], then:
/// `ConnectionLimit`. 256 of them with TLS are about 10 MiB.
pub const CONNECTIONS_DEFAULT: usize = 256;
/// Longest wait for room under the connection limit. A second is past any burst and within any patience.
pub const CONNECTION_WAIT_MAX: Duration = Duration::from_secs(1);
/// Idle HTTP/1.1 connections kept per origin; a further one is closed.
pub const IDLE_PER_HOST_DEFAULT: usize = 32;
/// How long an idle connection is kept. Below the 60-75 s at which common proxies close theirs.
pub const IDLE_DEFAULT: Duration = Duration::from_secs(30);

/// Streams opened on one HTTP/2 connection before another connection is made: what most servers allow.
pub const STREAMS_MAX: usize = 100;
/// Receive window of one HTTP/2 stream, bytes: one stream at 100 Mbit/s and 80 ms.
pub const STREAM_WINDOW_BYTES: u32 = 1 << 20;
/// The largest frame that a server may send: as large as the window, so that a large answer comes in few pieces.
pub const FRAME_BYTES: u32 = 1 << 20;
/// Receive window of one HTTP/2 connection, bytes: bounds what unread answers may hold.
pub const CONNECTION_WINDOW_BYTES: u32 = 4 << 20;
/// Ping on an HTTP/2 connection with open streams that was quiet this long, to find a dead link.
pub const PING_INTERVAL: Duration = Duration::from_secs(20);
/// An HTTP/2 connection whose ping is not answered within this time is dead.
pub const PING_MAX: Duration = Duration::from_secs(10);

/// Length of a request's path and query, bytes. Past it: `RequestUriTooLong`. What common servers accept.
pub const PATH_BYTES_MAX: usize = 8 << 10;
/// Names and values of a request's headers together, bytes. Past it: `RequestHeadersTooLarge`.
pub const REQUEST_HEADERS_BYTES_MAX: usize = 64 << 10;
/// A response's head, bytes (HTTP/1.1: status line and headers, and the trailers; HTTP/2: the header list as
/// RFC 9113 counts it). Past it: `ResponseHeadersTooLarge`, and `ResponseProtocol` in HTTP/2, which tells no more.
pub const RESPONSE_HEAD_BYTES_MAX: usize = 64 << 10;
/// Bytes that are read of an HTTP/1.1 response at once, where they come that fast: a large body comes in few pieces.
pub const READ_BYTES_MAX: usize = 512 << 10;
/// Headers in an HTTP/1.1 response. Past it: `ResponseHeadersTooLarge`.
pub const RESPONSE_HEADERS_MAX: usize = 100;

/// How long a GET, HEAD, DELETE, OPTIONS or TRACE whose body is undecided waits for the first piece or the end, so that
/// one without a body goes out as such. A guest that has not decided by then gets a chunked request.
pub const BODY_DECISION_MAX: Duration = Duration::from_millis(50);

/// Bytes of a request's body that are kept for another try. Past it the request is sent once.
/// What gRPC and Linkerd keep too.
pub const REPLAY_BYTES_MAX: usize = 64 << 10;
/// Pieces of a request's body that are kept for another try. Past it the request is sent once. A piece costs memory of its
/// own, and a body in pieces of one byte must not cost a hundred times its size.
pub const REPLAY_PIECES_MAX: usize = 1024;
/// Tokens in the bucket that pays for retries, as in the AWS SDKs.
pub const BUDGET_TOKENS: u64 = 500;
/// A retry after a timeout costs as much as this many others: it held the upstream's resources for longer.
pub const TIMEOUT_COST: u64 = 2;
/// Hedges that a quiet time may save up.
pub const HEDGE_BURST: u64 = 10;
/// Answers that must be known before a percentile means anything: below a hundred, the 95th is that of a few calls.
pub const HEDGE_SAMPLES_MIN: u64 = 100;
/// Latencies are known for one to two turns.
pub const LATENCY_TURN: Duration = Duration::from_secs(30);
/// A retry is not begun in less time than this share of the answers took: it could not finish.
pub const QUICKEST_SHARE: f64 = 0.05;
/// A try that its caller's deadline cut short counts against the upstream if this share of the answers took less time.
pub const USUAL_SHARE: f64 = 0.95;
/// Bytes of a failed response that are read before the next try, so that its connection can be used again.
pub const DRAIN_BYTES_MAX: usize = 64 << 10;
/// Changes of state that a breaker remembers.
pub const BREAKER_CHANGES: usize = 32;

/// Names that the resolver remembers, good and bad. The one that ends soonest makes room.
pub const NAMES_MAX: usize = 1024;
/// Lookups of different names under way at a time; further ones wait within [`LOOKUP_MAX`]. Each is two sockets.
pub const QUESTIONS_MAX: usize = 64;
/// The shortest time for which an answer is used. A name with a time to live of 0 is asked for once a second.
pub const TTL_MIN: Duration = Duration::from_secs(1);
/// The longest. A service that moves is found again within five minutes, whatever its zone says.
pub const TTL_MAX: Duration = Duration::from_secs(300);
/// The longest time for which "no such name" and "no address" are believed (RFC 2308, section 5).
pub const TTL_NEGATIVE_MAX: Duration = Duration::from_secs(60);
/// For how long where the server does not say.
pub const TTL_NEGATIVE_DEFAULT: Duration = Duration::from_secs(5);
/// After a lookup failed without any answer to fall back on (RFC 9520, section 3.2: at least a second).
pub const TTL_FAILED: Duration = Duration::from_secs(1);
/// For how long what the system's resolver says is used: it tells no time to live.
pub const TTL_SYSTEM: Duration = Duration::from_secs(30);
/// For how long after its end an answer may still be used while no server answers. RFC 8767, section 5, has days;
/// an address may be given to somebody else meanwhile, and TLS does not guard every call, so an hour.
pub const STALE_MAX: Duration = Duration::from_secs(3600);
/// After a failure an old answer is used for this long without asking again (RFC 8767, section 5).
pub const STALE_RECHECK: Duration = Duration::from_secs(30);
/// Who has an old answer waits this long for a new one (RFC 8767, section 5: 1.8 s; a call has less time).
pub const STALE_PATIENCE: Duration = Duration::from_millis(500);
/// When one family's addresses are there: how long the other's are waited for (RFC 8305, section 3).
pub const RESOLUTION_DELAY: Duration = Duration::from_millis(50);
/// One DNS server's time to answer one question, before the next one is asked.
pub const SERVER_MAX: Duration = Duration::from_secs(1);
/// Packets that are no answer to the question, before it is asked over TCP: somebody guesses.
pub const STRANGE_PACKETS_MAX: usize = 16;
/// Bytes of an answer over UDP, as it is asked for (DNS flag day 2020). A longer one comes over TCP.
pub const DNS_PACKET_BYTES: u16 = 1232;
/// Aliases that lead from a name to its addresses.
pub const ALIASES_MAX: usize = 8;
/// DNS servers of resolv.conf that are used, as in the C library.
pub const NAME_SERVERS_MAX: usize = 3;
/// Search domains of resolv.conf that are used.
pub const SEARCH_MAX: usize = 6;
/// The largest `ndots`, as in the C library.
pub const NDOTS_MAX: usize = 15;
/// Rounds through the DNS servers, as in the C library; [`LOOKUP_MAX`] ends them anyway.
pub const LOOKUP_ROUNDS_MAX: usize = 5;
/// Names of the hosts file. One with more is a block list.
pub const HOSTS_MAX: usize = 4096;
/// How often it is checked whether resolv.conf or the hosts file has changed.
pub const SETUP_CHECK: Duration = Duration::from_secs(5);
/// For how long it is remembered that one family of addresses did not work (RFC 8305, section 6: about ten minutes).
pub const FAMILY_MEMORY: Duration = Duration::from_secs(600);
/// Answers of one upstream that are kept, in bytes: thousands of small ones, and little of a small machine's memory.
pub const CACHE_BYTES: u64 = 16 << 20;
/// The largest body of one of them.
pub const CACHE_BODY_BYTES: usize = 1 << 20;
/// What one of them takes besides its head and body, about.
pub const CACHE_ENTRY_OVERHEAD: usize = 512;
/// What one of them takes altogether, for the size of the index.
pub const CACHE_ENTRY_USUAL: u64 = 4 << 10;
/// Answers under one URI, for requests with different headers.
pub const CACHE_VARIANTS_MAX: usize = 8;
/// Tries for one access token.
pub const TOKEN_TRIES: u32 = 3;
/// The longest pause between two of them.
pub const TOKEN_RETRY_PAUSE: Duration = Duration::from_millis(200);
/// What they may take together: authorization servers answer within a second, and calls wait for it.
pub const TOKEN_TIME: Duration = Duration::from_secs(10);
/// What they may take while the old token is still good: one call waits for it.
pub const TOKEN_RENEWAL_TIME: Duration = Duration::from_secs(1);
/// How long an authorization server that gave no token is left alone; doubled each further time in a row.
pub const TOKEN_PAUSE: Duration = Duration::from_secs(1);
/// The longest that it is left alone.
pub const TOKEN_PAUSE_MAX: Duration = Duration::from_secs(30);
/// The life of a token whose server does not tell it. RFC 6749 leaves it open; five minutes are short for any server.
pub const TOKEN_LIFE_UNKNOWN: Duration = Duration::from_secs(300);
/// No token is kept for longer.
pub const TOKEN_LIFE_MAX: Duration = Duration::from_secs(86_400);
/// How long before its end a token is not used any more, or a tenth of its life: clocks differ, and calls take time.
pub const TOKEN_EARLY: Duration = Duration::from_secs(10);
/// An authorization server's answer. Tokens with many claims have some kibibytes.
pub const TOKEN_ANSWER_BYTES_MAX: usize = 64 << 10;
/// The largest body that is signed, and so kept in memory: the largest that AWS's inference services take at once is 25 MB, most
/// take 6 MB.
pub const SIGNED_BODY_BYTES_MAX: usize = 8 << 20;
/// From when on a clock that differs from the upstream's is corrected: AWS refuses signatures of 5 minutes ago and more.
pub const CLOCK_SKEW_MIN: Duration = Duration::from_secs(60);
/// Places of one upstream: a bit each.
pub const ENDPOINTS_MAX: usize = 64;
/// Latencies below this are alike: what differs there is chance, and nobody waits for it.
pub const LATENCY_ALIKE: Duration = Duration::from_millis(1);
/// What an answer is taken to need at a place that is being asked for the first time (Linkerd's default).
pub const LATENCY_UNKNOWN: Duration = Duration::from_millis(30);
/// What a failed try counts as, at the least: a place that fails at once must not look quick.
pub const LATENCY_FAILED: Duration = Duration::from_secs(1);
/// In how long the average latency of a place fades to a third (Finagle's and Linkerd's decay: 10 s).
pub const LATENCY_FADING: Duration = Duration::from_secs(10);
/// How long tries are counted before the count begins anew, as the breaker's window.
pub const ENDPOINT_TURN: Duration = Duration::from_secs(10);
/// Tries in a turn, before their share of failures means anything.
pub const ENDPOINT_CALLS_MIN: u32 = 20;
/// The share of failures that ejects a place.
pub const ENDPOINT_FAILING: f64 = 0.5;
/// A place that was in for this long begins with the shortest ejection again.
pub const EJECTIONS_REMEMBERED: Duration = Duration::from_secs(60);
/// The share with which a place that is back begins.
pub const SLOW_START_SHARE: f64 = 0.1;
/// Bytes of a health check's answer that are read, so that its connection can be used again.
pub const HEALTH_BODY_BYTES_MAX: usize = 16 << 10;

/// The bounds of an outbox: [`outbox::Policy`](crate::outbox::Policy) holds those that an app may set.
pub mod outbox {
    use std::time::Duration;

    /// Bytes of waiting calls: days of readings of a small site, and little of an edge machine's disk.
    pub const BYTES_DEFAULT: u64 = 256 << 20;
    /// How long a call waits. Three days outlast a weekend without a link.
    pub const AGE_DEFAULT: Duration = Duration::from_secs(72 * 3600);
    /// The largest body, bytes. A photo fits; a film belongs elsewhere.
    pub const BODY_BYTES_DEFAULT: u64 = 16 << 20;
    /// Bytes that a call counts beyond what it brings: its rows and their keys.
    pub const CALL_OVERHEAD_BYTES: u64 = 256;
    /// Deliveries that the upstream may fail: AWS Lambda's asynchronous calls are tried three times.
    pub const ATTEMPTS_DEFAULT: u32 = 3;
    /// The pause after the first failed delivery; it doubles (AWS Lambda: 1 min, then 2 min).
    pub const BACKOFF_FIRST: Duration = Duration::from_secs(60);
    /// The longest pause between deliveries.
    pub const BACKOFF_MOST: Duration = Duration::from_secs(300);
    /// The pause after the upstream could not be reached; it doubles up to [`AWAY_MOST`]. A look at the link is cheap.
    pub const AWAY_FIRST: Duration = Duration::from_secs(1);
    /// The longest pause between looks at a link that is down.
    pub const AWAY_MOST: Duration = Duration::from_secs(300);
    /// The longest that an upstream may ask for with `Retry-After`; what is longer is cut to it.
    pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(3600);
    /// Deliveries under way at a time: enough to hide a slow link's round trip, few beside live calls.
    pub const CONCURRENCY_DEFAULT: usize = 4;
    /// Deliveries begun per second. An hour's backlog of 100 per second is sent in 12 minutes.
    pub const PER_SECOND_DEFAULT: u32 = 500;
    /// A thousand nodes that get their link back together spread over a minute.
    pub const RETURN_JITTER_DEFAULT: Duration = Duration::from_secs(60);
    /// For how long a key is remembered. A day is what payment services promise.
    pub const DEDUPE_DEFAULT: Duration = Duration::from_secs(24 * 3600);
    /// Keys remembered per outbox; the oldest is forgotten first. About 100 MB of file at the most.
    pub const DEDUPE_KEYS_MAX: u64 = 500_000;
    /// Length of an idempotency or order key, bytes. Past it: the call is refused as malformed. A UUID has 36.
    pub const KEY_BYTES_MAX: usize = 255;
    /// Bytes of kept answers.
    pub const ANSWERS_BYTES_DEFAULT: u64 = 8 << 20;
    /// The body of one answer, bytes, that is kept; of a larger one only the head is.
    pub const ANSWER_BODY_BYTES_MAX: usize = 64 << 10;
    /// For how long an answer is kept.
    pub const ANSWERS_AGE_DEFAULT: Duration = Duration::from_secs(24 * 3600);
    /// Attempts to tell a function of an answer; then it is only kept.
    pub const TELL_ATTEMPTS_MAX: u32 = 10;
    /// Dead calls take this part of the outbox's bytes at the most, on top of them; the oldest go first.
    pub const DEAD_SHARE: u64 = 4;
    /// For how long a dead call is kept: a week for somebody to look.
    pub const DEAD_AGE_MAX: Duration = Duration::from_secs(7 * 24 * 3600);
    /// Bodies up to this many bytes are kept in the index, larger ones in files of their own.
    pub const INLINE_BYTES_MAX: usize = 16 << 10;
    /// Bytes of a body that are read from a file, or written to one, at a time.
    pub const CHUNK_BYTES: usize = 64 << 10;
    /// Bytes of calls that wait for the writer; more are refused as busy.
    pub const WRITE_QUEUE_BYTES_MAX: u64 = 8 << 20;
    /// Changes that share one commit. More would only make the first of them wait longer.
    pub const GROUP_MAX: usize = 1024;
    /// Pages that one index caches, bytes.
    pub const CACHE_BYTES: usize = 4 << 20;
    /// A failed file is opened anew at most this often: each time all of it is verified.
    pub const REOPEN_PAUSE: Duration = Duration::from_secs(1);
    /// How often what is too old is looked for.
    pub const TIDY_EVERY: Duration = Duration::from_secs(10);
    /// Rows that one such look removes of each kind at the most; the rest waits for the next look.
    pub const TIDY_ROWS_MAX: usize = 1000;
    /// How long the node may have been away that counts towards the age of calls. See the file `outbox/clock.rs`.
    pub const AWAY_COUNTED_MAX: Duration = Duration::from_secs(3600);
    /// The longest reason that is kept with a call, bytes.
    pub const REASON_BYTES_MAX: usize = 300;
    /// Calls in one page of a listing.
    pub const PAGE_MAX: usize = 1000;
    /// Reads, and pieces of large bodies, that wait for an outbox's disk thread; more are refused as busy.
    pub const DISK_QUEUE_MAX: usize = 256;
    /// The least urgent of RFC 9218 (section 4.1).
    pub const URGENCY_MAX: u8 = 7;
    /// The urgency where none is asked for (RFC 9218, section 4.1).
    pub const URGENCY_DEFAULT: u8 = 3;
    /// Stack of an outbox's threads, bytes.
    pub const THREAD_STACK_BYTES: usize = 512 << 10;
}
