//! A panic of the node's own code.

use rimward_node::Outcome;
use rimward_tests::{app, node};

/// F23: a panic inside of a call of the host costs that request: 500, counted and told as the node's, and what the request
/// held is free again. The node goes on, and so does another request on the same core.
#[tokio::test]
async fn a_panic_costs_one_request() {
    let node = node().room(1, 4).app(app("logs").named("logs").route("/*path")).start().await;
    node.get("/levels").await.is(200);
    node.heard().panics_at("to stderr");
    for _ in 0..3 {
        node.get("/streams").await.is(500).code("rimward.node.internal");
    }
    let ended = node.heard().end(|ended| ended.status == Some(500)).await;
    assert!(matches!(ended.outcome, Outcome::Failed("rimward.node.internal")), "{ended:?}");
    node.is_idle().await;
    // The only permit is free, and memory of the guest is given back.
    node.get("/levels").await.is(200);
    let metrics = node.ops("/metrics").await.1;
    assert!(metrics.contains("code=\"rimward.node.internal\""), "{metrics}");
    node.metric("rimward_permits_taken", "").is(0.0).await;
}
