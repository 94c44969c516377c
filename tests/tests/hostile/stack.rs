//! Functions that go deep: recursion of their own, into the host, and in how they are built.

use crate::support::{
    GUESTS, HANDLERS, Handler, attacks, bad, beside, by_hand, check_fails, hostile, is_unharmed, with_parts,
};
use rimward_tests::{app, component_of_text};
use std::fmt::Write;

/// G10: on the guest's own stack.
#[tokio::test]
async fn recursion_without_an_end_traps() {
    for handler in HANDLERS {
        let code = attacks(
            handler,
            r#"(func $deeper (param i32) (result i32)
                 (i32.add (local.get 0) (call $deeper (i32.add (local.get 0) (i32.const 1)))))
               (func (export "attack") (drop (call $deeper (i32.const 0))))"#,
        );
        let ended = check_fails(by_hand(&code), "/", 500, "rimward.guest.trap", Some("stack")).await;
        let cause = ended.cause.expect("the operator learns why");
        assert!(cause.contains("call stack exhausted"), "{cause}");
    }
}

/// G11: the host is called at every step, also where the guest's stack is all but used up.
#[tokio::test]
async fn recursion_into_host_calls_traps_too() {
    for guest in GUESTS {
        let node = beside(hostile(guest)).start().await;
        for answer in bad(&node, "/recurse").times(3).await {
            answer.code("rimward.guest.trap");
        }
        is_unharmed(&node).await;
    }
}

/// A 0.3 component of so many parts and a caller, which calls each so many times. Each waits on a native stack of its own.
fn takes_stacks(parts: usize, times: usize) -> String {
    let wait = r#"(instance $clock (export "wait-for" (func async (param "how-long" u64))))"#;
    let number = |text: &dyn Fn(usize) -> String| (0..parts).map(text).collect::<String>();
    let imports =
        number(&|n| format!(r#"(import "callee{n}" (instance $callee{n} (export "take" (func async))))"#));
    let lowered =
        number(&|n| format!(r#"(core func $take{n} (canon lower (func $callee{n} "take") async))"#));
    let hosts = number(&|n| format!(r#"(export "take{n}" (func $take{n}))"#));
    let takes = number(&|n| format!(r#"(import "host" "take{n}" (func $take{n} (result i32)))"#));
    let calls = number(&|n| format!("(drop (call $take{n}))").repeat(times));
    let caller = with_parts(
        Handler::V3,
        &format!(
            r#"(import "clock" {wait}) {imports} {lowered}
               (core func $wait (canon lower (func $clock "wait-for")))"#
        ),
        &format!(
            r#"(core module $code {takes} (import "host" "wait" (func $wait (param i64)))
                 (func (export "attack") {calls} (call $wait (i64.const 60000000000))))
               (core instance $code (instantiate $code
                 (with "host" (instance {hosts} (export "wait" (func $wait))))))"#
        ),
    );
    let caller = caller.replacen("(component", "(component $caller", 1);
    let (_, rest) = caller.split_once("(component $caller").expect("it was just named");
    let (types, _) = rest.split_once("(alias export $types").expect("every handler has types");
    let callees = number(&|n| {
        format!(r#"(instance $callee{n} (instantiate $callee (with "clock" (instance $clock))))"#)
    });
    let withs = number(&|n| format!(r#"(with "callee{n}" (instance $callee{n}))"#));
    format!(
        r#"(component {types}
          (import "wasi:clocks/monotonic-clock@0.3.0" {wait})
          (component $callee
            (import "clock" {wait})
            (core func $wait (canon lower (func $clock "wait-for")))
            (core module $m
              (import "host" "wait" (func $wait (param i64)))
              (func (export "take") (result i32) (call $wait (i64.const 60000000000)) (i32.const 0))
              (func (export "callback") (param i32 i32 i32) (result i32) (i32.const 0)))
            (core instance $m (instantiate $m (with "host" (instance (export "wait" (func $wait))))))
            (func (export "take") async
              (canon lift (core func $m "take") async (callback (func $m "callback")))))
          {callees}
          {caller}
          (instance $caller (instantiate $caller
            (with "wasi:http/types@0.3.0" (instance $types)) (with "clock" (instance $clock)) {withs}))
          (alias export $caller "wasi:http/handler@0.3.0" (instance $handler))
          (export "wasi:http/handler@0.3.0" (instance $handler)))"#
    )
}

/// G11: an instance of 0.3 may wait on several native stacks at once, up to a limit; others still find theirs.
#[tokio::test]
async fn an_instance_that_takes_many_stacks_leaves_some_for_others() {
    let most = rimward_engine::limits::PARTS;
    // One of the parts is the caller.
    let greedy = by_hand(&takes_stacks(most - 1, 1)).limits(r#"wall = "3s""#);
    let node = beside(greedy).app(hostile("hostile-03").named("other").on("other.example")).start().await;
    let waiting = tokio::spawn(bad(&node, "/").at_once(4));
    // There is room for two such at a time.
    let refused = node.heard().ends(2).await;
    assert!(refused.iter().all(|ended| ended.status == Some(503)), "{refused:?}");
    for _ in 0..5 {
        for answer in node.get("/").host("other.example").at_once(5).await {
            assert_eq!(
                answer.status(),
                200,
                "{:?}",
                node.heard().ended().last().map(|ended| ended.cause.clone())
            );
            answer.is(200).says("hello");
        }
    }
    let answers = waiting.await.expect("the client does not panic");
    let ended = answers.iter().filter(|answer| answer.problem()["code"] == "rimward.guest.wall").count();
    assert_eq!(ended, 2, "they waited on their stacks: {answers:?}");
    let why = node.refuses(by_hand(&takes_stacks(most, 1)).named("more").on("more.example")).await;
    assert!(why.contains("put together of 9 components"), "{why}");
    is_unharmed(&node).await;
}

/// G11: calls of a part that waits already wait for it, without a stack.
#[tokio::test]
async fn many_calls_of_one_part_take_one_stack() {
    let greedy = by_hand(&takes_stacks(1, 1_000)).limits(r#"wall = "500ms""#);
    let node = beside(greedy).app(hostile("hostile-03").named("other").on("other.example")).start().await;
    let waiting = tokio::spawn(bad(&node, "/").at_once(2));
    rimward_tests::eventually("they run", || (node.node().status().running == 2).then_some(())).await;
    for answer in node.get("/").host("other.example").at_once(5).await {
        answer.is(200).says("hello");
    }
    for answer in waiting.await.expect("the client does not panic") {
        answer.code("rimward.guest.wall");
    }
    is_unharmed(&node).await;
}

/// G10: components inside of components.
#[tokio::test]
async fn components_nest_up_to_a_depth_and_are_refused_beyond() {
    let node = beside(hostile("hostile-02")).own_cache().start().await;
    let holder = component_of_text(&attacks(Handler::V2, r#"(func (export "attack"))"#));
    let nested = |depth: usize| {
        let (preamble, rest) = holder.split_at(8);
        let inner =
            (0..depth).fold(preamble.to_vec(), |inner, _| [preamble, &component_section(&inner)].concat());
        let bytes = [preamble, &component_section(&inner), rest].concat();
        app("by-hand").named("deep").on("deep.example").component("by-hand", bytes)
    };
    let max = rimward_engine::limits::COMPONENT_NESTING;
    // `depth` of them lie in the first.
    node.install(nested(max - 1)).await;
    for depth in [max, 20_000] {
        let why = node.refuses(nested(depth)).await;
        assert!(why.contains("nest") || why.contains("deep"), "{why}");
    }
    is_unharmed(&node).await;
}

/// G10: GHSA-wjc8-633q-pwxr dropped a long chain of types by recursion.
#[tokio::test]
async fn a_long_chain_of_types_is_refused_or_loaded_and_dropped_in_peace() {
    let node = beside(hostile("hostile-02")).start().await;
    for links in [90, 20_000] {
        let mut chain = String::from("(type $t0 (list u8))\n");
        for link in 1..links {
            writeln!(chain, "(type $t{link} (list $t{}))", link - 1).expect("a string can be written to");
        }
        let text = attacks(Handler::V2, r#"(func (export "attack"))"#);
        let text = text.replacen("(component", &format!("(component {chain}"), 1);
        let chained = by_hand(&text).named("chained").on("deep.example");
        match links {
            90 => drop(node.install(chained).await),
            _ => drop(node.refuses(chained).await),
        }
    }
    is_unharmed(&node).await;
}

/// G10: the same among core types, which recursion groups would need: the feature is off.
#[tokio::test]
async fn recursive_core_types_are_refused_by_name() {
    let node = beside(hostile("hostile-02")).start().await;
    let code = attacks(
        Handler::V2,
        r#"(rec (type $a (struct (field (ref null $b)))) (type $b (struct (field (ref null $a)))))
           (func (export "attack"))"#,
    );
    let why = node.refuses(app("by-hand").named("r").component("by-hand", component_of_text(&code))).await;
    assert!(why.contains("switched off") && why.contains("gc"), "{why}");
    is_unharmed(&node).await;
}

/// A section that holds a component (binary format: id 4, length, content).
fn component_section(component: &[u8]) -> Vec<u8> {
    let mut section = vec![4];
    let mut left = component.len();
    loop {
        let more = left >= 0x80;
        section.push((left & 0x7f) as u8 | if more { 0x80 } else { 0 });
        left >>= 7;
        if !more {
            break;
        }
    }
    section.extend_from_slice(component);
    section
}
