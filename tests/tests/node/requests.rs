//! Requests: what a guest sees of one, ids and traces, and those that nobody should send.

use rimward_tests::{Over, TestNode, app, node};

async fn mirror() -> TestNode {
    node().app("mirror").start().await
}

#[tokio::test]
async fn mirror_sees_the_request_as_it_was_sent() {
    let node = mirror().await;
    for over in [Over::Http1, Over::Http2] {
        let call = node.call("PUT", "/a%20b//c?x=1&y=%2F").over(over).host("shop.example:8080");
        let answer = call.header("x-twice", "1").header("x-twice", "2").await;
        answer.is(200).mentions("PUT http://shop.example:8080/a%20b//c?x=1&y=%2F\n");
        answer.mentions("x-twice: 1\nx-twice: 2\n");
    }
}

#[tokio::test]
async fn a_request_id_is_kept_or_made() {
    let node = mirror().await;
    node.get("/").header("x-request-id", "kept-1_2.3").await.has("x-request-id", "kept-1_2.3");
    let made = [node.get("/").await, node.get("/").await];
    assert_ne!(made[0].request_id(), made[1].request_id());
    assert_eq!(made[0].request_id().len(), 32);
    made[0].mentions(&format!("x-request-id: {}\n", made[0].request_id()));
    let ended = node.heard().ends(3).await;
    // An end is told after its reply, so those of several requests may change places.
    for id in ["kept-1_2.3", made[1].request_id()] {
        assert!(ended.iter().any(|end| end.request_id == id), "{id}");
    }
}

#[tokio::test]
async fn a_request_id_that_could_forge_a_log_line_is_replaced() {
    let node = mirror().await;
    let longest = "x".repeat(rimward_node::limits::REQUEST_ID_BYTES);
    node.get("/").header("x-request-id", &longest).await.has("x-request-id", &longest);
    for bad in [format!("{longest}x"), "a b".to_owned(), "a\"b".to_owned(), String::new()] {
        let answer = node.get("/").header("x-request-id", &bad).await;
        assert_ne!(answer.request_id(), bad);
    }
}

#[tokio::test]
async fn a_trace_goes_on_through_the_node() {
    let node = mirror().await;
    let sent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let seen = node.get("/").header("traceparent", sent).await;
    seen.is(200).mentions("traceparent: 00-0af7651916cd43dd8448eb211c80319c-");
    assert!(!seen.text().contains("b7ad6b7169203331"), "the guest is in a span of the node: {}", seen.text());
    assert_eq!(node.heard().ends(1).await[0].trace_id, "0af7651916cd43dd8448eb211c80319c");
    let seen = node.get("/").header("traceparent", "nonsense").await;
    let made = &node.heard().ends(2).await[1].trace_id;
    assert_eq!(made.len(), 32);
    seen.is(200).mentions(&format!("traceparent: 00-{made}-"));
}

#[tokio::test]
async fn hop_by_hop_fields_do_not_reach_the_guest() {
    let node = mirror().await;
    let mut raw = node.raw().await;
    raw.send(
        "GET / HTTP/1.1\r\nhost: a\r\nconnection: keep-alive, x-hop\r\nx-hop: 1\r\nkeep-alive: timeout=5\r\n\
         te: trailers\r\nproxy-authorization: Basic x\r\nupgrade: h2c\r\nx-end: 1\r\n\r\n",
    )
    .await;
    let reply = raw.reply().await;
    let text = String::from_utf8(reply.body).unwrap();
    assert_eq!(reply.head.split(' ').nth(1), Some("200"), "{}", reply.head);
    assert!(text.contains("x-end: 1"), "{text}");
    for name in ["connection:", "keep-alive:", "proxy-authorization:", "upgrade:", "transfer-encoding:"] {
        assert!(!text.contains(name), "{name} in {text}");
    }
}

/// G19: of `wasi:http` 0.2; both versions are in `tests/hostile`.
#[tokio::test]
async fn a_guest_sets_headers_but_not_those_of_the_connection() {
    let node = node().app("sets-header").start().await;
    for name in ["connection", "transfer-encoding", "keep-alive", "upgrade", "host", "proxy-connection"] {
        let answer = node.get(&format!("/{name}")).await;
        assert_eq!(answer.is(200).header("x-was"), Some("HeaderError::Forbidden"), "{name}");
    }
    for name in ["bad(name", "bad,name", ""] {
        let answer = node.get(&format!("/{name}")).await;
        answer.is(200).has("x-was", "HeaderError::InvalidSyntax");
    }
    node.get("/x-own").await.is(200).has("x-own", "the guest's");
}

#[tokio::test]
async fn a_guest_cannot_name_its_request_itself() {
    let node = node().app("sets-header").start().await;
    let answer = node.get("/x-request-id").header("x-request-id", "the-clients").await;
    answer.is(200).has("x-request-id", "the-clients");
}

/// What comes back for these bytes, up to the end of the connection or of the reply.
async fn check_refused(bytes: &str, status: u16) {
    let node = node().app("hello").start().await;
    let mut raw = node.raw().await;
    raw.send(bytes).await;
    let rest = String::from_utf8(raw.rest().await).unwrap();
    assert!(rest.starts_with(&format!("HTTP/1.1 {status} ")), "{bytes:?}: {rest:?}");
    assert_eq!(rest.matches("HTTP/1.1 ").count(), 1, "{bytes:?}: exactly one reply: {rest:?}");
    assert!(!rest.contains("hello"), "{bytes:?}: {rest:?}");
}

/// H7: after each of them the connection is over, so nothing that was smuggled behind it is read as a request.
#[tokio::test]
async fn a_malformed_request_ends_its_connection() {
    const SMUGGLED: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    let heads = [
        "GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\ncontent-length: 0x1\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: xchunked\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked, gzip\r\n\r\n",
        "GET / HTTP/1.1\r\nhost : a\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nx: 1\r\n folded\r\n\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\nx: \0\r\n\r\n",
        "GET  / HTTP/1.1\r\nhost: a\r\n\r\n",
        "G@T / HTTP/1.1\r\nhost: a\r\n\r\n",
        "GET / HTTP/1.2\r\nhost: a\r\n\r\n",
        "GET / HTTP/3.0\r\nhost: a\r\n\r\n",
    ];
    for head in heads {
        check_refused(&format!("{head}{SMUGGLED}"), 400).await;
    }
}

/// H8.
#[tokio::test]
async fn a_request_must_be_for_one_host() {
    let node = node().app("hello").start().await;
    let cases = [
        ("GET / HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: a b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: user@a\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: a/b\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nhost: a:8080\r\n\r\n", 200),
        ("GET / HTTP/1.1\r\nhost: [::1]:8080\r\n\r\n", 200),
        ("GET http://b/ HTTP/1.1\r\nhost: b\r\n\r\n", 200),
        ("GET / HTTP/1.0\r\nhost: a\r\n\r\n", 200),
        ("GET / HTTP/1.0\r\n\r\n", 400),
    ];
    for (request, status) in cases {
        let mut raw = node.raw().await;
        let reply = raw.send(request).await.reply().await;
        assert_eq!(reply.status(), status, "{request:?}: {reply:?}");
    }
}

/// H4.
#[tokio::test]
async fn header_fields_are_taken_up_to_their_number_and_no_further() {
    let node = node().app("hello").start().await;
    let request = |fields: usize| {
        let others: String = (1..fields).map(|n| format!("x-{n}: 1\r\n")).collect();
        format!("GET / HTTP/1.1\r\nhost: a\r\n{others}\r\n")
    };
    let max = rimward_node::limits::HEADERS_MAX;
    assert_eq!(node.raw().await.send(request(max)).await.reply().await.status(), 200);
    assert_eq!(node.raw().await.send(request(max + 1)).await.reply().await.status(), 431);
}

/// H4.
#[tokio::test]
async fn a_head_is_taken_up_to_its_size_and_no_further() {
    let node = node().app("hello").start().await;
    let request = |bytes: usize| {
        let frame = "GET / HTTP/1.1\r\nhost: a\r\nx: \r\n\r\n".len();
        format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "x".repeat(bytes - frame))
    };
    let max = rimward_node::limits::HEAD_BYTES;
    assert_eq!(node.raw().await.send(request(max / 2)).await.reply().await.status(), 200);
    let mut raw = node.raw().await;
    // The node may close before it has read everything.
    let _ = raw.try_send(request(2 * max)).await;
    let rest = String::from_utf8(raw.rest().await).unwrap();
    assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 431 "), "{rest}");
}

/// H10.
#[tokio::test]
async fn header_values_that_are_not_utf8_reach_the_guest_as_bytes() {
    let node = mirror().await;
    let mut raw = node.raw().await;
    raw.send(b"GET / HTTP/1.1\r\nhost: a\r\nx-odd: \xe9\xff\r\n\r\n").await;
    let reply = raw.reply().await;
    assert_eq!(reply.status(), 200);
    assert!(String::from_utf8(reply.body).unwrap().contains("x-odd: \u{fffd}\u{fffd}"));
}

/// H6.
#[tokio::test]
async fn a_client_that_asks_first_is_told_to_go_on_only_when_the_body_is_read() {
    let head = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\nexpect: 100-continue\r\n\r\n";
    let reads = node().app("measures").start().await;
    let mut raw = reads.raw().await;
    assert_eq!(raw.send(head).await.reply().await.status(), 100);
    assert_eq!(raw.send("hello").await.reply().await.status(), 200);
    let refuses = node().app(app("measures").limits(r#"request-body = "4B""#)).start().await;
    assert_eq!(refuses.raw().await.send(head).await.reply().await.status(), 413);
}
