//! Waits as many milliseconds as its path says before it answers, or for ever.

use rimward_test_guests::{guest, number, pause, pause_for_ever, say};
use std::time::Duration;
use wasip2::http::types::{IncomingRequest, ResponseOutparam};

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    match number(&request) {
        Some(ms) => pause(Duration::from_millis(ms)),
        None => pause_for_ever(),
    }
    say(out, "slept\n");
}

guest!(handle);
