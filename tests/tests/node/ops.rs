//! Metrics and health.

use rimward_tests::{app, node};
use std::time::Duration;

#[tokio::test]
async fn health_says_whether_the_node_takes_requests() {
    let node = node().start().await;
    assert_eq!(node.ops("/livez").await, (200, "alive\n".to_owned()));
    assert_eq!(node.ops("/readyz").await, (503, "loading apps\n".to_owned()));
    node.node().loaded();
    assert_eq!(node.ops("/readyz").await, (200, "ready\n".to_owned()));
    node.drain(Duration::ZERO).await;
    assert_eq!(node.ops("/livez").await, (200, "alive\n".to_owned()));
    assert_eq!(node.ops("/readyz").await, (503, "draining\n".to_owned()));
    assert_eq!(node.ops("/elsewhere").await.0, 404);
}

#[tokio::test]
async fn metrics_count_requests_by_function_and_class() {
    let node = node()
        .app(app("status").route("/status/*rest"))
        .app(app("hello").route("/hello"))
        .app("trap")
        .start()
        .await;
    node.get("/hello").times(3).await;
    node.get("/").await.is(500);
    node.metric("rimward_requests_total", "function=hello,status=2xx").is(3.0).await;
    node.metric("rimward_requests_total", "function=trap,status=5xx").is(1.0).await;
    node.metric("rimward_request_duration_seconds_count", "function=hello").is(3.0).await;
    node.metric("rimward_function_running", "function=hello").is(0.0).await;
    let cpu = node.metric("rimward_function_cpu_seconds_total", "function=hello").value();
    assert!(cpu > 0.0 && cpu < 1.0, "{cpu}");
    let memory = node.metric("rimward_function_memory_peak_bytes", "function=hello").value();
    assert!(memory >= 65536.0, "{memory}");
}

/// What a client chooses is never a label: it could make as many series as it likes.
#[tokio::test]
async fn metrics_do_not_grow_with_what_clients_send() {
    let node = node().app(app("hello").route("/hello/*rest")).start().await;
    let series = || node.node().metrics().lines().filter(|line| !line.starts_with('#')).count();
    node.get("/hello/0").await.is(200);
    node.get("/0").await.is(404);
    node.metric("rimward_requests_total", "status=2xx").is(1.0).await;
    let before = series();
    for n in 1..20 {
        node.call("GET", &format!("/hello/{n}")).host(&format!("h{n}.example")).await.is(200);
        node.call(&format!("M{n}"), &format!("/{n}")).await.is(404);
    }
    node.metric("rimward_requests_total", "status=2xx").is(20.0).await;
    assert_eq!(series(), before);
}

#[tokio::test]
async fn metrics_are_in_the_openmetrics_format() {
    let node = node().app("hello").start().await;
    node.get("/").await.is(200);
    let (status, text) = node.ops("/metrics").await;
    assert_eq!(status, 200);
    assert!(text.ends_with("# EOF\n"));
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        assert!(line.starts_with("rimward_"), "{line}");
        assert!(line.rsplit_once(' ').is_some_and(|(_, value)| value.parse::<f64>().is_ok()), "{line}");
    }
}
