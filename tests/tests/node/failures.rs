//! The public table of failures: every row that a client can bring about, with the reply that it promises.

use http_body_util::BodyExt;
use rimward_node::{Blame, CODES};
use rimward_tests::{App, app, node};
use std::collections::BTreeSet;
use std::time::Duration;

/// Which request brings a row about. The shape of the reply is checked by the client for every one of them.
fn provoked(code: &str) -> Option<(App, &'static str, &'static str)> {
    let limited = |guest, limits| app(guest).limits(limits);
    Some(match code {
        "rimward.caller.no-route" => (app("hello").route("/elsewhere"), "GET", "/"),
        "rimward.caller.method" => (app("hello").route("PUT /"), "GET", "/"),
        "rimward.caller.body-too-large" => (limited("hello", r#"request-body = "1B""#), "POST", "/"),
        "rimward.guest.cpu" => (limited("spin", r#"cpu = "20ms""#), "GET", "/"),
        "rimward.guest.wall" => (limited("sleep", r#"wall = "20ms""#), "GET", "/"),
        "rimward.guest.memory" => (limited("memory-bomb", r#"memory = "4MiB""#), "GET", "/"),
        "rimward.guest.trap" => (app("trap"), "GET", "/"),
        "rimward.guest.exit" => (app("exits"), "GET", "/1"),
        "rimward.guest.no-response" => (app("no-response"), "GET", "/"),
        "rimward.guest.error" => (app("answers-error"), "GET", "/"),
        "rimward.upstream.unreachable" => (app("answers-error"), "GET", "/refused"),
        "rimward.upstream.timeout" => (app("answers-error"), "GET", "/late"),
        _ => return None,
    })
}

/// Rows that the tests named here bring about, or that nobody outside can.
const ELSEWHERE: [(&str, &str); 10] = [
    ("rimward.caller.body-timeout", "the client waits for longer than a test may"),
    ("rimward.caller.bad-request", "requests::a_request_must_be_for_one_host"),
    ("rimward.caller.quota", "admission"),
    ("rimward.guest.depth", "the tests of functions that call each other"),
    ("rimward.guest.stream", "bodies: the head is out by then"),
    ("rimward.node.no-app", "routes::a_node_without_apps_asks_to_come_back_later"),
    ("rimward.node.full", "admission"),
    ("rimward.node.memory", "tenants::instances_of_a_node_hold_no_more_memory_together_than_it_has"),
    ("rimward.node.stopping", "a guest that is cut off when the node ends, whose client is gone by then"),
    ("rimward.node.internal", "a panic of the node, which no request can cause"),
];

#[tokio::test]
async fn every_row_of_the_table_has_its_reply() {
    let mut seen = BTreeSet::new();
    for row in CODES {
        let Some((app, method, path)) = provoked(row.code) else { continue };
        let node = node().app(app).start().await;
        let answer = node.call(method, path).body("too much").await;
        answer.is(row.status).code(row.code).has("content-type", "application/problem+json");
        let ended = &node.heard().ends(1).await[0];
        assert_eq!(ended.request_id, answer.request_id());
        assert_eq!(ended.status, Some(row.status));
        seen.insert(row.code);
    }
    seen.extend(ELSEWHERE.map(|(code, _)| code));
    assert_eq!(seen, CODES.iter().map(|row| row.code).collect());
}

#[tokio::test]
async fn a_failure_of_the_guest_says_nothing_of_its_inside() {
    let node = node().app("trap").start().await;
    let answer = node.get("/").await;
    let cause = node.heard().ends(1).await[0].cause.clone().unwrap();
    assert!(cause.contains("unreachable"));
    for inside in ["wasm", "unreachable", "backtrace", "0x", "/root", "src/"] {
        assert!(!answer.text().contains(inside), "{inside}: {answer:?}");
    }
}

#[tokio::test]
async fn blame_is_in_the_code_and_in_the_class_of_the_status() {
    for row in CODES {
        let class = row.status / 100;
        assert_eq!(class == 4, row.blame == Blame::Caller, "{}", row.code);
    }
}

#[tokio::test]
async fn an_error_that_a_function_passes_on_keeps_its_type() {
    let node = node().app("answers-error").start().await;
    for (path, error) in [("/refused", "connection_refused"), ("/late", "http_response_timeout")] {
        let answer = node.get(path).await;
        let status = answer.header("proxy-status").expect("the node made the reply");
        assert!(status.contains(&format!("error={error}")), "{status}");
    }
}

/// H8.
#[tokio::test]
async fn a_malformed_request_has_a_problem_document_too() {
    let node = node().app("hello").start().await;
    let mut raw = node.raw().await;
    let reply = raw.send("GET / HTTP/1.1\r\n\r\n").await.reply().await;
    let problem: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(problem["code"], "rimward.caller.bad-request");
    assert_eq!(problem["detail"], "there is no `host`");
}

/// A stream that was on its way when the drain began: its client cannot know yet.
#[tokio::test]
async fn a_node_that_drains_answers_what_comes_all_the_same() {
    let node = node().app("hello").start().await;
    node.drain(Duration::ZERO).await;
    let request = http::Request::builder().uri("/").header("host", "a").body(bytes::Bytes::new()).unwrap();
    let reply = node.node().answer(request).await.unwrap();
    assert_eq!(reply.status(), 200);
    assert_eq!(reply.into_body().collect().await.unwrap().to_bytes(), "hello\n");
}
