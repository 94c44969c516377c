//! HTTP/2 requests that break the protocol (RFC 9113, section 8): none of them reaches a function.

use rimward_tests::http2::{Outcome, PREFACE, PROTOCOL_ERROR, block, flag, frame, get, kind, request};
use rimward_tests::{RawHttp2, TestNode, app, eventually, node};

async fn door() -> TestNode {
    node().app("measures").app(app("hello").named("canary").route("/canary")).start().await
}

type Fields<'f> = Vec<(&'f str, &'f str)>;

/// What becomes of a request with these fields.
async fn outcome(node: &TestNode, fields: &[(&str, &str)]) -> Outcome {
    let mut client = node.raw_http2().await;
    let head = frame(kind::HEADERS, flag::END_STREAM | flag::END_HEADERS, 1, &block(fields));
    client.send(head).await.outcome(1).await
}

/// A request of one stream that breaks the protocol ends that stream or the connection, and no function sees it.
async fn check_broken(requests: &[Fields<'_>]) {
    let node = door().await;
    for fields in requests {
        let outcome = outcome(&node, fields).await;
        let broken = matches!(outcome, Outcome::Reset(PROTOCOL_ERROR) | Outcome::GoAway(PROTOCOL_ERROR));
        // HPACK that is not valid is an error of the connection too (RFC 7541, section 2.3.3).
        assert!(broken || outcome == Outcome::GoAway(9), "{fields:?}: {outcome:?}");
    }
    node.metric("rimward_function_instances_total", "").is(0.0).await;
    assert_eq!(outcome(&node, &get("/canary")).await, Outcome::Status(200));
}

/// A GET with these fields after its own.
fn and<'f>(more: &[(&'f str, &'f str)]) -> Fields<'f> {
    get("/").into_iter().chain(more.iter().copied()).collect()
}

/// A GET without the pseudo-header of that name, and with another value in its place if there is one.
fn with<'f>(name: &str, value: Option<&'f str>) -> Fields<'f> {
    let fields = get("/").into_iter();
    fields.filter_map(|(has, old)| if has == name { Some((has, value?)) } else { Some((has, old)) }).collect()
}

/// H11: pseudo-headers that are missing, twice there, in the wrong place, or unknown.
#[tokio::test]
async fn pseudo_headers_are_each_there_once_and_first() {
    check_broken(&[
        with(":method", None),
        with(":scheme", None),
        with(":path", None),
        with(":path", Some("")),
        with(":path", Some("x")),
        with(":authority", Some("u@a b")),
        and(&[(":method", "GET")]),
        and(&[(":path", "/x")]),
        and(&[(":scheme", "http")]),
        and(&[(":authority", "b")]),
        and(&[("x", "y"), (":path", "/x")]),
        and(&[(":status", "200")]),
        and(&[(":protocol", "websocket")]),
        and(&[(":unknown", "x")]),
        vec![("x", "y"), (":method", "GET"), (":scheme", "http"), (":path", "/"), (":authority", "a")],
        vec![(":method", "GET"), (":scheme", "http"), ("host", "a")],
        vec![(":method", "CONNECT"), (":scheme", "http"), (":path", "/"), (":authority", "a")],
    ])
    .await;
}

/// H11: fields that belong to a connection, and those that are none.
#[tokio::test]
async fn fields_are_those_of_a_request_and_valid() {
    check_broken(&[
        and(&[("connection", "close")]),
        and(&[("transfer-encoding", "chunked")]),
        and(&[("upgrade", "h2c")]),
        and(&[("keep-alive", "timeout=5")]),
        and(&[("proxy-connection", "keep-alive")]),
        and(&[("te", "gzip")]),
        and(&[("te", "trailers, gzip")]),
        and(&[("X", "y")]),
        and(&[("x y", "z")]),
        and(&[("x:y", "z")]),
        and(&[("", "x")]),
        and(&[("x", "a\r\nb: c")]),
        and(&[("x", "a\nb")]),
        and(&[("x", "a\0b")]),
        and(&[("x", " y")]),
        and(&[("x", "y ")]),
        and(&[("x", "\ty")]),
        and(&[("content-length", "5")]),
        and(&[("content-length", "-1")]),
        and(&[("content-length", "0"), ("content-length", "1")]),
    ])
    .await;
}

/// H8: requests that keep the protocol and that a node does not answer.
#[tokio::test]
async fn a_request_for_another_host_or_nothing_is_refused() {
    let node = door().await;
    for fields in [
        and(&[("host", "b")]),
        and(&[("host", "a"), ("host", "a")]),
        with(":authority", Some("u@a")),
        with(":authority", None),
        with(":scheme", Some("ftp")),
        with(":path", Some("*")),
        with(":method", Some("get")),
        vec![(":method", "CONNECT"), (":authority", "a:443")],
    ] {
        assert_eq!(outcome(&node, &fields).await, Outcome::Status(400), "{fields:?}");
    }
    node.metric("rimward_function_instances_total", "").is(0.0).await;
    for fields in [
        and(&[("host", "a")]),
        and(&[("te", "trailers")]),
        vec![(":method", "GET"), (":scheme", "http"), (":path", "/"), ("host", "a")],
    ] {
        assert_eq!(outcome(&node, &fields).await, Outcome::Status(200), "{fields:?}");
    }
    // It is well formed, and no route is for it.
    let asterisk = [(":method", "OPTIONS"), (":scheme", "http"), (":path", "*"), (":authority", "a")];
    assert_eq!(outcome(&node, &asterisk).await, Outcome::Status(404));
}

/// What becomes of a POST with these further fields and frames after its head.
async fn post(node: &TestNode, fields: &[(&str, &str)], frames: &[Vec<u8>]) -> Outcome {
    let mut client = node.raw_http2().await;
    let mut head = with(":method", Some("POST"));
    head.extend_from_slice(fields);
    client.send(frame(kind::HEADERS, flag::END_HEADERS, 1, &block(&head))).await;
    for frame in frames {
        let _ = client.try_send(frame).await;
    }
    client.outcome(1).await
}

/// H11, H7: content that is not as long as announced, and trailers that are none.
#[tokio::test]
async fn a_body_is_as_long_as_announced_and_trailers_are_fields() {
    let node = door().await;
    let data = |content: &[u8], flags| frame(kind::DATA, flags, 1, content);
    let trailers = |fields: &[(&str, &str)], flags| frame(kind::HEADERS, flags, 1, &block(fields));
    let ends = flag::END_STREAM | flag::END_HEADERS;
    let length = [("content-length", "5")];
    let bad = [
        (&length[..], vec![data(b"hell", flag::END_STREAM)]),
        (&length, vec![data(b"hello!", flag::END_STREAM)]),
        (&length, vec![data(b"hel", 0), data(b"lo!", flag::END_STREAM)]),
        (&length, vec![data(b"hell", 0), trailers(&[("x", "y")], ends)]),
        (&[], vec![data(b"hello", 0), trailers(&[(":path", "/canary")], ends)]),
        (&[], vec![data(b"hello", 0), trailers(&[("x", "y"), (":path", "/canary")], ends)]),
        (&[], vec![data(b"hello", 0), trailers(&[("connection", "x")], ends)]),
    ];
    for (fields, frames) in bad {
        let outcome = post(&node, fields, &frames).await;
        let broken = matches!(outcome, Outcome::Reset(_) | Outcome::GoAway(_));
        assert!(broken, "{fields:?} {frames:?}: {outcome:?}");
    }
    let not_the_end = vec![trailers(&[("x", "y")], flag::END_HEADERS), data(b"", flag::END_STREAM)];
    assert!(matches!(
        post(&node, &[], &not_the_end).await,
        Outcome::Reset(PROTOCOL_ERROR) | Outcome::GoAway(_)
    ));
    for (fields, frames) in [
        (&length[..], vec![data(b"hel", 0), data(b"lo", flag::END_STREAM)]),
        (&[], vec![data(b"hello", 0), trailers(&[("x", "y")], ends)]),
        (&[], vec![data(b"\x02hello\0\0", flag::END_STREAM | flag::PADDED)]),
    ] {
        assert_eq!(post(&node, fields, &frames).await, Outcome::Status(200), "{frames:?}");
    }
}

/// Every connection error of RFC 9113 that one frame can make.
async fn check_connection_error(frames: &[Vec<u8>]) {
    let node = door().await;
    for bytes in frames {
        let mut client = node.raw_http2().await;
        client.send(request(1, "/canary")).await;
        assert_eq!(client.outcome(1).await, Outcome::Status(200));
        let _ = client.try_send(bytes).await;
        let code = client.end().await;
        assert!(code.is_none_or(|code| code != 0), "{bytes:?}: {code:?}");
        node.get("/canary").await.is(200);
    }
    eventually("they are closed", || (node.node().status().connections == 0).then_some(())).await;
}

/// H11: frames with the wrong length, on the wrong stream, or in the wrong order end the connection.
#[tokio::test]
async fn a_frame_that_may_not_be_ends_the_connection() {
    let headers = |flags, stream| frame(kind::HEADERS, flags, stream, &block(&get("/canary")));
    let (ended, open) = (flag::END_STREAM | flag::END_HEADERS, flag::END_STREAM);
    check_connection_error(&[
        frame(kind::DATA, 0, 0, b"x"),
        frame(kind::DATA, 0, 5, b"x"),
        frame(kind::DATA, flag::PADDED, 1, &[9, 0]),
        headers(ended, 0),
        headers(ended, 2),
        [headers(ended, 5), headers(ended, 3)].concat(),
        [headers(open, 3), frame(kind::PING, 0, 0, &[0; 8])].concat(),
        [headers(open, 3), frame(kind::CONTINUATION, flag::END_HEADERS, 5, &[])].concat(),
        frame(kind::HEADERS, ended, 3, &[0x80]),
        frame(kind::HEADERS, ended, 3, &[0xff, 0xff, 0xff, 0xff, 0xff, 0x0f]),
        frame(kind::HEADERS, ended, 3, &[0xbe]),
        frame(kind::HEADERS, ended | flag::PADDED, 3, &[200, 0]),
        frame(kind::PRIORITY, 0, 0, &[0; 5]),
        frame(kind::PRIORITY, 0, 3, &[0; 4]),
        frame(kind::RST_STREAM, 0, 0, &[0; 4]),
        frame(kind::RST_STREAM, 0, 1, &[0; 3]),
        frame(kind::RST_STREAM, 0, 5, &[0; 4]),
        frame(kind::SETTINGS, 0, 1, &[]),
        frame(kind::SETTINGS, 0, 0, &[0; 5]),
        frame(kind::SETTINGS, flag::ACK, 0, &[0; 6]),
        frame(kind::SETTINGS, 0, 0, &[0, 2, 0, 0, 0, 2]),
        frame(kind::SETTINGS, 0, 0, &[0, 4, 0x80, 0, 0, 0]),
        frame(kind::SETTINGS, 0, 0, &[0, 5, 0, 0, 0, 1]),
        frame(kind::PUSH_PROMISE, flag::END_HEADERS, 1, &[0, 0, 0, 2]),
        frame(kind::PING, 0, 1, &[0; 8]),
        frame(kind::PING, 0, 0, &[0; 7]),
        frame(kind::GOAWAY, 0, 1, &[0; 8]),
        frame(kind::WINDOW_UPDATE, 0, 0, &[0; 4]),
        frame(kind::WINDOW_UPDATE, 0, 0, &[0; 3]),
        frame(kind::WINDOW_UPDATE, 0, 5, &[0, 0, 0, 1]),
        frame(kind::WINDOW_UPDATE, 0, 0, &[0x7f, 0xff, 0xff, 0xff]),
        frame(kind::CONTINUATION, flag::END_HEADERS, 1, &[]),
        frame(kind::DATA, 0, 1, &vec![0; (16 << 10) + 1]),
    ])
    .await;
}

/// H7: a preface that is none, and one where there was HTTP/1.1 before.
#[tokio::test]
async fn http2_begins_with_its_preface_or_not_at_all() {
    let node = door().await;
    let mut raw = node.raw().await;
    raw.send("GET /canary HTTP/1.1\r\nhost: a\r\n\r\n").await.send(PREFACE).await;
    let replies = raw.replies().await;
    assert_eq!(replies.iter().map(rimward_tests::RawReply::status).collect::<Vec<_>>(), [200, 400]);
    let mut raw = node.raw().await;
    raw.send(PREFACE).await;
    let _ = raw
        .try_send(frame(kind::HEADERS, flag::END_STREAM | flag::END_HEADERS, 1, &block(&get("/canary"))))
        .await;
    let rest = raw.rest().await;
    assert!(!rest.starts_with(b"HTTP/1"), "the first frame must be SETTINGS: {rest:?}");
    node.metric("rimward_function_instances_total", "function=canary").is(1.0).await;
}

/// What is unknown is left alone (RFC 9113, sections 4.1, 5.5 and 6.5.2).
#[tokio::test]
async fn frames_flags_and_settings_that_nobody_knows_are_ignored() {
    let node = door().await;
    let mut client: RawHttp2 = node.raw_http2().await;
    client.send(frame(200, 0xff, 0, b"unknown")).await;
    client.send(frame(kind::SETTINGS, 0, 0, &[0xff, 0xff, 0, 0, 0, 1])).await;
    client.send(frame(kind::PING, 0xfe, 0, &[1; 8])).await;
    client.send(frame(kind::PRIORITY, 0, 7, &[0, 0, 0, 0, 1])).await;
    client.send(request(1, "/canary")).await;
    assert_eq!(client.outcome(1).await, Outcome::Status(200));
}
