//! Many nodes and one upstream that comes back to all of them at once.

use crate::schedule::{Heard, upstream};
use crate::world::{Weather, World};
use http::Request;
use http_body_util::BodyExt as _;
use rimward_upstream::{Policy, Terms, call};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

const NODES: u64 = 1_000;
const DEAD: u64 = 30;
const LASTS: u64 = 150;

/// C18: a thousand nodes that lost the same upstream come back to it one by one: no second after its return has much
/// more load than the calls that are made.
#[test]
fn a_recovering_upstream_meets_no_storm() {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(async {
        let weather = vec![
            (Duration::from_secs(5), Weather::Refuses),
            (Duration::from_secs(5 + DEAD), Weather::Answers { failing: 0.0, ms: 50 }),
        ];
        let world = World::new(weather, 9, Duration::from_secs(LASTS));
        let start = Instant::now();
        let mut nodes = JoinSet::new();
        for node in 0..NODES {
            let world = world.clone();
            nodes.spawn(async move {
                let upstream = upstream(Policy::default(), Arc::new(Heard::default()), node);
                sleep(Duration::from_millis(node)).await;
                let mut is_back = false;
                while start.elapsed() < Duration::from_secs(LASTS) {
                    let terms = Terms {
                        timeouts: upstream.timeouts(),
                        deadline: Some(Instant::now() + Duration::from_secs(1)),
                        is_probe: false,
                    };
                    let body = http_body_util::Empty::new().map_err(|never| match never {}).boxed_unsync();
                    let request = Request::get("http://u.upstream.internal/").body(body).expect("a request");
                    is_back = call(&*world, &upstream, request, terms).await.is_ok();
                    sleep(Duration::from_secs(1)).await;
                }
                is_back
            });
        }
        let mut back = 0;
        while let Some(node) = nodes.join_next().await {
            back += u64::from(node.expect("a node"));
        }
        assert_eq!(back, NODES, "every node is back");
        let tries = |second: u64| world.tries_in(second);
        let dead: u64 = (15..5 + DEAD).map(tries).sum();
        assert!(dead < NODES * (DEAD - 10) / 3, "dead, it is mostly left alone: {dead}");
        for second in 5 + DEAD..LASTS {
            assert!(tries(second) <= NODES * 12 / 10, "second {second}: {}", tries(second));
        }
        let first: u64 = (5 + DEAD..10 + DEAD).map(tries).sum();
        assert!(
            first < NODES * 5 * 8 / 10,
            "the load comes back by and by: {first} in the first five seconds"
        );
    });
}
