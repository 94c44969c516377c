//! Answers with an error instead of a response.

use rimward_test_guests::guest;
use wasip2::http::types::{ErrorCode, IncomingRequest, ResponseOutparam};

fn handle(_request: IncomingRequest, out: ResponseOutparam) {
    let error = ErrorCode::InternalError(Some("the function's own words".to_owned()));
    ResponseOutparam::set(out, Err(error));
}

guest!(handle);
