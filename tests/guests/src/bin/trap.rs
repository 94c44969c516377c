//! Traps before it has answered.

use rimward_test_guests::guest;
use wasip2::http::types::{IncomingRequest, ResponseOutparam};

fn handle(_request: IncomingRequest, _out: ResponseOutparam) {
    std::process::abort();
}

guest!(handle);
