//! Functions that do not come to an end: they are stopped at their limit of CPU or time, and others go on meanwhile.

use crate::support::{GUESTS, HANDLERS, attacks, bad, beside, by_hand, check_fails, hostile, is_unharmed};
use rimward_tests::{Ended, eventually};
use std::num::NonZeroU32;
use std::time::Duration;

const CPU: &str = r#"cpu = "100ms", wall = "30s""#;

/// Its budget, and not more than one look at the clock costs.
fn check_cpu(ended: &Ended, slack_ms: u64) {
    let allowed = Duration::from_millis(100)..Duration::from_millis(100 + slack_ms);
    assert!(allowed.contains(&ended.cpu), "{ended:?}");
}

/// G1, G2: a crash and an end without an answer.
#[tokio::test]
async fn a_function_that_crashes_costs_its_own_request() {
    for guest in GUESTS {
        check_fails(hostile(guest), "/trap", 500, "rimward.guest.trap", Some("trap")).await;
        check_fails(hostile(guest), "/no-response", 500, "rimward.guest.no-response", None).await;
    }
}

/// G4: a loop without an end.
#[tokio::test]
async fn a_busy_loop_is_stopped_at_its_cpu_budget() {
    for guest in GUESTS {
        let ended =
            check_fails(hostile(guest).limits(CPU), "/spin", 504, "rimward.guest.cpu", Some("cpu")).await;
        check_cpu(&ended, 50);
    }
}

/// G5: while it is instantiated.
#[tokio::test]
async fn a_loop_in_the_start_function_is_stopped_too() {
    for handler in HANDLERS {
        let code = attacks(
            handler,
            r#"(func $start (loop $again (br $again))) (start $start) (func (export "attack"))"#,
        );
        let ended = check_fails(by_hand(&code).limits(CPU), "/", 504, "rimward.guest.cpu", Some("cpu")).await;
        check_cpu(&ended, 50);
    }
}

/// G6: loops that give up their thread on every round, as far as their version of WASI lets them.
#[tokio::test]
async fn a_loop_that_yields_on_every_round_is_stopped_all_the_same() {
    for (guest, path) in [
        ("hostile-02", "/yield"),
        ("hostile-02", "/wait-zero"),
        ("hostile-03", "/yield"),
        ("hostile-03", "/wait-zero"),
    ] {
        let function = hostile(guest).limits(r#"cpu = "100ms", wall = "30s""#);
        let ended = check_fails(function, path, 504, "rimward.guest.cpu", Some("cpu")).await;
        check_cpu(&ended, 50);
    }
}

/// G6: a loop that waits for the least time there is spends little, and its time runs out.
#[tokio::test]
async fn a_loop_that_waits_on_every_round_is_ended_at_its_wall_limit_at_the_latest() {
    for guest in GUESTS {
        let node = beside(hostile(guest).limits(r#"cpu = "10s", wall = "300ms""#)).start().await;
        bad(&node, "/wait-least").await.is(504).code("rimward.guest.wall");
        is_unharmed(&node).await;
    }
}

/// G7: single instructions that take long. One is the most that the limit is overrun by.
#[tokio::test]
async fn bulk_operations_are_stopped_after_one_of_them_at_the_most() {
    for handler in HANDLERS {
        for operation in ["memory.fill", "memory.copy"] {
            let code = bulk(operation);
            let function = by_hand(&attacks(handler, &code)).limits(CPU);
            let ended = check_fails(function, "/", 504, "rimward.guest.cpu", Some("cpu")).await;
            // A fill of 96 MiB takes 10 to 40 ms of CPU, a first one with its page faults 100.
            check_cpu(&ended, 200);
        }
    }
}

/// Fills or copies 96 MiB again and again.
fn bulk(operation: &str) -> String {
    let arguments = match operation {
        "memory.fill" => "(i32.const 0) (i32.const 7) (i32.const 100663296)",
        _ => "(i32.const 0) (i32.const 4096) (i32.const 100000000)",
    };
    format!(
        r#"(memory 1540)
           (func (export "attack") (loop $again ({operation} {arguments}) (br $again)))"#
    )
}

/// G4, G7: the node has one core, and hogs of both versions are on it.
#[tokio::test]
async fn neighbours_on_the_same_core_are_answered_while_hogs_run() {
    for (guest, path) in [("hostile-02", "/spin"), ("hostile-03", "/spin"), ("hostile-03", "/yield")] {
        let node = beside(hostile(guest).limits(r#"cpu = "2s", wall = "60s""#))
            .file(|file| file.node.cores = NonZeroU32::new(1))
            .start()
            .await;
        let hogs = tokio::spawn(bad(&node, path).at_once(4));
        eventually("four hogs run", || (node.node().status().running == 4).then_some(())).await;
        for answer in node.get("/").host("good.example").times(20).await {
            answer.is(200).says("hello\n");
        }
        assert!(!hogs.is_finished(), "{guest}{path}: others were answered while the hogs ran");
        for answer in hogs.await.expect("the client does not panic") {
            answer.code("rimward.guest.cpu");
        }
        is_unharmed(&node).await;
    }
}

/// G15: nothing is ever answered.
#[tokio::test]
async fn a_function_that_waits_for_ever_is_ended_at_its_wall_limit() {
    for guest in GUESTS {
        let function = hostile(guest).limits(r#"wall = "100ms""#);
        let ended = check_fails(function, "/never", 504, "rimward.guest.wall", Some("wall")).await;
        assert!(ended.cpu < Duration::from_millis(100), "waiting costs no CPU: {ended:?}");
    }
}

mod heavy {
    use super::*;
    use std::time::Instant;

    /// G7: how late a bulk operation lets the node be, in the time that one of them takes. Measured, and bounded by a few.
    #[tokio::test]
    async fn a_bulk_operation_delays_its_neighbours_by_a_few_of_them_at_the_most() {
        let one = one_fill();
        for handler in HANDLERS {
            let function =
                by_hand(&attacks(handler, &bulk("memory.fill"))).limits(r#"cpu = "3s", wall = "60s""#);
            let node = beside(function).file(|file| file.node.cores = NonZeroU32::new(1)).start().await;
            let connection = node.connect(rimward_tests::Over::Http1).await;
            connection.get("/").host("good.example").await.is(200);
            let hog = tokio::spawn(bad(&node, "/").into_future());
            let mut worst = Duration::ZERO;
            while !hog.is_finished() {
                let started = Instant::now();
                connection.get("/").host("good.example").await.is(200);
                worst = worst.max(started.elapsed());
            }
            hog.await.expect("the client does not panic").code("rimward.guest.cpu");
            println!("{handler:?}: one fill takes {one:?}, the worst reply took {worst:?}");
            assert!(worst < 10 * one + Duration::from_millis(100), "{handler:?}: {worst:?} of {one:?}");
        }
    }

    /// How long 96 MiB of new memory take to be filled here and now.
    fn one_fill() -> Duration {
        let started = Instant::now();
        let filled = vec![7_u8; 96 << 20];
        std::hint::black_box(&filled);
        started.elapsed()
    }
}
