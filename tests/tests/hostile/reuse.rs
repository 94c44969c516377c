//! Instances that are used again, and functions that would make something of it.

use crate::support::{GUESTS, bad, beside, hostile, is_unharmed};
use rimward_tests::eventually;
use std::num::NonZeroU32;

/// G27: by default nothing of a request is left for the next, of whichever version.
#[tokio::test]
async fn every_request_has_a_fresh_instance_by_default() {
    for guest in GUESTS {
        let node = beside(hostile(guest)).start().await;
        for answer in bad(&node, "/count").times(5).await {
            answer.is(200).says("1");
        }
        for answer in bad(&node, "/count").at_once(5).await {
            answer.is(200).says("1");
        }
    }
}

/// G27: where a function asked for reuse, another tenant's function of the same component still has its own.
#[tokio::test]
async fn an_instance_is_used_again_for_its_own_function_only() {
    for guest in GUESTS {
        let other = hostile(guest).named("other").on("other.example").with("reuse = 100");
        let node = beside(hostile(guest).with("reuse = 100"))
            .app(other)
            .file(|file| file.node.cores = NonZeroU32::new(1))
            .start()
            .await;
        for count in ["1", "2", "3"] {
            bad(&node, "/count").await.is(200).says(count);
            node.is_idle().await;
        }
        node.get("/count").host("other.example").await.is(200).says("1");
    }
}

/// G29: requests at once never share an instance, so that none is there to be taken along; one that failed is not used
/// again.
#[tokio::test]
async fn an_instance_serves_one_request_at_a_time_and_none_after_a_failure() {
    for guest in GUESTS {
        let node = beside(hostile(guest).with("reuse = 100").limits(r#"wall = "500ms""#))
            .file(|file| file.node.cores = NonZeroU32::new(1))
            .start()
            .await;
        for count in ["1", "2"] {
            bad(&node, "/count").await.is(200).says(count);
            node.is_idle().await;
        }
        // It has the warm instance now, so that whoever comes meanwhile needs another.
        let hanging = tokio::spawn(bad(&node, "/never").into_future());
        eventually("it runs", || (node.node().status().running == 1).then_some(())).await;
        bad(&node, "/count").await.is(200).says("1");
        hanging.await.expect("the client does not panic").code("rimward.guest.wall");
        node.is_idle().await;
        bad(&node, "/count").await.is(200).says("2");
        node.is_idle().await;
        bad(&node, "/trap").await.code("rimward.guest.trap");
        node.is_idle().await;
        bad(&node, "/count").await.is(200).says("1");
        is_unharmed(&node).await;
    }
}
