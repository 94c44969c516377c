//! One invocation: the request from the host, the function, the reply to the host. A request that `http` cannot hold is
//! answered with 400, a reply that the host refuses with 500. A client that goes away while the body is written ends the
//! invocation quietly.

use http::uri::{Authority, PathAndQuery, Uri};
use wasip2::http::types::{
    IncomingRequest, Method as WasiMethod, OutgoingBody, OutgoingResponse, ResponseOutparam, Scheme,
};

use super::headers::{from_fields, to_fields};
use super::incoming::request_body;
use super::{executor, outgoing, report};
use crate::body::Origin;
use crate::error::line;
use crate::{Body, Error, Function, IntoResponse, Method, Request, Response, StatusCode, header};

/// Answers a request with a function, and returns when the reply and every call have been sent.
pub fn serve<Input: 'static>(
    function: impl Function<Input> + 'static,
    request: IncomingRequest,
    reply: ResponseOutparam,
) {
    #[cfg(feature = "logging")]
    crate::log::install();
    executor::run(async move {
        let (is_head, response) = match incoming_request(request) {
            Ok(request) => (request.method() == Method::HEAD, function.call(request).await),
            Err(error) => (false, error.into_response()),
        };
        send(response, is_head, reply).await;
    });
}

fn incoming_request(incoming: IncomingRequest) -> Result<Request, Error> {
    let headers = from_fields(incoming.headers());
    let mut request = Request::new(Body::empty());
    *request.method_mut() = method(incoming.method())?;
    *request.uri_mut() = uri(&incoming)?;
    *request.body_mut() = request_body(incoming, &headers);
    *request.headers_mut() = headers;
    Ok(request)
}

fn method(method: WasiMethod) -> Result<Method, Error> {
    Ok(match method {
        WasiMethod::Get => Method::GET,
        WasiMethod::Head => Method::HEAD,
        WasiMethod::Post => Method::POST,
        WasiMethod::Put => Method::PUT,
        WasiMethod::Delete => Method::DELETE,
        WasiMethod::Connect => Method::CONNECT,
        WasiMethod::Options => Method::OPTIONS,
        WasiMethod::Trace => Method::TRACE,
        WasiMethod::Patch => Method::PATCH,
        WasiMethod::Other(name) => Method::from_bytes(name.as_bytes()).map_err(unreadable)?,
    })
}

/// `http` has no URI with an authority alone, or with a scheme alone: without the other two it is the path.
fn uri(incoming: &IncomingRequest) -> Result<Uri, Error> {
    let path = incoming.path_with_query().unwrap_or_else(|| "/".to_owned());
    let mut uri = Uri::builder().path_and_query(PathAndQuery::try_from(path).map_err(unreadable)?);
    if let Some(authority) = incoming.authority() {
        let authority = Authority::try_from(authority).map_err(unreadable)?;
        let scheme = match incoming.scheme() {
            Some(Scheme::Https) => "https",
            _ => "http",
        };
        uri = uri.scheme(scheme).authority(authority);
    }
    uri.build().map_err(unreadable)
}

fn unreadable(error: impl Into<http::Error>) -> Error {
    Error::status(StatusCode::BAD_REQUEST, "the request cannot be read").because(error.into())
}

async fn send(mut response: Response, is_head: bool, reply: ResponseOutparam) {
    set_length(&mut response, is_head);
    let (response, body) = match outgoing_response(&response) {
        Ok(outgoing) => (outgoing, response.into_body()),
        Err(error) => {
            let response = error.into_response();
            let outgoing = outgoing_response(&response).ok().expect("it has one header, which is allowed");
            (outgoing, response.into_body())
        }
    };
    let to = response.body().expect("a body is taken once");
    ResponseOutparam::set(reply, Ok(response));
    write(body, to).await;
}

/// A caller whose own request breaks off while it is passed back to them is no news.
async fn write(body: Body, to: OutgoingBody) {
    if let Err(error) = outgoing::write(body, to).await
        && error.origin != Origin::Caller
    {
        report(&format!("the body of the reply broke off: {}", line(&error)));
    }
}

/// A reply to `HEAD` has the length that `GET` would have, which is not known here; 1xx, 204 and 304 have none.
fn set_length(response: &mut Response, is_head: bool) {
    let status = response.status();
    let has_none =
        status.is_informational() || status == StatusCode::NO_CONTENT || status == StatusCode::NOT_MODIFIED;
    if let (Some(bytes), false) = (response.body().length(), is_head || has_none) {
        response.headers_mut().entry(header::CONTENT_LENGTH).or_insert(bytes.into());
    }
}

fn outgoing_response(response: &Response) -> Result<OutgoingResponse, Error> {
    let refused = |error| {
        Error::status(StatusCode::INTERNAL_SERVER_ERROR, "the reply has a header that is not allowed")
            .because(error)
    };
    let outgoing = OutgoingResponse::new(to_fields(response.headers()).map_err(refused)?);
    outgoing.set_status_code(response.status().as_u16()).expect("a `StatusCode` is a status");
    Ok(outgoing)
}
