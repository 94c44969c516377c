//! `wasi:config/store`, in both versions in the wild.

use rimward_tests::{app, node};

const CONFIG: &str = r#"config = { threshold = "0.8", place = "dock" }"#;

async fn check_reads(guest: &str) {
    let app = app(guest).named("reader").with(CONFIG).with(r#"secrets = ["vision-key"]"#);
    let node = node().secret("vision-key", "a s3cret").app(app.clone()).start().await;
    node.get("/threshold").await.is(200).says("0.8");
    node.get("/nowhere").await.is(200).says("nothing");
    node.get("/PATH").await.is(200).says("nothing");
    let bound = app.bound(|bind| {
        bind.config.insert("place".into(), "harbour".into());
        bind.config.insert("never-declared".into(), "x".into());
    });
    node.install(bound).await;
    node.get("/place").await.is(200).says("harbour");
    node.get("/never-declared").await.is(200).says("nothing");
}

#[tokio::test]
async fn config_rc1_reads_what_the_app_declares_and_the_node_binds() {
    check_reads("config-rc1").await;
}

#[tokio::test]
async fn config_draft_reads_what_the_app_declares_and_the_node_binds() {
    check_reads("config-draft").await;
}

#[tokio::test]
async fn all_values_are_listed_and_no_other_functions_are_among_them() {
    let apps = r#"
        [app]
        name = "two"
        [function.one]
        component = "config-rc1"
        config = { a = "1", b = "2" }
        [function.other]
        component = "config-rc1"
        config = { c = "3" }
        [[trigger.http]]
        route = "/one"
        function = "one"
        [[trigger.http]]
        route = "/"
        function = "other"
    "#;
    let node = node().app(rimward_tests::declared(apps)).start().await;
    node.get("/").await.is(200).says(r#"[("c", "3")]"#);
    node.get("/one").await.is(200).says("nothing");
}

#[tokio::test]
async fn a_granted_secret_is_read_like_a_value_and_others_are_not_there() {
    let node = node()
        .file(|file| {
            // Not through `secret`: this reply is meant to show it.
            let key = "granted".parse().expect("it is a name");
            file.secrets.insert(key, rimward_manifest::Secret::Env("CARGO_PKG_NAME".into()));
        })
        .secret("not-granted", "another s3cret")
        .app(app("config-rc1").with(r#"secrets = ["granted"]"#))
        .start()
        .await;
    node.get("/granted").await.is(200).says("rimward-tests");
    node.get("/not-granted").await.is(200).says("nothing");
}

#[tokio::test]
async fn an_app_whose_secret_is_not_bound_is_refused_with_its_name() {
    let node = node().start().await;
    let why = node.refuses(app("config-rc1").with(r#"secrets = ["vision-key"]"#)).await;
    assert!(why.contains("`vision-key`") && why.contains("[secret.vision-key]"), "{why}");
}
