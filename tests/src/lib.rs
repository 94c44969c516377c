//! The test harness: a whole node in this process, guests for it, a client that checks what must hold for every reply,
//! and fake upstreams.
//!
//! A test adds one fact to it:
//!
//! ```ignore
//! let node = node().app("calls-vision").upstream("vision", always(503)).start().await;
//! node.get("/").await.is(502).code("rimward.upstream.unreachable");
//! ```
//!
//! Nothing here sleeps to let time pass; what a test waits for is a state, for at most [`DEADLINE`]. Whatever does not
//! come about ends the test with a panic that says what was there instead.

mod harness;

pub use harness::answer::{Answer, Open};
pub use harness::app::{App, app, declared};
pub use harness::call::{Call, Over, Upload, upload};
pub use harness::certificates::{Authority, Certified};
pub use harness::component::{component, component_of_text};
pub use harness::connection::Connection;
pub use harness::fake::{
    Behaviour, Fake, Seen, always, answers_early, echoes, fake, fake_over_tls, raw, replies, silent,
    stalls_after, streams_back,
};
pub use harness::heard::{Ended, Heard, Logged};
pub use harness::metric::Metric;
pub use harness::node::{NodeBuilder, TestNode, chain, node};
pub use harness::raw::http2::{self, RawHttp2};
pub use harness::raw::{Raw, RawReply};
pub use harness::{DEADLINE, eventually, within};
