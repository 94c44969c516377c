//! `wasi:http` 0.3, made with the crate `wasip3`.

use rimward_tests::{Over, TestNode, app, fake, node, replies, upload};
use std::sync::Arc;
use tokio::sync::Barrier;

const GUEST: &str = "wasi-http-03";

async fn started() -> TestNode {
    node().dev().app(GUEST).start().await
}

#[tokio::test]
async fn wasi_http_03_is_refused_unless_the_operator_switched_it_on() {
    let off = node().start().await;
    let why = off.refuses(GUEST).await;
    assert!(why.contains("`wasi:http` 0.3") && why.contains("`wasi-http-03 = true`"), "{why}");
    let on = node().file(|file| file.node.wasi_http_03 = true).app(GUEST).start().await;
    on.get("/somewhere").await.is(200).says("GET /somewhere by wasi:http 0.3");
}

#[tokio::test]
async fn it_is_on_for_a_developer() {
    started().await.post("/x").await.is(200).says("POST /x by wasi:http 0.3");
}

#[tokio::test]
async fn it_serves_beside_components_of_0_2() {
    let node =
        node().dev().app(app(GUEST).on("new.example")).app(app("hello").on("old.example")).start().await;
    for _ in 0..3 {
        node.get("/").host("new.example").await.is(200).says("GET / by wasi:http 0.3");
        node.get("/").host("old.example").await.is(200).says("hello\n");
    }
}

#[tokio::test]
async fn it_knows_where_it_was_asked() {
    let node = started().await;
    for over in [Over::Http1, Over::Http2] {
        let answer = node.get("/mirror?x=1").over(over).host("shop.example:8080").await;
        answer.is(200).says("http://shop.example:8080/mirror?x=1");
    }
}

#[tokio::test]
async fn a_body_streams_through_while_it_arrives() {
    let node = started().await;
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
    node.is_idle().await;
}

#[tokio::test]
async fn outgoing_calls_of_one_invocation_run_at_the_same_time() {
    // Nobody is answered before all eight have asked.
    let all = Arc::new(Barrier::new(8));
    let origin = fake(replies(move |_| {
        let all = all.clone();
        async move {
            all.wait().await;
            http::Response::new("together".into())
        }
    }));
    let node = node().dev().app(app(GUEST).upstream("origin", &origin)).start().await;
    let answer = node.get("/fan-out").header("x-to", "http://origin.upstream.internal/").await;
    answer.is(200).says(&["200 together"; 8].join("\n"));
}

#[tokio::test]
async fn a_call_that_was_not_granted_is_denied() {
    let node = started().await;
    let answer = node.get("/fan-out").header("x-to", "http://example.com/").await;
    answer.is(500).code("rimward.guest.error");
}

#[tokio::test]
async fn trailers_follow_the_body_over_both_versions_of_http() {
    let node = started().await;
    for over in [Over::Http2, Over::Http1] {
        let answer = node.get("/trailers").over(over).header("te", "trailers").await;
        answer.is(200).says("with trailers");
        assert_eq!(answer.trailers().get("x-sum").expect("there is a trailer"), "42");
    }
}

#[tokio::test]
async fn a_trap_is_a_500_and_the_next_request_is_answered() {
    let node = started().await;
    node.get("/trap").await.is(500).code("rimward.guest.trap");
    node.get("/").await.is(200);
}

#[tokio::test]
async fn a_loop_is_ended_at_its_cpu_limit_and_neighbours_go_on() {
    let limits = r#"cpu = "200ms", wall = "5s""#;
    let node = node().dev().app(app(GUEST).limits(limits)).start().await;
    let spinning = tokio::spawn(node.get("/spin").into_future());
    for answer in node.get("/").times(10).await {
        answer.is(200);
    }
    spinning.await.expect("it does not panic").is(504).code("rimward.guest.cpu");
    node.is_idle().await;
}

#[tokio::test]
async fn sleeping_ends_at_the_wall_limit() {
    let node = node().dev().app(app(GUEST).limits(r#"wall = "200ms""#)).start().await;
    node.get("/sleep").await.is(504).code("rimward.guest.wall");
    node.is_idle().await;
}

#[tokio::test]
async fn an_error_in_place_of_an_answer_is_a_500() {
    started().await.get("/error").await.is(500).code("rimward.guest.error");
}

#[tokio::test]
async fn a_client_that_goes_away_ends_the_guest() {
    let node = started().await;
    let (body, streamed) = upload();
    let opening = tokio::spawn(node.post("/echo").streams(streamed).open());
    body.send("first").await;
    drop(opening.await.expect("it does not panic"));
    node.is_idle().await;
    let ended = node.heard().ends(1).await;
    assert_eq!(ended[0].outcome, rimward_node::Outcome::Abandoned, "{ended:?}");
}

#[tokio::test]
async fn an_instance_is_reused_one_request_after_the_other() {
    let node = node().dev().app(app(GUEST).with("reuse = 10")).start().await;
    for answer in node.get("/").times(5).await {
        answer.is(200);
    }
}
