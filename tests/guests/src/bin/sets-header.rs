//! Tries to set the response header that its path names, and says in `x-was` what came of it.

use rimward_test_guests::{guest, path};
use wasip2::http::types::{Fields, IncomingRequest, OutgoingBody, OutgoingResponse, ResponseOutparam};

fn handle(request: IncomingRequest, out: ResponseOutparam) {
    let fields = Fields::new();
    let was = match fields.append(&path(&request), b"the guest's") {
        Ok(()) => "taken".to_owned(),
        Err(error) => format!("{error:?}"),
    };
    fields.append("x-was", was.as_bytes()).expect("the header is allowed");
    let response = OutgoingResponse::new(fields);
    let body = response.body().expect("it was not taken yet");
    ResponseOutparam::set(out, Ok(response));
    OutgoingBody::finish(body, None).expect("the body is empty");
}

guest!(handle);
