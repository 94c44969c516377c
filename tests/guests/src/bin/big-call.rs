//! Hands as many bytes as its path says to the host in one call.

use rimward_test_guests::{guest, number, say};
use wasip2::http::types::{Fields, IncomingRequest, OutgoingRequest, ResponseOutparam};

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let bytes = usize::try_from(number(&request).expect("the path is a number")).expect("it fits");
    let path = "/".repeat(bytes);
    let taken = OutgoingRequest::new(Fields::new()).set_path_with_query(Some(&path)).is_ok();
    say(out, if taken { "taken\n" } else { "refused\n" });
}

guest!(handle);
