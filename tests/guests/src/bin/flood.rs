//! Sends as many MiB as its path says, in pieces of 64 KiB, and logs each MiB that was taken.

use rimward_test_guests::{Reply, guest, number};
use wasip2::http::types::{IncomingRequest, ResponseOutparam};

const PIECE: [u8; 64 << 10] = [b'x'; 64 << 10];

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let mib = number(&request).expect("the path is a number");
    let reply = Reply::begin(out, 200, &[]);
    for sent in 1..=mib {
        for _ in 0..16 {
            reply.write(&PIECE);
        }
        eprintln!("{sent} MiB");
    }
    reply.end();
}

guest!(handle);
