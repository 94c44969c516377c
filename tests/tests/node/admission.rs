//! Who may run: permits of the node, of a function and of a tenant, the queue before them, and what is said to those for
//! whom there is no room.

use rimward_node::MemoryLeft;
use rimward_tests::{App, NodeBuilder, TestNode, app, eventually, node};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use tokio::task::JoinHandle;

/// A function that holds its permit until its caller goes away.
fn sleep() -> App {
    app("sleep").limits(r#"wall = "60s""#)
}

fn queue_wait(node: NodeBuilder, wait: &str) -> NodeBuilder {
    node.file(|file| file.limits.queue_wait = wait.parse().unwrap())
}

/// Takes a permit for as long as what it returns is not dropped.
async fn occupy(node: &TestNode, path: &str) -> Occupied {
    let running = node.node().status().running;
    let call = tokio::spawn(node.get(path).open());
    eventually("it runs", || (node.node().status().running > running).then_some(())).await;
    Occupied(call)
}

struct Occupied(JoinHandle<rimward_tests::Open>);

impl Drop for Occupied {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[tokio::test]
async fn a_full_node_lets_requests_wait_and_then_refuses_them() {
    let node = queue_wait(node().room(2, 4), "50ms").app(sleep()).start().await;
    let _held = [occupy(&node, "/").await, occupy(&node, "/").await];
    let answer = node.get("/").await;
    answer.is(503).code("rimward.node.full").has("retry-after", "1");
    assert!(answer.waited().as_millis() >= 50, "it waited: {:?}", answer.waited());
    node.metric("rimward_requests_refused_total", "code=rimward.node.full").is(1.0).await;
    node.metric("rimward_permits", "").is(2.0).await;
    node.metric("rimward_permits_taken", "").is(2.0).await;
}

#[tokio::test]
async fn a_request_that_waits_runs_when_there_is_room() {
    let node = queue_wait(node().room(1, 1), "25s").app(sleep()).start().await;
    let held = occupy(&node, "/").await;
    let waiting = tokio::spawn(node.get("/1").into_future());
    eventually("it waits", || (node.node().status().waiting == 1).then_some(())).await;
    node.get("/1").await.is(503).code("rimward.node.full");
    node.metric("rimward_requests_waiting", "").is(1.0).await;
    drop(held);
    waiting.await.unwrap().is(200).says("slept\n");
    node.is_idle().await;
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_the_queue() {
    let node = queue_wait(node().room(1, 1), "25s").app(sleep()).start().await;
    let _held = occupy(&node, "/").await;
    let waiting = tokio::spawn(node.get("/").open());
    eventually("it waits", || (node.node().status().waiting == 1).then_some(())).await;
    waiting.abort();
    eventually("its place is free", || (node.node().status().waiting == 0).then_some(())).await;
}

/// H18.
#[tokio::test]
async fn a_function_has_its_own_limit_and_the_others_go_on() {
    let one = app("sleep").limits(r#"concurrency = 1, wall = "60s""#).route("/sleep/:ms");
    let node = node().room(8, 0).app(one).app(app("hello").route("/hello")).start().await;
    let _held = occupy(&node, "/sleep/for-ever").await;
    node.get("/sleep/1").await.is(429).code("rimward.caller.quota").has("retry-after", "1");
    node.get("/hello").await.is(200);
    node.metric("rimward_function_failures_total", "function=sleep,code=rimward.caller.quota").is(1.0).await;
}

/// H18.
#[tokio::test]
async fn a_tenant_has_its_own_limit_and_the_others_go_on() {
    let tenants = r#"
        [tenant.red]
        hosts = ["red.example"]
        limits = { concurrency = 1 }
        [tenant.blue]
        hosts = ["blue.example"]
    "#;
    let node = node()
        .room(8, 0)
        .tenants(tenants)
        .app(sleep().of_tenant("red").route("/sleep"))
        .app(app("hello").of_tenant("red").route("/"))
        .app(app("hello").of_tenant("blue").route("/"))
        .start()
        .await;
    let running = tokio::spawn(node.get("/sleep").host("red.example").open());
    eventually("it runs", || (node.node().status().running == 1).then_some(())).await;
    node.get("/").host("red.example").await.is(429).code("rimward.caller.quota");
    node.get("/").host("blue.example").await.is(200);
    running.abort();
    node.is_idle().await;
    node.get("/").host("red.example").await.is(200);
}

#[tokio::test]
async fn every_permit_comes_back_however_an_invocation_ends() {
    let paths = [
        (app("hello"), 200),
        (app("trap"), 500),
        (app("no-response"), 500),
        (app("exits"), 500),
        (app("answers-error"), 500),
        (app("spin").limits(r#"cpu = "5ms""#), 504),
        (app("sleep").limits(r#"wall = "5ms""#), 504),
        (app("memory-bomb").limits(r#"memory = "2MiB""#), 500),
    ];
    for (app, status) in paths {
        let node = node().room(1, 0).app(app).start().await;
        for _ in 0..4 {
            node.get("/").await.is(status);
            node.is_idle().await;
        }
    }
}

#[tokio::test]
async fn health_is_answered_by_a_full_node() {
    let node = node().room(1, 0).app(sleep()).start().await;
    let _held = occupy(&node, "/").await;
    node.get("/").await.is(503);
    assert_eq!(node.ops("/readyz").await, (200, "ready\n".to_owned()));
    assert_eq!(node.ops("/metrics").await.0, 200);
}

/// H16: a crowd that comes with a new function is queued within the bounds, and every one of it is answered.
#[tokio::test]
async fn a_crowd_on_a_function_that_was_just_loaded_is_answered() {
    let node = queue_wait(node().room(8, 256), "25s").own_cache().start().await;
    node.get("/").await.is(503).code("rimward.node.no-app");
    let installing = node.install(app("hello").limits("concurrency = 8"));
    let crowd = async {
        // From the first moment on that it answers.
        while node.get("/").await.status() != 200 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        node.get("/").at_once(200).await
    };
    let (_installed, answers) = tokio::join!(installing, crowd);
    for answer in answers {
        answer.is(200).says("hello\n");
    }
    node.is_idle().await;
}

/// G8, H15: a machine that runs out of memory takes nothing new on, and goes on when there is memory again.
#[tokio::test]
async fn a_node_that_is_short_of_memory_refuses_and_recovers() {
    const TOTAL: u64 = 1 << 30;
    let left = Arc::new(AtomicU64::new(TOTAL / 2));
    let source = left.clone();
    let memory = move || Some(MemoryLeft { total_bytes: TOTAL, left_bytes: source.load(Relaxed) });
    let node = node().memory(Arc::new(memory)).app(app("hello").with("reuse = 100")).start().await;
    node.get("/").await.is(200);
    left.store(TOTAL / 100, Relaxed);
    let refused = async || node.get("/").await.status() == 503;
    while !refused().await {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    node.get("/").await.is(503).code("rimward.node.memory").has("retry-after", "1");
    eventually("no instance waits", || {
        (node.metric("rimward_memory_used_bytes", "").value() == 0.0).then_some(())
    })
    .await;
    left.store(TOTAL / 2, Relaxed);
    while refused().await {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    node.get("/").await.is(200);
}
