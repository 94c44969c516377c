//! Answers and goes on afterwards: logs a line a moment later, and with `/for-ever` never returns.

use rimward_test_guests::{guest, path, pause, pause_for_ever, say};
use std::time::Duration;
use wasip2::http::types::{IncomingRequest, ResponseOutparam};

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let path = path(&request);
    say(out, "done\n");
    pause(Duration::from_millis(20));
    eprintln!("still here");
    if path == "for-ever" {
        pause_for_ever();
    }
}

guest!(handle);
