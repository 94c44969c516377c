//! Ends its reply with a trailer.

use rimward_test_guests::{Reply, guest};
use wasip2::http::types::{Fields, IncomingRequest, ResponseOutparam};

fn handle(_request: IncomingRequest, out: ResponseOutparam) {
    let reply = Reply::begin(out, 200, &[("trailer", "x-checksum")]);
    reply.write(b"body\n");
    let trailers = Fields::new();
    trailers.append("x-checksum", b"42").expect("the trailer is allowed");
    reply.end_with(Some(trailers)).expect("the body is complete");
}

guest!(handle);
