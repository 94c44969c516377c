//! Apps that come, change and are refused, while the node serves.

use rimward_node::Outcome;
use rimward_tests::{Over, app, declared, eventually, node};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

#[tokio::test]
async fn an_installed_app_answers_at_once_and_is_named_by_its_digest() {
    let node = node().start().await;
    let installed = node.install("hello").await;
    assert_eq!(installed.replaced, None);
    assert_eq!(installed.routes, ["/*rest"]);
    assert!(installed.revision.starts_with("sha256:"), "{}", installed.revision);
    node.get("/").await.is(200).says("hello\n");
    assert_eq!(node.heard().ends(1).await[0].revision.as_deref(), Some(&*installed.revision));
    let again = node.install("hello").await;
    assert_eq!(
        (again.revision.clone(), again.replaced),
        (installed.revision.clone(), Some(installed.revision))
    );
}

#[tokio::test]
async fn a_swap_under_load_fails_no_request() {
    let node = node().app(app("hello").named("shop")).start().await;
    let (stop, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    let client = async |over: Over| {
        let connection = node.connect(over).await;
        while !stop.load(Relaxed) {
            let answer = connection.get("/").await;
            assert!(matches!(answer.is(200).text().as_str(), "hello\n" | "1"), "{answer:?}");
            served.fetch_add(1, Relaxed);
        }
    };
    let swapping = async {
        for guest in ["counts", "hello"].into_iter().cycle().take(20) {
            let before = served.load(Relaxed);
            node.install(app(guest).named("shop")).await;
            eventually("requests meanwhile", || (served.load(Relaxed) > before + 10).then_some(())).await;
        }
        stop.store(true, Relaxed);
    };
    tokio::join!(client(Over::Http1), client(Over::Http1), client(Over::Http2), swapping);
    let failed = node.heard().ended().into_iter().find(|ended| ended.outcome != Outcome::Answered);
    assert!(failed.is_none(), "{failed:?}");
}

#[tokio::test]
async fn a_retired_revision_finishes_its_open_requests() {
    let node = node().app(app("drips").named("shop")).start().await;
    let open = node.get("/30").open().await;
    let installed = node.install(app("hello").named("shop")).await;
    node.get("/").await.is(200).says("hello\n");
    open.collect().await.is(200).says(&".".repeat(30));
    let drips = node.heard().end(|ended| ended.path == "/30").await;
    assert_eq!(drips.revision, installed.replaced);
}

/// D2.
#[tokio::test]
async fn an_unknown_import_is_refused_with_its_name() {
    let node = node().app(app("hello").named("shop")).start().await;
    let why = node.refuses(app("unknown-import").named("shop")).await;
    assert!(why.contains("`acme:billing/ledger@1.0.0`") && why.contains("does not provide"), "{why}");
    node.get("/").await.is(200).says("hello\n");
}

/// D2.
#[tokio::test]
async fn a_command_is_refused_with_what_it_exports() {
    let why = node().start().await.refuses("command").await;
    assert!(why.contains("wasi:http/incoming-handler@0.2") && why.contains("`wasi:cli/run@0.2.0`"), "{why}");
}

const CEILING: &str = r#"
    [tenant.default]
    hosts = ["*"]
    [tenant.default.ceiling]
    memory = "16MiB"
    cpu = "100ms"
    concurrency = 4
"#;

#[tokio::test]
async fn limits_above_the_ceiling_are_refused_all_at_once() {
    let node = node().tenants(CEILING).start().await;
    let above = app("hello").limits(r#"memory = "17MiB", cpu = "101ms", concurrency = 4"#);
    let why = node.refuses(above).await;
    assert!(why.contains("`memory = 17MiB`") && why.contains("`cpu = 101ms`"), "{why}");
    assert!(!why.contains("concurrency"), "{why}");
    node.install(app("hello").limits(r#"memory = "16MiB", cpu = "100ms""#)).await;
    node.get("/").await.is(200);
}

#[tokio::test]
async fn where_nothing_is_declared_the_ceiling_holds() {
    let node = node().tenants(CEILING).app("grows").start().await;
    node.get("/256").await.is(200).says("granted\n");
    node.get("/257").await.is(200).says("refused\n");
}

#[tokio::test]
async fn a_function_above_its_tenants_quota_is_refused() {
    let quota = "[tenant.default]\nhosts = [\"*\"]\nlimits = { memory = \"8MiB\" }";
    let node = node().tenants(quota).start().await;
    let why = node.refuses(app("hello").limits(r#"memory = "9MiB""#)).await;
    assert!(why.contains("more than the 8388608 of its tenant"), "{why}");
    node.install(app("hello").limits(r#"memory = "8MiB""#)).await;
}

#[tokio::test]
async fn an_app_is_installed_whole_or_not_at_all() {
    let node = node().app("hello").start().await;
    let half = declared(
        r#"
        [app]
        name = "hello"
        [function.good]
        component = "mirror"
        [function.bad]
        component = "unknown-import"
        [[trigger.http]]
        route = "/good"
        function = "good"
        [[trigger.http]]
        route = "/bad"
        function = "bad"
        "#,
    );
    let why = node.refuses(half).await;
    assert!(why.contains("`bad`"), "{why}");
    node.get("/good").await.is(200).says("hello\n");
}

#[tokio::test]
async fn a_secret_that_is_not_bound_is_refused_with_the_remedy() {
    let why = node().start().await.refuses(app("hello").with(r#"secrets = ["key"]"#)).await;
    assert!(why.contains("`key`") && why.contains("[secret.key]"), "{why}");
}
