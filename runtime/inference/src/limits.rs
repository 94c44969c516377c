//! Every bound of this crate, with its unit and reason.

use std::time::Duration;

/// Dimensions of a tensor: video batches have six.
pub const RANK_MAX: usize = 8;
/// Bytes of a name: of a tensor, a model, a request.
pub const NAME_BYTES_MAX: usize = 256;
/// Tensors of a call, and of an answer: object detectors have under ten, recurrent models some dozens for their state.
pub const TENSORS_MAX: usize = 256;
/// Bytes of all tensors of a call, and of its answer: a batch of 64 images of 512 by 512 pixels.
pub const CALL_BYTES_MAX: usize = 256 << 20;
/// Bytes of a tensor that are rather copied behind what is before them than sent on their own: to copy them takes less than
/// another frame.
pub const COPIED_BYTES_MAX: usize = 4 << 10;
/// Bytes of the JSON before binary tensors. What has its tensors in the JSON is bounded by [`CALL_BYTES_MAX`].
pub const HEADER_BYTES_MAX: usize = 1 << 20;
/// Bytes of the file of a local model.
pub const MODEL_BYTES_MAX: u64 = 1 << 30;
/// Graphs within graphs of a local model, as loops and branches have them. Files that go deeper are made to exhaust a stack.
pub const GRAPH_DEPTH_MAX: usize = 16;
/// Operators of a local model, all graphs together.
pub const OPERATORS_MAX: usize = 1 << 20;
/// Calls of one local model that wait for a thread; more are refused.
pub const LOCAL_QUEUE_MAX: usize = 64;
/// Threads of the process that runs models: more do not share one model's work well.
pub const SEATS_MAX: usize = 32;
/// Bytes of the memory that a thread shares with that process which stay there between calls: a photograph as a tensor.
pub const SHARED_BYTES_KEPT: usize = 4 << 20;
/// How long that process may take for a piece of a model's file, and for all of it.
pub const LOAD_TIME: Duration = Duration::from_secs(120);
/// How long a call may compute when nobody waits for it any more. Then its process is ended.
pub const OVERTIME: Duration = Duration::from_secs(10);
/// How long a model is not asked after its process ended during a call of its; doubled with each in a row.
pub const LOST_CALL_WAIT: Duration = Duration::from_secs(1);
/// The longest of these times.
pub const LOST_CALL_WAIT_MAX: Duration = Duration::from_secs(60);
/// How much lower the priority of a thread that runs models is: requests come first.
pub const NICENESS: i32 = 5;
/// Calls of one side that are remembered for its percentiles: enough for a 95th, few enough to follow a link that changes.
pub const SAMPLES: usize = 64;
/// Samples below which nothing is known of a side.
pub const SAMPLES_MIN: usize = 3;
/// A sample that is older says nothing of a link any more.
pub const SAMPLE_AGE_MAX: Duration = Duration::from_secs(30);
/// The last remote calls that are looked at: enough to tell a link that loses a part of them from one that is cut.
pub const LAST_CALLS: usize = 16;
/// So many of them late, or failed, and the choice is given up: with fewer the cloud answers often enough to be asked.
pub const LATE_CALLS: usize = 11;
/// So many late ones after each other, and it is given up at once: a third of a second at 20 calls a second.
pub const LATE_RUN: usize = 6;
/// So many calls in time, one after the other, and it is made again.
pub const TIMELY_RUN: usize = 3;
/// So many more each time that the choice was made and soon given up again, so that it does not flap.
pub const TIMELY_RUN_STEP: usize = 2;
/// The most that it takes.
pub const TIMELY_RUN_MAX: usize = 7;
/// Given up within this time, it was given up soon.
pub const SETTLED_AFTER: Duration = Duration::from_secs(10);
/// What a call has to spare to count for that, as a share of the time that it had.
pub const TIMELY_SHARE: f64 = 0.8;
/// How long one side of a model is measured at most, however many calls were asked for.
pub const MEASURE_TIME: Duration = Duration::from_secs(60);
/// How often the remote side is tried while it is not chosen: [`TIMELY_RUN_MAX`] of them fit into the two seconds within
/// which a link that is back is to be used.
pub const PROBE_EVERY: Duration = Duration::from_millis(250);
/// The percentile of a side's latency that it is expected to take.
pub const EXPECTED_PERCENTILE: f64 = 0.95;
/// What is left of the time for a local call that has to be in time, beside the most that one has taken lately: for threads
/// that are late on a busy machine.
pub const HEDGE_MARGIN: Duration = Duration::from_millis(5);
/// The same at the least, as a share of the time.
pub const HEDGE_SHARE: f64 = 0.1;
/// How long a call may take where nobody says: the same as an invocation.
pub const CALL_TIME: Duration = Duration::from_secs(10);
