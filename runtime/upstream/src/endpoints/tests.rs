//! Balancing under a paused clock: tries take simulated time, at rates that matter.

use super::*;
use crate::limits;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::time::{advance, sleep};

fn places(weights: &[u32]) -> Vec<PlaceConfig> {
    let place = |(at, weight): (usize, &u32)| PlaceConfig {
        url: format!("http://p{at}").into(),
        zone: None,
        weight: *weight,
    };
    weights.iter().enumerate().map(place).collect()
}

fn endpoints(weights: &[u32]) -> Endpoints {
    Endpoints::new(Policy { places: places(weights), ..Policy::default() })
}

/// How a simulated place answers.
#[derive(Clone, Copy)]
struct Server {
    takes_ms: u64,
    fails: bool,
}

const QUICK: Server = Server { takes_ms: 10, fails: false };
const SLOW: Server = Server { takes_ms: 200, fails: false };
const DEAD: Server = Server { takes_ms: 1, fails: true };

/// Sends a try each millisecond for so long; how many each place got.
async fn load(endpoints: &Endpoints, servers: &[Server], lasts: Duration, seed: u64) -> Vec<f64> {
    let random = Random::seeded(seed);
    let mut got = vec![0_u32; servers.len()];
    let mut flying = FuturesUnordered::new();
    let end = Instant::now() + lasts;
    while Instant::now() < end {
        let picked = endpoints.pick(None, &random, Instant::now());
        let index = picked.index();
        got[index] += 1;
        let (server, start) = (servers[index], Instant::now());
        let spread = Duration::from_micros(random.number() % (server.takes_ms * 500));
        flying.push(async move {
            sleep(Duration::from_millis(server.takes_ms) + spread).await;
            let outcome = if server.fails { Outcome::Failed } else { Outcome::Answered };
            picked.finish(outcome, start.elapsed(), Instant::now());
        });
        let pause = sleep(Duration::from_millis(1));
        tokio::pin!(pause);
        loop {
            tokio::select! {
                biased;
                () = &mut pause => break,
                Some(()) = flying.next() => {}
            }
        }
    }
    while flying.next().await.is_some() {}
    let total: u32 = got.iter().sum();
    got.iter().map(|each| f64::from(*each) / f64::from(total)).collect()
}

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn a_place_that_is_not_known_yet_is_asked_however_quick_the_others_are() {
    let endpoints = endpoints(&[1, 1]);
    let random = Random::seeded(5);
    let answer = |index: usize| {
        endpoints.places[index].learn(
            Outcome::Answered,
            Duration::from_micros(200),
            Duration::ZERO,
            endpoints.policy(),
        )
    };
    answer(0);
    let picked = endpoints.pick(None, &random, Instant::now());
    assert_eq!(picked.index(), 1, "an unknown one that is idle");
    let others: Vec<_> = (0..20).map(|_| endpoints.pick(None, &random, Instant::now()).index()).collect();
    assert_eq!(others, [0; 20], "one at a time finds out");
    answer(1);
    drop(picked);
    let got: usize = (0..1000).map(|_| endpoints.pick(None, &random, Instant::now()).index()).sum();
    assert!((400..600).contains(&got), "then they are alike: {got}");
}

/// C4: one slow place of three gets little of the load, and comes to its share again when it is quick.
#[tokio::test(start_paused = true)]
async fn a_slow_place_gets_little() {
    let endpoints = endpoints(&[1, 1, 1]);
    let shares = load(&endpoints, &[QUICK, SLOW, QUICK], MINUTE, 1).await;
    assert!(shares[1] < 0.05, "{shares:?}");
    assert!(shares[1] > 0.0, "it is never asked again");
    load(&endpoints, &[QUICK; 3], MINUTE, 2).await;
    let shares = load(&endpoints, &[QUICK; 3], MINUTE, 3).await;
    assert!((0.2..0.45).contains(&shares[1]), "{shares:?}");
}

#[tokio::test(start_paused = true)]
async fn places_that_are_alike_get_their_weights() {
    for (weights, expected) in
        [(&[1, 1][..], &[0.5, 0.5][..]), (&[3, 1], &[0.75, 0.25]), (&[2, 1, 1], &[0.5, 0.25, 0.25])]
    {
        let servers = vec![QUICK; weights.len()];
        let shares = load(&endpoints(weights), &servers, MINUTE, 4).await;
        for (share, expected) in shares.iter().zip(expected) {
            assert!((share / expected - 1.0).abs() < 0.2, "{weights:?}: {shares:?}");
        }
    }
}

/// C5: a dead place is ejected after a few tries, tried again now and then, and comes back when it lives.
#[tokio::test(start_paused = true)]
async fn a_dead_place_is_ejected_and_returns() {
    let endpoints = endpoints(&[1, 1, 1]);
    let shares = load(&endpoints, &[QUICK, DEAD, QUICK], MINUTE, 5).await;
    assert!(shares[1] < 0.005, "{shares:?}");
    assert!(endpoints.seen(Instant::now())[1].is_ejected);
    load(&endpoints, &[QUICK; 3], MINUTE * 2, 6).await;
    let shares = load(&endpoints, &[QUICK; 3], MINUTE, 7).await;
    assert!((0.2..0.45).contains(&shares[1]), "{shares:?}");
}

async fn fail(endpoints: &Endpoints, index: usize, times: u32) -> Option<Change> {
    let mut change = None;
    for _ in 0..times {
        let picked = Picked { endpoints, index, is_counted: true, returned: 0 };
        endpoints.places[index].enter();
        change = change.or(picked.finish(Outcome::Failed, Duration::ZERO, Instant::now()));
    }
    change
}

#[tokio::test(start_paused = true)]
async fn failures_in_a_row_eject_at_their_limit_for_longer_each_time() {
    let endpoints = endpoints(&[1, 1, 1, 1]);
    let policy = Policy::default();
    assert_eq!(fail(&endpoints, 0, policy.failures - 1).await, None);
    assert_eq!(fail(&endpoints, 0, 1).await, Some(Change::Ejected(policy.ejected)));
    let is_out = || endpoints.seen(Instant::now())[0].is_ejected;
    advance(policy.ejected - Duration::from_millis(1)).await;
    assert!(is_out());
    advance(Duration::from_millis(1)).await;
    assert!(!is_out());
    for row in 2..20 {
        let expected = (policy.ejected * row).min(policy.ejected_max);
        assert_eq!(fail(&endpoints, 0, policy.failures).await, Some(Change::Ejected(expected)));
        advance(expected).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_share_of_failures_ejects_too() {
    let endpoints = endpoints(&[1, 1, 1, 1]);
    let mut change = None;
    let mut calls = 0;
    while change.is_none() {
        let outcome = if calls % 2 == 0 { Outcome::Answered } else { Outcome::Failed };
        let picked = Picked { endpoints: &endpoints, index: 0, is_counted: true, returned: 0 };
        endpoints.places[0].enter();
        change = picked.finish(outcome, Duration::ZERO, Instant::now());
        calls += 1;
        assert!(calls <= limits::ENDPOINT_CALLS_MIN, "not ejected");
    }
    assert_eq!(calls, limits::ENDPOINT_CALLS_MIN);
}

#[tokio::test(start_paused = true)]
async fn no_more_than_a_share_is_ejected() {
    for (count, most) in [(2, 1), (3, 1), (4, 2), (10, 5)] {
        let endpoints = endpoints(&vec![1; count]);
        for index in 0..count {
            fail(&endpoints, index, 9).await;
        }
        let ejected = endpoints.seen(Instant::now()).iter().filter(|seen| seen.is_ejected).count();
        assert_eq!(ejected, most, "of {count}");
        // Whoever had to stay in is used as before.
        let weight = endpoints.places[count - 1].weight_now(Duration::ZERO, Policy::default().slow_start);
        assert!((weight - 1.0).abs() < f64::EPSILON, "{weight}");
    }
}

fn shares(endpoints: &Endpoints) -> Vec<bool> {
    let random = Random::seeded(8);
    let mut got = vec![false; endpoints.count()];
    for _ in 0..2000 {
        got[endpoints.pick(None, &random, Instant::now()).index()] = true;
    }
    got
}

#[tokio::test(start_paused = true)]
async fn an_unhealthy_place_is_not_picked_and_with_too_few_well_all_are() {
    let endpoints = endpoints(&[1, 1, 1, 1]);
    let now = Instant::now();
    assert!(endpoints.set_health(0, false, now) && !endpoints.set_health(0, false, now));
    assert_eq!(shares(&endpoints), [false, true, true, true]);
    endpoints.set_health(1, false, now);
    assert_eq!(shares(&endpoints), [false, false, true, true]);
    endpoints.set_health(2, false, now);
    assert_eq!(shares(&endpoints), [true; 4], "a quarter is below the panic share");
    endpoints.set_health(3, false, now);
    assert_eq!(shares(&endpoints), [true; 4]);
    endpoints.set_health(3, true, now);
    endpoints.set_health(2, true, now);
    assert_eq!(shares(&endpoints), [false, false, true, true]);
}

#[tokio::test(start_paused = true)]
async fn the_own_zone_comes_first_and_others_when_half_of_it_is_gone() {
    let mut places = places(&[1, 1, 1, 1, 1]);
    for (place, zone) in places.iter_mut().zip(["a", "a", "a", "b", "b"]) {
        place.zone = Some(zone.into());
    }
    let with = |zone: Option<&str>| {
        Endpoints::new(Policy { places: places.clone(), zone: zone.map(Into::into), ..Policy::default() })
    };
    assert_eq!(shares(&with(None)), [true; 5]);
    assert_eq!(shares(&with(Some("c"))), [true; 5]);
    let endpoints = with(Some("a"));
    let now = Instant::now();
    assert_eq!(shares(&endpoints), [true, true, true, false, false]);
    endpoints.set_health(0, false, now);
    assert_eq!(shares(&endpoints), [false, true, true, false, false]);
    endpoints.set_health(1, false, now);
    assert_eq!(shares(&endpoints), [false, false, true, true, true]);
    endpoints.set_health(1, true, now);
    advance(Policy::default().slow_start).await;
    assert_eq!(shares(&endpoints), [false, true, true, false, false]);
}

/// A further try of a call leaves the zone rather than ask the same place again.
#[tokio::test(start_paused = true)]
async fn another_try_goes_to_another_place_and_stays_near_if_it_can() {
    let to = |zones: &[&str], avoid| {
        let mut places = places(&vec![1; zones.len()]);
        for (place, zone) in places.iter_mut().zip(zones) {
            place.zone = Some((*zone).into());
        }
        let endpoints = Endpoints::new(Policy { places, zone: Some("a".into()), ..Policy::default() });
        endpoints.pick(Some(avoid), &Random::seeded(3), Instant::now()).index()
    };
    assert_eq!(to(&["a", "b"], 0), 1);
    assert_eq!(to(&["a", "b"], 1), 0);
    assert_eq!(to(&["a", "b", "a"], 0), 2);
}

#[tokio::test(start_paused = true)]
async fn the_first_pick_after_an_ejection_says_that_the_place_is_back() {
    let endpoints = endpoints(&[1, 1]);
    fail(&endpoints, 1, Policy::default().failures).await;
    let returned = || {
        let picked = endpoints.pick(None, &Random::seeded(1), Instant::now());
        picked.returned().collect::<Vec<_>>()
    };
    assert!(returned().is_empty());
    advance(Policy::default().ejected).await;
    assert!(!endpoints.seen(Instant::now())[1].is_ejected);
    assert_eq!(returned(), [1]);
    assert!(returned().is_empty(), "it is told once");
}

/// C18: a place that is back is not given its whole share at once.
#[tokio::test(start_paused = true)]
async fn a_place_that_is_back_begins_slowly() {
    let endpoints = endpoints(&[1, 1]);
    endpoints.set_health(0, false, Instant::now());
    advance(MINUTE).await;
    endpoints.set_health(0, true, Instant::now());
    let second = Duration::from_secs(1);
    let shares = load(&endpoints, &[QUICK; 2], second, 9).await;
    assert!((0.02..0.25).contains(&shares[0]), "{shares:?}");
    advance(Policy::default().slow_start).await;
    let shares = load(&endpoints, &[QUICK; 2], second, 10).await;
    assert!((0.35..0.65).contains(&shares[0]), "{shares:?}");
}

#[tokio::test(start_paused = true)]
async fn another_place_is_picked_than_the_one_to_avoid() {
    let endpoints = endpoints(&[1, 1]);
    let random = Random::seeded(11);
    for _ in 0..100 {
        assert_eq!(endpoints.pick(Some(0), &random, Instant::now()).index(), 1);
    }
    endpoints.set_health(1, false, Instant::now());
    assert_eq!(endpoints.pick(Some(0), &random, Instant::now()).index(), 0, "better than an ill one");
}

#[tokio::test(start_paused = true)]
async fn a_try_that_is_given_up_says_nothing_and_leaves() {
    let endpoints = endpoints(&[1, 1]);
    let picked = endpoints.pick(None, &Random::seeded(12), Instant::now());
    let index = picked.index();
    assert_eq!(endpoints.seen(Instant::now())[index].in_flight, 1);
    drop(picked);
    let seen = endpoints.seen(Instant::now());
    assert_eq!((seen[index].in_flight, seen[index].latency), (0, None));
}

#[tokio::test(start_paused = true)]
async fn places_beyond_the_limit_are_not_used() {
    let count = |places: usize| endpoints(&vec![1; places]).count();
    assert_eq!(count(limits::ENDPOINTS_MAX), limits::ENDPOINTS_MAX);
    assert_eq!(count(limits::ENDPOINTS_MAX + 1), limits::ENDPOINTS_MAX);
    assert_eq!(shares(&endpoints(&vec![1; limits::ENDPOINTS_MAX])).len(), limits::ENDPOINTS_MAX);
}
