//! Answers with the status that its path says. There is a body only where that status may have one.

use rimward_test_guests::{Reply, guest, number};
use wasip2::http::types::{IncomingRequest, ResponseOutparam};

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let status =
        number(&request).and_then(|status| u16::try_from(status).ok()).expect("the path is a status");
    let reply = Reply::begin(out, status, &[("x-status", &status.to_string())]);
    if !matches!(status, 204 | 304) {
        reply.write(b"a body\n");
    }
    reply.end();
}

guest!(handle);
