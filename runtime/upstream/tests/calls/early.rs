//! Servers that answer before they have read the request, and request bodies that fail after the answer.
//! An answer wins; none may be lost.

use crate::support::servers::{raw, read_head, read_until, say};
use crate::support::{call, channel, client, data, full, get_text, post, text, upstream};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use rimward_upstream::Error;
use std::net::SocketAddr;
use tokio::io::AsyncReadExt as _;

const EARLY: &str = "HTTP/1.1 413 Content Too Large\r\nconnection: close\r\ncontent-length: 5\r\n\r\nearly";

/// Rounds of what is a race between our writing and the server's closing.
const ROUNDS: usize = 200;

/// A server on a thread of its own that answers each connection after the first bytes of its request, and closes
/// it with the rest unread, so that the kernel resets the connection while the client still writes.
fn hasty() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for _ in 0..ROUNDS {
            let (mut stream, _) = listener.accept().unwrap();
            let mut first = [0; 512];
            let _ = std::io::Read::read(&mut stream, &mut first).unwrap();
            std::io::Write::write_all(&mut stream, EARLY.as_bytes()).unwrap();
        }
    });
    address
}

/// The `connection reset` that proxies of this kind report for a few requests in a thousand: the server's reset arrives
/// between our reading and our writing.
#[tokio::test]
async fn an_answer_before_the_end_of_the_request_survives_the_servers_close() {
    let (client, upstream) = (client(), upstream(hasty()));
    for round in 0..ROUNDS {
        let body = full(Bytes::from(vec![b'x'; 1 << 20]));
        let response = call(&client, &upstream, post("http://it.upstream.internal/", body)).await;
        let response = response.unwrap_or_else(|error| panic!("round {round}: {error:?}"));
        assert_eq!(text(response).await.unwrap(), "early", "round {round}");
    }
}

#[tokio::test]
async fn an_answer_to_an_open_request_survives_the_servers_close() {
    let (client, upstream) = (client(), upstream(hasty()));
    for round in 0..ROUNDS {
        let (sender, body) = channel();
        sender.send(data("a")).await.unwrap();
        // The guest goes on writing, or finds its reader gone; neither is a failure of the exchange.
        let guest = tokio::spawn(async move { while sender.send(data("b")).await.is_ok() {} });
        let response = call(&client, &upstream, post("http://it.upstream.internal/", body)).await;
        let response = response.unwrap_or_else(|error| panic!("round {round}: {error:?}"));
        assert_eq!(text(response).await.unwrap(), "early", "round {round}");
        guest.await.unwrap();
    }
}

#[tokio::test]
async fn a_server_that_answers_early_and_reads_on_gets_the_whole_request() {
    let server = raw(|mut stream, connection| async move {
        read_head(&mut stream).await;
        say(&mut stream, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nearly").await;
        let body = read_until(&mut stream, "0\r\n\r\n").await;
        assert!(body.contains("one") && body.contains("two"), "{body}");
        read_head(&mut stream).await;
        say(&mut stream, &format!("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{connection}")).await;
    })
    .await;
    let (client, upstream) = (client(), upstream(server.address));
    let (sender, body) = channel();
    sender.send(data("one")).await.unwrap();
    let response = call(&client, &upstream, post("http://it.upstream.internal/", body)).await.unwrap();
    assert_eq!(text(response).await.unwrap(), "early");
    sender.send(data("two")).await.unwrap();
    drop(sender);
    // The answer has ended and the upload has not, so the connection is not lent out yet; either one serves this.
    let body = full("again");
    let response = call(&client, &upstream, post("http://it.upstream.internal/", body)).await.unwrap();
    text(response).await.unwrap();
}

#[tokio::test]
async fn a_request_body_that_fails_after_the_head_does_not_fail_the_answer() {
    let (go, started) = tokio::sync::oneshot::channel();
    let started = std::sync::Mutex::new(Some(started));
    let server = raw(move |mut stream, _| {
        let started = started.lock().unwrap().take();
        async move {
            read_head(&mut stream).await;
            say(&mut stream, "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf ").await;
            if let Some(started) = started {
                started.await.unwrap();
            }
            say(&mut stream, "full").await;
            read_head(&mut stream).await;
        }
    })
    .await;
    let (client, upstream) = (client(), upstream(server.address));
    let (sender, body) = channel();
    sender.send(data("a")).await.unwrap();
    let response = call(&client, &upstream, post("http://it.upstream.internal/", body)).await.unwrap();
    let mut body = response.into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "half ");
    sender.send(Err(Error::RequestBodyTooLarge)).await.unwrap();
    // Room in the channel again: the connection has taken the failure.
    let _taken = sender.reserve().await;
    go.send(()).unwrap();
    assert_eq!(body.collect().await.unwrap().to_bytes(), "full");
    // Half a request was sent on it, so its connection is of no further use.
    assert_eq!(get_text(&client, &upstream).await.unwrap(), "half full");
    assert_eq!(server.connections(), 2);
}

#[tokio::test]
async fn a_request_body_shorter_than_declared_never_looks_whole() {
    let server = raw(|mut stream, _| async move {
        read_head(&mut stream).await;
        say(&mut stream, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        assert_eq!(rest, b"a");
    })
    .await;
    let (client, upstream) = (client(), upstream(server.address));
    let (sender, body) = channel();
    sender.send(data("a")).await.unwrap();
    let mut request = post("http://it.upstream.internal/", body);
    request.headers_mut().insert("content-length", 5.into());
    let response = call(&client, &upstream, request).await.unwrap();
    drop(sender);
    assert_eq!(text(response).await.unwrap(), "ok");
}

#[tokio::test]
async fn a_request_body_that_fails_before_the_head_fails_the_exchange_with_its_error() {
    let (sees_end, mut ended) = tokio::sync::mpsc::channel(1);
    let server = raw(move |mut stream, _| {
        let sees_end = sees_end.clone();
        async move {
            let mut all = Vec::new();
            let _ = stream.read_to_end(&mut all).await;
            sees_end.send(String::from_utf8(all).unwrap()).await.unwrap();
        }
    })
    .await;
    let (sender, body) = channel();
    sender.send(data("a")).await.unwrap();
    let (client, upstream) = (client(), upstream(server.address));
    let sent = call(&client, &upstream, post("http://it.upstream.internal/", body));
    let fail = sender.send(Err(Error::RequestBodyTooLarge));
    let (failed, _) = tokio::join!(sent, fail);
    assert!(matches!(failed, Err(Error::RequestBodyTooLarge)), "{failed:?}");
    let seen = ended.recv().await.unwrap();
    assert!(!seen.contains("\r\n0\r\n"), "half a request looks whole: {seen}");
}
