//! Begins a reply, waits a moment so that its beginning is on its way, and traps.

use rimward_test_guests::{Reply, guest, pause};
use std::time::Duration;
use wasip2::http::types::{IncomingRequest, ResponseOutparam};

fn handle(_request: IncomingRequest, out: ResponseOutparam) {
    let reply = Reply::begin(out, 200, &[]);
    reply.write(b"the beginning");
    pause(Duration::from_millis(20));
    std::process::abort();
}

guest!(handle);
