//! A cancel storm: clients that go away at any moment, of functions that are doing anything. Nothing may panic, nothing may
//! be kept, and the node answers afterwards as before. The usual run takes a sample; the module `slow` takes the whole.

#![allow(clippy::unwrap_used, reason = "what a test makes itself is right, or the test fails")]
#![expect(clippy::print_stderr, reason = "the figures are what it is run for")]

mod moments;

use moments::Moment;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rimward_tests::{Connection, Over, TestNode, always, app, eventually, fake, node, silent, stalls_after};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Requests of a usual run.
const SAMPLE: usize = 2_000;
/// Clients at once.
const CLIENTS: usize = 32;
/// Invocations at once: fewer than clients, so that some are cancelled while they wait for a permit.
const PERMITS: u32 = 16;
/// Requests that a connection of HTTP/2 is used for before it is closed, with whatever is open on it.
const ON_ONE_CONNECTION: usize = 50;
/// What a client waits for at the most before it goes away.
const PATIENCE: Duration = Duration::from_millis(20);
/// Descriptors that may be open longer than before: connections that a pool keeps.
const DESCRIPTORS: usize = 16;

/// What came of the requests.
#[derive(Default)]
struct Tally {
    cancelled: AtomicUsize,
    answered: AtomicUsize,
    failed: AtomicUsize,
}

/// A node with a function for each moment, and the upstreams that it needs.
async fn started() -> (TestNode, Vec<rimward_tests::Fake>) {
    let (silent, stalling, quick) = (fake(silent()), fake(stalls_after("some")), fake(always(200)));
    let on = |guest: &str| app(guest).on(&format!("{guest}.example"));
    let calling = |guest: &str| {
        on(guest).upstream("silent", &silent).upstream("stalling", &stalling).upstream("quick", &quick)
    };
    let node = node()
        .file(|file| file.node.wasi_http_03 = true)
        .room(PERMITS, 256)
        .app(on("hello"))
        .app(on("echo"))
        .app(on("drips"))
        .app(on("sleep").limits(r#"wall = "15ms""#))
        .app(app("sleep").named("long").on("long.example"))
        .app(calling("call"))
        .app(calling("proxy-sdk"))
        .app(calling("wasi-http-03"))
        .start()
        .await;
    (node, vec![silent, stalling, quick])
}

/// One client: one request after the other, each cancelled at some moment, over connections of one kind.
async fn cancel(node: &TestNode, over: Over, requests: usize, mut random: StdRng, tally: &Tally) {
    let shared = matches!(over, Over::Http2);
    let mut connection: Option<Connection> = None;
    for request in 0..requests {
        if shared
            && (request % ON_ONE_CONNECTION == 0 || connection.as_ref().is_none_or(Connection::is_closed))
        {
            connection = Some(node.connect(over.clone()).await);
        }
        let moment = Moment::any(&mut random);
        let patience = PATIENCE.mul_f64(random.random::<f64>().powi(2));
        let outcome = tokio::time::timeout(patience, moment.go(node, connection.as_ref())).await;
        let count = match outcome {
            Err(_) => &tally.cancelled,
            Ok(Ok(())) => &tally.answered,
            Ok(Err(_)) => &tally.failed,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }
}

async fn storm(node: &TestNode, requests: usize, seed: u64) -> Tally {
    let tally = Tally::default();
    let clients = (0..CLIENTS).map(|client| {
        let over = if client % 2 == 0 { Over::Http1 } else { Over::Http2 };
        let random = StdRng::seed_from_u64(seed.wrapping_add(client as u64));
        cancel(node, over, requests / CLIENTS, random, &tally)
    });
    futures_util::future::join_all(clients).await;
    tally
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Counts panics of any thread of this process, the node's among them.
fn count_panics() -> Arc<AtomicUsize> {
    let panics = Arc::new(AtomicUsize::new(0));
    let (counting, before) = (panics.clone(), std::panic::take_hook());
    std::panic::set_hook(Box::new(move |panic| {
        counting.fetch_add(1, Ordering::Relaxed);
        before(panic);
    }));
    panics
}

/// Everything that was taken is given back.
async fn is_calm(node: &TestNode, descriptors_before: usize) {
    node.is_idle().await;
    eventually("no connection", || (node.node().status().connections == 0).then_some(())).await;
    node.metric("rimward_permits_taken", "").is(0.0).await;
    node.metric("rimward_function_running", "").is(0.0).await;
    node.metric("rimward_requests_waiting", "").is(0.0).await;
    let what = format!("{descriptors_before} descriptors, and {DESCRIPTORS} more at the most");
    eventually(&what, || (descriptors() <= descriptors_before + DESCRIPTORS).then_some(())).await;
}

async fn check(requests: usize) {
    let panics = count_panics();
    let (node, _fakes) = started().await;
    let seed = rand::random();
    storm(&node, CLIENTS * 8, seed).await;
    node.is_idle().await;
    let before = descriptors();
    let started = Instant::now();
    let tally = storm(&node, requests, seed).await;
    let [cancelled, answered, failed] =
        [&tally.cancelled, &tally.answered, &tally.failed].map(|count| count.load(Ordering::Relaxed));
    eprintln!(
        "seed {seed}: {cancelled} cancelled, {answered} answered, {failed} failed in {:.1?}",
        started.elapsed()
    );
    assert!(cancelled > requests / 3, "most requests are to be cancelled: {cancelled} of {requests}");
    is_calm(&node, before).await;
    assert_eq!(panics.load(Ordering::Relaxed), 0, "seed {seed}");
    // Every permit and every instance is there: as many run at once as at the start.
    let long: Vec<_> = futures_util::future::join_all((0..PERMITS).map(|_| node.connect(Over::Http1))).await;
    let sleeping = long.iter().map(|connection| connection.get("/60000").host("long.example").try_open());
    let sleeping = futures_util::future::join_all(sleeping);
    let all_run =
        eventually("every permit is taken", || (node.node().status().running == PERMITS).then_some(()));
    tokio::select! {
        _ = sleeping => panic!("nobody wakes for a minute"),
        () = all_run => {}
    }
    drop(long);
    is_calm(&node, before).await;
    for over in [Over::Http1, Over::Http2] {
        node.get("/").over(over).host("hello.example").await.is(200).says("hello\n");
    }
}

mod heavy {
    /// G12, H13: a sample of 2,000 cancelled requests; the whole is in `slow`.
    #[tokio::test]
    async fn requests_that_are_cancelled_at_any_moment_leave_nothing() {
        super::check(super::SAMPLE).await;
    }
}

mod slow {
    mod heavy {
        /// G12, H13: 100,000 cancelled requests.
        #[tokio::test]
        async fn a_hundred_thousand_cancelled_requests_leave_nothing() {
            super::super::check(100_000).await;
        }
    }
}
