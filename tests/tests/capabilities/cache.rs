//! Answers of an upstream that are kept, as a function sees them.

use crate::support::{call, caller};
use http::Response;
use rimward_tests::{App, Fake, app, fake, node, replies};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};

/// An upstream whose answers are numbered and good for a minute, until it is told to fail.
fn numbered(control: &'static str) -> (Fake, Arc<AtomicBool>) {
    let (number, fails) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let is_failing = fails.clone();
    let behaviour = replies(move |_| {
        let (number, fails) = (number.fetch_add(1, Relaxed), is_failing.load(Relaxed));
        async move {
            let status = if fails { 503 } else { 200 };
            let response = Response::builder().status(status).header("cache-control", control);
            response.body(format!("answer {number}").into()).expect("it is a response")
        }
    });
    (fake(behaviour), fails)
}

const VISION: &str = "http://vision.upstream.internal/model";

fn app_of(vision: &Fake, keys: &str) -> App {
    caller().upstream_at("vision", &vision.url(), keys)
}

#[tokio::test]
async fn an_answer_is_kept_for_all_cores_and_for_the_next_revision_and_not_for_another_upstream() {
    let (vision, _) = numbered("max-age=60");
    let app = app_of(&vision, "cache = {}");
    let node =
        node().file(|file| file.node.cores = std::num::NonZeroU32::new(2)).app(app.clone()).start().await;
    for answer in call(&node, VISION).times(20).await {
        answer.is(200).says("200 answer 0");
    }
    node.install(app.clone().with("reuse = 2")).await;
    call(&node, VISION).await.is(200).says("200 answer 0");
    node.metric("rimward_upstream_cache_hits_total", "upstream=vision").is(20.0).await;
    // Another header for the upstream may be another account there.
    node.install(app_of(&vision, "cache = {}\nheaders = { x-account = 'other' }")).await;
    call(&node, VISION).await.is(200).says("200 answer 1");
}

/// C8: a kept answer stands in for one that does not come, and says so.
#[tokio::test]
async fn a_kept_answer_stands_in_and_says_so() {
    let (vision, fails) = numbered("max-age=1");
    let keys =
        "cache = {}\nfallback = { cached = '1h', status = 200, body = 'fixed' }\nretry = { attempts = 1 }";
    let proxy = app("proxy").upstream_at("origin", &vision.url(), keys);
    let node = node().app(proxy).start().await;
    node.get("/").await.is(200).says("answer 0").has("cache-status", "rimward; fwd=uri-miss; stored");
    fails.store(true, Relaxed);
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    let answer = node.get("/").await;
    let answer = answer.is(200).says("answer 0").has("cache-status", "rimward; hit; detail=stale-if-error");
    answer.has("rimward-upstream", "fallback=cached, reason=status");
    node.get("/other").await.is(200).says("fixed").has("rimward-upstream", "fallback=static, reason=status");
}

/// The operator's bound on all caches together holds at the limit and not above it.
#[tokio::test]
async fn caches_of_all_apps_have_a_bound() {
    let (vision, _) = numbered("max-age=60");
    let node = node().file(|file| file.limits.caches = "3MiB".parse().expect("it is a size")).start().await;
    let of = |name: &str, bytes: &str| {
        app_of(&vision, &format!("cache = {{ bytes = '{bytes}', body = '1KiB' }}"))
            .named(name)
            .on(&format!("{name}.example"))
    };
    node.install(of("one", "2MiB")).await;
    let why = node.refuses(of("two", "1048577B")).await;
    assert!(why.contains("3145729 bytes together, more than the 3145728 of `limits.caches`"), "{why}");
    node.install(of("two", "1MiB")).await;
}
