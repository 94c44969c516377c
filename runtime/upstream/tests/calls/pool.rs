//! Connections: reused, replaced, bounded, never lent to whom they are not for.

use crate::support::servers::{Server, always, http, https, raw, read_head, say};
use crate::support::{
    Names, call, channel, client, client_with, data, egress, full, get, get_text, post, text, upstream,
};
use crate::tls::{secure_upstream, trusting};
use http::{Request, Response};
use http_body_util::BodyExt as _;
use rimward_upstream::{Client, Error, Target, Timeouts, Upstream, limits};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;
use tokio::sync::{Notify, Semaphore, mpsc};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[tokio::test]
async fn requests_one_after_the_other_share_a_connection() {
    let server = always("hello").await;
    let (client, upstream) = (client(), upstream(server.address));
    for _ in 0..100 {
        assert_eq!(get_text(&client, &upstream).await.unwrap(), "hello");
    }
    assert_eq!(server.connections(), 1);
}

/// A server that closes a connection as soon as a second request arrives on it.
async fn forgetful() -> Server {
    raw(|mut stream, _| async move {
        read_head(&mut stream).await;
        say(&mut stream, OK).await;
        read_head(&mut stream).await;
    })
    .await
}

/// C15: the close crosses the request on its way.
#[tokio::test]
async fn an_idempotent_request_that_meets_the_servers_close_goes_out_again() {
    let server = forgetful().await;
    let (client, upstream) = (client(), upstream(server.address));
    for _ in 0..50 {
        assert_eq!(get_text(&client, &upstream).await.unwrap(), "ok");
    }
    assert_eq!(server.connections(), 50);
}

/// C9.
#[tokio::test]
async fn a_request_that_may_have_been_seen_and_is_not_idempotent_goes_out_once() {
    let server = forgetful().await;
    let (client, upstream) = (client(), upstream(server.address));
    assert_eq!(get_text(&client, &upstream).await.unwrap(), "ok");
    let failed = call(&client, &upstream, post("http://it.upstream.internal/", full(""))).await;
    assert!(matches!(failed, Err(Error::ConnectionTerminated(_))), "{failed:?}");
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_request_goes_out_again_only_once() {
    let server = raw(|mut stream, connection| async move {
        read_head(&mut stream).await;
        if connection == 0 {
            say(&mut stream, OK).await;
            read_head(&mut stream).await;
        }
    })
    .await;
    let (client, upstream) = (client(), upstream(server.address));
    assert_eq!(get_text(&client, &upstream).await.unwrap(), "ok");
    let failed = get_text(&client, &upstream).await;
    assert!(matches!(failed, Err(Error::ConnectionTerminated(_))), "{failed:?}");
    assert_eq!(server.connections(), 2);
}

/// C15: the close has arrived before the request is sent, so even a POST with a body is safe to move.
#[tokio::test]
async fn a_connection_closed_while_idle_costs_no_request() {
    let closed = Arc::new(Notify::new());
    let tell = closed.clone();
    let server = raw(move |mut stream, _| {
        let tell = tell.clone();
        async move {
            let head = read_head(&mut stream).await.to_lowercase();
            if head.starts_with("post") {
                stream.read_exact(&mut [0; 4]).await.unwrap();
            }
            say(&mut stream, OK).await;
            drop(stream);
            tell.notify_one();
        }
    })
    .await;
    let (client, upstream) = (client(), upstream(server.address));
    for round in 1..=50 {
        let response = call(&client, &upstream, post("http://it.upstream.internal/", full("body"))).await;
        let response = response.unwrap_or_else(|error| panic!("round {round}: {error:?}"));
        assert_eq!(text(response).await.unwrap(), "ok");
        closed.notified().await;
    }
    assert_eq!(server.connections(), 50);
}

/// C15: the close has arrived, but this core was too busy to hear of it.
#[tokio::test]
async fn a_close_that_the_runtime_has_not_seen_yet_costs_no_request() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (closes, closed) = std::sync::mpsc::channel();
    let (close, told) = std::sync::mpsc::channel();
    let server = std::thread::spawn(move || {
        for _ in 0..2 {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\nbody") {
                let mut byte = [0];
                std::io::Read::read_exact(&mut stream, &mut byte).unwrap();
                head.extend(byte);
            }
            std::io::Write::write_all(&mut stream, OK.as_bytes()).unwrap();
            told.recv().unwrap();
            drop(stream);
            closes.send(()).unwrap();
        }
    });
    let (client, upstream) = (client(), upstream(address));
    for _ in 0..2 {
        let answer =
            call(&client, &upstream, post("http://it.upstream.internal/", full("body"))).await.unwrap();
        assert_eq!(text(answer).await.unwrap(), "ok");
        // Blocks the runtime on purpose: it cannot ask the kernel before the next request.
        close.send(()).unwrap();
        closed.recv().unwrap();
    }
    server.join().unwrap();
}

/// A server that answers when it is let, and says when it was asked.
async fn gated() -> (Server, Arc<Semaphore>, mpsc::Receiver<()>) {
    let gate = Arc::new(Semaphore::new(0));
    let (asked, asks) = mpsc::channel(16);
    let let_through = gate.clone();
    let server = http(move |_| {
        let (gate, asked) = (let_through.clone(), asked.clone());
        async move {
            asked.send(()).await.unwrap();
            gate.acquire().await.unwrap().forget();
            Response::new(full("ok"))
        }
    })
    .await;
    (server, gate, asks)
}

/// G23.
#[tokio::test]
async fn connections_are_bounded_and_a_further_request_waits_for_room() {
    let (server, gate, mut asks) = gated().await;
    let (client, upstream) = (client_with(|config| config.connections_max = 2), upstream(server.address));
    let one = get_text(&client, &upstream);
    let two = get_text(&client, &upstream);
    let three = get_text(&client, &upstream);
    let conduct = async {
        asks.recv().await.unwrap();
        asks.recv().await.unwrap();
        assert!(asks.try_recv().is_err());
        gate.add_permits(3);
    };
    let (one, two, three, ()) = tokio::join!(one, two, three, conduct);
    assert_eq!([one.unwrap(), two.unwrap(), three.unwrap()], ["ok", "ok", "ok"]);
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_request_that_finds_no_room_in_time_is_told_so() {
    let (server, gate, mut asks) = gated().await;
    let (client, upstream) = (client_with(|config| config.connections_max = 1), upstream(server.address));
    let first = get_text(&client, &upstream);
    let second = async {
        asks.recv().await.unwrap();
        let timeouts = Timeouts { connect: Duration::from_millis(20), ..Timeouts::default() };
        let sent = client
            .send(get("http://it.upstream.internal/"), Target::Upstream(&upstream), timeouts, None)
            .await;
        gate.add_permits(1);
        sent
    };
    let (first, second) = tokio::join!(first, second);
    assert_eq!(first.unwrap(), "ok");
    assert!(matches!(second, Err(Error::ConnectionLimit)), "{second:?}");
}

#[tokio::test]
async fn an_idle_connection_makes_room_for_another_origin() {
    let (one, other) = (always("one").await, always("other").await);
    let client = client_with(|config| config.connections_max = 1);
    for _ in 0..3 {
        assert_eq!(get_text(&client, &upstream(one.address)).await.unwrap(), "one");
        assert_eq!(get_text(&client, &upstream(other.address)).await.unwrap(), "other");
    }
    assert_eq!((one.connections(), other.connections()), (3, 3));
}

/// Makes `calls` at once, all of them on their own connection, and counts the connections that a second batch adds.
async fn added_by_a_second_batch(idle_per_host_max: usize, calls: usize) -> usize {
    let (server, gate, mut asks) = gated().await;
    let client = client_with(|config| config.idle_per_host_max = idle_per_host_max);
    let upstream = upstream(server.address);
    for _ in 0..2 {
        let batch = futures_util::future::join_all((0..calls).map(|_| get_text(&client, &upstream)));
        let conduct = async {
            for _ in 0..calls {
                asks.recv().await.unwrap();
            }
            gate.add_permits(calls);
        };
        tokio::join!(batch, conduct);
    }
    server.connections() - calls
}

#[tokio::test]
async fn idle_connections_are_kept_up_to_their_number() {
    assert_eq!(added_by_a_second_batch(3, 3).await, 0);
    assert_eq!(added_by_a_second_batch(3, 4).await, 1);
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_time() {
    let closed = Arc::new(Notify::new());
    let tell = closed.clone();
    let server = raw(move |mut stream, _| {
        let tell = tell.clone();
        async move {
            read_head(&mut stream).await;
            say(&mut stream, OK).await;
            assert_eq!(stream.read(&mut [0]).await.unwrap(), 0);
            tell.notify_one();
        }
    })
    .await;
    let client = client_with(|config| config.idle_timeout = Duration::from_millis(20));
    assert_eq!(get_text(&client, &upstream(server.address)).await.unwrap(), "ok");
    closed.notified().await;
}

async fn get_host(client: &Client, uri: &str, egress: &rimward_upstream::Egress) -> Result<String, Error> {
    text(client.send(get(uri), Target::Host(egress), Timeouts::default(), None).await?).await
}

#[tokio::test]
async fn a_connection_to_a_private_address_is_lent_only_to_whom_it_is_allowed() {
    let server = always("private").await;
    let port = server.address.port();
    let client =
        client_with(|config| config.resolver = Names::new(&[("service.example", &[&["127.0.0.1"]])]));
    let host = format!("http://service.example:{port}");
    let may = egress(&[&host], &[&server.address.to_string()]);
    let may_not = egress(&[&host], &[]);
    assert_eq!(get_host(&client, &host, &may).await.unwrap(), "private");
    let refused = get_host(&client, &host, &may_not).await;
    assert!(matches!(refused, Err(Error::DestinationProhibited(_))), "{refused:?}");
    assert_eq!(get_host(&client, &host, &may).await.unwrap(), "private");
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn upstreams_with_tls_of_their_own_share_no_connection() {
    let trusting = trusting("localhost");
    let server = https(trusting.server(&["h2"]), |_| async { Response::new(full("ok")) }).await;
    let client = client();
    let upstreams: [Upstream; 2] = [trusting.upstream(&server), trusting.upstream(&server)];
    for upstream in upstreams.iter().chain(&upstreams) {
        assert_eq!(get_text(&client, upstream).await.unwrap(), "ok");
    }
    assert_eq!(server.connections(), 2);
    let untrusted = get_text(&client, &secure_upstream(&server, "localhost")).await;
    assert!(matches!(untrusted, Err(Error::TlsCertificate(_))), "{untrusted:?}");
}

#[tokio::test]
async fn http2_requests_share_a_connection_up_to_its_streams() {
    let trusting = trusting("localhost");
    let gate = Arc::new(Semaphore::new(0));
    let (asked, mut asks) = mpsc::channel(4 * limits::STREAMS_MAX);
    let let_through = gate.clone();
    let server = https(trusting.server(&["h2"]), move |_| {
        let (gate, asked) = (let_through.clone(), asked.clone());
        async move {
            asked.send(()).await.unwrap();
            gate.acquire().await.unwrap().forget();
            Response::new(full("ok"))
        }
    })
    .await;
    let (client, upstream) = (trusting.client(), secure_upstream(&server, "localhost"));
    gate.add_permits(1);
    get_text(&client, &upstream).await.unwrap();
    asks.recv().await.unwrap();
    for (calls, connections) in [(limits::STREAMS_MAX, 1), (limits::STREAMS_MAX + 1, 2)] {
        let batch = futures_util::future::join_all((0..calls).map(|_| get_text(&client, &upstream)));
        let conduct = async {
            for _ in 0..calls {
                asks.recv().await.unwrap();
            }
            gate.add_permits(calls);
        };
        let (answers, ()) = tokio::join!(batch, conduct);
        assert!(answers.into_iter().all(|answer| answer.unwrap() == "ok"));
        assert_eq!(server.connections(), connections, "{calls} calls");
    }
}

/// A server that says `answer`, and when it was asked, and when the client closed.
async fn telling(answer: &'static str) -> (Server, mpsc::Receiver<&'static str>) {
    let (tell, told) = mpsc::channel(4);
    let server = raw(move |mut stream, _| {
        let tell = tell.clone();
        async move {
            read_head(&mut stream).await;
            say(&mut stream, answer).await;
            tell.send("asked").await.unwrap();
            let _ = stream.read(&mut [0]).await;
            tell.send("closed").await.unwrap();
        }
    })
    .await;
    (server, told)
}

#[tokio::test]
async fn dropping_a_response_closes_its_http1_connection() {
    let (server, mut told) = telling("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf").await;
    let (client, upstream) = (client(), upstream(server.address));
    drop(call(&client, &upstream, get("http://it.upstream.internal/")).await.unwrap());
    assert_eq!(told.recv().await, Some("asked"));
    assert_eq!(told.recv().await, Some("closed"));
}

#[tokio::test]
async fn dropping_a_call_closes_its_http1_connection() {
    let (server, mut told) = telling("").await;
    let (client, upstream) = (client(), upstream(server.address));
    tokio::select! {
        _ = get_text(&client, &upstream) => unreachable!("there is no answer"),
        asked = told.recv() => assert_eq!(asked, Some("asked")),
    }
    assert_eq!(told.recv().await, Some("closed"));
}

#[tokio::test]
async fn dropping_a_response_resets_its_http2_stream_and_no_other() {
    let trusting = trusting("localhost");
    let (ends, mut ended) = mpsc::channel(4);
    let server = https(trusting.server(&["h2"]), move |request: Request<hyper::body::Incoming>| {
        let ends = ends.clone();
        async move {
            let (sender, receiver) = channel();
            sender.send(data("first")).await.unwrap();
            tokio::spawn(async move {
                // The request's body is cut off, and nobody reads the answer any more.
                let cut = request.into_body().collect().await.is_err();
                sender.closed().await;
                ends.send(cut).await.unwrap();
            });
            Response::new(receiver)
        }
    })
    .await;
    let (client, upstream) = (trusting.client(), secure_upstream(&server, "localhost"));
    let (_keeps_open, body) = channel();
    let kept = call(&client, &upstream, post("http://it.upstream.internal/", body)).await.unwrap();
    let (_keeps_open_too, body) = channel();
    let dropped = call(&client, &upstream, post("http://it.upstream.internal/", body)).await.unwrap();
    drop(dropped);
    assert!(ended.recv().await.unwrap());
    assert_eq!(kept.into_body().frame().await.unwrap().unwrap().into_data().unwrap(), "first");
    assert_eq!(server.connections(), 1);
}
