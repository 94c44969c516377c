//! Clients that are slow, that go away, and that close one side.

use rimward_node::Outcome;
use rimward_node::limits::HEAD_TIME;
use rimward_tests::{NodeBuilder, Over, Raw, app, eventually, node, within};
use std::time::{Duration, Instant};

/// A node that does not take a client to be gone because it has closed its side.
fn patient() -> NodeBuilder {
    node().file(|file| file.limits.half_closed = "10s".parse().unwrap())
}

/// H14: a reply that is made at once, later, and piece by piece.
#[tokio::test]
async fn a_client_that_closes_its_side_gets_the_whole_reply() {
    let node =
        patient().app("hello").app(app("sleep").route("/:ms")).app(app("drips").route("/40")).start().await;
    for (path, says) in [("/", "hello\n"), ("/300", "slept\n"), ("/40", &".".repeat(40))] {
        let mut raw = node.raw().await;
        raw.send(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")).await.half_close().await;
        let started = Instant::now();
        let rest = String::from_utf8(raw.rest().await).unwrap();
        assert!(rest.starts_with("HTTP/1.1 200"), "{path}: {rest}");
        let content = rest.split_once("\r\n\r\n").unwrap().1;
        // In chunks, where it did not come at once.
        let is_size = |line: &&str| !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_hexdigit());
        let content: String = content.split("\r\n").filter(|line| !is_size(line)).collect();
        assert_eq!(content, says, "{path}");
        // And it is not kept waiting for the end of the connection.
        assert!(started.elapsed() < Duration::from_secs(8), "{path}: {:?}", started.elapsed());
    }
    for ended in node.heard().ends(3).await {
        assert_eq!(ended.outcome, Outcome::Answered);
    }
}

/// H14: requests that were sent before the end are answered, half of one is not.
#[tokio::test]
async fn what_was_sent_whole_before_the_end_is_answered() {
    let node = patient().app("measures").start().await;
    let whole = "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\nab";
    let mut raw = node.raw().await;
    raw.send(format!("{whole}{whole}")).await.half_close().await;
    let replies = raw.replies().await;
    assert_eq!(replies.len(), 2, "{replies:?}");
    assert!(replies.iter().all(|reply| reply.content() == b"2 bytes {}\n"), "{replies:?}");
    let mut raw = node.raw().await;
    raw.send("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nab").await.half_close().await;
    let rest = String::from_utf8(raw.rest().await).unwrap();
    assert!(!rest.starts_with("HTTP/1.1 200"), "{rest}");
    node.is_idle().await;
}

/// H14: a large reply to a client that reads slowly after it has closed its side.
#[tokio::test]
async fn a_large_reply_reaches_a_client_that_has_closed_its_side() {
    let node = patient().app(app("flood").route("/:n")).start().await;
    let mut raw = node.raw().await;
    raw.send("GET /8 HTTP/1.1\r\nhost: a\r\n\r\n").await.half_close().await;
    eventually("it runs", || (node.node().status().running == 1).then_some(())).await;
    let rest = raw.rest().await;
    assert!(rest.len() > 8 << 20, "{} bytes", rest.len());
    assert!(rest.ends_with(b"\r\n0\r\n\r\n"), "to its end");
}

/// H13: a client that is gone looks like one that closed its side, until nothing was written to it for a while.
#[tokio::test]
async fn a_client_that_closed_its_side_is_not_waited_for_for_ever() {
    let node = node().app("sleep").app(app("stalls").route("/stalls")).start().await;
    for path in ["/", "/stalls"] {
        let mut raw = node.raw().await;
        raw.send(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")).await.half_close().await;
        raw.rest().await;
        assert_eq!(node.heard().end(|ended| ended.path == path).await.outcome, Outcome::Abandoned);
    }
    node.is_idle().await;
}

/// H13: a client that breaks off is noticed at once, however long one that closed its side is waited for.
#[tokio::test]
async fn a_client_that_breaks_off_ends_its_guest_at_once() {
    let node = patient().app("sleep").app(app("stalls").route("/stalls")).start().await;
    for path in ["/", "/stalls"] {
        let mut raw = node.raw().await;
        raw.send(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")).await;
        if path == "/stalls" {
            // Its reply has begun.
            within("a head", raw.head()).await;
        }
        eventually("it runs", || (node.node().status().running == 1).then_some(())).await;
        let started = Instant::now();
        raw.reset();
        node.is_idle().await;
        assert!(started.elapsed() < Duration::from_secs(8), "{path}: {:?}", started.elapsed());
    }
    for ended in node.heard().ends(2).await {
        assert_eq!(ended.outcome, Outcome::Abandoned);
    }
}

/// Sends a byte of `bytes` every so often until the node closes; how long that took.
async fn drip(mut raw: Raw, bytes: &[u8], pause: Duration) -> Duration {
    let started = Instant::now();
    for byte in bytes {
        if raw.try_send([*byte]).await.is_err() {
            return started.elapsed();
        }
        tokio::time::sleep(pause).await;
        if raw.is_closed() {
            return started.elapsed();
        }
    }
    raw.rest().await;
    started.elapsed()
}

/// H1, H12: heads that come slowly, begin late or never end, a preface that stops, and a connection that is not used: all
/// at once, because that takes as long as the limit. Others are served meanwhile.
#[tokio::test]
async fn a_client_that_does_not_get_to_the_point_is_closed_in_time() {
    let node = node().app("hello").start().await;
    let second = Duration::from_secs(1);
    let endless = "GET / HTTP/1.1\r\nhost: a\r\n".to_owned() + &"x: y\r\n".repeat(20);
    let mut used = node.raw().await;
    used.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.reply().await;
    let slow = [
        drip(node.raw().await, b"", second),
        drip(node.raw().await, endless.as_bytes(), second),
        drip(node.raw().await, b"PRI * HTTP/2.0\r\n\r\nS", Duration::from_millis(10)),
        drip(used, b"", second),
        drip(node.raw().await, b"\r\n", second),
    ];
    let mut slow = std::pin::pin!(futures_util::future::join_all(slow));
    let took = loop {
        tokio::select! {
            took = &mut slow => break took,
            () = tokio::time::sleep(second) => { node.get("/").await.is(200); }
        }
    };
    for (client, took) in took.iter().enumerate() {
        assert!(*took >= HEAD_TIME - second, "{client}: {took:?}");
        assert!(*took < HEAD_TIME * 2 + second, "{client}: {took:?}");
    }
    eventually("they are closed", || (node.node().status().connections == 0).then_some(())).await;
}

/// H5, H6: a body that is too large is refused before it is sent, and nothing more is read on that connection.
#[tokio::test]
async fn a_body_that_announces_too_much_ends_its_connection() {
    let node = node().app(app("measures").limits(r#"request-body = "4B""#)).start().await;
    for fields in ["content-length: 5\r\n", "content-length: 5\r\nexpect: 100-continue\r\n"] {
        let mut raw = node.raw().await;
        raw.send(format!("POST / HTTP/1.1\r\nhost: a\r\n{fields}\r\n")).await;
        let replies = raw.replies().await;
        assert_eq!(replies.len(), 1, "{replies:?}");
        assert_eq!(replies[0].status(), 413);
        assert!(replies[0].head.contains("connection: close\r\n"), "{}", replies[0].head);
    }
    let mut raw = node.raw().await;
    raw.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n").await;
    let replies = raw.replies().await;
    assert_eq!(replies.len(), 1, "{replies:?}");
    assert_eq!(replies[0].status(), 413);
    node.metric("rimward_function_instances_total", "start=fresh").is(1.0).await;
}

/// H10: bytes that are no text, in every place that takes them, and none of them in what the node writes.
#[tokio::test]
async fn values_that_are_no_text_do_not_get_into_lines_and_metrics() {
    let node = node().app("mirror").start().await;
    let mut raw = node.raw().await;
    raw.send(b"GET /?q=%0a%22 HTTP/1.1\r\nhost: a\r\nx-odd: \xff\xfe\"\x1b[31m\r\n\r\n".as_slice()).await;
    // An escape is a control character and no value has it.
    assert_eq!(raw.reply().await.status(), 400);
    let mut raw = node.raw().await;
    raw.send(
        b"GET /?q=%0a%22 HTTP/1.1\r\nhost: a\r\nx-request-id: \xff\r\nx-odd: \xff\xfe\"\r\n\r\n".as_slice(),
    )
    .await;
    assert_eq!(raw.reply().await.status(), 200);
    let ended = node.heard().ends(1).await;
    assert!(ended.iter().all(|ended| ended.request_id.is_ascii() && ended.path.is_ascii()), "{ended:?}");
    assert!(node.node().metrics().is_ascii());
    node.get("/").over(Over::Http2).await.is(200);
}
