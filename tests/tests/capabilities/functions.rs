//! Calls from function to function: in process, within limits, with bodies that stream through.

use crate::support::call;
use rimward_tests::{app, declared, node, upload};

#[tokio::test]
async fn hop_calls_other_functions_of_its_app_and_bodies_go_through() {
    let node = node().app(app("hop").with(r#"functions = ["hop"]"#)).start().await;
    node.post("/hop/hop/hop").body("through four instances").await.is(200).says("through four instances");
    node.metric("rimward_requests_total", "function=hop").is(4.0).await;
}

#[tokio::test]
async fn a_function_that_was_not_granted_is_denied_though_it_exists() {
    let text = r#"
        [app]
        name = "two"
        [function.asks]
        component = "call"
        [function.other]
        component = "hop"
        [[trigger.http]]
        route = "/"
        function = "asks"
    "#;
    let node = node().app(declared(text)).start().await;
    call(&node, "http://other.function.internal/").await.is(200).says("error ErrorCode::HttpRequestDenied");
}

#[tokio::test]
async fn a_function_that_the_app_does_not_have_cannot_be_granted() {
    let text = app("hop").with(r#"functions = ["nobody"]"#).text();
    let problems = rimward_manifest::App::parse(&text).expect_err("there is no such function");
    assert!(problems.to_string().contains("nobody"), "{problems}");
}

#[tokio::test]
async fn a_body_streams_through_a_chain_while_it_arrives() {
    let node = node().app(app("hop").with(r#"functions = ["hop"]"#)).start().await;
    let (body, streamed) = upload();
    let opening = tokio::spawn(node.post("/hop").streams(streamed).open());
    body.send("first").await;
    let mut open = opening.await.expect("it does not panic");
    assert_eq!(open.piece().await.expect("a piece").expect("no error"), "first");
    body.send("second").await;
    assert_eq!(open.piece().await.expect("a piece").expect("no error"), "second");
    drop(body);
    assert!(open.piece().await.is_none());
}

#[tokio::test]
async fn functions_that_call_each_other_without_end_are_stopped_at_a_depth() {
    let node = node().room(32, 0).app(app("hop").with(r#"functions = ["hop"]"#)).start().await;
    node.get("/loop").await.is(508);
    let deep = f64::from(rimward_capability::limits::CALL_DEPTH);
    node.metric("rimward_function_failures_total", "code=rimward.guest.depth").is(1.0).await;
    node.metric("rimward_requests_total", "function=hop").is(deep + 1.0).await;
    node.is_idle().await;
}

#[tokio::test]
async fn a_called_function_keeps_its_own_limits() {
    let text = r#"
        [app]
        name = "two"
        [function.hop]
        component = "hop"
        functions = ["small"]
        [function.small]
        component = "hop"
        limits = { request-body = "1KiB" }
        [[trigger.http]]
        route = "/*rest"
        function = "hop"
    "#;
    let node = node().app(declared(text)).start().await;
    node.post("/small").body(vec![0; 1 << 10]).await.is(200);
    node.post("/small").body(vec![0; (1 << 10) + 1]).await.is(413);
}

#[tokio::test]
async fn a_called_function_is_in_the_same_trace() {
    const SENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let node = node().app(app("hop").with(r#"functions = ["hop"]"#)).start().await;
    node.post("/hop").header("traceparent", SENT).await.is(200);
    let ended = node.heard().ends(2).await;
    assert!(ended.iter().all(|request| request.trace_id == SENT[3..35]), "{ended:?}");
}
