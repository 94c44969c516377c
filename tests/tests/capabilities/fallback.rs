//! What answers in an upstream's place: a function of the app, or a fixed reply; and that the caller always learns of it.

use crate::support::nobody;
use rimward_tests::{App, always, declared, fake, node, raw};

/// An app whose function `asks` forwards requests to `origin`, and whose function `instead` says what it was asked.
fn app(origin: &str, fallback: &str) -> App {
    let text = r#"
[app]
name = "shop"
[function.asks]
component = "proxy"
upstreams = ["origin"]
[function.instead]
component = "mirror"
[[trigger.http]]
route = "/*rest"
function = "asks"
"#;
    let keys = format!("retry = {{ attempts = 1 }}\nfallback = {fallback}");
    declared(text).upstream_at("origin", origin, &keys)
}

/// C8: a fixed reply, for an upstream that is not there and for one that fails; each says why.
#[tokio::test]
async fn a_fixed_reply_answers_for_an_upstream_that_does_not() {
    let reply = "{ status = 203, headers = { x-from = 'the edge' }, body = 'unknown' }";
    let node_of = async |origin: &str| node().app(app(origin, reply)).start().await;
    let gone = node_of(&nobody()).await;
    let answer = gone.get("/").await;
    answer.is(203).says("unknown").has("x-from", "the edge");
    answer.has("rimward-upstream", "fallback=static, reason=error");
    gone.metric("rimward_upstream_fallbacks_total", "upstream=origin").is(1.0).await;
    let failing = fake(always(503));
    let node = node_of(&failing.url()).await;
    node.get("/").await.is(203).has("rimward-upstream", "fallback=static, reason=status");
}

/// C8: once the breaker is open the upstream is not asked any more.
#[tokio::test]
async fn a_fixed_reply_answers_while_the_breaker_is_open() {
    let failing = fake(always(500));
    let node = node().app(app(&failing.url(), "{ status = 200, body = 'instead' }")).start().await;
    for _ in 0..8 {
        node.get("/").await.is(200).says("instead");
    }
    assert_eq!(failing.seen().len(), 5, "five failures in a row open it");
    node.get("/").await.has("rimward-upstream", "tries=0, fallback=static, reason=circuit-open");
}

/// C8: the function gets the call, with its body, and the reason.
#[tokio::test]
async fn a_function_answers_with_the_call_in_its_hands() {
    let node = node().app(app(&nobody(), "{ function = 'instead', status = 200 }")).start().await;
    let answer = node.post("/infer?a=1").header("x-mine", "1").body("question").await;
    answer.is(200).mentions("POST ").mentions("/infer?a=1").mentions("x-mine: 1");
    answer.mentions("rimward-fallback-reason: error");
    answer.has("rimward-upstream", "fallback=function, reason=error");
}

/// What the upstream answers and what the caller did wrong stands.
#[tokio::test]
async fn other_answers_stand() {
    let missing = fake(always(404));
    let node = node().app(app(&missing.url(), "{ status = 200 }")).start().await;
    node.get("/").await.is(404).has_no("rimward-upstream");
    let liar = fake(raw("HTTP/1.1 200 OK\r\nrimward-upstream: fallback=static\r\ncontent-length: 0\r\n\r\n"));
    node.install(app(&liar.url(), "{ status = 203 }")).await;
    node.get("/").await.is(200).has_no("rimward-upstream");
}
