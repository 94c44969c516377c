//! What functions put into the heads and trailers of their replies: nothing of it can end a message, begin another one or
//! speak for the node.

use crate::support::{GUESTS, bad, beside, hex, hostile, is_unharmed};
use rimward_tests::{Over, TestNode};

/// Names that are the connection's or another's to set.
const FORBIDDEN: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "transfer-encoding",
    "upgrade",
    "host",
    "http2-settings",
];

/// Names that are none.
const NO_NAMES: [&[u8]; 12] = [
    b"",
    b"a b",
    b"a:",
    b":path",
    b"a\r\nx-evil",
    b"a\nx-evil",
    b"a\0",
    b"\xff",
    b"x-evil:",
    b"(a)",
    b"a\t",
    "\u{e4}".as_bytes(),
];

/// Values that would end a line or a message.
const NO_VALUES: [&[u8]; 5] =
    [b"a\r\nx-evil: 1", b"a\nx-evil: 1", b"a\rx-evil: 1", b"a\0", b"a\r\n\r\nHTTP/1.1 200 OK\r\nx-evil: 1"];

/// What came of a field, as the guest tells; nothing of it may be in the reply.
async fn refused(node: &TestNode, place: &str, name: &[u8], value: &[u8]) -> String {
    let path = format!("/{place}/{}/{}", hex(name), hex(value));
    let mut raw = node.raw().await;
    raw.send(format!(
        "GET {path} HTTP/1.1\r\nhost: bad.example\r\nte: trailers\r\nconnection: close\r\n\r\n"
    ))
    .await;
    let bytes = raw.rest().await;
    let text = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
    assert_eq!(text.matches("http/1.1").count(), 1, "{text}");
    assert!(!text.contains("x-evil"), "{text}");
    assert!(text.starts_with("http/1.1 200"), "the guest coped: {text}");
    let (_, rest) = text.split_once("x-was: ").expect("the guest says what came of it");
    rest.lines().next().expect("a line follows").to_owned()
}

/// G19: forbidden names, in headers and in trailers.
#[tokio::test]
async fn names_of_the_connection_are_forbidden_in_headers_and_trailers() {
    for guest in GUESTS {
        let node = beside(hostile(guest)).start().await;
        for place in ["header", "trailer"] {
            for name in FORBIDDEN {
                for name in [name.to_owned(), name.to_uppercase()] {
                    let was = refused(&node, place, name.as_bytes(), b"x").await;
                    assert!(was.contains("forbidden"), "{guest} {place} {name}: {was}");
                }
            }
        }
        is_unharmed(&node).await;
    }
}

/// G19: what is no name or no value, in headers and in trailers.
#[tokio::test]
async fn malformed_names_and_values_are_refused_in_headers_and_trailers() {
    for guest in GUESTS {
        let node = beside(hostile(guest)).start().await;
        for place in ["header", "trailer"] {
            for name in NO_NAMES {
                let was = refused(&node, place, name, b"x").await;
                assert!(was.contains("invalidsyntax"), "{guest} {place} {name:?}: {was}");
            }
            for value in NO_VALUES {
                let was = refused(&node, place, b"x-good", value).await;
                assert!(was.contains("invalidsyntax"), "{guest} {place} {value:?}: {was}");
            }
        }
        is_unharmed(&node).await;
    }
}

/// G19: what is allowed arrives as it is, over both versions of HTTP, trailers too.
#[tokio::test]
async fn sound_fields_arrive_in_headers_and_trailers() {
    for guest in GUESTS {
        let node = beside(hostile(guest)).start().await;
        for over in [Over::Http1, Over::Http2] {
            let path = |place| format!("/{place}/{}/{}", hex("x-end"), hex("a \"value\""));
            let answer = bad(&node, &path("header")).over(over.clone()).await;
            answer.is(200).has("x-was", "taken").has("x-end", "a \"value\"");
            let answer = bad(&node, &path("trailer")).over(over).header("te", "trailers").await;
            answer.is(200).says("body");
            assert_eq!(answer.trailers().get_all("x-end").iter().count(), 2, "{answer:?}");
        }
    }
}

/// G19: only the node says that the node failed.
#[tokio::test]
async fn a_function_cannot_forge_a_failure_of_the_node() {
    for guest in GUESTS {
        let node = beside(hostile(guest)).start().await;
        let path = |value| format!("/header/{}/{}", hex("proxy-status"), hex(value));
        let forged = bad(&node, &path("Rimward; error=http_response_timeout")).await;
        forged.is(200).has("x-was", "taken").has_no("proxy-status");
        let mut raw = node.raw().await;
        let request =
            format!("GET {} HTTP/1.1\r\nhost: bad.example\r\n\r\n", path("cdn.example; error=dns_error"));
        let others = raw.send(request).await.reply().await;
        assert!(others.head.contains("proxy-status: cdn.example; error=dns_error"), "{}", others.head);
    }
}

/// G18: lengths that are wrong, twofold or none. The client never takes one for the other.
#[tokio::test]
async fn a_wrong_length_never_looks_like_a_complete_reply() {
    for guest in GUESTS {
        let node = beside(hostile(guest)).start().await;
        for over in [Over::Http1, Over::Http2] {
            bad(&node, "/lengths/10/-/10").over(over.clone()).await.is(200).has("content-length", "10");
            for (one, other, bytes) in [
                ("10", "-", 9),
                ("10", "-", 11),
                ("0", "-", 5),
                ("+5", "-", 5),
                ("0x5", "-", 5),
                ("5,5", "-", 5),
                ("-5", "-", 5),
                ("99999999999999999999", "-", 5),
                ("5", "6", 6),
                ("6", "5", 5),
                ("10", "-", 0),
            ] {
                let what = format!("{guest} {one} {other} {bytes}");
                let path = format!("/lengths/{one}/{other}/{bytes}");
                let Ok(mut open) = bad(&node, &path).over(over.clone()).try_open().await else { continue };
                if open.status() >= 500 {
                    continue;
                }
                let told = open.header("content-length").map(str::to_owned);
                let mut read = 0;
                let complete = loop {
                    match open.piece().await {
                        Some(Ok(piece)) => read += piece.len(),
                        Some(Err(_)) => break false,
                        None => break true,
                    }
                };
                let told = told.map(|told| told.parse::<usize>());
                assert!(!complete || told.is_none_or(|told| told == Ok(read)), "{what}: {read} bytes");
            }
        }
        is_unharmed(&node).await;
    }
}

/// G20: statuses that are none, or not final.
#[tokio::test]
async fn a_status_outside_of_200_to_599_is_no_reply() {
    for guest in GUESTS {
        let node = beside(hostile(guest)).start().await;
        for status in [0, 1, 99, 100, 101, 103, 199, 600, 999, 1_000, 65_535] {
            let answer = bad(&node, &format!("/status/{status}")).await;
            assert_eq!(answer.status(), 500, "{guest} {status}: {answer:?}");
        }
        for status in [200, 299, 404, 503, 599] {
            bad(&node, &format!("/status/{status}")).await.is(status).says("a body");
        }
        is_unharmed(&node).await;
    }
}

/// G20: statuses and methods without a body, and a guest that writes one.
#[tokio::test]
async fn a_body_is_dropped_where_there_is_none() {
    for guest in GUESTS {
        let node = beside(hostile(guest)).start().await;
        for (method, status) in [("GET", 204), ("GET", 304), ("HEAD", 200), ("HEAD", 404)] {
            let request = format!(
                "{method} /status/{status} HTTP/1.1\r\nhost: bad.example\r\n\r\nGET /count HTTP/1.1\r\nhost: bad.example\r\nconnection: close\r\n\r\n"
            );
            let mut raw = node.raw().await;
            raw.send(request).await;
            let text = String::from_utf8(raw.rest().await).expect("the replies are plain");
            assert_eq!(text.matches("HTTP/1.1").count(), 2, "{text}");
            assert!(!text.contains("a body"), "{guest} {method} {status}: {text}");
        }
        is_unharmed(&node).await;
    }
}
