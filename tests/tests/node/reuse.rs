//! Instances: fresh for every request, or used again where a function asks for it.

use rimward_tests::{NodeBuilder, app, eventually, node, upload};
use std::num::NonZeroU32;

/// Idle instances wait on the core that used them last: one core, so that a test knows which.
fn one_core() -> NodeBuilder {
    node().file(|file| file.node.cores = NonZeroU32::new(1))
}

/// G27: of `wasi:http` 0.2; both versions are in `tests/hostile`.
#[tokio::test]
async fn every_request_has_a_fresh_instance_by_default() {
    let node = one_core().app("counts").start().await;
    for answer in node.get("/").times(5).await {
        answer.is(200).says("1");
    }
    node.metric("rimward_function_instances_total", "start=fresh").is(5.0).await;
    node.metric("rimward_function_instances_total", "start=reused").is(0.0).await;
}

#[tokio::test]
async fn an_instance_is_reused_as_often_as_was_asked_and_no_further() {
    let node = one_core().app(app("counts").with("reuse = 3")).start().await;
    // The check when it was installed had an instance of its own and used it again.
    let checks = node.heard().ended().len();
    let mut said = Vec::new();
    for request in 1..=6 {
        said.push(node.get("/").await.is(200).text());
        node.heard().ends(checks + request).await;
    }
    assert_eq!(said, ["1", "2", "3", "1", "2", "3"]);
    node.metric("rimward_function_instances_total", "start=reused").is(4.0 + 1.0).await;
}

/// What a guest that fails has in its memory is nothing to go on with.
#[tokio::test]
async fn an_instance_that_failed_is_not_used_again() {
    let node = one_core().app(app("counts").with("reuse = 100")).start().await;
    for (path, status, text) in [("/", 200, "1"), ("/", 200, "2"), ("/trap", 500, ""), ("/", 200, "1")] {
        let answer = node.get(path).await;
        answer.is(status).mentions(text);
        node.is_idle().await;
        let ended = node.heard().ended().len();
        assert!(ended >= 1);
    }
}

/// Two at once cannot have the same one.
#[tokio::test]
async fn requests_at_once_have_instances_of_their_own() {
    let node = one_core().app(app("measures").with("reuse = 100")).start().await;
    let calls: Vec<_> = (0..6)
        .map(|_| {
            let (sending, body) = upload();
            (sending, tokio::spawn(node.post("/").streams(body).into_future()))
        })
        .collect();
    eventually("all of them run", || (node.node().status().running == 6).then_some(())).await;
    for (sending, call) in calls {
        assert!(sending.send("1234").await);
        drop(sending);
        call.await.unwrap().is(200).says("4 bytes {}\n");
    }
}

/// G27: another function has other instances, also of the same component, and so has the next revision.
#[tokio::test]
async fn an_instance_belongs_to_one_function_and_revision() {
    let reused = |name: &str| app("counts").named(name).with("reuse = 100");
    let node = one_core().app(reused("one")).app(reused("other").route("/other")).start().await;
    node.get("/").await.says("1");
    node.get("/other").await.says("1");
    node.install(reused("one").with(r#"config = { changed = "yes" }"#)).await;
    node.get("/").await.says("1");
}

#[tokio::test]
async fn a_guest_that_answers_once_is_refused_when_it_asks_for_reuse() {
    let node = node().app(app("hello").named("shop")).start().await;
    let why = node.refuses(app("answers-once").named("shop").with("reuse = 10")).await;
    assert!(why.contains("did not answer a second request") && why.contains("remove `reuse`"), "{why}");
    node.get("/").await.is(200).says("hello\n");
    node.install(app("answers-once").named("shop")).await;
    for answer in node.get("/").times(3).await {
        answer.is(200).says("once\n");
    }
}
