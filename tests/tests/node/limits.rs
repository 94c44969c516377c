//! What a guest may use, and what happens at each limit. The guest is the hostile one here; every test looks at the node
//! afterwards too.

use rimward_node::Outcome;
use rimward_tests::{App, Ended, app, node};
use std::time::Duration;

/// Calls the app's only function and gives how that ended; it must fail like this, once and alone.
async fn check_fails(app: impl Into<App>, path: &str, status: u16, code: &'static str) -> Ended {
    let node = node().app("hello").app(app.into().route("/bad/*rest")).start().await;
    let path = format!("/bad/{path}");
    node.get(&path).await.is(status).code(code);
    let ended = node.heard().end(|ended| ended.path == path).await;
    assert_eq!((ended.outcome, ended.status), (Outcome::Failed(code), Some(status)));
    node.metric("rimward_function_failures_total", &format!("code={code}")).is(1.0).await;
    node.get("/").await.is(200).says("hello\n");
    node.is_idle().await;
    ended
}

/// G1: of `wasi:http` 0.2; both versions are in `tests/hostile`.
#[tokio::test]
async fn a_trap_before_the_response_is_told_to_the_caller_and_explained_to_the_operator() {
    let ended = check_fails("trap", "", 500, "rimward.guest.trap").await;
    let cause = ended.cause.unwrap();
    assert!(cause.contains("unreachable"), "{cause}");
}

/// G2: of `wasi:http` 0.2; both versions are in `tests/hostile`.
#[tokio::test]
async fn a_guest_that_returns_without_a_response_is_told_apart_from_a_trap() {
    check_fails("no-response", "", 500, "rimward.guest.no-response").await;
}

#[tokio::test]
async fn a_guest_that_answers_with_an_error_does_not_leak_its_words() {
    let ended = check_fails("answers-error", "", 500, "rimward.guest.error").await;
    let cause = ended.cause.unwrap();
    assert!(cause.contains("the function's own words"), "the operator reads them: {cause}");
}

#[tokio::test]
async fn a_guest_that_exits_before_it_answers_has_failed() {
    check_fails("exits", "1", 500, "rimward.guest.exit").await;
}

#[tokio::test]
async fn a_guest_that_exits_with_success_after_it_answered_has_not() {
    let node = node().app("exits").start().await;
    node.get("/0").await.is(200).says("bye\n");
    assert_eq!(node.heard().ends(1).await[0].outcome, Outcome::Answered);
}

/// What its CPU budget allows, and at most what one look at the clock costs more.
fn check_cpu(ended: &Ended, budget_ms: u64, slack_ms: u64) {
    let (least, most) = (Duration::from_millis(budget_ms), Duration::from_millis(budget_ms + slack_ms));
    assert!((least..most).contains(&ended.cpu), "{:?}", ended.cpu);
}

const CPU: &str = r#"cpu = "100ms", wall = "30s""#;

/// G4: of `wasi:http` 0.2; both versions are in `tests/hostile`.
#[tokio::test]
async fn a_busy_loop_is_stopped_at_its_cpu_budget() {
    let ended = check_fails(app("spin").limits(CPU), "", 504, "rimward.guest.cpu").await;
    check_cpu(&ended, 100, 50);
}

/// G6: of `wasi:http` 0.2; both versions are in `tests/hostile`.
#[tokio::test]
async fn a_loop_that_yields_on_every_round_is_stopped_all_the_same() {
    let spin = app("spin").limits(r#"cpu = "20ms", wall = "30s""#).with(r#"config = {}"#);
    let ended = check_fails(spin.clone(), "yielding", 504, "rimward.guest.cpu").await;
    check_cpu(&ended, 20, 50);
}

/// G5: of `wasi:http` 0.2; both versions are in `tests/hostile`.
#[tokio::test]
async fn start_spin_is_stopped_while_it_is_instantiated() {
    let ended = check_fails(app("start-spin").limits(CPU), "", 504, "rimward.guest.cpu").await;
    check_cpu(&ended, 100, 50);
}

/// G5: of `wasi:http` 0.2; both versions are in `tests/hostile`.
#[tokio::test]
async fn realloc_spin_is_stopped_while_the_host_writes_into_it() {
    let ended = check_fails(app("realloc-spin").limits(CPU), "", 504, "rimward.guest.cpu").await;
    check_cpu(&ended, 100, 50);
}

/// G7: of `wasi:http` 0.2; both versions are in `tests/hostile`.
#[tokio::test]
async fn fills_of_memory_are_stopped_between_two_of_them() {
    let ended = check_fails(app("fills").limits(CPU), "", 504, "rimward.guest.cpu").await;
    check_cpu(&ended, 100, 200);
}

/// G4: the node has one core, and its guests spin on it.
#[tokio::test]
async fn neighbours_on_the_same_core_are_answered_while_guests_spin() {
    let node = node()
        .file(|file| file.node.cores = std::num::NonZeroU32::new(1))
        .app(app("spin").route("/spin").limits(r#"cpu = "1s", wall = "60s""#))
        .app("hello")
        .start()
        .await;
    let spinning = tokio::spawn(node.get("/spin").at_once(4));
    rimward_tests::eventually("four guests spin", || (node.node().status().running == 4).then_some(())).await;
    for answer in node.get("/").times(20).await {
        answer.is(200).says("hello\n");
    }
    assert!(!spinning.is_finished(), "they were answered while the others ran");
    for answer in spinning.await.unwrap() {
        answer.code("rimward.guest.cpu");
    }
}

/// G15: without a look at how late.
#[tokio::test]
async fn sleep_is_ended_at_the_wall_limit() {
    let ended = check_fails(app("sleep").limits(r#"wall = "50ms""#), "", 504, "rimward.guest.wall").await;
    assert!(ended.cpu < Duration::from_millis(50), "waiting costs no CPU: {:?}", ended.cpu);
}

#[tokio::test]
async fn a_guest_that_answers_within_its_wall_limit_is_not_ended() {
    let node = node().app(app("sleep").limits(r#"wall = "20s""#)).start().await;
    node.get("/30").await.is(200).says("slept\n");
}

/// G8: of `wasi:http` 0.2; both versions are in `tests/hostile`.
#[tokio::test]
async fn a_memory_bomb_is_refused_and_counted() {
    let bomb = app("memory-bomb").limits(r#"memory = "8MiB""#);
    let ended = check_fails(bomb, "", 500, "rimward.guest.memory").await;
    assert!((4 << 20..=8 << 20).contains(&ended.memory_bytes), "{}", ended.memory_bytes);
}

/// G8: of `wasi:http` 0.2; both versions are in `tests/hostile`.
#[tokio::test]
async fn a_guest_grows_to_its_limit_and_not_a_page_further() {
    let node = node().app(app("grows").limits(r#"memory = "4MiB""#)).start().await;
    node.get("/64").await.is(200).says("granted\n");
    node.get("/65").await.is(200).says("refused\n");
    let ended = node.heard().ends(2).await;
    assert_eq!(ended[0].memory_bytes, 4 << 20);
    assert!(ended[1].memory_bytes < 4 << 20);
}

/// G9: of `wasi:http` 0.2; both versions are in `tests/hostile`.
#[tokio::test]
async fn a_table_bomb_is_refused_and_counted() {
    check_fails("table-bomb", "", 500, "rimward.guest.memory").await;
}

/// G10: of `wasi:http` 0.2; both versions are in `tests/hostile`.
#[tokio::test]
async fn a_guest_that_recurses_without_end_traps() {
    let ended = check_fails("recurses", "", 500, "rimward.guest.trap").await;
    let cause = ended.cause.unwrap();
    assert!(cause.contains("call stack exhausted"), "{cause}");
}

/// G11: there is room for the host at the very end of the guest's stack.
#[tokio::test]
async fn a_guest_that_recurses_into_host_calls_traps_too() {
    let ended = check_fails("recurses-into-host", "", 500, "rimward.guest.trap").await;
    let cause = ended.cause.unwrap();
    assert!(cause.contains("call stack exhausted"), "{cause}");
}

/// G13: of `wasi:http` 0.2; both versions are in `tests/hostile`.
#[tokio::test]
async fn handles_are_held_up_to_the_limit_and_no_further() {
    let node = node().app("handles").start().await;
    let max = rimward_engine::limits::HANDLES;
    // The request, the reply and their parts are handles too.
    let few = 16;
    let most = max - few;
    node.get(&format!("/{most}")).await.is(200).says(&format!("{most} held\n"));
    node.get(&format!("/{}", max + 1)).await.code("rimward.guest.trap");
}

/// G14: of `wasi:http` 0.2; both versions are in `tests/hostile`.
#[tokio::test]
async fn a_big_call_hands_over_up_to_the_limit_and_no_more() {
    let node = node().app("big-call").start().await;
    let max = rimward_engine::limits::HOST_CALL_BYTES;
    node.get("/10").await.is(200).says("taken\n");
    node.get(&format!("/{max}")).await.is(200).says("refused\n");
    node.get(&format!("/{}", max + 1)).await.code("rimward.guest.trap");
}

/// G28: the pool has a few slots, and every one of them was written to.
#[tokio::test]
async fn memory_scan_finds_nothing_of_earlier_guests() {
    let patient = node().file(|file| file.limits.queue_wait = "9s".parse().unwrap());
    let scans = patient.app("memory-scan").app(app("memory-scan").named("other").route("/other"));
    let node = scans.start().await;
    for answer in node.get("/write").at_once(24).await {
        answer.is(200).says("written\n");
    }
    for path in ["/scan", "/other"] {
        for answer in node.get(path).at_once(24).await {
            answer.is(200).says("clean\n");
        }
    }
}

mod heavy {
    use super::*;

    /// G15: of `wasi:http` 0.2; both versions are in `tests/hostile`.
    #[tokio::test]
    async fn a_caller_waits_at_most_50_ms_longer_than_the_wall_limit() {
        let node = node().app(app("sleep").limits(r#"wall = "300ms""#)).start().await;
        for answer in node.get("/").times(5).await {
            let waited = answer.code("rimward.guest.wall").waited();
            let allowed = Duration::from_millis(300)..Duration::from_millis(350);
            assert!(allowed.contains(&waited), "{waited:?}");
        }
    }

    /// G4: of `wasi:http` 0.2; both versions are in `tests/hostile`.
    #[tokio::test]
    async fn a_caller_of_a_busy_loop_is_answered_within_its_wall_limit_too() {
        let node = node().app(app("spin").limits(r#"cpu = "10s", wall = "300ms""#)).start().await;
        let waited = node.get("/").await.code("rimward.guest.wall").waited();
        assert!(waited < Duration::from_millis(350), "{waited:?}");
    }
}
