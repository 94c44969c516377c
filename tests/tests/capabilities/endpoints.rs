//! Upstreams with several places: calls are spread over them, and those that fail are left out.

use crate::support::{call, caller, nobody};
use rimward_tests::{App, Fake, always, eventually, fake, node, replies};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// An app whose upstream `vision` is at all of these, with further keys.
fn spread(places: &[&str], more: &str) -> App {
    let endpoints: Vec<_> = places.iter().map(|url| format!("{{ url = {url:?} }}")).collect();
    let keys = format!("endpoints = [{}]\n{more}", endpoints.join(", "));
    caller().upstream_at("vision", places[0], &keys).bound(|bind| {
        let binding = bind.upstreams.get_mut("vision").expect("it was just bound");
        for url in &places[1..] {
            let (_, port) = url.rsplit_once(':').expect("the origins of tests have a port");
            binding.allow.push(format!("127.0.0.1/32:{port}").parse().expect("it is a network"));
        }
    })
}

const VISION: &str = "http://vision.upstream.internal/";

#[tokio::test]
async fn calls_are_spread_over_the_places() {
    let places: [Fake; 3] = std::array::from_fn(|_| fake(always(200)));
    let urls: Vec<_> = places.iter().map(Fake::url).collect();
    let urls: Vec<_> = urls.iter().map(String::as_str).collect();
    let node = node().app(spread(&urls, "")).start().await;
    for answer in call(&node, VISION).times(60).await {
        answer.is(200).says("200 ");
    }
    let got: Vec<_> = places.iter().map(|place| place.seen().len()).collect();
    assert!(got.iter().sum::<usize>() == 60 && got.iter().all(|&calls| calls > 3), "{got:?}");
}

/// C1: a place that is gone costs no call: it is tried elsewhere, and soon not asked any more.
#[tokio::test]
async fn a_place_that_is_gone_costs_no_call() {
    let here = fake(always(200));
    let gone = nobody();
    let node = node().app(spread(&[&here.url(), &gone], "")).start().await;
    for answer in call(&node, VISION).times(60).await {
        answer.is(200).says("200 ");
    }
    assert_eq!(here.seen().len(), 60);
}

/// C1: a place whose health checks fail is not used, and is used again when they succeed.
#[tokio::test]
async fn a_place_that_says_that_it_is_ill_is_left_alone() {
    let is_ill = Arc::new(AtomicBool::new(true));
    let ill = is_ill.clone();
    let second = fake(replies(move |seen| {
        let status = if seen.uri.path() == "/up" && ill.load(Relaxed) { 503 } else { 200 };
        async move { http::Response::builder().status(status).body("second".into()).expect("it is a response") }
    }));
    let first = fake(always(200));
    let health = "health = { path = '/up', every = '50ms', unhealthy = 2, healthy = 2 }\nbalance = { slow-start = '1ms' }";
    let node = node().app(spread(&[&first.url(), &second.url()], health)).start().await;
    let calls = |fake: &Fake| fake.seen().iter().filter(|seen| seen.uri.path() == "/").count();
    eventually("two checks have failed", || (second.seen().len() >= 3).then_some(())).await;
    let before = calls(&second);
    for answer in call(&node, VISION).times(20).await {
        answer.is(200);
    }
    assert_eq!((calls(&first), calls(&second)), (20, before));
    is_ill.store(false, Relaxed);
    let checks = second.seen().len();
    eventually("three checks have succeeded", || (second.seen().len() >= checks + 4).then_some(())).await;
    for answer in call(&node, VISION).times(40).await {
        answer.is(200);
    }
    assert!(calls(&second) > before, "it is used again");
}
