//! Ten times more requests than can be served, each burning some milliseconds of CPU: what is admitted is answered about
//! as quickly as at the peak, and as many of them as at the peak. The client runs on the same cores and takes its part.

use crate::clients::{Tally, at_rate, hammer};
use rimward_tests::{Over, TestNode, app, node};
use std::time::{Duration, Instant};

const HOST: &str = "burns.example";

/// CPU time that one request is to burn.
const BURN: Duration = Duration::from_millis(5);

/// Connections of a closed loop that keeps every core busy, and no more.
const CONNECTIONS_AT_PEAK: usize = 16;

/// Connections over which the requests of the overload come.
const CONNECTIONS: u32 = 400;

/// Finds the path whose request burns [`BURN`].
async fn calibrated(node: &TestNode) -> String {
    const ROUNDS: u64 = 20_000;
    let path = format!("/{ROUNDS}");
    node.get(&path).host(HOST).await.is(200);
    let ended = node.heard().end(|ended| ended.path == path).await;
    let rounds = u128::from(ROUNDS) * BURN.as_nanos() / ended.cpu.as_nanos().max(1);
    format!("/{}", rounds.max(1))
}

async fn closed_loop(node: &TestNode, path: &str, time: Duration) -> Tally {
    let end = Instant::now() + time;
    let clients = (0..CONNECTIONS_AT_PEAK)
        .map(|_| async move { hammer(node.connect(Over::Http1).await, HOST, path, end).await });
    let tallies = futures_util::future::join_all(clients).await;
    tallies.into_iter().fold(Tally::default(), |mut all, one| {
        all.add(one);
        all
    })
}

fn per_second(tally: &Tally, time: Duration) -> u32 {
    let time = u128::from(tally.of(200) as u64) * 1_000 / time.as_millis();
    u32::try_from(time).expect("it is no supercomputer")
}

/// Goodput under an overload of so many times is at least this part of the peak's, and the 99th percentile of what is
/// answered at most so many times that of the peak, where the client has time enough to tell.
async fn check(time: Duration, times: u32, goodput_percent: u32, slower: Option<u32>) {
    let node = node().room(128, 256).app(app("burns").on(HOST).limits(r#"concurrency = 128"#)).start().await;
    let path = calibrated(&node).await;
    closed_loop(&node, &path, Duration::from_millis(500)).await;
    let peak = closed_loop(&node, &path, time).await;
    let (peak_rate, peak_p99) = (per_second(&peak, time), peak.quantile(0.99));
    let flood = at_rate(&node, (HOST, &path), peak_rate * times, CONNECTIONS, Instant::now() + time).await;
    let flood_rate = per_second(&flood, time);
    let admitted = flood.quantile_of(200, 0.99);
    eprintln!(
        "peak {peak_rate}/s, p99 {peak_p99:.1?}; {times} times that: {flood_rate}/s, p99 {admitted:.1?}, {:?}",
        flood.statuses
    );
    assert_eq!(peak.others_than(200), 0, "{:?}", peak.statuses);
    assert!(flood.statuses.keys().all(|status| matches!(status, 200 | 503)), "{:?}", flood.statuses);
    assert!(flood.of(503) > 0, "it was an overload");
    assert!(flood_rate * 100 >= peak_rate * goodput_percent, "{flood_rate}/s of {peak_rate}/s");
    if let Some(times) = slower {
        assert!(admitted <= peak_p99 * times, "{admitted:?} beside {peak_p99:?}");
    }
    node.is_idle().await;
}

mod heavy {
    use super::{Duration, check};

    /// H15: goodput holds and what is admitted is quick. A test's build and its client take most of the machine.
    #[tokio::test]
    async fn a_node_with_too_much_to_do_does_what_it_can() {
        check(Duration::from_secs(2), 4, 40, None).await;
    }
}

mod slow {
    mod heavy {
        use super::super::{Duration, check};

        /// H15: goodput holds and what is admitted is quick, on a machine that has nothing else to do. The client sends
        /// thousands of requests in a second from the same two cores, and is late itself.
        #[tokio::test]
        async fn a_node_with_ten_times_too_much_to_do_loses_little() {
            check(Duration::from_secs(10), 10, 50, Some(5)).await;
        }
    }
}
