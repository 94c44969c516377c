//! Holds as many pollables at once as its path says.

use rimward_test_guests::{guest, number, say};
use wasip2::clocks::monotonic_clock::subscribe_duration;
use wasip2::http::types::{IncomingRequest, ResponseOutparam};

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let wanted = number(&request).expect("the path is a number");
    let held: Vec<_> = (0..wanted).map(|_| subscribe_duration(u64::MAX)).collect();
    say(out, &format!("{} held\n", held.len()));
}

guest!(handle);
