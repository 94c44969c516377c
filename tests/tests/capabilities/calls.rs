//! Outgoing requests: where a function may send them, and what it reads when that fails.

use crate::support::{call, caller, nobody};
use rimward_capability::Level;
use rimward_tests::{
    App, Behaviour, always, app, echoes, fake, fake_over_tls, node, raw, replies, silent, stalls_after,
};
use std::net::TcpListener;

/// What the guest reads when it calls `url`.
async fn check_refused(app: App, url: &str, error: &str) {
    let node = node().app(app).start().await;
    call(&node, url).await.is(200).says(&format!("error ErrorCode::{error}"));
}

#[tokio::test]
async fn a_host_that_was_not_granted_is_denied() {
    let granted = || app("call").with(r#"hosts = ["https://api.example.com"]"#);
    check_refused(app("call"), "http://example.com/", "HttpRequestDenied").await;
    check_refused(granted(), "http://api.example.com/", "HttpRequestDenied").await;
    check_refused(granted(), "https://api.example.com:8443/", "HttpRequestDenied").await;
    check_refused(granted(), "https://example.com/", "HttpRequestDenied").await;
}

#[tokio::test]
async fn why_a_call_failed_is_told_in_the_functions_log() {
    let check = async |to: &str, told: &str| {
        let node = node().app(app("call").with(r#"hosts = ["http://127.0.0.1:1"]"#)).start().await;
        let answer = call(&node, to).await;
        let line = node.heard().log(told).await;
        assert_eq!((line.level, &*line.context), (Level::Warn, "calls"));
        assert_eq!(line.request_id, answer.request_id());
    };
    check("http://example.com/", "the call to `example.com` was denied: name it in the function's `hosts`")
        .await;
    check("http://a.upstream.internal/", "was denied: name it in the function's `upstreams`").await;
    check("http://a.function.internal/", "was denied: name it in the function's `functions`").await;
    check("http://127.0.0.1:1/", "the call to `127.0.0.1:1` failed: ").await;
}

#[tokio::test]
async fn a_name_of_this_node_that_was_not_granted_is_denied() {
    for host in ["other.upstream.internal", "other.function.internal", "anything.internal", "internal."] {
        let everything = app("call").with(r#"hosts = ["*"]"#);
        let node = node().app(everything).start().await;
        let answer = call(&node, &format!("http://{host}/")).await;
        assert!(answer.is(200).text().starts_with("error ErrorCode::"), "{host}: {answer:?}");
        assert!(host == "internal." || answer.text() == "error ErrorCode::HttpRequestDenied", "{answer:?}");
    }
}

#[tokio::test]
async fn private_addresses_are_prohibited_even_where_every_host_is_granted() {
    let listens = fake(always(200));
    let port = listens.address().port();
    let urls = [
        format!("http://127.0.0.1:{port}/"),
        format!("http://localhost:{port}/"),
        format!("http://[::ffff:127.0.0.1]:{port}/"),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "http://10.0.0.1/".to_owned(),
        "http://[::1]/".to_owned(),
    ];
    for url in urls {
        let (scheme, rest) = url.split_once("://").expect("it is a URL");
        let origin = rest.split('/').next().expect("it has a host");
        let granted = app("call").with(&format!("hosts = [\"{scheme}://{origin}\"]"));
        check_refused(granted, &url, "DestinationIpProhibited").await;
        // Every origin is every port too, and no more addresses.
        check_refused(app("call").with(r#"hosts = ["*"]"#), &url, "DestinationIpProhibited").await;
    }
    assert_eq!(listens.connections(), 0);
}

#[tokio::test]
async fn a_function_cannot_reach_the_nodes_own_listeners() {
    let node = node().start().await;
    node.install(caller().upstream_at("itself", &format!("http://{}", node.address()), "")).await;
    call(&node, "http://itself.upstream.internal/").await.is(200).says("error ErrorCode::LoopDetected");
}

#[tokio::test]
async fn a_granted_upstream_is_reached_by_its_name_and_by_its_origin() {
    let node = node().app(caller()).upstream("origin", echoes()).start().await;
    let url = node.upstream("origin").url();
    for to in ["http://origin.upstream.internal", "https://ORIGIN.upstream.internal.", &url] {
        call(&node, &format!("{to}/path?query=1")).header("x-body", "hello").await.is(200).says("200 hello");
    }
    for seen in node.upstream("origin").sees(3).await {
        assert_eq!(seen.uri.path_and_query().expect("it has a path").as_str(), "/path?query=1");
        assert_eq!(seen.headers["host"], url.strip_prefix("http://").expect("it is in the clear"));
    }
}

#[tokio::test]
async fn a_status_of_an_upstream_is_an_answer_and_no_error() {
    for status in [204, 404, 429, 503] {
        let node = node().app(caller()).upstream("origin", always(status)).start().await;
        call(&node, "http://origin.upstream.internal/").await.is(200).says(&format!("{status} "));
    }
}

/// What the guest reads of an upstream that behaves like that.
async fn check_failure(behaviour: Behaviour, says: &str) {
    let node = node().app(caller()).upstream("origin", behaviour).start().await;
    call(&node, "http://origin.upstream.internal/").await.is(200).says(says);
}

#[tokio::test]
async fn a_failure_of_the_upstream_reaches_the_guest_as_the_error_of_wasi_http() {
    check_failure(raw("this is no HTTP\r\n\r\n"), "error ErrorCode::HttpProtocolError").await;
    check_failure(raw(""), "error ErrorCode::ConnectionTerminated").await;
    check_failure(raw("HTTP/1.1 200 OK\r\ncontent-le"), "error ErrorCode::ConnectionTerminated").await;
}

#[tokio::test]
async fn a_body_that_breaks_off_is_an_error_after_the_head() {
    let node = node()
        .app(caller())
        .upstream("origin", raw("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"))
        .start()
        .await;
    call(&node, "http://origin.upstream.internal/").await.is(200).mentions("200 and then ");
}

#[tokio::test]
async fn an_upstream_that_is_not_there_refuses_the_connection() {
    let app = caller().upstream_at("gone", &nobody(), "");
    check_refused(app, "http://gone.upstream.internal/", "ConnectionRefused").await;
}

#[tokio::test]
async fn an_upstream_is_waited_for_as_long_as_the_guest_asks() {
    let node = node().app(caller()).upstream("origin", silent()).start().await;
    let answer = call(&node, "http://origin.upstream.internal/").header("x-first-byte-ms", "50").await;
    answer.is(200).says("error ErrorCode::HttpResponseTimeout");
}

#[tokio::test]
async fn an_upstream_is_waited_for_no_longer_than_the_app_says_whatever_the_guest_asks() {
    let silent = fake(silent());
    let app = caller().upstream_at("origin", &silent.url(), r#"timeout = { first-byte = "50ms" }"#);
    let node = node().app(app).start().await;
    let answer = call(&node, "http://origin.upstream.internal/").header("x-first-byte-ms", "60000").await;
    answer.is(200).says("error ErrorCode::HttpResponseTimeout");
}

#[tokio::test]
async fn a_body_that_stands_still_is_waited_for_as_long_as_the_guest_asks() {
    let node = node().app(caller()).upstream("origin", stalls_after("begun")).start().await;
    let answer = call(&node, "http://origin.upstream.internal/").header("x-between-bytes-ms", "50").await;
    answer.is(200).mentions("200 and then ");
}

#[tokio::test]
async fn a_connection_that_does_not_come_about_is_waited_for_as_long_as_the_guest_asks() {
    let full = full_listener();
    let node = node().app(caller().upstream_at("full", &full.url, "")).start().await;
    let answer = call(&node, "http://full.upstream.internal/").header("x-connect-ms", "50").await;
    answer.is(200).says("error ErrorCode::ConnectionTimeout");
}

/// A listener that accepts nothing and whose queue is full.
struct Full {
    url: String,
    _listener: TcpListener,
    _queued: Vec<std::net::TcpStream>,
}

fn full_listener() -> Full {
    let socket =
        socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("sockets exist");
    let loopback: std::net::SocketAddr = ([127, 0, 0, 1], 0).into();
    socket.bind(&loopback.into()).expect("loopback has free ports");
    socket.listen(0).expect("it can listen");
    let listener: TcpListener = socket.into();
    let address = listener.local_addr().expect("it is bound");
    let patience = std::time::Duration::from_millis(50);
    let connect = |_| std::net::TcpStream::connect_timeout(&address, patience).ok();
    Full {
        url: format!("http://{address}"),
        _queued: (0..8).map_while(connect).collect(),
        _listener: listener,
    }
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_an_error() {
    let authority = rimward_tests::Authority::new();
    let stranger = fake_over_tls(always(200), authority.certify(&["127.0.0.1"]).server());
    let app = caller().upstream("stranger", &stranger);
    check_refused(app, "http://stranger.upstream.internal/", "TlsCertificateError").await;
}

#[tokio::test]
async fn requests_in_flight_are_limited_and_one_more_is_refused_at_once() {
    let app = caller().limits("outgoing = 4");
    let node = node().app(app).upstream("origin", silent()).start().await;
    let calls = call(&node, "http://origin.upstream.internal/").header("x-at-once", "5");
    let answer = calls.header("x-first-byte-ms", "100").await;
    let text = answer.is(200).text();
    let count = |what: &str| text.lines().filter(|line| line.ends_with(what)).count();
    assert_eq!((count("HttpResponseTimeout"), count("ConnectionLimitReached")), (4, 1), "{text}");
    node.upstream("origin").sees(4).await;
}

#[tokio::test]
async fn a_permit_is_free_again_when_the_answer_was_read() {
    let node = node().app(caller().limits("outgoing = 1")).upstream("origin", echoes()).start().await;
    let answer = call(&node, "http://origin.upstream.internal/").header("x-times", "5").await;
    assert_eq!(answer.is(200).text().lines().filter(|line| line.starts_with("200")).count(), 5);
}

#[tokio::test]
async fn a_trace_goes_on_in_outgoing_requests() {
    const SENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let node = node().app(caller()).upstream("origin", always(200)).start().await;
    call(&node, "http://origin.upstream.internal/").header("traceparent", SENT).await.is(200);
    let seen = node.upstream("origin").sees(1).await;
    let next = seen[0].headers["traceparent"].to_str().expect("it is plain");
    assert_eq!(next[..36], SENT[..36], "the trace is the same");
    assert_ne!(next[36..52], SENT[36..52], "the parent is this invocation");
    assert_eq!(next[52..], SENT[52..], "the flags are the same");
}

#[tokio::test]
async fn what_a_client_sends_does_not_go_on_by_itself() {
    let node = node().app(caller()).upstream("origin", always(200)).start().await;
    let request = call(&node, "http://origin.upstream.internal/");
    request.header("authorization", "of the client").header("cookie", "of the client").await.is(200);
    let seen = node.upstream("origin").sees(1).await;
    assert!(!format!("{:?}", seen[0].headers).contains("of the client"));
}

#[tokio::test]
async fn a_call_that_nobody_answers_ends_with_the_functions_own_time() {
    let node = node().app(caller().limits(r#"wall = "200ms""#)).upstream("origin", silent()).start().await;
    let answer = call(&node, "http://origin.upstream.internal/").await;
    assert!(matches!(answer.status(), 200 | 504), "{answer:?}");
    if answer.status() == 504 {
        answer.code("rimward.guest.wall");
    }
    node.is_idle().await;
}

#[tokio::test]
async fn a_large_body_reaches_the_upstream_whole() {
    let counts = replies(|seen| async move { http::Response::new(seen.body.len().to_string().into()) });
    let node = node().app("proxy").upstream("origin", counts).start().await;
    node.post("/").body(vec![7; 3 << 20]).await.is(200).says(&(3 << 20).to_string());
}
