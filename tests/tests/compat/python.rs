//! Python, made with componentize-py: asyncio over `wasi:http` 0.2.

use crate::foreign::foreign;
use rimward_tests::{App, TestNode, app, echoes, fake, node};

/// CPython takes more than most to begin.
fn python() -> Option<App> {
    Some(foreign("py")?.limits(r#"memory = "256MiB", cpu = "10s""#))
}

async fn started() -> Option<TestNode> {
    Some(node().app(python()?).start().await)
}

#[tokio::test]
async fn python_answers_every_request_on_a_fresh_instance() {
    let Some(node) = started().await else { return };
    for answer in node.get("/somewhere").times(3).await {
        answer.is(200).says("/somewhere by Python");
    }
    node.get("/answered").await.is(200).says("1");
}

#[tokio::test]
async fn a_body_goes_through_python() {
    let Some(node) = started().await else { return };
    let large = vec![b'x'; 1 << 20];
    assert!(node.post("/echo").body(large.clone()).await.is(200).bytes() == &large);
}

#[tokio::test]
async fn python_fetches_from_a_granted_upstream() {
    let Some(app) = python() else { return };
    let origin = fake(echoes());
    let node = node().app(app.upstream("origin", &origin)).start().await;
    node.get("/fetch?url=http://origin.upstream.internal/x").await.is(200).says("200 ");
    assert_eq!(origin.sees(1).await[0].uri.path(), "/x");
}

#[tokio::test]
async fn what_python_raises_is_told_in_the_log_and_not_to_the_caller() {
    let Some(node) = started().await else { return };
    let answer = node.get("/raise").await;
    assert!(answer.status() >= 500 && !answer.text().contains("on purpose"), "{answer:?}");
    node.heard().log("on purpose").await;
}

#[tokio::test]
async fn python_logs_to_both_standard_streams() {
    let Some(node) = started().await else { return };
    node.get("/log").await.is(200).says("logged");
    assert_eq!(node.heard().log("a line of Python").await.context, "stdout");
    assert_eq!(node.heard().log("and one to stderr").await.context, "stderr");
}

#[tokio::test]
async fn an_instance_of_python_is_reused_where_the_app_asks_for_it() {
    let Some(app) = python() else { return };
    let node = node()
        .file(|file| file.node.cores = std::num::NonZeroU32::new(1))
        .app(app.with("reuse = 10"))
        .start();
    let node = node.await;
    // When it was installed it was checked, with an instance of its own.
    let checks = node.heard().ended().len();
    for nth in 1..=3 {
        node.get("/answered").await.is(200).says(&nth.to_string());
        node.heard().ends(checks + nth).await;
    }
}

#[tokio::test]
async fn components_of_two_tools_serve_side_by_side() {
    let Some(python) = python() else { return };
    let rust = app("hello").on("rust.example");
    let node = node().app(python.on("python.example")).app(rust).start().await;
    node.get("/").host("python.example").await.is(200).says("/ by Python");
    node.get("/").host("rust.example").await.is(200).says("hello\n");
}
