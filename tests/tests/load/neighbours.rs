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

/// So many rounds, quiet and hostile in turn. The 99th percentile of the hostile round in the middle is at most `times`
/// that of the quiet one, or `more` above it: whatever else the machine did for a while spoils one round, not half.
async fn check(rounds: usize, time: Duration, times: u32, more: Duration) {
    let node = started().await;
    quiet(&node, Duration::from_millis(500)).await;
    let (mut calm, mut stormy) = (Vec::new(), Vec::new());
    let (mut spin, mut bomb) = <(Tally, Tally)>::default();
    for round in 1..=rounds {
        let quiet = quiet(&node, time).await;
        show(&format!("quiet {round}"), &quiet);
        calm.push(answered(&quiet));
        let hostile = hostile(&node, time).await;
        show(&format!("hostile {round}"), &hostile.victim);
        stormy.push(answered(&hostile.victim));
        spin.add(hostile.spin);
        bomb.add(hostile.bomb);
    }
    show("spin", &spin);
    show("memory-bomb", &bomb);
    let (quiet, hostile) = (middle(calm), middle(stormy));
    eprintln!("p99 of the round in the middle: quiet {quiet:.1?}, hostile {hostile:.1?}");
    assert!(hostile <= (quiet * times).max(quiet + more), "{quiet:?} and then {hostile:?}");
    check_offenders(&spin, &bomb, more);
}

/// The 99th percentile of a round in which every request was answered.
fn answered(tally: &Tally) -> Duration {
    assert_eq!(tally.others_than(200), 0, "{:?}", tally.statuses);
    tally.quantile(0.99)
}

fn middle(mut rounds: Vec<Duration>) -> Duration {
    rounds.sort_unstable();
    rounds[rounds.len() / 2]
}

/// Their callers learn what happened, and in time; `late` is how late on a machine that has other things to do.
fn check_offenders(spin: &Tally, bomb: &Tally, late: Duration) {
    assert_eq!(spin.others_than(504), 0, "{:?}", spin.statuses);
    // Refused memory, or out of time before it had taken enough.
    assert!(bomb.statuses.keys().all(|status| matches!(status, 500 | 504)), "{:?}", bomb.statuses);
    let waited = spin.quantile(0.99).max(bomb.quantile(0.99));
    assert!(waited <= WALL + LATE.max(late), "callers waited {waited:?} with a wall limit of {WALL:?}");
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
