//! HTTP/2 clients that keep the protocol to the letter and make work for nothing. Each is sent away after a bounded number
//! of frames, while others are served.

use rimward_node::limits::{
    H2_CONTROL_FRAMES, H2_HEADER_LIST_BYTES, H2_LOCAL_RESETS, H2_RESET_COST, H2_STREAMS,
};
use rimward_tests::http2::{ENHANCE_YOUR_CALM, Outcome, block, flag, frame, get, kind, request};
use rimward_tests::{RawHttp2, TestNode, app, eventually, node, within};

async fn door() -> TestNode {
    node().app("hello").app(app("stalls").route("/stalls")).app(app("flood").route("/:n")).start().await
}

/// Sends this again and again, much more often than is allowed. The client is sent away, and others are served.
async fn check(node: &TestNode, name: &str, mut client: RawHttp2, bytes: &[u8]) {
    // In pieces, so that the node has a say before all is sent.
    let batch = bytes.repeat(64);
    for _ in 0..1 << 10 {
        if client.try_send(&batch).await.is_err() {
            break;
        }
    }
    let code = client.end().await;
    assert_eq!(code, Some(ENHANCE_YOUR_CALM), "{name}");
    node.get("/").await.is(200).says("hello\n");
}

/// H11: frames of the connection.
#[tokio::test]
async fn a_client_that_sends_control_frames_only_is_sent_away() {
    let node = door().await;
    let floods = [
        ("PING", frame(kind::PING, 0, 0, &[7; 8])),
        ("PING with ACK", frame(kind::PING, flag::ACK, 0, &[7; 8])),
        ("SETTINGS", frame(kind::SETTINGS, 0, 0, &[])),
        ("SETTINGS that resize", frame(kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 1])),
        ("PRIORITY", frame(kind::PRIORITY, 0, 1, &[0, 0, 0, 0, 1])),
        ("WINDOW_UPDATE", frame(kind::WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1])),
        ("unknown", frame(99, 0, 0, &[0; 8])),
    ];
    let count = floods.len();
    for (name, bytes) in floods {
        check(&node, name, node.raw_http2().await, &bytes).await;
    }
    #[expect(clippy::cast_precision_loss, reason = "it is small")]
    node.metric("rimward_connections_refused_total", "reason=flood").is(count as f64).await;
    eventually("they are closed", || (node.node().status().connections == 0).then_some(())).await;
}

/// H11: a client that reads what it is told is told why.
#[tokio::test]
async fn the_limit_on_control_frames_is_exact_and_says_why() {
    let node = door().await;
    let ping = frame(kind::PING, 0, 0, &[7; 8]);
    let mut client = node.raw_http2().await;
    // Its SETTINGS was one of them.
    let allowed = H2_CONTROL_FRAMES as usize - 1;
    client.send(ping.repeat(allowed)).await.send(request(1, "/")).await;
    assert_eq!(client.outcome(1).await, Outcome::Status(200));
    let mut client = node.raw_http2().await;
    // Twice as many: what the answers and the time earn meanwhile is much less.
    let _ = client.try_send(ping.repeat(2 * H2_CONTROL_FRAMES as usize)).await;
    let _ = client.try_send(request(1, "/")).await;
    assert_eq!(client.outcome(1).await, Outcome::GoAway(ENHANCE_YOUR_CALM));
}

/// H11: streams that are opened and given up, slowly enough for each to be begun.
#[tokio::test]
async fn a_client_that_gives_up_every_stream_is_sent_away() {
    let node = door().await;
    let mut client = node.raw_http2().await;
    let most = H2_CONTROL_FRAMES / H2_RESET_COST * 4;
    let mut given_up = 0;
    for stream in (1_u32..).step_by(2).take(most as usize) {
        let ping = frame(kind::PING, 0, 0, &stream.to_be_bytes().repeat(2));
        let reset = frame(kind::RST_STREAM, 0, stream, &[0, 0, 0, 8]);
        if client.try_send([request(stream, "/stalls"), ping].concat()).await.is_err() {
            break;
        }
        // The answer to a PING says that the stream was seen.
        let seen = async {
            while let Some(frame) = client.next().await {
                if frame.kind == kind::PING && frame.flags == flag::ACK {
                    return true;
                }
            }
            false
        };
        if !within("an answer", seen).await || client.try_send(reset).await.is_err() {
            break;
        }
        given_up += 1;
    }
    assert!(given_up < most, "every one of {most} was taken");
    node.get("/").await.is(200);
    node.is_idle().await;
}

/// How many streams a client can make the node reset by what `fault` sends on each, before it is sent away.
async fn made_to_reset(node: &TestNode, fault: impl Fn(u32) -> Vec<u8>) -> usize {
    let mut client = node.raw_http2().await;
    let post = [(":method", "POST"), (":scheme", "http"), (":path", "/stalls"), (":authority", "a")];
    let post = block(&[&post[..], &[("content-length", "5")]].concat());
    let mut reset = 0;
    for stream in (1..).step_by(2).take(4 * H2_LOCAL_RESETS) {
        let open = frame(kind::HEADERS, flag::END_HEADERS, stream, &post);
        if client.try_send([open, fault(stream)].concat()).await.is_err() {
            break;
        }
        // It may have begun to answer.
        let over = loop {
            match client.outcome(stream).await {
                Outcome::Status(_) => {}
                Outcome::Reset(_) => break false,
                Outcome::GoAway(_) | Outcome::Closed => break true,
            }
        };
        if over {
            break;
        }
        reset += 1;
    }
    reset
}

/// H11: "MadeYouReset", CVE-2025-8671: the client makes the node reset its streams, by a window that does not grow, one
/// that grows too much, content that is too long, trailers that do not end the stream, and a stream that waits for itself.
#[tokio::test]
async fn a_client_that_makes_the_node_reset_streams_is_sent_away() {
    let node = door().await;
    let window = |stream, growth: u32| frame(kind::WINDOW_UPDATE, 0, stream, &growth.to_be_bytes());
    let no_growth = made_to_reset(&node, |stream| window(stream, 0)).await;
    let overflow = made_to_reset(&node, |stream| window(stream, 0x7fff_ffff)).await;
    let too_long = made_to_reset(&node, |stream| frame(kind::DATA, 0, stream, b"too long")).await;
    let trailers = |stream| frame(kind::HEADERS, flag::END_HEADERS, stream, &block(&[("x", "y")]));
    let trailers = made_to_reset(&node, trailers).await;
    let itself = |stream: u32| frame(kind::PRIORITY, 0, stream, &[&stream.to_be_bytes()[..], &[0]].concat());
    let itself = made_to_reset(&node, itself).await;
    let made = [no_growth, overflow, too_long, trailers, itself];
    assert!(made.iter().all(|made| *made <= H2_LOCAL_RESETS), "{made:?}");
    assert!(made.iter().any(|made| *made > 0), "none of them resets: {made:?}");
    node.get("/").await.is(200);
    node.is_idle().await;
}

/// H11: a header block that never ends, in frames with something in them and without.
#[tokio::test]
async fn a_header_block_that_never_ends_ends_the_connection() {
    let node = door().await;
    for payload in [&b""[..], &block(&[("x", "y")])] {
        let mut client = node.raw_http2().await;
        client.send(frame(kind::HEADERS, flag::END_STREAM, 1, &block(&get("/")))).await;
        check(&node, "CONTINUATION", client, &frame(kind::CONTINUATION, 0, 1, payload)).await;
    }
}

/// H11: content without content.
#[tokio::test]
async fn empty_data_ends_the_connection() {
    let node = door().await;
    let mut client = node.raw_http2().await;
    client.send(frame(kind::HEADERS, flag::END_HEADERS, 1, &block(&get("/stalls")))).await;
    check(&node, "DATA", client, &frame(kind::DATA, 0, 1, &[])).await;
}

/// H11, H4: a block that is small on the wire and large when it is unpacked ("HPACK bomb").
#[tokio::test]
async fn a_header_list_is_taken_up_to_its_size() {
    let node = door().await;
    // One field of 4,000 bytes that is remembered, then named again with one byte each.
    let value = "x".repeat(3_900);
    let mut remembered = block(&[("bomb", &value)]);
    remembered[0] = 0x40;
    let bomb = |times: usize| {
        let mut block = block(&get("/"));
        block.extend_from_slice(&remembered);
        block.extend(std::iter::repeat_n(0xbe, times));
        frame(kind::HEADERS, flag::END_STREAM | flag::END_HEADERS, 1, &block)
    };
    let mut fits = node.raw_http2().await;
    assert_eq!(fits.send(bomb(5)).await.outcome(1).await, Outcome::Status(200));
    for times in [16, 10_000] {
        let mut client = node.raw_http2().await;
        let outcome = client.send(bomb(times)).await.outcome(1).await;
        // 431 has no byte of its own in the static table.
        let refused =
            matches!(outcome, Outcome::Status(0) | Outcome::Reset(_) | Outcome::GoAway(ENHANCE_YOUR_CALM));
        assert!(refused, "{times}: {outcome:?} with a limit of {H2_HEADER_LIST_BYTES}");
    }
    node.get("/").await.is(200);
}

/// H11, H3: streams that are open and get nowhere hold no more than their number, and are not the only ones.
#[tokio::test]
async fn streams_with_a_shut_window_are_bounded() {
    let node = door().await;
    let mut client = node.raw_http2().await;
    // A window of nothing for every stream.
    client.send(frame(kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0])).await;
    let streams = H2_STREAMS + 1;
    for stream in (1..).step_by(2).take(streams as usize) {
        client.send(request(stream, "/64")).await;
    }
    let refused = client.outcome(2 * streams - 1).await;
    assert_eq!(refused, Outcome::Reset(7), "one more than there may be");
    drop(client);
    node.is_idle().await;
    node.get("/").await.is(200);
}
