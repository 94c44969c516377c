//! What tenants share on a node: none can take more than its limits, and none waits because another wants everything.

use rimward_tests::{App, Call, TestNode, app, eventually, fake, node, silent};
use std::time::{Duration, Instant};

/// Two tenants; `red` has these limits.
fn tenants(red: &str) -> String {
    format!(
        r#"
        [tenant.red]
        hosts = ["red.example"]
        limits = {{ {red} }}
        [tenant.blue]
        hosts = ["blue.example"]
        "#
    )
}

fn of(tenant: &str, app: App) -> App {
    app.of_tenant(tenant)
}

fn red(node: &TestNode, path: &str) -> Call {
    node.get(path).host("red.example")
}

fn blue(node: &TestNode, path: &str) -> Call {
    node.get(path).host("blue.example")
}

/// G8, H18: memory is summed over all live instances of a tenant; what one instance alone may have does not matter then.
#[tokio::test]
async fn instances_of_a_tenant_hold_no_more_memory_together_than_it_may() {
    let sleeps = || app("sleep").limits(r#"wall = "60s", memory = "4MiB""#).route("/:ms");
    let node = node()
        .room(8, 0)
        .tenants(&tenants(r#"memory = "4MiB""#))
        .app(of("red", sleeps()))
        .app(of("blue", sleeps()))
        .start()
        .await;
    let mut held = Vec::new();
    // Each holds between one and four MiB: at the fourth at the latest there is no room.
    let refused = loop {
        let running = node.node().status().running;
        let call = tokio::spawn(red(&node, "/60000").into_future());
        let runs = eventually("it runs or is refused", || {
            (node.node().status().running > running || call.is_finished()).then_some(())
        });
        runs.await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        if call.is_finished() {
            break call.await.unwrap();
        }
        held.push(call);
        assert!(held.len() < 8, "a tenant of 4 MiB runs {} instances", held.len());
    };
    assert!(!held.is_empty(), "one fits");
    refused.is(429).code("rimward.caller.quota").has("retry-after", "1");
    blue(&node, "/1").await.is(200);
    let used = node.metric("rimward_tenant_memory_used_bytes", "tenant=red").value();
    assert!(used > 0.0 && used <= 4.0 * 1024.0 * 1024.0, "{used} bytes");
    held.iter().for_each(tokio::task::JoinHandle::abort);
    node.is_idle().await;
    node.metric("rimward_tenant_memory_used_bytes", "tenant=red").is(0.0).await;
    red(&node, "/1").await.is(200);
}

/// G8: the node's own memory is a ceiling over all tenants, and what is refused for it is the node's doing.
#[tokio::test]
async fn instances_of_a_node_hold_no_more_memory_together_than_it_has() {
    let node = node()
        .file(|file| file.limits.memory = Some("1MiB".parse().unwrap()))
        .app(app("hello"))
        .start()
        .await;
    node.get("/").await.is(503).code("rimward.node.memory").has("retry-after", "1");
}

/// G6, H18: CPU time of a tenant is limited over all its functions, however many of them run.
#[tokio::test]
async fn a_tenant_gets_no_more_cpu_time_than_its_share() {
    let spin = || app("spin").limits(r#"cpu = "10s", wall = "2s""#).route("/spin");
    let node = node()
        .room(16, 16)
        .tenants(&tenants(r#"cpu = "10%""#))
        .app(of("red", spin()))
        .app(of("blue", app("hello")))
        .start()
        .await;
    let started = Instant::now();
    let spinners: Vec<_> = (0..4).map(|_| tokio::spawn(red(&node, "/spin").into_future())).collect();
    for spinner in spinners {
        let answer = spinner.await.unwrap();
        assert!([429, 504].contains(&answer.status()), "{answer:?}");
    }
    let elapsed = started.elapsed().as_secs_f64();
    node.is_idle().await;
    let cpu = node.metric("rimward_function_cpu_seconds_total", "tenant=red").value();
    // A tenth of the time, the burst, and a tick or two for each.
    assert!(cpu <= 0.1 * elapsed + 0.05, "{cpu} s of CPU in {elapsed} s");
    assert!(cpu >= 0.05, "it did run: {cpu} s");
    blue(&node, "/").await.is(200);
}

/// G23: outgoing requests of all functions of a tenant are limited together.
#[tokio::test]
async fn a_tenant_has_so_many_outgoing_requests_at_once_and_no_more() {
    let service = fake(silent());
    let caller = || app("call").limits(r#"wall = "60s""#).upstream("service", &service);
    let node = node()
        .tenants(&tenants("outgoing = 2"))
        .app(of("red", caller()))
        .app(of("blue", caller()))
        .start()
        .await;
    let call = |call: Call| call.header("x-to", "http://service.upstream.internal/");
    let open: Vec<_> = (0..2).map(|_| tokio::spawn(call(red(&node, "/")).into_future())).collect();
    service.sees(2).await;
    call(red(&node, "/")).await.is(200).mentions("ConnectionLimitReached");
    let other = tokio::spawn(call(blue(&node, "/")).into_future());
    service.sees(3).await;
    open.iter().chain([&other]).for_each(tokio::task::JoinHandle::abort);
    node.is_idle().await;
}

/// G25: what functions of a tenant log is limited together, and what is dropped is counted.
#[tokio::test]
async fn a_tenant_logs_so_much_in_a_second_and_no_more() {
    let node = node()
        .tenants(&tenants(r#"log-rate = "1KiB""#))
        .app(of("red", app("logs").named("a").route("/a/*rest")))
        .app(of("red", app("logs").named("b").route("/b/*rest")))
        .app(of("blue", app("logs")))
        .start()
        .await;
    for path in ["/a/1000", "/b/1000"] {
        red(&node, path).await;
    }
    blue(&node, "/flood/50").await.is(200);
    node.heard().ends(3).await;
    let lines = |tenant: &str| {
        let logged = node.heard().logged();
        logged.iter().filter(|line| line.function.tenant.as_str() == tenant).count()
    };
    assert_eq!(lines("blue"), 50);
    assert!(lines("red") < 300, "{} lines", lines("red"));
}

/// H15, H18: the queue is divided, and a permit that comes back goes to the tenant that runs less.
#[tokio::test]
async fn a_tenant_that_floods_the_node_does_not_keep_another_out() {
    let sleeps = || app("sleep").limits(r#"wall = "60s""#).route("/:ms");
    let node = node()
        .room(8, 32)
        .tenants(&tenants(""))
        .app(of("red", sleeps()))
        .app(of("blue", sleeps()))
        .start()
        .await;
    let flood: Vec<_> = (0..64).map(|_| tokio::spawn(red(&node, "/60000").into_future())).collect();
    eventually("the flood is in", || (node.node().status().running >= 7).then_some(())).await;
    for _ in 0..10 {
        blue(&node, "/1").await.is(200);
    }
    flood.iter().for_each(tokio::task::JoinHandle::abort);
    node.is_idle().await;
}
