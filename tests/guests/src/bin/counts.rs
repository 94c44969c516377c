//! Says how many requests this instance has had; `/trap` counts and traps.

use rimward_test_guests::{guest, path, say};
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use wasip2::http::types::{IncomingRequest, ResponseOutparam};

static REQUESTS: AtomicU32 = AtomicU32::new(0);

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let requests = REQUESTS.fetch_add(1, Relaxed) + 1;
    match path(&request).as_str() {
        "trap" => std::process::abort(),
        _ => say(out, &requests.to_string()),
    }
}

guest!(handle);
