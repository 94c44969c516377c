//! Functions that take memory and tables: as much as they may have, all of them together, and nothing that was another's.

use crate::support::{
    GUESTS, HANDLERS, Handler, attacks, bad, beside, by_hand, check_fails, hostile, is_unharmed, with_parts,
};
use rimward_engine::limits::{CORE_INSTANCES, MEMORIES, POOLED_TABLE_ELEMENTS, TABLE_ELEMENTS, TABLES};
use rimward_node::Outcome;
use rimward_tests::{App, app};
use std::fmt::Write;

/// So many texts of a kind, numbered.
fn each(times: usize, text: impl Fn(usize) -> String) -> String {
    (0..times).fold(String::new(), |mut all, n| {
        writeln!(all, "{}", text(n)).expect("a string can be written to");
        all
    })
}

/// What the only call of a component comes to: `None` where its code has simply returned.
async fn comes_to(function: App, handler: Handler) -> Option<String> {
    let node = beside(function).start().await;
    let code = bad(&node, "/").await.problem()["code"].as_str().expect("codes are texts").to_owned();
    is_unharmed(&node).await;
    (code != handler.returned()).then_some(code)
}

/// A module of one memory or table that can be grown, and code that calls the `grow` of so many instances of it:
/// `grows` are `(instance, by)`, and one that fails is a trap.
fn growing(handler: Handler, has: &str, grow: &str, instances: usize, grows: &[(usize, usize)]) -> String {
    let makes = each(instances, |n| format!("(core instance $i{n} (instantiate $grows))"));
    let imports =
        each(instances, |n| format!(r#"(import "i{n}" "grow" (func $grow{n} (param i32) (result i32)))"#));
    let withs = each(instances, |n| format!(r#"(with "i{n}" (instance $i{n}))"#));
    let calls: String = grows
        .iter()
        .map(|(n, by)| {
            format!("(if (i32.eq (call $grow{n} (i32.const {by})) (i32.const -1)) (then unreachable))\n")
        })
        .collect();
    let parts = format!(
        r#"(core module $grows {has} (func (export "grow") (param i32) (result i32) ({grow})))
           {makes}
           (core module $code {imports} (func (export "attack") {calls}))
           (core instance $code (instantiate $code {withs}))"#
    );
    with_parts(handler, "", &parts)
}

/// G8: memories count together, whichever of them grows. 4 MiB are 64 pages.
#[tokio::test]
async fn memories_of_one_instance_share_its_limit() {
    for handler in HANDLERS {
        // The parts of a 0.3 component by hand have a memory of one page.
        let pages = if handler == Handler::V3 { 63 } else { 64 };
        let function = |pages: usize| {
            let grows: Vec<_> = (1..8).map(|n| (n, 1)).chain([(0, pages - 7)]).collect();
            let code = growing(handler, "(memory 0)", "memory.grow (local.get 0)", 8, &grows);
            by_hand(&code).limits(r#"memory = "4MiB""#)
        };
        assert_eq!(comes_to(function(pages), handler).await, None, "{handler:?}: at the limit");
        check_fails(function(pages + 1), "/", 500, "rimward.guest.memory", Some("memory")).await;
    }
}

/// G8: instances of one component share it too, from the moment that they are made.
#[tokio::test]
async fn core_instances_of_one_component_share_its_limit() {
    for handler in HANDLERS {
        let own = usize::from(handler == Handler::V3);
        let parts = |instances: usize| {
            let instances = each(instances, |n| format!("(core instance $i{n} (instantiate $bomb))"));
            format!(
                r#"(core module $bomb (memory 16))
                   {instances}
                   (core module $code (func (export "attack")))
                   (core instance $code (instantiate $code))"#
            )
        };
        let function = |instances, mib: usize| {
            by_hand(&with_parts(handler, "", &parts(instances)))
                .limits(&format!(r#"memory = "{}B""#, (mib << 20) + own * 65_536))
        };
        assert_eq!(comes_to(function(4, 4), handler).await, None, "{handler:?}: at the limit");
        check_fails(function(5, 4), "/", 500, "rimward.guest.memory", Some("memory")).await;
    }
}

/// G8: how many memories, tables and core instances one component may have at all.
#[tokio::test]
async fn parts_of_a_component_are_counted_up_to_their_limit_and_no_further() {
    for handler in HANDLERS {
        let parts = |module: &str, number: usize| {
            let instances = each(number, |n| format!("(core instance $i{n} (instantiate $part))"));
            let code = r#"(core module $code (func (export "attack")))"#;
            let parts = format!(
                "(core module $part {module}) {instances} {code} (core instance $code (instantiate $code))"
            );
            app("by-hand")
                .named("parts")
                .on("parts.example")
                .component("by-hand", wat(&with_parts(handler, "", &parts)))
        };
        // Besides what is asked for: the code and its shell, and for 0.3 a memory in a module of its own.
        let own_instances = if handler == Handler::V3 { 3 } else { 2 };
        let own_memories = usize::from(handler == Handler::V3);
        let node = beside(hostile("hostile-02")).start().await;
        for (what, module, most) in [
            ("memories", "(memory 0)", MEMORIES as usize - own_memories),
            ("tables", "(table 0 funcref)", TABLES as usize),
            ("core instances", "", CORE_INSTANCES as usize - own_instances),
        ] {
            node.install(parts(module, most)).await;
            node.get("/").host("parts.example").await.code(handler.returned());
            let why = node.refuses(parts(module, most + 1)).await;
            assert!(why.contains("more than a function may have"), "{handler:?} {what}: {why}");
        }
    }
}

/// G8: a module has one memory and one table.
#[tokio::test]
async fn a_module_with_two_memories_is_refused() {
    let node = beside(hostile("hostile-02")).start().await;
    for fields in ["(memory 1) (memory 1)", "(table 1 funcref) (table 1 funcref)"] {
        let code = attacks(Handler::V2, &format!(r#"{fields} (func (export "attack"))"#));
        let why = node.refuses(by_hand(&code).named("two").on("two.example")).await;
        assert!(why.contains("more than a function may have"), "{why}");
    }
    is_unharmed(&node).await;
}

/// G9: elements of all tables together, at the limit and one more.
#[tokio::test]
async fn table_elements_are_had_up_to_their_limit_and_no_further() {
    for handler in HANDLERS {
        let function = |grows: &[(usize, usize)]| {
            let grow = "table.grow (ref.null func) (local.get 0)";
            by_hand(&growing(handler, "(table 0 funcref)", grow, 6, grows))
        };
        let tables = TABLE_ELEMENTS / POOLED_TABLE_ELEMENTS;
        let full: Vec<_> = (0..tables).map(|n| (n, POOLED_TABLE_ELEMENTS)).collect();
        let rest = TABLE_ELEMENTS % POOLED_TABLE_ELEMENTS;
        let all = |more: usize| [&full[..], &[(tables, rest + more)]].concat();
        assert_eq!(comes_to(function(&all(0)), handler).await, None, "{handler:?}: at the limit");
        check_fails(function(&all(1)), "/", 500, "rimward.guest.memory", Some("memory")).await;
        let one = [(0, POOLED_TABLE_ELEMENTS)];
        assert_eq!(comes_to(function(&one), handler).await, None, "{handler:?}: one table");
        let one_more = [one[0], (0, 1)];
        check_fails(function(&one_more), "/", 500, "rimward.guest.memory", Some("memory")).await;
    }
}

/// G9: an app may set another limit for tables, at the limit and one more.
#[tokio::test]
async fn an_app_chooses_how_many_table_elements_its_function_has() {
    for handler in HANDLERS {
        let function = |elements: usize| {
            let code = attacks(handler, &format!(r#"(table {elements} funcref) (func (export "attack"))"#));
            by_hand(&code).limits("table-elements = 50")
        };
        assert_eq!(comes_to(function(50), handler).await, None, "{handler:?}");
        check_fails(function(51), "/", 500, "rimward.guest.memory", Some("memory")).await;
    }
}

/// G9: what is far more than anybody needs is refused when it is loaded, or when it is called, and nobody else notices.
#[tokio::test]
async fn huge_declarations_are_refused() {
    for handler in HANDLERS {
        let node = beside(hostile("hostile-02")).start().await;
        for fields in [
            each(10_000, |_| "(table 1 funcref)".to_owned()),
            each(10_000, |_| "(memory 1)".to_owned()),
            "(table 4000000000 funcref)".to_owned(),
        ] {
            let code = attacks(handler, &format!(r#"{fields} (func (export "attack"))"#));
            let function = app("by-hand").named("huge").on("huge.example").component("by-hand", wat(&code));
            if node.try_install(function).await.is_ok() {
                let answer = node.get("/").host("huge.example").await;
                assert!(answer.status() >= 500, "{answer:?}");
            }
        }
        is_unharmed(&node).await;
    }
}

fn wat(text: &str) -> bytes::Bytes {
    rimward_tests::component_of_text(text)
}

/// G9: many small parts in one module cost time to compile and nothing else.
#[tokio::test]
async fn a_huge_branch_table_and_many_data_segments_run_as_they_are() {
    for handler in HANDLERS {
        let targets = "$out ".repeat(60_000);
        let branch =
            format!(r#"(func (export "attack") (block $out (br_table {targets} $out (i32.const 59999))))"#);
        assert_eq!(comes_to(by_hand(&attacks(handler, &branch)), handler).await, None, "{handler:?}");
        let segments = each(33_000, |n| format!(r#"(data (i32.const {n}) "x")"#));
        let data = format!(
            r#"(memory 1) {segments}
               (func (export "attack")
                 (if (i32.ne (i32.load8_u (i32.const 32999)) (i32.const 120)) (then unreachable))
                 (if (i32.load8_u (i32.const 33000)) (then unreachable)))"#
        );
        let came_to = comes_to(by_hand(&attacks(handler, &data)), handler).await;
        assert_eq!(came_to, None, "{handler:?}: every segment was written, and nothing else");
    }
}

/// Writes to the end of its memory, to every element of a table and to its globals, and traps where it finds anything of
/// an earlier guest in them.
fn leaves_traces(handler: Handler) -> String {
    attacks(
        handler,
        r#"(memory 1)
           (table $table 1000 funcref)
           (global $a (mut i64) (i64.const 0)) (global $b (mut v128) (v128.const i64x2 0 0))
           (elem declare func $mark)
           (func $mark)
           (func (export "attack") (local $at i32)
             (if (i32.eq (memory.grow (i32.const 63)) (i32.const -1)) (then unreachable))
             (if (i64.ne (global.get $a) (i64.const 0)) (then unreachable))
             (if (v128.any_true (global.get $b)) (then unreachable))
             (loop $memory
               (if (i64.ne (i64.load (local.get $at)) (i64.const 0)) (then unreachable))
               (local.set $at (i32.add (local.get $at) (i32.const 8)))
               (br_if $memory (i32.lt_u (local.get $at) (i32.const 4194304))))
             (local.set $at (i32.const 0))
             (loop $elements
               (if (i32.eqz (ref.is_null (table.get $table (local.get $at)))) (then unreachable))
               (table.set $table (local.get $at) (ref.func $mark))
               (local.set $at (i32.add (local.get $at) (i32.const 1)))
               (br_if $elements (i32.lt_u (local.get $at) (i32.const 1000))))
             (memory.fill (i32.const 0) (i32.const 0xa5) (i32.const 4194304))
             (global.set $a (i64.const -1))
             (global.set $b (v128.const i64x2 -1 -1)))"#,
    )
}

/// G28: every slot of the pool was written to, and every later guest finds zeroes, whichever tenant's it is.
#[tokio::test]
async fn memory_tables_and_globals_are_zero_at_first_touch_in_every_slot() {
    for handler in HANDLERS {
        let one = by_hand(&leaves_traces(handler));
        let other = by_hand(&leaves_traces(handler)).named("other").on("other.example");
        let node = beside(one)
            .app(other)
            .file(|file| file.limits.queue_wait = "20s".parse().expect("it is a time"))
            .start()
            .await;
        for host in ["bad.example", "other.example", "bad.example"] {
            for answer in node.get("/").host(host).at_once(32).await {
                let code = answer.problem()["code"].clone();
                assert_eq!(code, handler.returned(), "{answer:?}");
            }
        }
        // What has simply returned has trapped in 0.3; what found something, at an `unreachable`.
        for ended in node.heard().ends(96).await {
            let cause = ended.cause.unwrap_or_default();
            assert!(!cause.contains("`unreachable`"), "{cause}");
        }
        is_unharmed(&node).await;
    }
}

/// G28: the same with memory that a program grows, which the allocator of its language sees first.
#[tokio::test]
async fn memory_that_is_grown_has_nothing_of_earlier_guests() {
    for guest in GUESTS {
        let node = beside(hostile(guest))
            .app(hostile(guest).named("other").on("other.example"))
            .file(|file| file.limits.queue_wait = "20s".parse().expect("it is a time"))
            .start()
            .await;
        for answer in bad(&node, "/scan/write").at_once(24).await {
            answer.is(200).says("written");
        }
        for host in ["bad.example", "other.example"] {
            for answer in node.get("/scan/read").host(host).at_once(24).await {
                answer.is(200).says("clean");
            }
        }
    }
}

/// G8: an instance with many memories takes more than its share of the pool. The room for that is bounded and its own, so
/// that functions with one memory always find theirs. The pool of a test's node has 36: three instances would take all.
#[tokio::test]
async fn functions_with_many_memories_do_not_take_those_of_others() {
    const AT_ONCE: usize = 7;
    let memories = each(12, |n| format!("(core instance $i{n} (instantiate $has))"));
    let code = with_parts(
        Handler::V2,
        "",
        &format!(
            r#"(core module $has (memory 1)) {memories}
               (core module $code (func (export "attack") (loop $again (br $again))))
               (core instance $code (instantiate $code))"#
        ),
    );
    let greedy = by_hand(&code).limits(r#"cpu = "2s", wall = "60s""#);
    let node = beside(greedy).start().await;
    let hogs = tokio::spawn(bad(&node, "/").at_once(AT_ONCE));
    let refused = node.heard().ends(AT_ONCE - 3).await;
    assert!(refused.iter().all(|ended| ended.status == Some(503)), "{refused:?}");
    for answer in node.get("/").host("good.example").times(20).await {
        answer.is(200).says("hello\n");
    }
    let answers = hogs.await.expect("the client does not panic");
    let stopped = answers.iter().filter(|answer| answer.problem()["code"] == "rimward.guest.cpu").count();
    assert_eq!(stopped, 1, "there is room for one of them at a time");
    is_unharmed(&node).await;
}

mod heavy {
    use super::*;
    use crate::support::{forget_peak, resident, resident_peak};

    /// G8: eight bombs at once, each with a limit of 16 MiB, and what the node takes for itself.
    #[tokio::test]
    async fn resident_memory_stays_below_what_running_functions_may_hold_together() {
        const LIMIT_MIB: u64 = 16;
        const AT_ONCE: u64 = 8;
        for handler in HANDLERS {
            let code = attacks(
                handler,
                r#"(memory 1)
                   (func (export "attack") (local $had i32)
                     (loop $again
                       (local.set $had (memory.grow (i32.const 16)))
                       (if (i32.eq (local.get $had) (i32.const -1)) (then unreachable))
                       (memory.fill
                         (i32.mul (local.get $had) (i32.const 65536)) (i32.const 7) (i32.const 1048576))
                       (br $again)))"#,
            );
            let function = by_hand(&code).limits(&format!(r#"memory = "{LIMIT_MIB}MiB""#));
            let node = beside(function).start().await;
            bad(&node, "/").await.code("rimward.guest.memory");
            is_unharmed(&node).await;
            let before = resident();
            forget_peak();
            for _ in 0..5 {
                for answer in bad(&node, "/").at_once(AT_ONCE as usize).await {
                    answer.code("rimward.guest.memory");
                }
            }
            is_unharmed(&node).await;
            let more = |now: u64| now.saturating_sub(before) >> 20;
            println!(
                "{handler:?}: at most {} MiB more, {} afterwards",
                more(resident_peak()),
                more(resident())
            );
            assert!(more(resident_peak()) <= AT_ONCE * LIMIT_MIB + 32, "{handler:?}");
            let ends = node.heard().ends(41).await;
            let bombs = ends.iter().filter(|ended| ended.path == "/" && ended.status == Some(500));
            for ended in bombs {
                assert_eq!(ended.outcome, Outcome::Failed("rimward.guest.memory"));
                assert!(ended.memory_bytes <= LIMIT_MIB << 20, "{ended:?}");
            }
        }
    }
}
