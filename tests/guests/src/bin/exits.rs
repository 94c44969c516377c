//! Exits with the status that its path says: before it answers, or, if that is 0, afterwards.

use rimward_test_guests::{guest, number, say};
use wasip2::http::types::{IncomingRequest, ResponseOutparam};

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    match number(&request) {
        Some(0) => {
            say(out, "bye\n");
            std::process::exit(0);
        }
        _ => std::process::exit(1),
    }
}

guest!(handle);
