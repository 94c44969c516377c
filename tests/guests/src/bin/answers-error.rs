//! Answers with an error instead of a response: its own, or one that an upstream caused, as the path says.

use rimward_test_guests::guest;
use wasip2::http::types::{ErrorCode, IncomingRequest, ResponseOutparam};

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let error = match request.path_with_query().as_deref() {
        Some("/refused") => ErrorCode::ConnectionRefused,
        Some("/late") => ErrorCode::HttpResponseTimeout,
        _ => ErrorCode::InternalError(Some("the function's own words".to_owned())),
    };
    ResponseOutparam::set(out, Err(error));
}

guest!(handle);
