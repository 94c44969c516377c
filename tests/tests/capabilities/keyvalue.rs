//! `wasi:keyvalue`: stores, counters, batches and pages, in both drafts in the wild.

use rimward_tests::{App, TestNode, app, node};

const THINGS: &str = r#"stores = ["things"]"#;

/// A batch, and a page.
const MOST: usize = rimward_capability::limits::KEYVALUE_BATCH;

fn draft2() -> App {
    app("keyvalue-draft2").with(THINGS)
}

async fn says(node: &TestNode, path: &str, text: &str) {
    node.get(path).await.is(200).says(text);
}

#[tokio::test]
async fn keyvalue_draft2_gets_what_was_set_until_it_is_deleted() {
    let node = node().app(draft2()).start().await;
    says(&node, "/get/a", "nothing").await;
    says(&node, "/exists/a", "false").await;
    says(&node, "/set/a/1", "()").await;
    says(&node, "/get/a", "1").await;
    says(&node, "/exists/a", "true").await;
    says(&node, "/set/a/2", "()").await;
    says(&node, "/get/a", "2").await;
    says(&node, "/delete/a", "()").await;
    says(&node, "/delete/a", "()").await;
    says(&node, "/get/a", "nothing").await;
}

#[tokio::test]
async fn a_counter_is_incremented_and_what_is_no_counter_is_refused() {
    let node = node().app(draft2()).start().await;
    says(&node, "/increment/n/5", "5").await;
    says(&node, "/increment/n/-7", "-2").await;
    says(&node, "/set/text/abc", "()").await;
    node.get("/increment/text/1").await.is(200).mentions("error Error::Other");
    says(&node, "/get/text", "abc").await;
}

#[tokio::test]
async fn fifty_invocations_at_once_count_to_fifty_with_compare_and_swap() {
    let node = node().room(8, 64).app(draft2()).start().await;
    for answer in node.get("/cas-increment/n").at_once(50).await {
        answer.is(200);
    }
    says(&node, "/get/n", "50").await;
}

#[tokio::test]
async fn fifty_invocations_at_once_count_to_fifty_with_increments() {
    let node = node().room(8, 64).app(draft2()).start().await;
    for answer in node.get("/increment/n/1").at_once(50).await {
        answer.is(200);
    }
    says(&node, "/increment/n/0", "50").await;
}

#[tokio::test]
async fn batches_are_taken_up_to_their_length_and_no_further() {
    let node = node().app(draft2()).start().await;
    says(&node, &format!("/fill/k/{MOST}"), &format!("set {MOST}")).await;
    says(&node, "/many/k00000/none/k00999", "0 nothing 999").await;
    says(&node, "/delete-many/k00000/none", "()").await;
    says(&node, "/many/k00000/k00001", "nothing 1").await;
    let refused = node.get(&format!("/fill/k/{}", MOST + 1)).await;
    refused.is(200).mentions("error Error::Other").mentions(&MOST.to_string());
}

#[tokio::test]
async fn keys_are_listed_in_pages_each_once() {
    let node = node().app(draft2()).start().await;
    says(&node, "/pages", "0 keys in pages of 0").await;
    for prefix in ["a", "b"] {
        says(&node, &format!("/fill/{prefix}/{MOST}"), &format!("set {MOST}")).await;
    }
    says(&node, "/set/z/last", "()").await;
    says(&node, "/pages", "2001 keys in pages of 1000 1000 1").await;
}

#[tokio::test]
async fn a_store_that_was_not_granted_is_no_such_store_whether_it_exists_or_not() {
    let others = app("keyvalue-draft2").named("other").route("/other/*rest").with(r#"stores = ["secrets"]"#);
    let node = node().app(draft2()).app(others).start().await;
    says(&node, "/open/secrets", "error Error::NoSuchStore").await;
    says(&node, "/open/nowhere", "error Error::NoSuchStore").await;
    says(&node, "/open/things", "opened").await;
}

#[tokio::test]
async fn apps_with_a_store_of_the_same_name_do_not_see_each_other() {
    let second = draft2().named("second").on("second.example");
    let node = node().app(draft2().on("first.example")).app(second).start().await;
    node.get("/set/a/1").host("first.example").await.is(200);
    node.get("/get/a").host("second.example").await.is(200).says("nothing");
    node.get("/get/a").host("first.example").await.is(200).says("1");
}

#[tokio::test]
async fn keyvalue_draft_has_counters_without_a_sign_and_cursors_that_are_numbers() {
    let node = node().app(app("keyvalue-draft").with(THINGS)).start().await;
    says(&node, "/set/a/1", "()").await;
    says(&node, "/get/a", "1").await;
    says(&node, "/increment/n/5", "5").await;
    says(&node, "/increment/n/5", "10").await;
    node.get(&format!("/increment/n/{}", u64::MAX)).await.is(200).mentions("error Error::Other");
    says(&node, &format!("/fill/k/{MOST}"), &format!("set {MOST}")).await;
    says(&node, "/pages", "1002 keys in pages of 1000 2").await;
    node.get("/cursor/77").await.is(200).mentions("error Error::Other");
}

#[tokio::test]
async fn both_drafts_reach_the_same_store() {
    let text = r#"
        [app]
        name = "two"
        [function.new]
        component = "keyvalue-draft2"
        stores = ["things"]
        [function.old]
        component = "keyvalue-draft"
        stores = ["things"]
        [[trigger.http]]
        route = "/set/*rest"
        function = "new"
        [[trigger.http]]
        route = "/get/*rest"
        function = "old"
    "#;
    let node = node().app(rimward_tests::declared(text)).start().await;
    says(&node, "/set/a/from-draft2", "()").await;
    says(&node, "/get/a", "from-draft2").await;
}

#[tokio::test]
async fn without_a_store_the_component_is_refused_with_the_name_of_its_import() {
    let node = node().start().await;
    for (guest, version) in [("keyvalue-draft2", "0.2.0-draft2"), ("keyvalue-draft", "0.2.0-draft")] {
        let why = node.refuses(app(guest)).await;
        let import = format!("@{version}`, which was not granted");
        assert!(why.contains("`wasi:keyvalue/") && why.contains(&import), "{why}");
        assert!(why.contains(r#"`stores = ["NAME"]`"#), "{why}");
    }
}

#[tokio::test]
async fn a_durable_store_survives_a_new_revision_and_a_restart() {
    let started = node().durable().app(draft2()).start().await;
    says(&started, "/set/a/1", "()").await;
    started.install(draft2().with(r#"config = { another = "revision" }"#)).await;
    says(&started, "/get/a", "1").await;
    let restarted = started.stop().durable().app(draft2()).start().await;
    says(&restarted, "/get/a", "1").await;
    says(&restarted, "/increment/n/1", "1").await;
}

#[tokio::test]
async fn a_store_in_memory_is_gone_with_the_node() {
    let app = draft2().and("[store.things]\nkind = \"memory\"");
    let started = node().durable().app(app.clone()).start().await;
    says(&started, "/set/a/1", "()").await;
    says(&started, "/get/a", "1").await;
    let restarted = started.stop().durable().app(app).start().await;
    says(&restarted, "/get/a", "nothing").await;
}
