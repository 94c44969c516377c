//! Burns CPU: as many thousand rounds of arithmetic as its path says, and then answers.

use rimward_test_guests::{guest, number, say};
use std::hint::black_box;
use wasip2::http::types::{IncomingRequest, ResponseOutparam};

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let rounds = number(&request).expect("the path is a number") * 1_000;
    let mut value = 1_u64;
    for round in 0..rounds {
        value = black_box(value.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(round));
    }
    say(out, if value == 0 { "zero\n" } else { "done\n" });
}

guest!(handle);
