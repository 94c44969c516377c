//! Answers the first request of an instance, and traps at the second.

use rimward_test_guests::{guest, say};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use wasip2::http::types::{IncomingRequest, ResponseOutparam};

static ANSWERED: AtomicBool = AtomicBool::new(false);

fn handle(_request: IncomingRequest, out: ResponseOutparam) {
    assert!(!ANSWERED.swap(true, Relaxed), "once is enough");
    say(out, "once\n");
}

guest!(handle);
