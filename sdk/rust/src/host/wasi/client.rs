//! Sends a call. The request's body is written by a task beside it, so that an answer that comes before the body has
//! been sent is not waited for, and neither side can block the other.

use http::StatusCode;
use http::request::Parts;
use http::uri::Scheme as UriScheme;
use wasip2::http::outgoing_handler::handle;
use wasip2::http::types::{
    ErrorCode, FutureIncomingResponse, HeaderError, IncomingResponse, OutgoingRequest, Scheme,
};

use super::executor::{ready, spawn};
use super::{headers, incoming, outgoing, report, server};
use crate::call::CallError;
use crate::{Body, Request, Response, header};

/// Dropping the future gives the call up.
pub(crate) async fn send(request: Request) -> Result<Response, CallError> {
    let (mut parts, body) = request.into_parts();
    if let Some(bytes @ 1..) = body.length() {
        parts.headers.entry(header::CONTENT_LENGTH).or_insert(bytes.into());
    }
    let request = outgoing_request(&parts)?;
    // A body that is not taken is empty, and the host then says so in the head.
    let to = (body.length() != Some(0)).then(|| request.body().expect("taken once"));
    let answer = handle(request, None).map_err(failure)?;
    if let Some(to) = to {
        spawn(write(body, to));
    }
    Ok(response(head(answer).await?))
}

async fn write(body: Body, to: wasip2::http::types::OutgoingBody) {
    if let Err(error) = outgoing::write(body, to).await {
        report(&format!("the body of a call broke off: {}", server::line(&error)));
    }
}

fn outgoing_request(parts: &Parts) -> Result<OutgoingRequest, CallError> {
    let fields = headers::to_fields(&parts.headers).map_err(unsendable_header)?;
    let request = OutgoingRequest::new(fields);
    let unsendable = |()| CallError::Name(parts.uri.to_string());
    request.set_method(&method(&parts.method)).map_err(unsendable)?;
    request.set_scheme(Some(&scheme(parts.uri.scheme()))).map_err(unsendable)?;
    request.set_authority(parts.uri.authority().map(|authority| authority.as_str())).map_err(unsendable)?;
    request.set_path_with_query(parts.uri.path_and_query().map(|path| path.as_str())).map_err(unsendable)?;
    Ok(request)
}
