//! What goes over the wire when all is well.

use crate::support::servers::{always, http, https, raw, read_head, read_until, say};
use crate::support::{call, channel, client, data, egress, empty, full, get, post, text, upstream};
use crate::tls::{secure_upstream, trusting};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use rimward_upstream::{Client, Error, Target, Timeouts};
use std::sync::{Arc, Mutex};
use tokio::sync::mpsc;

#[tokio::test]
async fn a_request_and_its_answer_pass_whole() {
    let server = http(|request: Request<hyper::body::Incoming>| async {
        let seen =
            format!("{} {} {}", request.method(), request.uri(), request.headers()["host"].to_str().unwrap());
        let body = request.into_body().collect().await.unwrap().to_bytes();
        let seen = format!("{seen} {}", String::from_utf8_lossy(&body));
        Response::builder().status(StatusCode::CREATED).header("x-answer", "yes").body(full(seen)).unwrap()
    })
    .await;
    let response =
        call(&client(), &upstream(server.address), post("http://it.upstream.internal/a?b=c", full("hello")))
            .await;
    let response = response.unwrap();
    assert_eq!(response.status(), StatusCode::CREATED);
    assert_eq!(response.headers()["x-answer"], "yes");
    assert_eq!(text(response).await.unwrap(), format!("POST /a?b=c {} hello", server.address));
}

#[tokio::test]
async fn headers_of_one_connection_do_not_cross_in_either_direction() {
    let server = raw(|mut stream, _| async move {
        let head = read_head(&mut stream).await.to_lowercase();
        assert!(!head.contains("x-mine") && !head.contains("upgrade") && !head.contains("connection:"), "{head}");
        say(&mut stream, "HTTP/1.1 200 OK\r\nconnection: x-theirs\r\nx-theirs: 1\r\nkeep-alive: timeout=5\r\ncontent-length: 2\r\n\r\nok").await;
    })
    .await;
    let mut request = get("http://it.upstream.internal/");
    for (name, value) in [("connection", "x-mine, upgrade"), ("x-mine", "1"), ("upgrade", "websocket")] {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let response = call(&client(), &upstream(server.address), request).await.unwrap();
    assert_eq!(response.headers().keys().collect::<Vec<_>>(), ["content-length"]);
    assert_eq!(text(response).await.unwrap(), "ok");
}

#[tokio::test]
async fn a_response_streams_frame_by_frame() {
    let (sender, receiver) = mpsc::channel::<&'static str>(1);
    let receiver = Arc::new(tokio::sync::Mutex::new(receiver));
    let server = raw(move |mut stream, _| {
        let receiver = receiver.clone();
        async move {
            read_head(&mut stream).await;
            say(&mut stream, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await;
            while let Some(chunk) = receiver.lock().await.recv().await {
                say(&mut stream, chunk).await;
            }
        }
    })
    .await;
    let response =
        call(&client(), &upstream(server.address), get("http://it.upstream.internal/")).await.unwrap();
    let mut body = response.into_body();
    for (chunk, content) in [("1\r\na\r\n", "a"), ("2\r\nbc\r\n", "bc")] {
        sender.send(chunk).await.unwrap();
        let frame = body.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), content);
    }
    sender.send("0\r\nx-sum: 3\r\n\r\n").await.unwrap();
    let trailers = body.frame().await.unwrap().unwrap().into_trailers().unwrap();
    assert_eq!(trailers["x-sum"], "3");
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn trailers_cross_http2_both_ways() {
    let trusting = trusting("localhost");
    let server = https(trusting.server(&["h2"]), |request| async {
        assert_eq!(request.version(), http::Version::HTTP_2);
        assert_eq!(request.headers()["te"], "trailers");
        assert!(!request.headers().contains_key("host"));
        let trailers = request.into_body().collect().await.unwrap().trailers().cloned().unwrap();
        let frames = vec![data("ok"), Ok(Frame::trailers(trailers))];
        Response::new(StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync())
    })
    .await;
    let trailers = HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())]);
    let frames = vec![data("in"), Ok(Frame::trailers(trailers.clone()))];
    let mut request = post(
        "http://it.upstream.internal/",
        StreamBody::new(futures_util::stream::iter(frames)).boxed_unsync(),
    );
    request.headers_mut().insert("te", "trailers".parse().unwrap());
    let response = call(&trusting.client(), &secure_upstream(&server, "localhost"), request).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().trailers(), Some(&trailers));
}

/// Answers with the head it saw, once the whole request has been read up to `end`.
async fn head_seen(request: Request<rimward_upstream::Body>, end: &'static str) -> String {
    let server = raw(move |mut stream, _| async move {
        let seen = read_until(&mut stream, end).await;
        say(&mut stream, &format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{seen}", seen.len())).await;
    })
    .await;
    text(call(&client(), &upstream(server.address), request).await.unwrap()).await.unwrap().to_lowercase()
}

#[tokio::test]
async fn a_get_whose_body_turns_out_empty_has_none() {
    let (sender, body) = channel();
    drop(sender);
    let request = Request::get("http://it.upstream.internal/").body(body).unwrap();
    let head = head_seen(request, "\r\n\r\n").await;
    assert!(!head.contains("transfer-encoding") && !head.contains("content-length"), "{head}");
}

#[tokio::test]
async fn a_get_with_a_body_sends_it() {
    let (sender, body) = channel();
    sender.send(data("query")).await.unwrap();
    drop(sender);
    let request = Request::get("http://it.upstream.internal/").body(body).unwrap();
    let seen = head_seen(request, "0\r\n\r\n").await;
    assert!(seen.contains("transfer-encoding: chunked") && seen.contains("query"), "{seen}");
}

#[tokio::test]
async fn answers_without_a_body_end_at_once() {
    for (method, answer) in [
        ("HEAD", "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n"),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", "HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n"),
        ("GET", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
    ] {
        let server = raw(move |mut stream, _| async move {
            while !read_head(&mut stream).await.is_empty() {
                say(&mut stream, answer).await;
            }
        })
        .await;
        let (client, upstream) = (client(), upstream(server.address));
        for _ in 0..2 {
            let request =
                Request::builder().method(method).uri("http://it.upstream.internal/").body(empty()).unwrap();
            let response = call(&client, &upstream, request).await.unwrap();
            assert!(http_body::Body::is_end_stream(response.body()), "{answer}");
            assert_eq!(text(response).await.unwrap(), "");
        }
        assert_eq!(server.connections(), 1, "{answer}");
    }
}

#[tokio::test]
async fn a_body_longer_than_declared_fails_the_exchange() {
    let server = always("never").await;
    let (sender, body) = channel();
    sender.send(data("four")).await.unwrap();
    let mut request = post("http://it.upstream.internal/", body);
    request.headers_mut().insert("content-length", 3.into());
    let failed = call(&client(), &upstream(server.address), request).await;
    assert!(matches!(failed, Err(Error::RequestBodyLength)));
}

#[tokio::test]
async fn a_redirect_is_handed_back() {
    let server = raw(|mut stream, _| async move {
        read_head(&mut stream).await;
        say(
            &mut stream,
            "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n",
        )
        .await;
    })
    .await;
    let response =
        call(&client(), &upstream(server.address), get("http://it.upstream.internal/")).await.unwrap();
    assert_eq!(response.status(), StatusCode::FOUND);
    assert_eq!(server.connections(), 1);
}

fn is_send<T: Send>(value: T) -> T {
    value
}

#[test]
fn a_client_is_used_from_another_runtimes_thread() {
    let home = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    home.block_on(async {
        let server = always("hello").await;
        let (client, address): (Arc<Client>, _) = (Arc::new(client()), server.address);
        let elsewhere = seen.clone();
        let thread = std::thread::spawn(move || {
            let other = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            other.block_on(is_send(async {
                let egress = egress(&[&format!("http://{address}")], &[&address.to_string()]);
                for _ in 0..2 {
                    let uri = format!("http://{address}/");
                    let sent = client.send(get(&uri), Target::Host(&egress), Timeouts::default(), None);
                    let body = text(sent.await.unwrap()).await.unwrap();
                    elsewhere.lock().unwrap().push(Bytes::from(body));
                }
            }));
        });
        tokio::task::spawn_blocking(move || thread.join().unwrap()).await.unwrap();
        assert_eq!(*seen.lock().unwrap(), ["hello", "hello"]);
        assert!(server.connections() <= 2);
    });
}
