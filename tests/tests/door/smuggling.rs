//! HTTP/1.1 requests that could be read in two ways. Behind each stands a request that nobody may read.

use rimward_tests::{RawReply, TestNode, app, eventually, node};

/// Who reads this has been smuggled a request.
const CANARY: &str = "GET /canary HTTP/1.1\r\nhost: a\r\n\r\n";

/// A node whose functions read what they are sent, and one that must not be reached.
async fn door() -> TestNode {
    node().app("measures").app(app("hello").named("canary").route("/canary")).start().await
}

/// The replies to these bytes with [`CANARY`] behind them, up to the end of the connection.
async fn replies(node: &TestNode, bytes: &[u8]) -> Vec<RawReply> {
    let mut raw = node.raw().await;
    // The node may have closed before all is sent.
    let _ = raw.try_send([bytes, CANARY.as_bytes()].concat()).await;
    raw.replies().await
}

/// Each is answered once with a status of 4xx, which is 400 unless it says otherwise, and that ends the connection.
async fn check(table: &[(&str, u16)]) {
    let node = door().await;
    for (request, status) in table {
        let replies = replies(&node, request.as_bytes()).await;
        let statuses: Vec<_> = replies.iter().map(RawReply::status).collect();
        assert_eq!(statuses, [*status], "{request:?}: {replies:?}");
        let head = replies[0].head.to_lowercase();
        assert!(head.contains("connection: close\r\n"), "{request:?}: {head}");
    }
    let refused = || {
        node.metric("rimward_connections_refused_total", "reason=malformed").value()
            + node.metric("rimward_requests_refused_total", "code=rimward.caller.bad-request").value()
            + node.metric("rimward_function_failures_total", "code=rimward.caller.bad-request").value()
    };
    #[expect(clippy::cast_precision_loss, reason = "it is small")]
    let all = table.len() as f64;
    eventually("each is counted", || (refused() >= all).then_some(())).await;
    node.metric("rimward_function_instances_total", "function=canary").is(0.0).await;
    let smuggled = node.heard().ended().into_iter().find(|ended| ended.path == "/canary");
    assert!(smuggled.is_none(), "{smuggled:?}");
    node.get("/canary").await.is(200).says("hello\n");
    node.metric("rimward_function_instances_total", "function=canary").is(1.0).await;
}

fn with(fields: &str, content: &str) -> String {
    format!("POST / HTTP/1.1\r\nhost: a\r\n{fields}\r\n{content}")
}

async fn check_fields(table: &[(&str, &str)]) {
    let table: Vec<_> = table.iter().map(|(fields, content)| (with(fields, content), 400)).collect();
    let table: Vec<_> = table.iter().map(|(request, status)| (&**request, *status)).collect();
    check(&table).await;
}

/// H7, H9: two ways to tell where a request ends, and the ways to hide one of them.
#[tokio::test]
async fn a_request_with_two_ends_is_refused() {
    check_fields(&[
        ("content-length: 6\r\ntransfer-encoding: chunked\r\n", "0\r\n\r\nG"),
        ("transfer-encoding: chunked\r\ncontent-length: 6\r\n", "0\r\n\r\nG"),
        ("content-length: 0\r\ntransfer-encoding: chunked\r\n", "0\r\n\r\n"),
        ("transfer-encoding: chunked\r\ncontent-length: x\r\n", "0\r\n\r\n"),
        ("content-length: 5\r\ncontent-length: 5\r\n", "hello"),
        ("content-length: 5\r\ncontent-length: 6\r\n", "hello"),
        ("content-length: 5\r\nContent-Length: 0\r\n", "hello"),
        ("content-length: 5, 5\r\n", "hello"),
        ("content-length: 5,6\r\n", "hello"),
        ("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n", "0\r\n\r\n"),
        ("transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n", "0\r\n\r\n"),
        ("transfer-encoding: identity\r\ntransfer-encoding: chunked\r\n", "0\r\n\r\n"),
        ("transfer-encoding: chunked\r\nTransfer-Encoding: x\r\n", "0\r\n\r\n"),
        ("transfer-encoding : chunked\r\ncontent-length: 5\r\n", "hello"),
        ("transfer-encoding\t: chunked\r\n", "0\r\n\r\n"),
        (" transfer-encoding: chunked\r\n", "0\r\n\r\n"),
        ("x: y\r\n transfer-encoding: chunked\r\n", "0\r\n\r\n"),
        ("x: y\r\n\ttransfer-encoding: chunked\r\n", "0\r\n\r\n"),
        ("transfer-encoding:\r\n chunked\r\n", "0\r\n\r\n"),
        ("x: y\rtransfer-encoding: chunked\r\n", "0\r\n\r\n"),
        ("x: y\ntransfer-encoding: chunked\r\n", "0\r\n\r\n"),
        ("\0transfer-encoding: chunked\r\n", "0\r\n\r\n"),
    ])
    .await;
}

/// H7: what is no length, and what is no coding.
#[tokio::test]
async fn a_length_is_digits_and_the_only_coding_is_chunked() {
    check_fields(&[
        ("content-length: +5\r\n", "hello"),
        ("content-length: -1\r\n", ""),
        ("content-length: 0x5\r\n", "hello"),
        ("content-length: 5.0\r\n", "hello"),
        ("content-length: 5 5\r\n", "hello"),
        ("content-length: \"5\"\r\n", "hello"),
        ("content-length: five\r\n", "hello"),
        ("content-length:\r\n", ""),
        ("content-length: \x0b5\r\n", "hello"),
        ("content-length: 18446744073709551616\r\n", ""),
        ("content-length: 18446744073709551615\r\n", ""),
        ("content-length: 99999999999999999999999999999999\r\n", ""),
        ("content-length : 5\r\n", "hello"),
        ("transfer-encoding: xchunked\r\n", "0\r\n\r\n"),
        ("transfer-encoding: ,chunked\r\n", "0\r\n\r\n"),
        ("transfer-encoding: chunked,\r\n", "0\r\n\r\n"),
        ("transfer-encoding: chunked, identity\r\n", "0\r\n\r\n"),
        ("transfer-encoding: identity, chunked\r\n", "0\r\n\r\n"),
        ("transfer-encoding: gzip, chunked\r\n", "0\r\n\r\n"),
        ("transfer-encoding: chunked, chunked\r\n", "0\r\n\r\n"),
        ("transfer-encoding: chunked;a=b\r\n", "0\r\n\r\n"),
        ("transfer-encoding: \"chunked\"\r\n", "0\r\n\r\n"),
        ("transfer-encoding: 'chunked'\r\n", "0\r\n\r\n"),
        ("transfer-encoding: \x0bchunked\r\n", "0\r\n\r\n"),
        ("transfer-encoding: chunked\x0c\r\n", "0\r\n\r\n"),
        ("transfer-encoding: chun\u{212a}ed\r\n", "0\r\n\r\n"),
        ("transfer-encoding: identity\r\n", ""),
        ("transfer-encoding: gzip\r\n", ""),
        ("transfer-encoding:\r\n", ""),
    ])
    .await;
    check(&[("POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400)]).await;
}

/// H7, H9: chunks that are not as long as they say, and what may not come after them. The function was called by then.
#[tokio::test]
async fn a_body_that_is_malformed_is_refused() {
    let chunked = |content| ("transfer-encoding: chunked\r\n", content);
    check_fields(&[
        chunked("x\r\nhello\r\n0\r\n\r\n"),
        chunked("\r\nhello\r\n0\r\n\r\n"),
        chunked("-5\r\nhello\r\n0\r\n\r\n"),
        chunked("+5\r\nhello\r\n0\r\n\r\n"),
        chunked("0x5\r\nhello\r\n0\r\n\r\n"),
        chunked("5 \r\nhello\r\n0\r\n\r\n"),
        chunked(" 5\r\nhello\r\n0\r\n\r\n"),
        chunked("5 5\r\nhello\r\n0\r\n\r\n"),
        chunked("5\nhello\r\n0\r\n\r\n"),
        chunked("5\rhello\r\n0\r\n\r\n"),
        chunked("5\r\nhello0\r\n\r\n"),
        chunked("5\r\nhello\n0\r\n\r\n"),
        chunked("5\r\nhelloxx0\r\n\r\n"),
        chunked("5\r\nhello\r\n0\n\n"),
        chunked("5\r\nhello!\r\n0\r\n\r\n"),
        chunked("5\r\nhell\r\n0\r\n\r\n"),
        chunked("5;\r\nhello\r\n0\r\n\r\n"),
        chunked("5;a\nb\r\nhello\r\n0\r\n\r\n"),
        chunked("5;a\0\r\nhello\r\n0\r\n\r\n"),
        chunked("5;a=\"\r\nhello\r\n0\r\n\r\n"),
        chunked("10000000000000000\r\nhello\r\n0\r\n\r\n"),
        chunked("fffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
        chunked("8000000000000000\r\nhello\r\n0\r\n\r\n"),
        chunked("0\r\ntransfer-encoding: chunked\r\n\r\n"),
        chunked("0\r\ncontent-length: 5\r\n\r\n"),
        chunked("0\r\nhost: b\r\n\r\n"),
        chunked("0\r\nx : y\r\n\r\n"),
        chunked("0\r\nno colon\r\n\r\n"),
        chunked("0\r\nx: y\n\r\n"),
        chunked("0\r\nx: y\r\n z\r\n\r\n"),
        chunked("0\r\nx: \0\r\n\r\n"),
    ])
    .await;
}

/// H7: what is no request line, and no header field.
#[tokio::test]
async fn a_head_that_is_malformed_is_refused() {
    check(&[
        ("GET / HTTP/1.1\nhost: a\n\n", 400),
        ("GET / HTTP/1.1\r\nhost: a\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: a\r\n\n", 400),
        ("GET / HTTP/1.1\rhost: a\r\r", 400),
        ("GET /\r\n\r\n", 400),
        ("GET / HTTP/1.2\r\nhost: a\r\n\r\n", 400),
        ("GET / HTTP/0.9\r\nhost: a\r\n\r\n", 400),
        ("GET / HTTP/2.0\r\nhost: a\r\n\r\n", 400),
        ("GET / HTTP/11\r\nhost: a\r\n\r\n", 400),
        ("GET / HTTP/1.10\r\nhost: a\r\n\r\n", 400),
        ("GET / http/1.1\r\nhost: a\r\n\r\n", 400),
        ("GET / ICAP/1.1\r\nhost: a\r\n\r\n", 400),
        ("PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", 400),
        ("GET  / HTTP/1.1\r\nhost: a\r\n\r\n", 400),
        ("GET /  HTTP/1.1\r\nhost: a\r\n\r\n", 400),
        ("GET\t/\tHTTP/1.1\r\nhost: a\r\n\r\n", 400),
        (" GET / HTTP/1.1\r\nhost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1 \r\nhost: a\r\n\r\n", 400),
        ("GET / x HTTP/1.1\r\nhost: a\r\n\r\n", 400),
        ("GET HTTP/1.1\r\nhost: a\r\n\r\n", 400),
        ("G(T / HTTP/1.1\r\nhost: a\r\n\r\n", 400),
        ("get / HTTP/1.1\r\nhost: a\r\n\r\n", 400),
        ("Get / HTTP/1.1\r\nhost: a\r\n\r\n", 400),
        ("CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n\r\n", 400),
        ("CONNECT / HTTP/1.1\r\nhost: a\r\n\r\n", 400),
        ("GET * HTTP/1.1\r\nhost: a\r\n\r\n", 400),
        ("GET a HTTP/1.1\r\nhost: a\r\n\r\n", 400),
        ("GET /#x HTTP/1.1\r\nhost: a\r\n\r\n", 400),
        ("GET /\u{e4} HTTP/1.1\r\nhost: a\r\n\r\n", 400),
        ("GET /\0 HTTP/1.1\r\nhost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: a\r\n: x\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: a\r\nno colon\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: a\r\nx y: z\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: a\r\nx : z\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: a\r\nx: \0\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: a\r\nx: \x7f\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: a\r\nx: y\r\n z\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n host: a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: a\r\nx: a\rb\r\n\r\n", 400),
    ])
    .await;
}

/// H8, H9: for whom it is.
#[tokio::test]
async fn a_request_that_could_be_for_another_host_is_refused() {
    check(&[
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost:\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: a\r\nHost: b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: user@a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: a, b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: a/b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: http://a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: a:b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: a:99999\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: [::1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: a\u{e4}\r\n\r\n", 400),
        ("GET http://a/ HTTP/1.1\r\n\r\n", 400),
        ("GET http://a/ HTTP/1.1\r\nhost: b\r\n\r\n", 400),
        ("GET http://user@a/ HTTP/1.1\r\nhost: a\r\n\r\n", 400),
        ("GET ftp://a/ HTTP/1.1\r\nhost: a\r\n\r\n", 400),
        ("GET a:80 HTTP/1.1\r\nhost: a:80\r\n\r\n", 400),
    ])
    .await;
}

/// H7: what looks odd and is not: nothing of it is lost, and the next request is read.
#[tokio::test]
async fn a_request_that_is_only_unusual_is_answered() {
    let node = door().await;
    for (request, says) in [
        (with("content-length: 005\r\n", "hello"), "5 bytes"),
        (with("content-length:5\r\n", "hello"), "5 bytes"),
        (with("Content-LENGTH:\t5 \r\n", "hello"), "5 bytes"),
        (with("Transfer-Encoding: Chunked\r\n", "5;a=\"b;c\"\r\nhello\r\n0\r\nx-sum: 7\r\n\r\n"), "5 bytes"),
        (with("transfer-encoding:chunked\r\n", "005\r\nhello\r\n000\r\n\r\n"), "5 bytes"),
        (with("", ""), "0 bytes"),
        (format!("\r\n{}", with("content-length: 1\r\n", "x")), "1 bytes"),
        ("GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc".to_owned(), "3 bytes"),
        ("GET http://a/ HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(), "0 bytes"),
        ("OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(), ""),
    ] {
        let mut raw = node.raw().await;
        let last = "GET /canary HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        raw.send(format!("{request}{last}")).await;
        let replies = raw.replies().await;
        assert_eq!(replies.len(), 2, "{request:?}: {replies:?}");
        let text = String::from_utf8_lossy(&replies[0].content()).into_owned();
        assert!(text.contains(says), "{request:?}: {text}");
        assert_eq!(replies[1].content(), b"hello\n", "{request:?}");
    }
}

/// H9: what came before a malformed request is answered in its turn.
#[tokio::test]
async fn requests_before_a_malformed_one_are_answered() {
    let node = door().await;
    let good = with("content-length: 2\r\n", "ab");
    let bad = with("content-length: 2\r\ncontent-length: 2\r\n", "ab");
    let replies = replies(&node, format!("{good}{good}{bad}").as_bytes()).await;
    let statuses: Vec<_> = replies.iter().map(RawReply::status).collect();
    assert_eq!(statuses, [200, 200, 400], "{replies:?}");
    node.metric("rimward_function_instances_total", "function=canary").is(0.0).await;
    node.metric("rimward_connections_refused_total", "reason=malformed").is(1.0).await;
}

/// H7: the same bytes in two parts, cut everywhere.
#[tokio::test]
async fn it_does_not_matter_how_a_malformed_request_is_cut() {
    let node = door().await;
    let request = with("content-length: 6\r\ntransfer-encoding: chunked\r\n", "0\r\n\r\nG");
    for at in 1..request.len() {
        let mut raw = node.raw().await;
        raw.send(&request[..at]).await;
        node.node().status();
        let _ = raw.try_send(format!("{}{CANARY}", &request[at..])).await;
        let replies = raw.replies().await;
        assert_eq!(replies.iter().map(RawReply::status).collect::<Vec<_>>(), [400], "cut at {at}");
    }
    node.metric("rimward_function_instances_total", "function=canary").is(0.0).await;
}
