//! Functions that misuse `wasi:keyvalue`: values and keys without end, and places in it that are not theirs.

use rimward_tests::{App, TestNode, app, node};

fn draft2(name: &str) -> App {
    app("keyvalue-draft2").named(name).on(&format!("{name}.example")).with(r#"stores = ["things"]"#)
}

async fn says(node: &TestNode, path: &str) -> String {
    node.get(path).host("one.example").await.is(200).text()
}

/// G31: a value up to its size; one byte more is an error of the guest's own; a list beyond what is handed over is a trap.
#[tokio::test]
async fn a_value_is_taken_up_to_its_size_and_no_further() {
    let node = node().app(draft2("one").limits(r#"memory = "1GiB""#)).start().await;
    let most = 1 << 20;
    assert_eq!(says(&node, &format!("/set-bytes/a/{most}")).await, "()");
    let refused = says(&node, &format!("/set-bytes/a/{}", most + 1)).await;
    assert!(refused.contains("Error::Other"), "{refused}");
    for bytes in [5 << 20, 512 << 20] {
        let answer = node.get(&format!("/set-bytes/a/{bytes}")).host("one.example").await;
        answer.code("rimward.guest.trap");
    }
    node.metric("rimward_function_offences_total", "kind=host-call").is(2.0).await;
    assert_eq!(says(&node, "/get/a").await.len(), most, "what was there is there");
}

/// G31: keys and values until the store is full. Another app's store of the same name has its own room.
#[tokio::test]
async fn a_store_is_filled_up_to_its_size_and_no_further() {
    let node = node().app(draft2("one").limits(r#"cpu = "60s""#)).app(draft2("two")).start().await;
    let hoarded = says(&node, "/hoard/1000000").await;
    let number: usize = hoarded.split(' ').next().and_then(|number| number.parse().ok()).expect("a number");
    assert!((60..=67).contains(&number) && hoarded.contains("Error::Other"), "{hoarded}");
    node.get("/set/a/1").host("two.example").await.is(200).says("()");
    assert_eq!(says(&node, "/delete/hoard0000000").await, "()");
    assert_eq!(says(&node, "/set/a/1").await, "()", "there is room again");
}

/// G31: a cursor is a place in the function's own keys, whatever the function makes of it.
#[tokio::test]
async fn a_forged_cursor_leads_nowhere_else() {
    let draft = app("keyvalue-draft").named("old").on("old.example").with(r#"stores = ["things"]"#);
    let node = node().app(draft2("one")).app(draft2("two")).app(draft).start().await;
    node.get("/set/theirs/secret").host("two.example").await.is(200);
    assert_eq!(says(&node, "/set/mine/1").await, "()");
    for cursor in ["a", "theirs", "default%2Ftwo%2Fthings", "%00", "..", "two", "%7f", "zzzz"] {
        let found = says(&node, &format!("/from/{cursor}")).await;
        assert!(!found.contains("theirs"), "{cursor}: {found}");
    }
    assert_eq!(says(&node, "/get/theirs").await, "nothing");
    for cursor in ["0", "1", "18446744073709551615"] {
        let answer = node.get(&format!("/cursor/{cursor}")).host("old.example").await;
        answer.is(200).mentions("error Error::Other");
    }
}
