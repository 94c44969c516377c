//! Servers that do not speak HTTP properly.

use crate::support::servers::{https, raw, read_head, say};
use crate::support::{call, client, empty, get, text, upstream};
use crate::tls::{secure_upstream, trusting};
use rimward_upstream::{Error, limits};

/// What a GET gets from a server that says `answer` and closes.
async fn answered(answer: String) -> Result<String, Error> {
    let answer = std::sync::Arc::new(answer);
    let server = raw(move |mut stream, _| {
        let answer = answer.clone();
        async move {
            read_head(&mut stream).await;
            say(&mut stream, &answer).await;
        }
    })
    .await;
    text(call(&client(), &upstream(server.address), get("http://it.upstream.internal/")).await?).await
}

async fn check(answer: &str, is_expected: impl Fn(&Error) -> bool) {
    match answered(answer.to_owned()).await {
        Err(error) if is_expected(&error) => {}
        other => panic!("{answer:?}: {other:?}"),
    }
}

/// C14.
#[tokio::test]
async fn a_misframed_answer_is_an_error() {
    for answer in [
        "nonsense\r\n\r\n",
        "HTTP/1.1 999999 Odd\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\nok",
        "HTTP/1.1 200 OK\r\nb ad: 1\r\n\r\n",
        "HTTP/2.0 200 OK\r\n\r\n",
    ] {
        check(answer, |error| matches!(error, Error::ResponseProtocol(_))).await;
    }
}

#[tokio::test]
async fn an_answer_cut_short_is_incomplete() {
    for answer in [
        "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nok",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nok",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nok\r\n0\r\n\r\n",
    ] {
        check(answer, |error| matches!(error, Error::ResponseIncomplete(_))).await;
    }
}

#[tokio::test]
async fn no_answer_is_a_terminated_connection() {
    check("", |error| matches!(error, Error::ConnectionTerminated(_))).await;
    check("HTTP/1.1 20", |error| matches!(error, Error::ConnectionTerminated(_))).await;
}

#[tokio::test]
async fn an_upgrade_nobody_asked_for_is_an_error() {
    let answer = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n";
    check(answer, |error| matches!(error, Error::ResponseUpgrade)).await;
}

#[tokio::test]
async fn an_answers_head_may_fill_its_bound_and_no_more() {
    let frame = "HTTP/1.1 200 OK\r\nconnection: close\r\nx: \r\n\r\n".len();
    let answer = |bytes: usize| {
        format!("HTTP/1.1 200 OK\r\nconnection: close\r\nx: {}\r\n\r\n", "v".repeat(bytes - frame))
    };
    assert_eq!(answered(answer(limits::RESPONSE_HEAD_BYTES_MAX)).await.unwrap(), "");
    check(&answer(limits::RESPONSE_HEAD_BYTES_MAX + 1), |error| {
        matches!(error, Error::ResponseHeadersTooLarge)
    })
    .await;
}

/// RFC 9113, section 6.5.2: a header counts as its name, its value and 32 bytes.
#[tokio::test]
async fn an_http2_answers_head_may_fill_its_bound_and_no_more() {
    let trusting = trusting("localhost");
    for (over, fits) in [(0, true), (1, false)] {
        let server = https(trusting.server(&["h2"]), move |_| async move {
            let status = ":status".len() + "200".len() + 32;
            let value = "v".repeat(limits::RESPONSE_HEAD_BYTES_MAX + over - status - "x".len() - 32);
            let mut response = http::Response::new(empty());
            response.headers_mut().insert("x", value.parse().unwrap());
            response
        })
        .await;
        let request = get("http://it.upstream.internal/");
        let answer = call(&trusting.client(), &secure_upstream(&server, "localhost"), request).await;
        match (fits, answer) {
            (true, Ok(_)) | (false, Err(Error::ResponseProtocol(_))) => {}
            other => panic!("{other:?}"),
        }
    }
}

/// A server that resets the stream may have acted on it, so even a GET does not go out again.
#[tokio::test]
async fn a_reset_stream_is_a_malformed_answer_and_the_connection_lives() {
    let trusting = trusting("localhost");
    let server = https(trusting.server(&["h2"]), |request| async move {
        if request.uri().path() == "/reset" {
            panic!("hyper resets the stream of a service that fails");
        }
        http::Response::new(empty())
    })
    .await;
    let (client, upstream) = (trusting.client(), secure_upstream(&server, "localhost"));
    for path in ["/", "/reset", "/"] {
        let answer = call(&client, &upstream, get(&format!("http://it.upstream.internal{path}"))).await;
        match (path, answer) {
            ("/", Ok(_)) | ("/reset", Err(Error::ResponseProtocol(_))) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn an_answer_has_a_largest_number_of_headers() {
    let answer = |headers: usize| {
        format!("HTTP/1.1 200 OK\r\n{}content-length: 0\r\n\r\n", "x: y\r\n".repeat(headers - 1))
    };
    assert_eq!(answered(answer(limits::RESPONSE_HEADERS_MAX)).await.unwrap(), "");
    check(&answer(limits::RESPONSE_HEADERS_MAX + 1), |error| matches!(error, Error::ResponseHeadersTooLarge))
        .await;
}
