//! Returns without an answer.

use rimward_test_guests::guest;
use wasip2::http::types::{IncomingRequest, ResponseOutparam};

fn handle(_request: IncomingRequest, out: ResponseOutparam) {
    drop(out);
}

guest!(handle);
