//! Hands as many bytes as its path says to the host in one call.

use rimward_test_guests::{guest, number, say};
use wasip2::http::types::{Fields, IncomingRequest, ResponseOutparam};

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let bytes = usize::try_from(number(&request).expect("the path is a number")).expect("it fits");
    let taken = Fields::new().append("x-big", &vec![b'x'; bytes]).is_ok();
    say(out, if taken { "taken\n" } else { "refused\n" });
}

guest!(handle);
