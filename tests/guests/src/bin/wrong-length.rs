//! Announces 10 bytes and sends as many as its path says.

use rimward_test_guests::{Reply, guest, number};
use wasip2::http::types::{IncomingRequest, ResponseOutparam};

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let bytes = number(&request).expect("the path is a number");
    let reply = Reply::begin(out, 200, &[("content-length", "10")]);
    for _ in 0..bytes {
        reply.write(b"x");
    }
    if let Err(error) = reply.end_with(None) {
        eprintln!("told: {error:?}");
    }
}

guest!(handle);
