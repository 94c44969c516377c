//! What must hold for every schedule, and for storms of errors.

use crate::schedule::{Outcome, Plan, upstream};
use crate::world::{Weather, World};
use http::Request;
use http_body_util::BodyExt as _;
use rimward_upstream::breaker::Phase;
use rimward_upstream::{Terms, call};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// Seeds of the normal run.
const SAMPLE: u64 = 200;

/// Runs the schedule of each seed, and names the first one that breaks what must hold.
fn check_seeds(seeds: impl Iterator<Item = u64>) {
    for seed in seeds {
        if catch_unwind(AssertUnwindSafe(|| check(seed))).is_err() {
            panic!(
                "seed {seed}: RIMWARD_SEED={seed} cargo nextest run -p rimward-upstream --test simulation \
                 -E 'test(every_schedule_keeps_what_is_promised)'"
            );
        }
    }
}

fn check(seed: u64) {
    let plan = Plan::random(seed);
    let (calls, concurrent) = (plan.calls, u64::from(plan.policy.bulkhead.concurrent));
    let is_hedged = plan.policy.hedge.is_some();
    let outcome = plan.run();
    let (world, state) = (&outcome.world, outcome.upstream.state());
    assert_eq!(outcome.ended, calls, "every call ends");
    assert_eq!(outcome.late, 0, "every call ends by its deadline");
    assert_eq!(world.overdue.load(Relaxed), 0, "no try goes on after it");
    assert_eq!(world.under_way(), 0, "no try goes on without its call");
    assert_eq!((state.bulkhead().taken(), state.bulkhead().waiting()), (0, 0), "every place is given back");
    let in_flight = world.in_flight_max.load(Relaxed);
    assert!(in_flight <= concurrent * if is_hedged { 2 } else { 1 }, "{in_flight} at a time");
    let heard = &outcome.heard;
    let (retries, hedges) = (heard.retries.load(Relaxed), heard.hedges.load(Relaxed));
    let tried = heard.tried.load(Relaxed);
    assert!(tried <= calls + retries + hedges, "{tried} tries for {calls} calls");
    assert_eq!(tried, world.tries.load(Relaxed), "every try is told once");
    // A full bucket pays for a hundred retries; each success for a fifth of one, and successes are answers of tries.
    assert!(retries as f64 <= 100.0 + 0.2 * tried as f64, "{retries} retries of {tried} tries");
    assert!(hedges as f64 <= 0.05 * tried as f64 + 1.0, "{hedges} hedges of {tried} tries");
    assert_recovers(&outcome);
}

/// Once the upstream is well again, so are calls to it: the breaker is never wedged.
fn assert_recovers(outcome: &Outcome) {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(async {
        let well = World::new(Vec::new(), 1, Duration::from_secs(600));
        let upstream = &outcome.upstream;
        let mut in_a_row = 0;
        // The longest opening with its jitter, a lost probe, and another opening.
        for _ in 0..2_500 {
            sleep(Duration::from_millis(100)).await;
            let terms = Terms { timeouts: upstream.timeouts(), deadline: None, is_probe: false };
            let body = http_body_util::Empty::new().map_err(|never| match never {}).boxed_unsync();
            let request = Request::get("http://u.upstream.internal/").body(body).expect("a request");
            let is_well = call(&*well, upstream, request, terms).await.is_ok();
            in_a_row = if is_well { in_a_row + 1 } else { 0 };
            if in_a_row == 50 {
                assert_eq!(upstream.state().breaker().phase(Instant::now()), Phase::Closed);
                return;
            }
        }
        panic!("the breaker is wedged: {:?}", upstream.state().breaker().history());
    });
}

/// C3, C5, C7, C10, C16, C17: what must hold whatever happens. `RIMWARD_SEED` runs one seed.
#[test]
fn every_schedule_keeps_what_is_promised() {
    match std::env::var("RIMWARD_SEED") {
        Ok(seed) => check(seed.parse().expect("RIMWARD_SEED is a number")),
        Err(_) => check_seeds(0..SAMPLE),
    }
}

/// C5: in a storm of errors the upstream gets at most a fifth more load than there are calls.
#[test]
fn a_storm_of_errors_is_not_amplified() {
    for (failing, seed) in [(0.3, 1), (0.5, 2), (0.8, 3), (1.0, 4)] {
        let outcome = Plan::steady(seed, Weather::Answers { failing, ms: 20 }, 15_000).run();
        let load = outcome.world.tries.load(Relaxed) as f64 / outcome.calls as f64;
        assert!(load <= 1.2, "{failing}: {load}");
    }
}

/// C5: nor where every call fails for want of an answer, and timeouts cost double.
#[test]
fn a_hanging_upstream_gets_no_more_than_its_calls() {
    for weather in [Weather::Hangs, Weather::CutOff, Weather::Refuses] {
        let outcome = Plan::steady(5, weather, 5_000).run();
        let load = outcome.world.tries.load(Relaxed) as f64 / outcome.calls as f64;
        assert!(load <= 1.2, "{weather:?}: {load}");
    }
}

/// C5: few errors are hidden from the callers, at little cost.
#[test]
fn few_errors_are_hidden_by_retries() {
    let plan = Plan { posts: 0.0, ..Plan::steady(6, Weather::Answers { failing: 0.05, ms: 20 }, 30_000) };
    let mut plan = plan;
    plan.policy.retry.on.statuses.insert(500);
    let outcome = plan.run();
    let load = outcome.world.tries.load(Relaxed) as f64 / outcome.calls as f64;
    let answered = outcome.answered as f64 / outcome.calls as f64;
    assert!(answered >= 0.999 && load <= 1.07, "{answered} answered at {load}");
}

/// C5: three of ten failing: four of five calls are answered, within the budget.
#[test]
fn many_errors_are_hidden_as_far_as_the_budget_goes() {
    let mut plan = Plan::steady(7, Weather::Answers { failing: 0.3, ms: 20 }, 30_000);
    plan.policy.retry.on.statuses.insert(500);
    let outcome = plan.run();
    let load = outcome.world.tries.load(Relaxed) as f64 / outcome.calls as f64;
    let answered = outcome.answered as f64 / outcome.calls as f64;
    assert!(answered >= 0.8 && load <= 1.2, "{answered} answered at {load}");
}

/// C7: an upstream that was dead answers again within two openings of its return.
#[test]
fn a_dead_upstream_is_back_soon_after_its_return() {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(async {
        let dead_until = Duration::from_secs(4);
        let weather =
            vec![(Duration::ZERO, Weather::Refuses), (dead_until, Weather::Answers { failing: 0.0, ms: 5 })];
        let world = World::new(weather, 3, Duration::from_secs(60));
        let upstream =
            upstream(Default::default(), std::sync::Arc::new(crate::schedule::Heard::default()), 3);
        let start = Instant::now();
        loop {
            sleep(Duration::from_millis(10)).await;
            let terms = Terms { timeouts: upstream.timeouts(), deadline: None, is_probe: false };
            let body = http_body_util::Empty::new().map_err(|never| match never {}).boxed_unsync();
            let request = Request::get("http://u.upstream.internal/").body(body).expect("a request");
            if call(&*world, &upstream, request, terms).await.is_ok() {
                break;
            }
        }
        assert!(start.elapsed() <= dead_until + Duration::from_secs(10), "{:?}", start.elapsed());
    });
}

mod slow {
    /// C3, C5, C7, C10, C16, C17: ten thousand schedules.
    #[test]
    fn ten_thousand_schedules_keep_what_is_promised() {
        super::check_seeds(0..10_000);
    }
}
