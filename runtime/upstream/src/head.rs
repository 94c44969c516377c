//! The head of a request and of a response: what of it goes on.
//!
//! Called once per request by [`Client::send`](crate::Client::send) and once per response by `exchange`. Pure.
//! Headers that concern one connection only are removed both ways; `host` always comes from the authority.

use crate::route::Route;
use crate::upload::Upload;
use crate::{Body, Error, limits};
use http::header::{
    CONNECTION, CONTENT_LENGTH, Entry, HOST, HeaderName, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
    TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Method, Request, Uri};

/// Headers of one connection (RFC 9110, section 7.6.1), and those for the next proxy only.
const HOP_BY_HOP: [HeaderName; 9] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    HeaderName::from_static("http2-settings"),
    PROXY_AUTHENTICATE,
    PROXY_AUTHORIZATION,
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// The request as it goes out: checked, stripped, with the upstream's headers in place of the function's.
pub(crate) fn prepare(request: Request<Body>, route: &Route<'_>) -> Result<Request<Upload>, Error> {
    let (mut parts, body) = request.into_parts();
    if parts.method == Method::CONNECT {
        return Err(Error::RequestMethodInvalid);
    }
    strip_hop_by_hop(&mut parts.headers);
    parts.headers.remove(HOST);
    if size(&parts.headers) > limits::REQUEST_HEADERS_BYTES_MAX {
        return Err(Error::RequestHeadersTooLarge);
    }
    for (name, value) in route.headers() {
        parts.headers.insert(name, value.clone());
    }
    let upload = Upload::new(body, declared_length(&parts.headers)?)?;
    parts.uri = Uri::from(route.path.clone());
    parts.extensions.clear();
    Ok(Request::from_parts(parts, upload))
}

/// Whether it has to be seen first that a request has a body: its method seldom has one.
pub(crate) fn is_undecided(request: &Request<Upload>) -> bool {
    !request.body().is_empty() && is_usually_bare(request.method())
}

/// The request, and whether it has a body ([`Upload::decided`]).
pub(crate) async fn decided(request: Request<Upload>) -> Result<Request<Upload>, Error> {
    let (parts, upload) = request.into_parts();
    Ok(Request::from_parts(parts, upload.decided().await?))
}

fn is_usually_bare(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::DELETE | Method::OPTIONS | Method::TRACE)
}

/// Removes what concerns one connection only. `te: trailers` stays: it speaks of the whole way, and gRPC needs it.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    // Most messages have none, and few headers: to look at each name is cheaper than to look for each of the nine.
    if !headers.keys().any(|name| HOP_BY_HOP.contains(name)) {
        return;
    }
    let wants_trailers =
        headers.get_all(TE).iter().any(|value| value.as_bytes().eq_ignore_ascii_case(b"trailers"));
    if headers.contains_key(CONNECTION) {
        strip_nominated(headers);
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
    if wants_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
    }
}

/// Removes the headers that `connection` names.
fn strip_nominated(headers: &mut HeaderMap) {
    if let Entry::Occupied(connection) = headers.entry(CONNECTION) {
        let (_, values) = connection.remove_entry_mult();
        let values: Vec<HeaderValue> = values.collect();
        for name in values.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')) {
            headers.remove(name.trim());
        }
    }
}

/// Names and values together, bytes.
fn size(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

fn declared_length(headers: &HeaderMap) -> Result<Option<u64>, Error> {
    let mut values = headers.get_all(CONTENT_LENGTH).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => length(value).map(Some).ok_or(Error::RequestBodyLength),
        (Some(_), Some(_)) => Err(Error::RequestBodyLength),
    }
}

/// Digits only: `parse` alone would take `+5`.
fn length(value: &HeaderValue) -> Option<u64> {
    let text = value.to_str().ok()?;
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::Target;
    use crate::{Egress, Upstream, UpstreamConfig};
    use bytes::Bytes;
    use http_body_util::{BodyExt as _, Full};

    fn headers(text: &str) -> HeaderMap {
        let pair = |line: &str| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap())
        };
        text.split(" | ").filter(|line| !line.is_empty()).map(pair).collect()
    }

    fn check_strip(before: &str, after: &str) {
        let mut stripped = headers(before);
        strip_hop_by_hop(&mut stripped);
        assert_eq!(stripped, headers(after), "{before}");
    }

    #[test]
    fn headers_of_one_connection_stay_on_it() {
        check_strip("accept: a | connection: close", "accept: a");
        check_strip("connection: keep-alive, X-Mine | keep-alive: 5 | x-mine: 1 | x-yours: 2", "x-yours: 2");
        check_strip("connection: x-a | connection: x-b | x-a: 1 | x-b: 2", "");
        check_strip(
            "transfer-encoding: chunked | upgrade: h2c | http2-settings: x | proxy-connection: close",
            "",
        );
        check_strip("te: trailers | connection: te", "te: trailers");
        check_strip("te: gzip", "");
        check_strip("connection: , b@d", "");
    }

    fn prepared(request: http::request::Builder, body: &'static str) -> Result<Request<Upload>, Error> {
        let egress = Egress::new(vec!["*".parse().unwrap()], Vec::new());
        let body =
            Full::new(Bytes::from_static(body.as_bytes())).map_err(|never| match never {}).boxed_unsync();
        let request = request.body(body).unwrap();
        let route = Target::Host(&egress).route(request.uri())?;
        prepare(request, &route)
    }

    fn post() -> http::request::Builder {
        Request::post("http://example.com/x?y")
    }

    #[test]
    fn the_host_header_never_comes_from_the_function() {
        let request = prepared(post().header("host", "evil.example"), "").unwrap();
        assert!(request.headers().is_empty());
        assert_eq!(request.uri(), "/x?y");
    }

    #[test]
    fn connect_is_not_forwarded() {
        let connect = Request::builder().method("CONNECT").uri("http://example.com/");
        assert!(matches!(prepared(connect, ""), Err(Error::RequestMethodInvalid)));
    }

    #[test]
    fn headers_may_fill_their_bound_and_no_more() {
        let with = |bytes: usize| post().header("x", "v".repeat(bytes - 1));
        assert!(prepared(with(limits::REQUEST_HEADERS_BYTES_MAX), "").is_ok());
        let over = prepared(with(limits::REQUEST_HEADERS_BYTES_MAX + 1), "");
        assert!(matches!(over, Err(Error::RequestHeadersTooLarge)));
    }

    /// G18: towards upstreams.
    #[test]
    fn a_content_length_is_one_number_and_the_right_one() {
        let check = |lengths: &[&str], sound: bool| {
            let request =
                lengths.iter().fold(post(), |request, length| request.header("content-length", *length));
            let failed = matches!(prepared(request, "hello"), Err(Error::RequestBodyLength));
            assert_eq!(failed, !sound, "{lengths:?}");
        };
        check(&[], true);
        check(&["5"], true);
        check(&["4"], false);
        check(&["6"], false);
        check(&["5", "5"], false);
        check(&["5, 5"], false);
        check(&["+5"], false);
        check(&[""], false);
    }

    #[test]
    fn an_upstreams_header_replaces_the_functions_and_does_not_print() {
        let config = UpstreamConfig {
            headers: vec![("authorization".to_owned(), crate::Secret::new("Bearer s3cret"))],
            ..UpstreamConfig::new("https://vision.example.com")
        };
        let upstream = Upstream::new(config, &crate::Roots::none()).unwrap();
        let body = Full::new(Bytes::new()).map_err(|never| match never {}).boxed_unsync();
        let request = Request::get("http://vision.upstream.internal/")
            .header("authorization", "mine")
            .body(body)
            .unwrap();
        let route = Target::Upstream(&upstream).route(request.uri()).unwrap();
        let request = prepare(request, &route).unwrap();
        assert_eq!(request.headers()["authorization"], "Bearer s3cret");
        let printed = format!("{:?} {upstream:?}", request.headers());
        assert!(!printed.contains("s3cret"), "{printed}");
    }
}
