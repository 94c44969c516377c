//! Functions that hold on to what they are given, and that hand over more than anybody asked for.

use crate::support::{
    GUESTS, Handler, bad, beside, by_hand, forget_peak, hostile, is_unharmed, resident, resident_peak,
    with_parts,
};
use rimward_tests::TestNode;

/// What can be held in each version, and how many handles one of it takes.
const HELD: [(&str, &str, usize); 6] = [
    ("hostile-02", "fields", 1),
    // Each has a timer beside it.
    ("hostile-02", "pollables", 2),
    ("hostile-03", "fields", 1),
    // Two ends, and what is between them.
    ("hostile-03", "streams", 3),
    ("hostile-03", "futures", 3),
    ("hostile-03", "waits", 1),
];

/// The most that can be held at once, found by asking; what is one more must be a trap.
async fn most(guest: &str, what: &str, limit: usize) -> usize {
    let node = beside(hostile(guest).limits(&format!("handles = {limit}"))).start().await;
    for number in (1..=limit + 1).rev() {
        let answer = bad(&node, &format!("/{what}/{number}")).await;
        if answer.status() == 200 {
            answer.says(&format!("{number} held"));
            is_unharmed(&node).await;
            return number;
        }
        answer.code("rimward.guest.trap");
        let told = node.heard().end(|ended| ended.path == format!("/{what}/{number}")).await;
        assert!(told.offences.iter().any(|(kind, _)| *kind == "handles"), "{told:?}");
    }
    panic!("{guest}: not even one of `{what}` can be held");
}

/// G13: an app sets the limit, and each more in it is one more that can be held: nothing goes uncounted.
#[tokio::test]
async fn handles_are_held_up_to_the_limit_and_no_further() {
    for (guest, what, each) in HELD {
        let (at, more) = (most(guest, what, 60).await, most(guest, what, 60 + each).await);
        assert_eq!(more, at + 1, "{guest} {what}");
        assert!(at * each + 24 >= 60, "{guest} {what}: {at} of 60, the rest are the request's own");
    }
}

/// G13: a million of them, under the default. They are gone with the instance.
#[tokio::test]
async fn a_million_handles_are_a_trap_and_leave_nothing() {
    for (guest, what, _) in HELD {
        let node = beside(hostile(guest)).start().await;
        bad(&node, &format!("/{what}/1000000")).await.code("rimward.guest.trap");
        let ended = node.heard().ends(1).await;
        assert!(ended[0].offences.contains(&("handles", 1)), "{guest} {what}: {ended:?}");
        is_unharmed(&node).await;
    }
}

/// Every import of `wasi:http` and `wasi:io` that takes a text or a list, and the part of the limit that one of it may be.
const TAKING: [(&str, &[&str], usize); 13] = [
    ("fields-name", &GUESTS, 1),
    ("fields-value", &GUESTS, 1),
    ("fields-set", &GUESTS, 1),
    ("fields-delete", &GUESTS, 1),
    ("fields-get", &GUESTS, 1),
    ("fields-has", &GUESTS, 1),
    ("fields-list", &GUESTS, 4),
    ("path", &GUESTS, 1),
    ("authority", &GUESTS, 1),
    ("scheme", &GUESTS, 1),
    ("method", &GUESTS, 1),
    ("error", &["hostile-02"], 1),
    ("poll", &["hostile-02"], 1_000),
];

async fn hands(node: &TestNode, what: &str, bytes: usize) -> String {
    let path = format!("/hands/{what}/{bytes}");
    let answer = bad(node, &path).await;
    let ended = node.heard().end(|ended| ended.path == path).await;
    match answer.status() {
        200 => String::new(),
        _ => format!("{} {:?}", answer.problem()["code"], ended.offences),
    }
}

/// G14: up to the limit the import decides what comes of it; beyond, it is a trap before anything is copied.
#[tokio::test]
async fn what_is_handed_over_in_one_call_is_bounded_for_every_import() {
    const LIMIT: usize = 1 << 20;
    for guest in GUESTS {
        let node = beside(hostile(guest).limits(r#"host-call = "1MiB""#)).start().await;
        for (what, _, part) in TAKING.iter().filter(|(_, guests, _)| guests.contains(&guest)) {
            let under = hands(&node, what, LIMIT / part - 1_024).await;
            assert!(!under.contains("host-call"), "{guest} {what}: {under}");
            let over = hands(&node, what, LIMIT + 16).await;
            let told = over.contains("host-call") || (*what == "poll" && over.contains("handles"));
            assert!(told && over.contains("rimward.guest.trap"), "{guest} {what}: {over}");
        }
        is_unharmed(&node).await;
    }
}

/// G14: lists that go past the end of the memory, or have more bytes than there are.
#[tokio::test]
async fn a_list_that_is_not_there_is_a_trap() {
    for (at, bytes) in [(0_u32, u32::MAX), (u32::MAX, 1), (65_536, 1), (1, 65_536)] {
        let text = with_parts(
            Handler::V2,
            r#"(import "wasi:logging/logging@0.1.0-draft" (instance $logging
                 (type $levels (enum "trace" "debug" "info" "warn" "error" "critical"))
                 (export "level" (type $level (eq $levels)))
                 (export "log" (func (param "level" $level) (param "context" string) (param "message" string)))))
               (core module $memory (memory (export "memory") 1))
               (core instance $memory (instantiate $memory))
               (core func $log (canon lower (func $logging "log") (memory $memory "memory")))"#,
            &format!(
                r#"(core module $code
                     (import "host" "log" (func $log (param i32 i32 i32 i32 i32)))
                     (func (export "attack")
                       (call $log (i32.const 2) (i32.const 0) (i32.const 0) (i32.const {at}) (i32.const {bytes}))))
                   (core instance $code (instantiate $code
                     (with "host" (instance (export "log" (func $log))))))"#
            ),
        );
        let node = beside(by_hand(&text)).start().await;
        bad(&node, "/").await.code("rimward.guest.trap");
        assert_eq!(node.heard().logged().len(), 0);
        is_unharmed(&node).await;
    }
}

mod heavy {
    use super::*;

    /// G14: 48 MiB at once, over and over: the node holds no copy of what it refuses.
    #[tokio::test]
    async fn memory_stays_flat_whatever_is_handed_over() {
        const BYTES: usize = 48 << 20;
        for guest in GUESTS {
            let node = beside(hostile(guest).limits(r#"memory = "512MiB""#)).start().await;
            for (what, _, _) in TAKING.iter().filter(|(_, guests, _)| guests.contains(&guest)) {
                hands(&node, what, 16).await;
                is_unharmed(&node).await;
                let before = resident();
                forget_peak();
                let over = hands(&node, what, BYTES).await;
                let own = node.heard().ended().last().expect("it ended").memory_bytes;
                let more = resident_peak().saturating_sub(before);
                assert!(over.contains("trap"), "{guest} {what}: {over}");
                assert!(more <= own + (16 << 20), "{guest} {what}: {more} bytes for a guest of {own}");
            }
        }
    }

    /// G14: GHSA-x84v-gj2h-g759 and GHSA-c9gc-w9vx-w86p were single writes of any size to a body.
    #[tokio::test]
    async fn memory_stays_flat_while_a_body_is_written_at_once() {
        const BYTES: usize = 40 << 20;
        let node = beside(hostile("hostile-03")).start().await;
        bad(&node, "/lengths/-/-/10").await.is(200);
        is_unharmed(&node).await;
        let before = resident();
        forget_peak();
        let mut open = bad(&node, &format!("/lengths/-/-/{BYTES}")).open().await;
        let mut read = 0;
        while let Some(piece) = open.piece().await {
            read += piece.expect("the body is complete").len();
        }
        assert_eq!(read, BYTES);
        let own = node.heard().end(|ended| ended.memory_bytes > BYTES as u64).await.memory_bytes;
        let more = resident_peak().saturating_sub(before);
        assert!(more <= own + (24 << 20), "{more} bytes for a guest of {own}");
    }
}
