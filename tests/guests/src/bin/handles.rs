//! Holds as many sets of header fields at once as its path says.

use rimward_test_guests::{guest, number, say};
use wasip2::http::types::{Fields, IncomingRequest, ResponseOutparam};

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let wanted = number(&request).expect("the path is a number");
    let held: Vec<_> = (0..wanted).map(|_| Fields::new()).collect();
    say(out, &format!("{} held\n", held.len()));
}

guest!(handle);
