//! The demo's bounds.

use std::time::Duration;

/// How long the model server may take until it is ready: a minute. It takes three seconds, and ten times that on a
/// board.
pub(super) const MODEL_SERVER_START_MAX: Duration = Duration::from_secs(60);

/// How long the node may take until it listens: two minutes, for the component is compiled first.
pub(super) const NODE_START_MAX: Duration = Duration::from_secs(120);

/// How long a process may take to end after it was asked to: five seconds. Then it is killed.
pub(super) const STOP_MAX: Duration = Duration::from_secs(5);

/// How long one reply may take: a minute. The function's own limit is below that.
pub(super) const REPLY_MAX: Duration = Duration::from_secs(60);

/// Bytes of one reply: 4 MiB. The text of a page is a few kilobytes.
pub(super) const REPLY_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Pause between two looks at a process that starts or stops: 50 ms.
pub(super) const POLL: Duration = Duration::from_millis(50);

/// Lines of a log that an error shows: 15.
pub(super) const LOG_LINES_SHOWN: usize = 15;

/// How long the outbox may take to be empty once the link is back: two minutes. It takes some ten seconds, most of it the
/// breaker's last open period.
pub(super) const DELIVERY_MAX: Duration = Duration::from_secs(120);

/// Bytes of the head of a request to the demo's cloud: 16 KiB. The node sends a few hundred.
pub(super) const CLOUD_HEAD_BYTES_MAX: usize = 16 * 1024;
