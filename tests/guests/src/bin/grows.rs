//! Asks for memory up to as many pages as its path says, and tells whether it got them. It goes on either way.

use rimward_test_guests::{guest, number, say};
use std::arch::wasm32::{memory_grow, memory_size};
use wasip2::http::types::{IncomingRequest, ResponseOutparam};

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let pages = usize::try_from(number(&request).expect("the path is a number")).expect("pages are few");
    let more = pages.checked_sub(memory_size::<0>()).expect("it has less than that");
    match memory_grow::<0>(more) {
        usize::MAX => say(out, "refused\n"),
        _ => say(out, "granted\n"),
    }
}

guest!(handle);
