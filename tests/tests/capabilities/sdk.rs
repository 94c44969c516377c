//! What a function on `rimward-sdk` learns of its calls: what became of each one in types, from a real node.

use crate::support::nobody;
use rimward_tests::{
    Answer, App, TestNode, always, declared, echoes, fake, node, replies, silent, stalls_after,
};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

/// An app whose function calls `origin`, where these keys hold.
fn app(origin: &str, keys: &str) -> App {
    let text = r#"
[app]
name = "sdk"
[function.calls]
component = "sdk-calls"
upstreams = ["origin"]
[function.instead]
component = "hello"
[[trigger.http]]
route = "/*rest"
function = "calls"
"#;
    declared(text).upstream_at("origin", origin, keys)
}

async fn serving(origin: &str, keys: &str) -> TestNode {
    node().app(app(origin, keys)).start().await
}

/// Without the node's own retries and without a breaker.
const PLAIN: &str = "retry = { attempts = 1 }\ncircuit-breaker = { enabled = false }";

#[tokio::test]
async fn an_answer_of_the_first_try_has_nothing_to_tell() {
    let origin = fake(echoes());
    let node = serving(&origin.url(), "").await;
    node.post("/x").body("hi").await.is(200).says("200 `hi` tries 1 hedged false fallback None");
}

/// C2, C15: a call with a key is tried again, and the function learns how often.
#[tokio::test]
async fn a_call_with_a_key_is_tried_again_and_says_how_often() {
    let asked = AtomicUsize::new(0);
    let origin = fake(replies(move |_| {
        let status = if asked.fetch_add(1, Relaxed).is_multiple_of(2) { 503 } else { 200 };
        async move { http::Response::builder().status(status).body("body".into()).unwrap() }
    }));
    let node = serving(&origin.url(), "retry = { backoff = '1ms..2ms' }").await;
    let answer = node.post("/x").header("x-key", "order-1").await;
    answer.is(200).says("200 `body` tries 2 hedged false fallback None");
    let keys: Vec<_> = origin.seen().iter().map(|seen| seen.headers["idempotency-key"].clone()).collect();
    assert_eq!(keys, ["order-1", "order-1"]);
    node.post("/x").await.is(200).says("503 `body` tries 1 hedged false fallback None");
}

/// C7: the node does not try while the breaker is open, and the function can tell this from every other failure.
#[tokio::test]
async fn an_open_breaker_is_an_error_of_its_own() {
    let origin = fake(always(500));
    let node = serving(&origin.url(), "").await;
    for _ in 0..5 {
        node.post("/x").await.is(200).mentions("500 ``");
    }
    node.post("/x").await.is(200).says("error CircuitOpen");
    assert_eq!(origin.seen().len(), 5);
}

/// C16: nor while as many calls are under way as may be.
#[tokio::test]
async fn a_full_bulkhead_is_an_error_of_its_own() {
    let origin = fake(silent());
    let bulkhead = format!("{PLAIN}\nbulkhead = {{ concurrent = 1, queue = 1, queue-wait = '1ms' }}");
    let node = serving(&origin.url(), &bulkhead).await;
    let first = node.post("/x").header("x-timeout-ms", "3600000");
    let holds = tokio::spawn(async move { first.await });
    origin.sees(1).await;
    node.post("/x").await.is(200).says("error TooMany");
    holds.abort();
}

/// C1, C3: which time ran out.
#[tokio::test]
async fn timeouts_are_told_apart() {
    let quiet = fake(silent());
    let node = serving(&quiet.url(), &format!("{PLAIN}\ntimeout = {{ first-byte = '50ms' }}")).await;
    node.post("/x").await.is(200).says("error Timeout(Answer)");
    let stalls = fake(stalls_after("so far"));
    let keys = format!("{PLAIN}\ntimeout = {{ between-bytes = '50ms' }}");
    node.install(app(&stalls.url(), &keys)).await;
    node.post("/x").await.is(200).says("200 and then Timeout");
}

/// C10: a call that is given a time takes no longer, whatever the upstream's timeouts are, and the upstream hears of it.
#[tokio::test]
async fn a_call_is_given_up_when_its_own_time_is_up() {
    let quiet = fake(silent());
    let node = serving(&quiet.url(), PLAIN).await;
    let answer = node.post("/x").header("x-timeout-ms", "60").await;
    answer.is(200).says("error Timeout(Given)");
    assert!(answer.waited() < Duration::from_secs(10), "the upstream's own timeout is ten seconds");
    assert_eq!(quiet.seen()[0].headers["x-envoy-expected-rq-timeout-ms"], "60");
    let origin = fake(always(204));
    node.install(app(&origin.url(), PLAIN)).await;
    node.post("/x").header("x-timeout-ms", "3600000").await.is(200).mentions("204 ``");
}

/// C8: the function learns that something else answered, what, and why.
#[tokio::test]
async fn a_fallback_says_what_answered_and_why() {
    let gone = nobody();
    let node = serving(&gone, "retry = { attempts = 1 }\nfallback = { status = 200, body = 'guess' }").await;
    let says = |text| async move { format!("200 `guess` {text}") };
    let expected = says("tries 1 hedged false fallback Some(\"Static Error\")").await;
    node.post("/x").await.is(200).says(&expected);
    let failing = fake(always(503));
    let function = "retry = { attempts = 1 }\nfallback = { function = 'instead' }";
    node.install(app(&failing.url(), function)).await;
    node.post("/x").await.is(200).mentions("fallback Some(\"Function Status\")");
}

#[tokio::test]
async fn an_upstream_that_cannot_be_reached_says_so() {
    let node = serving(&nobody(), PLAIN).await;
    node.post("/x").await.is(200).says("error Unreachable(\"ConnectionRefused\")");
}

/// The id that a deferred call was given.
fn id(answer: &Answer) -> String {
    let id = answer.is(200).text();
    assert!(id.contains('-') && !id.contains(' '), "{id}");
    id
}

/// K1: a deferred call gives an id, by which its state and its answer can be had.
#[tokio::test]
async fn a_deferred_call_has_a_state_and_then_an_answer() {
    let origin = fake(echoes());
    let outbox = "outbox = { jitter = '1ms' }";
    let node = node().durable().app(app(&origin.url(), outbox)).start().await;
    let id = id(&node.post("/defer").header("x-order", "a").body("21.5").await);
    let path = format!("/status/{id}");
    let mut state = node.get(&path).await.text();
    for _ in 0..600 {
        if state.starts_with("Delivered") {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        state = node.get(&path).await.text();
    }
    assert_eq!(state, "Delivered after 1 Some(\"200 `21.5` whole true\") None");
    node.get("/take-back/00000000-1").await.says("Ok(false)");
    node.get("/status/00000000-1").await.says("unknown");
}

/// K1: what waits can be taken back.
#[tokio::test]
async fn a_deferred_call_that_waits_can_be_taken_back() {
    let node = node().durable().app(app(&nobody(), "outbox = {}")).start().await;
    let id = id(&node.post("/defer").body("21.5").await);
    node.get(&format!("/status/{id}")).await.mentions("Waiting after 0 None");
    node.get(&format!("/take-back/{id}")).await.says("Ok(true)");
    node.get(&format!("/status/{id}")).await.says("unknown");
}

/// K2, K15: a call that is not accepted says why.
#[tokio::test]
async fn a_call_that_is_not_accepted_says_why() {
    let outbox = "outbox = { bytes = '2KiB', body = '1KiB' }";
    let node = node().durable().app(app(&nobody(), outbox)).start().await;
    let large = node.post("/defer").body("x".repeat(1025)).await;
    large.is(200).says("error TooLarge { bytes_max: Some(1024) }");
    id(&node.post("/defer").body("x".repeat(900)).await);
    let full = node.post("/defer").body("x".repeat(900)).await;
    full.is(200).says("error NotAccepted(\"the outbox is full\")");
}

#[tokio::test]
async fn without_an_outbox_a_deferred_call_is_answered_at_once() {
    let origin = fake(always(204));
    let node = serving(&origin.url(), "").await;
    node.post("/defer").await.is(200).says("answered 204 No Content");
}
