//! JavaScript, made with componentize-js: a `fetch` event as in a service worker, `wasi:http` 0.2.10.

use crate::foreign::foreign;
use rimward_tests::{TestNode, echoes, fake, node, upload};

async fn started() -> Option<TestNode> {
    Some(node().app(foreign("js")?).start().await)
}

#[tokio::test]
async fn javascript_answers_every_request_on_a_fresh_instance() {
    let Some(node) = started().await else { return };
    for answer in node.get("/somewhere").times(5).await {
        answer.is(200).says("GET /somewhere by JavaScript");
    }
    node.metric("rimward_function_instances_total", "start=fresh").is(5.0).await;
}

#[tokio::test]
async fn json_goes_in_and_out_of_javascript() {
    let Some(node) = started().await else { return };
    let answer =
        node.post("/json").header("content-type", "application/json").body(r#"{"numbers":[1,2,39]}"#).await;
    answer.is(200).says(r#"{"sum":42}"#).has("content-type", "application/json");
}

#[tokio::test]
async fn a_body_streams_through_javascript() {
    let Some(node) = started().await else { return };
    let large = vec![b'x'; 1 << 20];
    assert!(node.post("/echo").body(large.clone()).await.is(200).bytes() == &large);
    let (body, streamed) = upload();
    let opening = tokio::spawn(node.post("/echo").streams(streamed).open());
    body.send("first").await;
    let mut open = opening.await.expect("it does not panic");
    assert_eq!(open.piece().await.expect("a piece").expect("no error"), "first");
    body.send("second").await;
    assert_eq!(open.piece().await.expect("a piece").expect("no error"), "second");
    drop(body);
    assert!(open.piece().await.is_none());
}

#[tokio::test]
async fn javascript_fetches_from_a_granted_upstream() {
    let Some(app) = foreign("js") else { return };
    let origin = fake(echoes());
    let node = node().app(app.upstream("origin", &origin)).start().await;
    node.get("/fetch?url=http://origin.upstream.internal/x").await.is(200).says("200 ");
    assert_eq!(origin.sees(1).await[0].uri.path(), "/x");
}

#[tokio::test]
async fn what_javascript_throws_is_told_in_the_log_and_not_to_the_caller() {
    let Some(node) = started().await else { return };
    let answer = node.get("/throw").await;
    assert!(answer.status() >= 500 && !answer.text().contains("on purpose"), "{answer:?}");
    node.heard().log("on purpose").await;
}

#[tokio::test]
async fn javascript_logs_to_its_console() {
    let Some(node) = started().await else { return };
    node.get("/log").await.is(200).says("logged");
    node.heard().log("a line of JavaScript").await;
}

#[tokio::test]
async fn reuse_is_refused_because_an_instance_of_javascript_answers_once() {
    let Some(app) = foreign("js") else { return };
    let node = node().start().await;
    let why = node.refuses(app.with("reuse = 10")).await;
    assert!(why.contains("did not answer a second request"), "{why}");
    assert!(why.contains("remove `reuse`"), "{why}");
}
