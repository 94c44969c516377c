//! Connections: what they speak, how many requests they carry, and how they end.

use rimward_node::Drained;
use rimward_tests::{Over, app, eventually, node};
use std::num::NonZeroU32;
use std::time::Duration;

#[tokio::test]
async fn one_connection_carries_many_requests() {
    let node = node().app("hello").start().await;
    for over in [Over::Http1, Over::Http2] {
        let connection = node.connect(over).await;
        for answer in connection.get("/").times(20).await {
            answer.is(200).says("hello\n");
            assert_eq!(answer.version(), connection.version());
        }
        assert_eq!(node.node().status().connections, 1);
        drop(connection);
        eventually("it is closed", || (node.node().status().connections == 0).then_some(())).await;
    }
}

#[tokio::test]
async fn requests_of_one_http2_connection_run_at_once() {
    let node = node().app("sleep").start().await;
    let connection = node.connect(Over::Http2).await;
    let sleeping = tokio::spawn(connection.get("/100").at_once(6));
    eventually("six run at once", || (node.node().status().running == 6).then_some(())).await;
    for answer in sleeping.await.unwrap() {
        answer.is(200).says("slept\n");
    }
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_their_order() {
    let node = node().app("mirror").start().await;
    let mut raw = node.raw().await;
    let request = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
    raw.send(request("/1") + &request("/2") + &request("/3")).await;
    for path in ["/1", "/2", "/3"] {
        let reply = raw.reply().await;
        assert!(String::from_utf8(reply.body).unwrap().contains(&format!("http://a{path}\n")));
    }
}

#[tokio::test]
async fn a_client_with_half_a_request_is_not_in_the_way_of_others() {
    let node = node().app("hello").start().await;
    let mut slow = Vec::new();
    for _ in 0..16 {
        let mut raw = node.raw().await;
        raw.send("GET / HTTP/1.1\r\nhost").await;
        slow.push(raw);
    }
    node.get("/").await.is(200);
    let reply = slow[0].send(": a\r\n\r\n").await.reply().await;
    assert_eq!(reply.status(), 200);
}

/// The bound holds, and those who wait are served when there is room.
#[tokio::test]
async fn connections_beyond_the_limit_wait_until_one_ends() {
    let node = node()
        .file(|file| {
            file.limits.connections = NonZeroU32::new(4).unwrap();
            file.node.cores = NonZeroU32::new(1);
        })
        .app("hello")
        .start()
        .await;
    let mut open = Vec::new();
    for _ in 0..4 {
        let connection = node.connect(Over::Http1).await;
        connection.get("/").await.is(200);
        open.push(connection);
    }
    let waiting = tokio::spawn(node.get("/").into_future());
    assert_eq!(node.node().status().connections, 4);
    assert!(!waiting.is_finished());
    drop(open);
    waiting.await.unwrap().is(200);
}

#[tokio::test]
async fn a_second_node_on_the_same_port_does_not_start() {
    let first = node().start().await;
    let taken = first.address();
    let Err(error) = node().file(|file| file.node.listen = vec![taken]).try_start().await else {
        panic!("two nodes listen on {taken}");
    };
    assert!(error.to_string().contains("another program listens there"), "{error}");
}

#[tokio::test]
async fn a_drain_finishes_open_requests_and_takes_no_new_ones() {
    let node = node().app(app("drips").route("/drips/:n")).app("hello").start().await;
    let drips = app("drips").named("forty").route("/40");
    node.install(drips).await;
    let idle = node.connect(Over::Http1).await;
    idle.get("/").await.is(200);
    let busy = node.connect(Over::Http2).await;
    let open = busy.get("/40").open().await;
    let (drained, collected) = tokio::join!(node.drain(Duration::from_secs(20)), open.collect());
    collected.is(200).says(&".".repeat(40));
    assert_eq!(drained, Drained::Finished);
    assert!(idle.is_closed());
    assert!(node.get("/").try_open().await.is_err(), "it no longer listens");
}

#[tokio::test]
async fn a_drain_that_takes_too_long_says_what_is_open() {
    let node = node().app("stalls").start().await;
    let _open = node.get("/").open().await;
    let drained = node.drain(Duration::from_millis(20)).await;
    assert_eq!(drained, Drained::CutOff { connections: 1 });
}

/// H11: streams that are opened and reset at once, faster than anybody looks at them.
#[tokio::test]
async fn a_client_that_resets_streams_rapidly_is_sent_away() {
    let node = node().app("hello").start().await;
    let stream = tokio::net::TcpStream::connect(node.address()).await.unwrap();
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let flooding = async {
        let mut sender = sender;
        for stream in 1.. {
            // What was opened and reset so far is sent in one go.
            if stream % 64 == 0 {
                tokio::task::yield_now().await;
            }
            sender = sender.ready().await?;
            let request = http::Request::get("http://a/").body(()).unwrap();
            let (_reply, mut stream) = sender.send_request(request, false)?;
            stream.send_reset(h2::Reason::CANCEL);
        }
        Ok::<(), h2::Error>(())
    };
    let error = rimward_tests::within("the end of the connection", flooding).await.unwrap_err();
    // Where the connection is closed before the client has read why, it only sees that.
    assert!(error.reason() == Some(h2::Reason::ENHANCE_YOUR_CALM) || error.is_io(), "{error:?}");
    connection.abort();
    node.get("/").await.is(200);
}

/// HTTP/1.1 in the clear is not upgraded: HTTP/2 is spoken with prior knowledge only (RFC 9113, section 3.3).
#[tokio::test]
async fn an_upgrade_to_http2_is_not_followed() {
    let node = node().app("hello").start().await;
    let mut raw = node.raw().await;
    raw.send(
        "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\n\
         http2-settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n\r\n",
    )
    .await;
    assert_eq!(raw.reply().await.status(), 200);
}
