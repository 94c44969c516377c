//! What a request must look like before anything is decided by it. Where one request ends is settled by then (see
//! [`inspect`](crate::inspect)); this is about what it asks for, and of whom.

use crate::failure::Failure;
use http::header::HOST;
use http::uri::{Authority, Scheme};
use http::{Method, Request, Uri, Version};

type Checked<T> = Result<T, Failure>;

const NO_HOST: Failure = Failure::BadRequest("`host` is not a host");

/// The host that a request is for, without a port. A request that another reader could take for one to another host, or
/// for another path, is refused.
pub(crate) fn host<B>(request: &Request<B>) -> Checked<&str> {
    check_method(request.method())?;
    check_target(request)?;
    let mut hosts = request.headers().get_all(HOST).iter();
    let named = hosts.next();
    if hosts.next().is_some() {
        return Err(Failure::BadRequest("more than one `host`"));
    }
    let named = named.map(|host| host.to_str().map_err(|_| NO_HOST)).transpose()?;
    let target = request.uri().authority().map(Authority::as_str);
    let authority = match (target, named) {
        // RFC 9112, section 3.2: HTTP/1.1 always names it, HTTP/1.0 may leave it out.
        (Some(_), None) if request.version() == Version::HTTP_11 => {
            return Err(Failure::BadRequest("there is no `host`"));
        }
        (Some(target), Some(named)) if !is_same(target, named, request.uri()) => {
            return Err(Failure::BadRequest("`host` differs from the target's"));
        }
        (Some(authority), _) | (None, Some(authority)) => authority,
        (None, None) => return Err(Failure::BadRequest("there is no `host`")),
    };
    host_of(authority).ok_or(NO_HOST)
}

/// A tunnel has no request that could be answered, and there is no method with small letters: `get` for one reader is GET
/// for another.
fn check_method(method: &Method) -> Checked<()> {
    if method == Method::CONNECT {
        return Err(Failure::BadRequest("there is nothing to connect to"));
    }
    if method.as_str().bytes().any(|byte| byte.is_ascii_lowercase()) {
        return Err(Failure::BadRequest("methods have no small letters"));
    }
    Ok(())
}

fn check_target<B>(request: &Request<B>) -> Checked<()> {
    let (uri, method) = (request.uri(), request.method());
    let path = uri.path();
    let is_whole_server = path == "*" && method == Method::OPTIONS;
    if !is_whole_server && !path.starts_with('/') {
        return Err(Failure::BadRequest("the target is no path"));
    }
    match uri.scheme() {
        Some(scheme) if *scheme != Scheme::HTTP && *scheme != Scheme::HTTPS => {
            Err(Failure::BadRequest("the target is neither http nor https"))
        }
        _ => Ok(()),
    }
}

/// Whether two names are the same, with or without the port that goes without saying.
fn is_same(target: &str, named: &str, uri: &Uri) -> bool {
    let usual = if uri.scheme() == Some(&Scheme::HTTPS) { ":443" } else { ":80" };
    let bare = |name| str::strip_suffix(name, usual).unwrap_or(name);
    target == named || bare(target).eq_ignore_ascii_case(bare(named))
}

/// The host of an authority: a name, an IPv4 address or an IPv6 address in brackets, and perhaps a port. Of what RFC 3986
/// allows in a name, what no name in DNS has is left out: some readers end a name there.
fn host_of(authority: &str) -> Option<&str> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let end = rest.find(']')?;
            rest[..end].parse::<std::net::Ipv6Addr>().ok()?;
            authority.split_at(end + 2)
        }
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    let good = host.starts_with('[') || (!host.is_empty() && host.bytes().all(is_name));
    let port = port.strip_prefix(':').unwrap_or(port);
    (good && (port.is_empty() || port.parse::<u16>().is_ok_and(|_| !port.starts_with('+')))).then_some(host)
}

/// Whether an HTTP/2 request breaks the protocol where h2 does not look (RFC 9113, sections 8.2.1 and 8.3.1): its stream
/// is reset then.
pub(crate) fn breaks_http2<B>(request: &Request<B>) -> bool {
    let padded = |value: &[u8]| matches!(value, [b' ' | b'\t', ..] | [.., b' ' | b'\t']);
    let path = request.method() == Method::CONNECT || !request.uri().path().is_empty();
    !path || request.headers().values().any(|value| padded(value.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(method: &str, target: &str, hosts: &[&str], version: Version) -> Request<()> {
        let mut request = Request::builder().method(method).uri(target).version(version);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        request.body(()).unwrap()
    }

    #[track_caller]
    fn check(target: &str, hosts: &[&str], wanted: Option<&str>) {
        let request = request("GET", target, hosts, Version::HTTP_11);
        assert_eq!(host(&request).ok(), wanted, "{target} {hosts:?}");
    }

    /// H8: one host, without its port.
    #[test]
    fn a_request_has_one_host_without_its_port() {
        check("/", &["example.com"], Some("example.com"));
        check("/", &["example.com:8080"], Some("example.com"));
        check("/", &["example.com:"], Some("example.com"));
        check("/", &["[::1]:80"], Some("[::1]"));
        check("/", &["[::1]"], Some("[::1]"));
        check("/", &["127.0.0.1:80"], Some("127.0.0.1"));
        check("/", &[], None);
        check("/", &["a", "b"], None);
        check("/", &["a", "a"], None);
        for bad in [
            "", ":80", "user@a", "a b", "a/b", "a,b", "a;b", "a?b", "a#b", "a%62", "a\\b", "a:b", "a:+80",
            "a:65536", "a:80:80", "[::1", "[::1]x", "[::g]", "[a]", "::1", "[::1]:x",
        ] {
            check("/", &[bad], None);
        }
    }

    /// H8: a target that names a host names the same one.
    #[test]
    fn a_target_with_a_host_agrees_with_it() {
        check("http://a/", &["a"], Some("a"));
        check("http://a/", &["A"], Some("a"));
        check("http://a:80/", &["a"], Some("a"));
        check("https://a/", &["a:443"], Some("a"));
        check("http://a/", &["a:81"], None);
        check("http://a/", &["b"], None);
        check("http://a/", &[], None);
        check("http://u@a/", &["u@a"], None);
        check("ftp://a/", &["a"], None);
        assert!(host(&request("GET", "http://a/", &[], Version::HTTP_2)).is_ok());
        assert!(host(&request("GET", "http://a/", &[], Version::HTTP_10)).is_ok());
    }

    /// H7: what is asked for.
    #[test]
    fn a_target_is_a_path_and_a_method_has_no_small_letters() {
        check("*", &["a"], None);
        check("a", &["a"], None);
        check("a:80", &["a:80"], None);
        assert!(host(&request("OPTIONS", "*", &["a"], Version::HTTP_11)).is_ok());
        assert!(host(&request("M-SEARCH", "/", &["a"], Version::HTTP_11)).is_ok());
        for method in ["get", "Get", "CONNECT"] {
            assert!(host(&request(method, "/", &["a"], Version::HTTP_11)).is_err(), "{method}");
        }
    }

    /// H11: what h2 lets through.
    #[test]
    fn http2_values_have_no_whitespace_around_them_and_targets_a_path() {
        let with =
            |value: &'static str| Request::builder().uri("http://a/").header("x", value).body(()).unwrap();
        assert!(!breaks_http2(&with("")));
        assert!(!breaks_http2(&with("a b")));
        for bad in [" a", "a ", "\ta", "a\t", " "] {
            let mut request = with("");
            request.headers_mut().insert("x", http::HeaderValue::from_bytes(bad.as_bytes()).unwrap());
            assert!(breaks_http2(&request), "{bad:?}");
        }
        let mut without = with("");
        *without.uri_mut() = Uri::default();
        assert!(!breaks_http2(&without));
        *without.uri_mut() = Uri::from_parts(http::uri::Parts::default()).unwrap();
        assert!(breaks_http2(&without));
    }
}
