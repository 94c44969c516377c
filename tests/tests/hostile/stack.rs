//! Functions that go deep: recursion of their own, into the host, and in how they are built.

use crate::support::{
    GUESTS, HANDLERS, Handler, attacks, bad, beside, by_hand, check_fails, hostile, is_unharmed,
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

/// G10: components inside of components.
#[tokio::test]
async fn components_nest_up_to_a_depth_and_are_refused_beyond() {
    let node = beside(hostile("hostile-02")).start().await;
    let holder = component_of_text(&attacks(Handler::V2, r#"(func (export "attack"))"#));
    let nested = |depth: usize| {
        let (preamble, rest) = holder.split_at(8);
        let inner =
            (0..depth).fold(preamble.to_vec(), |inner, _| [preamble, &component_section(&inner)].concat());
        let bytes = [preamble, &component_section(&inner), rest].concat();
        app("by-hand").named("deep").on("deep.example").component("by-hand", bytes)
    };
    let max = rimward_engine::limits::NESTED_COMPONENTS;
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
