//! Begins a reply and never goes on.

use rimward_test_guests::{Reply, guest, pause_for_ever};
use wasip2::http::types::{IncomingRequest, ResponseOutparam};

fn handle(_request: IncomingRequest, out: ResponseOutparam) {
    let reply = Reply::begin(out, 200, &[]);
    reply.write(b"the beginning");
    pause_for_ever();
}

guest!(handle);
