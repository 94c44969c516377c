//! Deferred calls, end to end: what is accepted is on disk, is delivered when the upstream can be reached, and its status
//! and answer are there for the app that made it.

use crate::support::nobody;
use rimward_tests::{
    Answer, App, Fake, NodeBuilder, TestNode, always, app, declared, echoes, eventually, fake, node, replies,
};
use serde_json::Value;
use std::time::Duration;

/// An app whose function `sends` forwards requests to `origin`, whose function `asks` calls what the request says, and
/// whose function `told` forwards to `origin` too.
fn gateway(origin: &str, outbox: &str) -> App {
    let text = r#"
[app]
name = "gateway"
[function.sends]
component = "proxy"
upstreams = ["origin"]
[function.asks]
component = "call"
upstreams = ["origin"]
[function.told]
component = "proxy"
upstreams = ["origin"]
[function.stranger]
component = "call"
[[trigger.http]]
route = "/send/*rest"
function = "sends"
[[trigger.http]]
route = "/ask"
function = "asks"
[[trigger.http]]
route = "/stranger"
function = "stranger"
"#;
    declared(text).upstream_at("origin", origin, outbox)
}

/// Deliveries begin at once when the upstream is back.
const OUTBOX: &str = "outbox = { jitter = '1ms', backoff = '1ms..1ms' }";

fn durable() -> NodeBuilder {
    node().durable()
}

async fn defer(node: &TestNode, path: &str, body: &str) -> Answer {
    node.post(&format!("/send{path}")).header("prefer", "respond-async").body(body.to_owned()).await
}

/// The id that a deferred call was given.
fn id(accepted: &Answer) -> String {
    accepted.is(202).has("preference-applied", "respond-async");
    let location = accepted.header("location").expect("an accepted call has a place");
    location.strip_prefix("http://outbox.internal/").expect("it is in the outbox").to_owned()
}

async fn status(node: &TestNode, id: &str) -> Value {
    let answer = node.get("/ask").header("x-to", &format!("http://outbox.internal/{id}")).await;
    let text = answer.is(200).text();
    let json = text.strip_prefix("200 ").unwrap_or_else(|| panic!("{text}"));
    serde_json::from_str(json).expect("a status is JSON")
}

async fn ends(node: &TestNode, id: &str, state: &str) -> Value {
    for _ in 0..600 {
        let status = status(node, id).await;
        if status["state"] == state {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the call {id} is not {state}: {}", status(node, id).await);
}

/// K1, K4: the call is accepted, delivered with a key of its own, and its answer can be read.
#[tokio::test]
async fn a_deferred_call_is_accepted_delivered_and_answered() {
    let origin = fake(echoes());
    let node = durable().app(gateway(&origin.url(), OUTBOX)).start().await;
    let id = id(&defer(&node, "/readings?a=1", "21.5").await);
    let seen = origin.sees(1).await.remove(0);
    assert_eq!((seen.method.as_str(), seen.uri.to_string().as_str()), ("POST", "/send/readings?a=1"));
    assert_eq!(seen.body, "21.5");
    assert!(seen.headers.contains_key("idempotency-key") && !seen.headers.contains_key("prefer"));
    let status = ends(&node, &id, "delivered").await;
    assert_eq!(status["answer"]["status"], 200);
    assert_eq!(status["answer"]["body-base64"], "MjEuNQ==");
    assert_eq!(status["idempotency-key"], seen.headers["idempotency-key"].to_str().unwrap());
}

#[tokio::test]
async fn a_call_that_does_not_ask_for_it_is_sent_at_once() {
    let origin = fake(echoes());
    let node = durable().app(gateway(&origin.url(), OUTBOX)).start().await;
    node.post("/send/x").body("now").await.is(200).says("now").has_no("preference-applied");
}

#[tokio::test]
async fn without_an_outbox_the_preference_is_not_applied() {
    let origin = fake(echoes());
    let node = durable().app(gateway(&origin.url(), "")).start().await;
    defer(&node, "/x", "now").await.is(200).says("now").has_no("preference-applied");
    let denied = node.get("/ask").header("x-to", "http://outbox.internal/00000000-1").await;
    denied.is(200).says("error ErrorCode::HttpRequestDenied");
}

#[tokio::test]
async fn every_call_is_deferred_where_the_app_says_so() {
    let origin = fake(echoes());
    let outbox = format!("{OUTBOX}\ndeferred = 'always'");
    let node = durable().app(gateway(&origin.url(), &outbox)).start().await;
    id(&node.post("/send/x").body("later").await);
    origin.sees(1).await;
}

/// K1, K8: what was accepted while the link was down is delivered by the next process, in order, when it is back.
#[tokio::test]
async fn accepted_calls_outlive_the_node_and_the_link() {
    let down = nobody();
    let node = durable().app(gateway(&down, OUTBOX)).start().await;
    let mut ids = Vec::new();
    for reading in 0..5 {
        ids.push(id(&defer(&node, "/r", &reading.to_string()).await));
    }
    assert_eq!(status(&node, &ids[4]).await["state"], "waiting");
    let origin = fake(echoes());
    let node = node.stop().durable().app(gateway(&origin.url(), OUTBOX)).start().await;
    let bodies: Vec<_> = origin.sees(5).await.iter().map(|seen| seen.body.clone()).collect();
    assert_eq!(bodies, ["0", "1", "2", "3", "4"]);
    for id in &ids {
        ends(&node, id, "delivered").await;
    }
}

#[tokio::test]
async fn a_function_is_told_of_the_answer() {
    let origin = fake(replies(|seen| async move {
        match seen.headers.contains_key("rimward-outbox-id") {
            true => http::Response::new("noted".into()),
            false => {
                http::Response::builder().status(201).header("x-from", "cloud").body("answer".into()).unwrap()
            }
        }
    }));
    let outbox = "outbox = { jitter = '1ms', on-delivered = 'told' }";
    let node = durable().app(gateway(&origin.url(), outbox)).start().await;
    let id = id(&defer(&node, "/r", "question").await);
    let seen = origin.sees(2).await;
    let [call, told] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!((told.method.as_str(), told.uri.path()), ("POST", "/send/r"));
    assert_eq!(told.body, "answer");
    for (name, value) in [
        ("rimward-outbox-id", id.as_str()),
        ("rimward-outbox-status", "201"),
        ("rimward-outbox-body", "whole"),
        ("x-from", "cloud"),
        ("idempotency-key", call.headers["idempotency-key"].to_str().unwrap()),
    ] {
        assert_eq!(told.headers[name], value, "{name}");
    }
}

/// K13: an id is of use only to functions that may call the upstream, and nobody reads another app's.
#[tokio::test]
async fn a_deferred_call_is_nobody_elses_business() {
    let origin = fake(echoes());
    let node = durable().app(gateway(&origin.url(), OUTBOX)).start().await;
    let id = id(&defer(&node, "/x", "mine").await);
    let url = format!("http://outbox.internal/{id}");
    let stranger = node.get("/stranger").header("x-to", &url).await;
    stranger.is(200).says("error ErrorCode::HttpRequestDenied");
    let (mark, number) = id.split_once('-').unwrap();
    let next: u64 = number.parse::<u64>().unwrap() + 1;
    for other in [format!("{mark}-{next}"), format!("00000000-{number}"), "x".to_owned(), String::new()] {
        let answer = node.get("/ask").header("x-to", &format!("http://outbox.internal/{other}")).await;
        answer.is(200).says("404 ");
    }
}

/// A call to an upstream that the app does not have any more can go nowhere, and is kept with the reason.
#[tokio::test]
async fn calls_to_an_upstream_that_is_gone_are_dead() {
    let node = durable().app(gateway(&nobody(), OUTBOX)).start().await;
    id(&defer(&node, "/x", "for nobody").await);
    let without = declared(
        "[app]\nname = 'gateway'\n[function.sends]\ncomponent = 'hello'\n[[trigger.http]]\nroute = '/*rest'\nfunction = 'sends'",
    );
    node.install(without).await;
    node.metric("rimward_outbox_dead_calls", "upstream=origin").is(1.0).await;
    node.metric("rimward_outbox_waiting_calls", "upstream=origin").is(0.0).await;
}

/// K3, K5: what waits for an app that is not there when the node starts is seen, and goes on when the app is back.
#[tokio::test]
async fn an_outbox_without_its_app_is_still_there() {
    let node = durable().app(gateway(&nobody(), OUTBOX)).start().await;
    let id = id(&defer(&node, "/a", "1").await);
    let node = node.stop().durable().app(app("hello").route("/hello")).start().await;
    let outbox = eventually("the outbox is open", || {
        node.node().outboxes().into_iter().find(|outbox| outbox.upstream.as_str() == "origin")
    });
    let counts = outbox.await.outbox.counts();
    assert_eq!((counts.waiting, counts.dead), (1, 0));
    let origin = fake(always(200));
    node.install(gateway(&origin.url(), OUTBOX)).await;
    assert_eq!(origin.sees(1).await[0].body, "1");
    let found = node.node().outboxes().remove(0).outbox;
    let state = found.status(id.parse().expect("it is an id")).await.expect("it can be read");
    assert!(state.is_some(), "the id of before holds");
}

/// K2: a full outbox refuses, and the function learns why.
#[tokio::test]
async fn a_full_outbox_refuses() {
    let outbox = "outbox = { bytes = '2KiB', body = '1KiB' }";
    let node = durable().app(gateway(&nobody(), outbox)).start().await;
    let body = "x".repeat(900);
    id(&defer(&node, "/x", &body).await);
    // The proxy passes the error on as its own failure, and says why in its log.
    defer(&node, "/x", &body).await.is(500);
    assert!(node.heard().logged().iter().any(|line| format!("{line:?}").contains("the outbox is full")));
    node.metric("rimward_outbox_refused_calls_total", "upstream=origin").is(1.0).await;
}

/// K15: a call that is too large is refused when it is made.
#[tokio::test]
async fn a_call_that_is_too_large_is_refused_with_the_limit() {
    let outbox = "outbox = { body = '1KiB' }";
    let node = durable().app(gateway(&nobody(), outbox)).start().await;
    id(&defer(&node, "/x", &"x".repeat(1024)).await);
    defer(&node, "/x", &"x".repeat(1025)).await.is(500);
    assert!(node.heard().logged().iter().any(|line| format!("{line:?}").contains("larger than 1024 bytes")));
}

/// K5: an upstream that refuses the call ends it at once, with its answer as the reason.
#[tokio::test]
async fn a_call_that_the_upstream_refuses_is_dead_with_the_reason() {
    let origin: Fake = fake(always(422));
    let node = durable().app(gateway(&origin.url(), OUTBOX)).start().await;
    let id = id(&defer(&node, "/x", "wrong").await);
    let status = ends(&node, &id, "dead").await;
    assert_eq!(status["reason"], "the upstream answered 422 Unprocessable Entity");
    assert_eq!(status["attempts"], 1);
}

/// K4: a second call with the same key is the first one.
#[tokio::test]
async fn a_call_that_was_sent_twice_is_kept_once() {
    let origin = fake(echoes());
    let node = durable().app(gateway(&origin.url(), OUTBOX)).start().await;
    let send = || {
        let call =
            node.post("/send/x").header("prefer", "respond-async").header("idempotency-key", "order-1");
        call.body("once")
    };
    let (first, second) = (id(&send().await), id(&send().await));
    assert_eq!(first, second);
    ends(&node, &first, "delivered").await;
    assert_eq!(id(&send().await), first);
    eventually("only one was delivered", || (origin.seen().len() == 1).then_some(())).await;
}

/// K2: what outboxes may take of the disk has a bound, for all of them and for a tenant's; it holds at the limit and not
/// above it.
#[tokio::test]
async fn outboxes_of_all_apps_have_a_bound() {
    let of = |name: &str| {
        // 4 MiB, a quarter for dead calls, and answers.
        let outbox = "outbox = { bytes = '4MiB', body = '1KiB', answers = '1MiB' }";
        let app = app("proxy").named(name).route(&format!("/{name}"));
        app.upstream_at("origin", &nobody(), outbox)
    };
    let node_has = |most: &str| {
        let most = most.parse().expect("it is a size");
        durable().file(|file| file.limits.outboxes = most)
    };
    let tenant_has = |most: &str| {
        durable().tenants(&format!("[tenant.default]\nhosts = ['*']\nlimits = {{ outboxes = '{most}' }}"))
    };
    for (node, whose) in [
        (node_has("12582911B"), "the outboxes of all apps may take"),
        (tenant_has("12582911B"), "the outboxes of tenant `default` may take"),
    ] {
        let node = node.app(of("one")).start().await;
        let why = node.refuses(of("two")).await;
        assert!(
            why.contains(whose) && why.contains("12582912 bytes on disk together, more than the 12582911 of"),
            "{why}"
        );
        assert_eq!(node.node().outboxes().len(), 1, "it was not opened");
        node.install(of("one")).await;
    }
    node_has("12MiB").app(of("one")).app(of("two")).start().await;
    tenant_has("12MiB").app(of("one")).app(of("two")).start().await;
}
