//! Bodies both ways: lengths, streaming, backpressure, trailers, and ends that come too early.

use rimward_node::Outcome;
use rimward_tests::{App, Over, app, eventually, node, upload, within};
use std::time::Duration;

#[tokio::test]
async fn a_small_reply_has_a_content_length() {
    let node = node().app("hello").start().await;
    // A guest that just started keeps its thread longer than one that has run before, and is answered as it goes.
    node.get("/").times(16).await;
    for over in [Over::Http1, Over::Http2] {
        node.get("/").over(over).await.is(200).says("hello\n").has("content-length", "6");
    }
}

#[tokio::test]
async fn a_reply_that_the_guest_makes_over_time_is_streamed() {
    let node = node().app("drips").start().await;
    let answer = node.get("/3").await;
    answer.is(200).says("...").has("transfer-encoding", "chunked").has_no("content-length");
    let mut open = node.get("/").over(Over::Http2).open().await;
    assert_eq!(&open.piece().await.unwrap().unwrap()[..], b".");
}

#[tokio::test]
async fn a_mebibyte_is_echoed() {
    let node = node().app("echo").start().await;
    let body: Vec<u8> = (0..1 << 20).map(|at: u32| (at % 251) as u8).collect();
    for over in [Over::Http1, Over::Http2] {
        let answer = node.post("/").over(over).body(body.clone()).await;
        assert_eq!(answer.is(200).bytes(), &body);
    }
}

#[tokio::test]
async fn echo_sends_the_beginning_back_before_the_end_was_sent() {
    let node = node().app("echo").start().await;
    for over in [Over::Http1, Over::Http2] {
        let (sending, body) = upload();
        let opening = tokio::spawn(node.post("/").over(over).streams(body).open());
        assert!(sending.send("first").await);
        let mut open = opening.await.unwrap();
        assert_eq!(&open.piece().await.unwrap().unwrap()[..], b"first");
        assert!(sending.send("second").await);
        assert_eq!(&open.piece().await.unwrap().unwrap()[..], b"second");
        drop(sending);
        open.collect().await.says("");
    }
}

#[tokio::test]
async fn trailers_go_both_ways() {
    let node = node().app("trailers").app(app("measures").route("/measures")).start().await;
    let answer = node.get("/").over(Over::Http2).await;
    assert_eq!(answer.is(200).says("body\n").trailers()["x-checksum"], "42");

    let (sending, body) = upload();
    let call = tokio::spawn(node.post("/measures").over(Over::Http2).streams(body).into_future());
    assert!(sending.send("12345").await);
    sending.end_with([("x-sum".parse().unwrap(), "7".parse().unwrap())].into_iter().collect()).await;
    call.await.unwrap().is(200).says("5 bytes {\"x-sum\": \"7\"}\n");
}

#[tokio::test]
async fn a_reply_to_head_has_the_length_and_no_body() {
    let node = node().app("hello").start().await;
    // As above: a guest that has run before is answered as it goes.
    node.get("/").times(16).await;
    for over in [Over::Http1, Over::Http2] {
        node.call("HEAD", "/").over(over).await.is(200).says("").has("content-length", "6");
    }
    let mut raw = node.raw().await;
    raw.send("HEAD / HTTP/1.1\r\nhost: a\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        .await;
    let rest = String::from_utf8(raw.rest().await).unwrap();
    assert_eq!(rest.matches("hello").count(), 1, "{rest}");
}

/// G20: of `wasi:http` 0.2; both versions are in `tests/hostile`.
#[tokio::test]
async fn a_status_without_a_body_has_none() {
    let node = node().app("status").start().await;
    for status in [204, 304] {
        let answer = node.get(&format!("/{status}")).await;
        answer.is(status).says("").has_no("content-length").has_no("transfer-encoding");
    }
    for status in [200, 201, 404, 503] {
        node.get(&format!("/{status}"))
            .await
            .is(status)
            .says("a body\n")
            .has("x-status", &status.to_string());
    }
}

/// G20: of `wasi:http` 0.2; both versions are in `tests/hostile`.
#[tokio::test]
async fn a_status_that_is_no_final_one_is_no_reply() {
    let node = node().app("status").start().await;
    for status in [100, 101, 199, 0, 99, 1000] {
        let answer = node.get(&format!("/{status}")).await;
        assert_eq!(answer.status() / 100, 5, "{status}: {answer:?}");
    }
}

/// G18: the announced length is kept, or the reply is not sent as if it were complete.
#[tokio::test]
async fn a_guest_that_sends_the_wrong_length_is_cut_short() {
    let node = node().app("wrong-length").start().await;
    node.get("/10").await.is(200).says("xxxxxxxxxx").has("content-length", "10");
    for bytes in ["/9", "/11"] {
        let open = node.get(bytes).open().await;
        assert!(open.status() >= 500, "{bytes}: {}", open.status());
    }
}

/// G3: of `wasi:http` 0.2; both versions are in `tests/hostile`.
#[tokio::test]
async fn a_trap_midway_never_looks_like_the_end() {
    let node = node().app("trap-midway").start().await;
    for over in [Over::Http1, Over::Http2] {
        let open = node.get("/").over(over).open().await;
        assert_eq!(open.status(), 200);
        assert_eq!(&open.is_cut_short().await[..], b"the beginning");
    }
    for ended in node.heard().ends(2).await {
        assert_eq!((ended.outcome, ended.status), (Outcome::CutShort("rimward.guest.trap"), Some(200)));
    }
}

/// The CPU budget covers the whole invocation.
#[tokio::test]
async fn a_guest_that_spins_after_the_head_is_stopped() {
    let node = node().app(app("spin").limits(r#"cpu = "50ms""#)).start().await;
    let open = node.get("/after-the-head").open().await;
    assert_eq!(&open.is_cut_short().await[..], b"the beginning");
    assert_eq!(node.heard().ends(1).await[0].outcome, Outcome::CutShort("rimward.guest.cpu"));
}

/// G16: of `wasi:http` 0.2; both versions are in `tests/hostile`.
#[tokio::test]
async fn a_reply_that_stalls_is_cut_short_after_its_idle_time() {
    let node = node().app(app("stalls").limits(r#"stream-idle = "50ms""#)).start().await;
    let open = node.get("/").open().await;
    assert_eq!(&open.is_cut_short().await[..], b"the beginning");
    assert_eq!(node.heard().ends(1).await[0].outcome, Outcome::CutShort("rimward.guest.stream"));
    node.is_idle().await;
}

/// G16: of `wasi:http` 0.2; both versions are in `tests/hostile`.
#[tokio::test]
async fn a_reply_that_drips_for_ever_is_cut_short_at_its_longest_time() {
    let drips = app("drips").limits(r#"stream-idle = "10s", stream-max = "60ms""#);
    let node = node().app(drips).start().await;
    assert!(!node.get("/").open().await.is_cut_short().await.is_empty());
    assert_eq!(node.heard().ends(1).await[0].outcome, Outcome::CutShort("rimward.guest.stream"));
}

/// G12, H13: of `wasi:http` 0.2; both versions are in `tests/hostile`.
#[tokio::test]
async fn a_client_that_goes_away_midway_ends_its_guest() {
    let node = node().app("stalls").start().await;
    for over in [Over::Http1, Over::Http2] {
        drop(node.get("/").over(over).open().await);
    }
    for ended in node.heard().ends(2).await {
        assert_eq!((ended.outcome, ended.status), (Outcome::Abandoned, Some(200)));
    }
    node.is_idle().await;
    node.metric("rimward_requests_total", "status=abandoned").is(2.0).await;
}

/// G12, H13: of `wasi:http` 0.2; both versions are in `tests/hostile`.
#[tokio::test]
async fn a_client_that_goes_away_before_the_reply_ends_its_guest() {
    let node = node().app("sleep").start().await;
    for over in [Over::Http1, Over::Http2] {
        let call = tokio::spawn(node.get("/").over(over).open());
        eventually("the guest runs", || (node.node().status().running == 1).then_some(())).await;
        call.abort();
        node.is_idle().await;
    }
    for ended in node.heard().ends(2).await {
        assert_eq!((ended.outcome, ended.status), (Outcome::Abandoned, None));
    }
}

/// G12: at any moment of an invocation.
async fn check_cancelled(cancels: usize) {
    let node = node().app("drips").app(app("hello").route("/hello")).start().await;
    let mut connection = node.connect(Over::Http2).await;
    for cancel in 0..cancels {
        // A connection on which many are reset before anybody saw them is sent away as a flood.
        if cancel % 15 == 0 {
            connection = node.connect(Over::Http2).await;
        }
        let call = tokio::spawn(connection.get("/3").into_future());
        for _ in 0..cancel % 50 {
            tokio::task::yield_now().await;
        }
        if cancel % 7 == 0 {
            connection.get("/hello").await.is(200);
        }
        call.abort();
    }
    node.is_idle().await;
    node.get("/hello").await.is(200).says("hello\n");
    node.metric("rimward_function_running", "").is(0.0).await;
}

#[tokio::test]
async fn a_storm_of_cancelled_requests_leaves_nothing_behind() {
    check_cancelled(300).await;
}

mod slow {
    #[tokio::test]
    async fn ten_thousand_cancelled_requests_leave_nothing_behind() {
        super::check_cancelled(10_000).await;
    }
}

/// One stream of a connection is reset; the others go on.
#[tokio::test]
async fn a_reset_stream_ends_its_guest_only() {
    let node = node().app("stalls").app(app("drips").route("/drips/*n")).start().await;
    let connection = node.connect(Over::Http2).await;
    let drips = connection.get("/drips/").open().await;
    drop(connection.get("/").open().await);
    let ended = node.heard().end(|ended| ended.path == "/").await;
    assert_eq!(ended.outcome, Outcome::Abandoned);
    eventually("only the other runs", || (node.node().status().running == 1).then_some(())).await;
    assert!(!connection.is_closed());
    drop(drips);
}

/// What the guest has sent while nobody reads: what the windows and buffers between hold, and no more.
#[tokio::test]
async fn a_guest_that_floods_waits_for_its_reader() {
    let node = node().app(app("flood").route("/flood/:n")).app("hello").start().await;
    let flood = app("flood").named("flood-16").route("/16");
    node.install(flood).await;
    let mut open = node.get("/16").over(Over::Http2).open().await;
    let first = open.piece().await.unwrap().unwrap();
    for answer in node.get("/").times(100).await {
        answer.is(200);
    }
    let sent = node.heard().logged().len();
    assert!(sent <= 2, "{sent} MiB were taken from the guest while nobody read");
    let rest = open.collect().await;
    assert_eq!(first.len() + rest.bytes().len(), 16 << 20);
}

/// H3: an HTTP/2 client that keeps its window shut holds neither a permit nor an instance for long.
#[tokio::test]
async fn a_reader_that_stops_reading_ends_the_guest() {
    let node = node().app(app("flood").limits(r#"stream-idle = "200ms""#)).start().await;
    let unread = node.get("/64").over(Over::Http2).open().await;
    node.metric("rimward_function_running", "function=flood").is(0.0).await;
    assert_eq!(node.heard().ends(1).await[0].outcome, rimward_node::Outcome::Abandoned);
    drop(unread);
}

/// G17, H2: the other direction.
#[tokio::test]
async fn a_client_waits_for_a_guest_that_does_not_read() {
    let node = node().app("sleep").app(app("hello").route("/hello")).start().await;
    let (sending, body) = upload();
    let call = tokio::spawn(node.post("/").over(Over::Http2).streams(body).open());
    let piece = vec![b'x'; 16 << 10];
    let mut sent = 0;
    let flooding = async {
        while sending.send(piece.clone()).await {
            sent += piece.len();
        }
    };
    let meanwhile = node.get("/hello").times(100);
    tokio::select! {
        () = flooding => panic!("the body was refused"),
        _ = meanwhile => {}
    }
    assert!(sent <= 1 << 20, "{sent} bytes were taken while nobody read");
    call.abort();
}

/// G17: of `wasi:http` 0.2; both versions are in `tests/hostile`.
#[tokio::test]
async fn a_guest_may_answer_without_reading_the_request() {
    let node = node().app("hello").start().await;
    for over in [Over::Http1, Over::Http2] {
        let big = vec![b'x'; 4 << 20];
        node.post("/").over(over).body(big).await.is(200).says("hello\n");
    }
}

/// A function that takes 1 KiB.
fn measures() -> App {
    app("measures").limits(r#"request-body = "1KiB""#)
}

/// H5.
#[tokio::test]
async fn a_body_is_taken_up_to_its_limit_and_not_a_byte_more() {
    let node = node().app(measures()).start().await;
    for over in [Over::Http1, Over::Http2] {
        let sized = |bytes: usize| node.post("/").over(over.clone()).body(vec![b'x'; bytes]);
        sized(1024).await.is(200).says("1024 bytes {}\n");
        sized(1025).await.is(413).code("rimward.caller.body-too-large");
        let streamed = async |bytes: usize| {
            let (sending, body) = upload();
            let call = tokio::spawn(node.post("/").over(over.clone()).streams(body).into_future());
            sending.send(vec![b'x'; bytes]).await;
            drop(sending);
            within("the reply", call).await.unwrap()
        };
        streamed(1024).await.is(200).says("1024 bytes {}\n");
        streamed(1025).await.is(413).code("rimward.caller.body-too-large");
    }
    node.metric("rimward_function_failures_total", "code=rimward.caller.body-too-large").is(4.0).await;
    for ended in node.heard().ends(8).await.iter().filter(|ended| ended.status == Some(413)) {
        assert_eq!(ended.outcome, rimward_node::Outcome::Failed("rimward.caller.body-too-large"));
    }
}

#[tokio::test]
async fn a_length_over_the_limit_is_refused_before_the_function_is_called() {
    let node = node().app(measures()).start().await;
    node.post("/").body(vec![b'x'; 1025]).await.code("rimward.caller.body-too-large");
    node.metric("rimward_function_instances_total", "start=fresh").is(0.0).await;
    node.metric("rimward_requests_refused_total", "code=rimward.caller.body-too-large").is(1.0).await;
    node.metric("rimward_function_failures_total", "code=rimward.caller.body-too-large").is(1.0).await;
}

/// The second function tells the time: it answers when that much has passed.
#[tokio::test]
async fn waiting_for_the_client_is_not_the_functions_time() {
    let node =
        node().app(app("measures").limits(r#"wall = "100ms""#)).app(app("sleep").route("/:ms")).start().await;
    let (sending, body) = upload();
    let call = tokio::spawn(node.post("/").streams(body).into_future());
    assert!(sending.send("slow ").await);
    node.get("/300").await.is(200);
    assert!(sending.send("client").await);
    drop(sending);
    call.await.unwrap().is(200).says("11 bytes {}\n");
}

/// G26: of `wasi:http` 0.2; both versions are in `tests/hostile`.
#[tokio::test]
async fn a_guest_may_finish_its_work_after_the_reply() {
    let node = node().app("lingers").start().await;
    node.get("/").await.is(200).says("done\n");
    node.heard().log("still here").await;
    assert_eq!(node.heard().ends(1).await[0].outcome, Outcome::Answered);
}

/// G26: of `wasi:http` 0.2; both versions are in `tests/hostile`.
#[tokio::test]
async fn a_guest_that_lingers_for_ever_is_ended_after_a_while() {
    let node = node().app("lingers").start().await;
    node.get("/for-ever").await.is(200).says("done\n");
    let ended = &node.heard().ends(1).await[0];
    assert_eq!(ended.outcome, Outcome::Answered);
    assert!(ended.duration >= rimward_capability::limits::LINGER, "{:?}", ended.duration);
    assert!(ended.duration < rimward_capability::limits::LINGER + Duration::from_secs(5));
    node.is_idle().await;
}
