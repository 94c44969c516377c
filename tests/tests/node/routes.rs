//! Routes: which function answers, across apps, hosts and tenants.

use rimward_tests::{app, declared, node};

/// An app whose functions all mirror; a route for each line `ROUTE => FUNCTION`.
fn mirrors(name: &str, routes: &[&str]) -> rimward_tests::App {
    let mut text = format!("[app]\nname = {name:?}\n");
    let mut functions = std::collections::BTreeSet::new();
    for line in routes {
        let (route, function) = line.split_once(" => ").unwrap();
        text += &format!("[[trigger.http]]\nroute = {route:?}\nfunction = {function:?}\n");
        functions.insert(function);
    }
    for function in functions {
        text += &format!("[function.{function}]\ncomponent = \"mirror\"\n");
    }
    declared(&text)
}

#[tokio::test]
async fn the_most_specific_route_answers() {
    let node = node()
        .app(mirrors(
            "shop",
            &[
                "/*rest => all",
                "GET /api/:id => one",
                "GET /api/new => new",
                "POST /api/:id => save",
                "/api/*rest => api",
            ],
        ))
        .start()
        .await;
    let cases = [
        ("GET", "/", "all"),
        ("GET", "/other", "all"),
        ("GET", "/api/7", "one"),
        ("HEAD", "/api/7", "one"),
        ("GET", "/api/new", "new"),
        ("POST", "/api/7", "save"),
        ("GET", "/api/7/8", "api"),
        ("PATCH", "/api", "all"),
    ];
    for (n, (method, path, function)) in cases.into_iter().enumerate() {
        node.call(method, path).await.is(200);
        let ended = &node.heard().ends(n + 1).await[n];
        assert_eq!(ended.function.as_ref().unwrap().function.as_str(), function, "{method} {path}");
    }
}

#[tokio::test]
async fn a_path_that_nobody_answers_is_404_and_a_method_405_with_what_is_allowed() {
    let node = node().app(mirrors("shop", &["GET /a => a", "PUT,DELETE /a => b"])).start().await;
    node.get("/b").await.is(404).code("rimward.caller.no-route");
    let answer = node.post("/a").await;
    answer.is(405).code("rimward.caller.method");
    let mut allow: Vec<_> = answer.header("allow").unwrap().split(", ").collect();
    allow.sort_unstable();
    assert_eq!(allow, ["DELETE", "GET", "HEAD", "PUT"]);
    node.metric("rimward_requests_refused_total", "code=rimward.caller.no-route").is(1.0).await;
    node.metric("rimward_requests_refused_total", "code=rimward.caller.method").is(1.0).await;
}

#[tokio::test]
async fn a_node_without_apps_asks_to_come_back_later() {
    let node = node().start().await;
    node.get("/").await.is(503).code("rimward.node.no-app").has("retry-after", "1");
}

#[tokio::test]
async fn a_host_decides_before_the_path() {
    let node = node()
        .app(app("mirror").named("any"))
        .app(app("hello").named("shop").on("shop.example"))
        .app(app("status").named("sub").on("*.shop.example").route("/:status"))
        .start()
        .await;
    node.get("/").host("shop.example").await.says("hello\n");
    node.get("/").host("SHOP.example:8080").await.says("hello\n");
    node.get("/201").host("a.shop.example").await.is(201);
    node.get("/201").host("other.example").await.is(200).mentions("GET");
}

#[tokio::test]
async fn two_apps_cannot_answer_the_same_requests() {
    let node = node().app(app("hello").route("GET /a/:x")).start().await;
    let why = node.refuses(app("mirror").route("GET /a/:y")).await;
    for said in ["`mirror`", "`hello`", "`GET /a/:x`", "`GET /a/:y`"] {
        assert!(why.contains(said), "{said}: {why}");
    }
    node.get("/a/1").await.is(200).says("hello\n");
    node.install(app("mirror").route("POST /a/:y")).await;
    node.post("/a/1").await.is(200).mentions("POST");
}

const TENANTS: &str = r#"
    [tenant.red]
    hosts = ["red.example", "*.red.example"]
    [tenant.blue]
    hosts = ["blue.example"]
"#;

#[tokio::test]
async fn a_tenants_routes_are_on_its_own_hosts_only() {
    let node = node().tenants(TENANTS).start().await;
    node.install(app("hello").of_tenant("red")).await;
    node.install(app("mirror").of_tenant("blue")).await;
    node.get("/").host("red.example").await.says("hello\n");
    node.get("/").host("www.red.example").await.says("hello\n");
    node.get("/").host("blue.example").await.mentions("GET http://blue.example/");
    node.get("/").host("other.example").await.is(404);
}

#[tokio::test]
async fn a_host_of_another_tenant_is_refused() {
    let node = node().tenants(TENANTS).start().await;
    let why = node.refuses(app("hello").of_tenant("red").on("blue.example")).await;
    assert!(why.contains("does not belong to tenant `red`") && why.contains("`red.example`"), "{why}");
    let why = node.refuses(app("hello").of_tenant("green")).await;
    assert!(why.contains("no tenant `green`"), "{why}");
}

#[tokio::test]
async fn apps_of_one_name_belong_to_their_tenants() {
    let node = node().tenants(TENANTS).start().await;
    node.install(app("hello").named("shop").of_tenant("red")).await;
    node.install(app("mirror").named("shop").of_tenant("blue")).await;
    node.get("/").host("red.example").await.says("hello\n");
    node.get("/").host("blue.example").await.mentions("GET");
    let apps = node.node().status().apps;
    let names: Vec<_> = apps.iter().map(|app| (app.tenant.as_str(), app.app.as_str())).collect();
    assert_eq!(names, [("blue", "shop"), ("red", "shop")]);
}
