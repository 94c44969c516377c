//! Sends a drop every 5 ms and never ends, or ends after as many as its path says.

use rimward_test_guests::{Reply, guest, number, pause};
use std::time::Duration;
use wasip2::http::types::{IncomingRequest, ResponseOutparam};

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let drops = number(&request).unwrap_or(u64::MAX);
    let reply = Reply::begin(out, 200, &[]);
    for _ in 0..drops {
        reply.write(b".");
        pause(Duration::from_millis(5));
    }
    reply.end();
}

guest!(handle);
