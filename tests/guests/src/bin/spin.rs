//! Spins for ever before it answers; `/after-the-head` begins a reply first, `/yielding` gives up its thread on every round.

use rimward_test_guests::{Reply, guest, path, pause};
use std::hint::black_box;
use std::time::Duration;
use wasip2::http::types::{IncomingRequest, ResponseOutparam};

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    match path(&request).as_str() {
        "after-the-head" => {
            let reply = Reply::begin(out, 200, &[]);
            reply.write(b"the beginning");
            pause(Duration::from_millis(20));
            spin();
        }
        "yielding" => loop {
            pause(Duration::ZERO);
        },
        _ => spin(),
    }
}

fn spin() -> ! {
    let mut rounds = 0_u64;
    loop {
        rounds = black_box(rounds.wrapping_add(1));
    }
}

guest!(handle);
