//! A function that misbehaves costs its neighbours nothing that they would notice: one function is called at a fixed rate
//! while others on the same cores spin and take memory, and its answers are compared with those of a quiet node.

use crate::clients::{Tally, at_rate, hammer};
use rimward_tests::{Over, TestNode, app, node};
use std::time::{Duration, Instant};

/// Requests each second for the function that behaves, and the connections that they come over.
const RATE: u32 = 200;
const CONNECTIONS: u32 = 20;

/// Connections that hammer each of the functions that do not.
const OFFENDERS: usize = 4;

/// Wall and CPU time of the functions that do not.
const WALL: Duration = Duration::from_millis(500);

/// How long after its wall limit an offender's caller may wait.
const LATE: Duration = Duration::from_millis(50);

/// What the hostile half of a round showed.
struct Hostile {
    victim: Tally,
    spin: Tally,
    bomb: Tally,
}

async fn started() -> TestNode {
    let limits = format!(r#"wall = "{0}ms", cpu = "{0}ms", memory = "64MiB""#, WALL.as_millis());
    let offender = |guest: &str| app(guest).on(&format!("{guest}.example")).limits(&limits);
    node()
        .room(64, 64)
        .app(app("hello").on("hello.example"))
        .app(offender("spin"))
        .app(offender("memory-bomb"))
        .start()
        .await
}

async fn quiet(node: &TestNode, time: Duration) -> Tally {
    at_rate(node, "hello.example", RATE, CONNECTIONS, Instant::now() + time).await
}

async fn hostile(node: &TestNode, time: Duration) -> Hostile {
    let end = Instant::now() + time;
    let (spin, bomb) = (offend(node, "spin.example", end), offend(node, "memory-bomb.example", end));
    let (victim, spin, bomb) =
        tokio::join!(at_rate(node, "hello.example", RATE, CONNECTIONS, end), spin, bomb);
    Hostile { victim, spin, bomb }
}

async fn offend(node: &TestNode, host: &str, end: Instant) -> Tally {
    let hammering =
        (0..OFFENDERS).map(|_| async move { hammer(node.connect(Over::Http1).await, host, end).await });
    let tallies = futures_util::future::join_all(hammering).await;
    tallies.into_iter().fold(Tally::default(), |mut all, one| {
        all.add(one);
        all
    })
}

fn show(name: &str, tally: &Tally) {
    let (p50, p99, worst) = (tally.quantile(0.5), tally.quantile(0.99), tally.quantile(1.0));
    eprintln!(
        "{name:14} {:6} p50 {p50:9.1?} p99 {p99:9.1?} worst {worst:9.1?} {:?}",
        tally.len(),
        tally.statuses
    );
}

/// So many rounds, quiet and hostile in turn; the 99th percentile of the hostile ones is at most `times` that of the
/// quiet ones, or `more` above it.
async fn check(rounds: usize, time: Duration, times: u32, more: Duration) {
    let node = started().await;
    quiet(&node, Duration::from_millis(500)).await;
    let (mut calm, mut stormy, mut spin, mut bomb) = <(Tally, Tally, Tally, Tally)>::default();
    for round in 1..=rounds {
        let now = quiet(&node, time).await;
        show(&format!("quiet {round}"), &now);
        calm.add(now);
        let now = hostile(&node, time).await;
        show(&format!("hostile {round}"), &now.victim);
        stormy.add(now.victim);
        spin.add(now.spin);
        bomb.add(now.bomb);
    }
    let named = [("quiet", &calm), ("hostile", &stormy), ("spin", &spin), ("memory-bomb", &bomb)];
    named.iter().for_each(|(name, tally)| show(name, tally));
    assert_eq!(calm.others_than(200) + stormy.others_than(200), 0, "errors");
    assert_eq!(spin.others_than(504), 0, "{:?}", spin.statuses);
    // Refused memory, or out of time before it had taken enough.
    assert!(bomb.statuses.keys().all(|status| matches!(status, 500 | 504)), "{:?}", bomb.statuses);
    let (quiet, hostile) = (calm.quantile(0.99), stormy.quantile(0.99));
    assert!(hostile <= (quiet * times).max(quiet + more), "{quiet:?} and then {hostile:?}");
    let late = spin.quantile(1.0).max(bomb.quantile(1.0)).saturating_sub(WALL);
    assert!(late <= LATE.max(more), "the offender's callers waited {late:?} beyond its wall limit");
}

mod heavy {
    use super::{Duration, check};

    #[tokio::test]
    async fn neighbours_of_a_function_that_misbehaves_go_on() {
        check(1, Duration::from_secs(2), 20, Duration::from_millis(200)).await;
    }
}

mod slow {
    mod heavy {
        use super::super::{Duration, check};

        #[tokio::test]
        async fn neighbours_of_a_function_that_misbehaves_do_not_notice() {
            check(5, Duration::from_secs(10), 3, Duration::from_millis(10)).await;
        }
    }
}
