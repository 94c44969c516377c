//! Order, attempts, dead calls, and who goes first.

use super::*;

fn quick() -> Policy {
    Policy { return_jitter: Duration::ZERO, ..Policy::default() }
}

/// K6: calls with the same order key arrive in order, although earlier ones fail and are tried again.
#[tokio::test(start_paused = true)]
async fn calls_with_the_same_key_arrive_in_order() {
    let outbox = outbox_on(&Disk::default(), Policy { attempts: 10, ..quick() });
    for number in 0..5 {
        push(&outbox, &format!("/a{number}"), "a").await;
        push(&outbox, &format!("/b{number}"), "b").await;
    }
    let upstream = Upstream::new(|path, before| match path {
        "/a0" | "/a3" if before < 2 => answers(500),
        _ => answers(200),
    });
    deliver_until(&outbox, &upstream, nothing_waits).await;
    let of = |lane: &str| -> Vec<String> {
        upstream.paths().into_iter().filter(|path| path.starts_with(lane)).collect()
    };
    assert_eq!(of("/a"), ["/a0", "/a0", "/a0", "/a1", "/a2", "/a3", "/a3", "/a3", "/a4"]);
    assert_eq!(of("/b"), ["/b0", "/b1", "/b2", "/b3", "/b4"]);
    // The other key did not wait.
    let last_b = upstream.paths().iter().rposition(|path| path.starts_with("/b")).unwrap();
    assert!(last_b < upstream.paths().iter().position(|path| path == "/a1").unwrap());
}

/// K6: all calls in one order, or in none.
#[tokio::test(start_paused = true)]
async fn an_order_over_all_keys_or_none_is_possible() {
    let check = async |order, expected: &[&str]| {
        let outbox = outbox_on(&Disk::default(), Policy { order, ..quick() });
        push(&outbox, "/a", "x").await;
        push(&outbox, "/b", "y").await;
        push(&outbox, "/c", "x").await;
        let upstream = Upstream::new(|path, before| match path {
            "/a" if before == 0 => answers(500),
            _ => answers(200),
        });
        deliver_until(&outbox, &upstream, nothing_waits).await;
        assert_eq!(upstream.paths(), expected, "{order:?}");
    };
    check(Order::All, &["/a", "/a", "/b", "/c"]).await;
    check(Order::None, &["/a", "/b", "/c", "/a"]).await;
    check(Order::PerKey, &["/a", "/b", "/a", "/c"]).await;
}

/// K5: after its attempts a call is dead with the reason, others of its key go on, and an operator can have it delivered.
#[tokio::test(start_paused = true)]
async fn a_poisonous_call_dies_with_its_reason_and_blocks_nobody() {
    let outbox = outbox_on(&Disk::default(), quick());
    let poison = push(&outbox, "/poison", "a").await;
    push(&outbox, "/next", "a").await;
    let upstream = Upstream::new(|path, before| match path {
        "/poison" if before < 3 => answers(500),
        _ => answers(200),
    });
    let start = Instant::now();
    deliver_until(&outbox, &upstream, nothing_waits).await;
    assert_eq!(upstream.paths(), ["/poison", "/poison", "/poison", "/next"]);
    // Two pauses: 30-60 s and 60-120 s.
    let took = start.elapsed().as_secs();
    assert!((90..=190).contains(&took), "{took}");
    let dead = outbox.list(true, None, 10).await.unwrap();
    assert_eq!(dead.len(), 1);
    assert_eq!((dead[0].id.clone(), dead[0].attempts, dead[0].state), (poison.to_string(), 3, Phase::Dead));
    assert!(dead[0].reason.as_deref().unwrap().contains("500"), "{dead:?}");
    assert_eq!(outbox.counts().died, 1);

    assert!(outbox.retry(poison).await.unwrap());
    deliver_until(&outbox, &upstream, nothing_waits).await;
    assert_eq!(outbox.status(poison).await.unwrap().unwrap().state, Phase::Delivered);
    assert_eq!(outbox.counts().dead, 0);
}

/// K5: what the upstream will never take is not tried again.
#[tokio::test(start_paused = true)]
async fn a_call_that_the_upstream_refuses_dies_at_once() {
    let outbox = outbox_on(&Disk::default(), quick());
    let id = push(&outbox, "/wrong", "").await;
    let upstream = Upstream::new(|_, _| answers(422));
    deliver_until(&outbox, &upstream, nothing_waits).await;
    let status = outbox.status(id).await.unwrap().unwrap();
    assert_eq!((status.state, status.attempts), (Phase::Dead, 1));
}

/// K1: hours without a link cost no attempts; everything arrives when it is back, with its own key.
#[tokio::test(start_paused = true)]
async fn hours_without_a_link_cost_no_attempts() {
    let outbox = outbox_on(&Disk::default(), quick());
    for number in 0..50 {
        push(&outbox, &format!("/{number}"), "").await;
    }
    let back = Instant::now() + Duration::from_secs(24 * 3600);
    let upstream = Upstream::new(move |_, _| if Instant::now() < back { away() } else { answers(200) });
    deliver_until(&outbox, &upstream, nothing_waits).await;
    assert_eq!(outbox.counts().died, 0);
    assert_eq!(outbox.counts().delivered, 50);
    assert!(Instant::now() < back + Duration::from_secs(400), "{:?}", Instant::now() - back);
    let seen = upstream.seen.lock().unwrap();
    // Looking for the link is rare: at most every 150 s after the first minutes.
    assert!(seen.len() < 50 + 24 * 3600 / 150 + 20, "{}", seen.len());
    // Duplicates carry the same key.
    let keys: std::collections::BTreeMap<_, _> = seen.iter().map(|seen| (&seen.0, &seen.1)).collect();
    assert!(seen.iter().all(|seen| keys[&seen.0] == &seen.1));
}

/// K1: a call that waits for too long is dead, with the reason.
#[tokio::test(start_paused = true)]
async fn a_call_that_becomes_too_old_is_dead() {
    let outbox = outbox_on(&Disk::default(), Policy { age_max: Duration::from_secs(3600), ..quick() });
    let id = push(&outbox, "/", "").await;
    let upstream = Upstream::new(|_, _| away());
    let start = Instant::now();
    deliver_until(&outbox, &upstream, nothing_waits).await;
    let waited = start.elapsed().as_secs();
    assert!((3600..3620).contains(&waited), "{waited}");
    let reason = outbox.status(id).await.unwrap().unwrap().reason.unwrap();
    assert!(reason.contains("too old") && reason.contains("no route"), "{reason}");
}

/// K7: a thousand nodes whose link comes back together spread their first deliveries over a minute, and each delivers no
/// faster than its rate.
#[tokio::test(start_paused = true)]
async fn deliveries_are_limited_in_rate_and_number() {
    let outbox =
        outbox_on(&Disk::default(), Policy { per_second: 10, concurrency: 3, order: Order::None, ..quick() });
    for number in 0..100 {
        push(&outbox, &format!("/{number}"), "").await;
    }
    let upstream = Upstream::new(|_, _| answers(200));
    let start = Instant::now();
    deliver_until(&outbox, &upstream, nothing_waits).await;
    let took = start.elapsed();
    assert!(took >= Duration::from_secs(9) && took < Duration::from_secs(13), "{took:?}");
}

/// K7: live traffic goes first.
#[tokio::test(start_paused = true)]
async fn deliveries_wait_while_live_calls_do() {
    let outbox = outbox_on(&Disk::default(), quick());
    push(&outbox, "/", "").await;
    let upstream = Upstream::new(|_, _| answers(200));
    *upstream.hold.lock().unwrap() = Some(Duration::from_millis(100));
    let (held, free_at) = (upstream.clone(), Instant::now() + Duration::from_secs(5));
    tokio::spawn(async move {
        tokio::time::sleep_until(free_at).await;
        *held.hold.lock().unwrap() = None;
    });
    deliver_until(&outbox, &upstream, nothing_waits).await;
    assert!(upstream.seen.lock().unwrap()[0].2 >= free_at);
}

#[tokio::test(start_paused = true)]
async fn urgent_calls_go_first() {
    let policy = Policy { order: Order::None, concurrency: 1, ..quick() };
    let outbox = outbox_on(&Disk::default(), policy);
    for (path, urgency) in [("/later", 7), ("/usual", 3), ("/urgent", 0)] {
        outbox.push(Draft { urgency, ..call(path, "", "") }, body(1)).await.unwrap();
    }
    let upstream = Upstream::new(|_, _| answers(200));
    deliver_until(&outbox, &upstream, nothing_waits).await;
    assert_eq!(upstream.paths(), ["/urgent", "/usual", "/later"]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_kept_and_forgotten_in_time() {
    let outbox = outbox_on(&Disk::default(), quick());
    let id = push(&outbox, "/", "").await;
    let upstream = Upstream::new(|_, _| answers(201));
    deliver_until(&outbox, &upstream, nothing_waits).await;
    let answer = outbox.status(id).await.unwrap().unwrap().answer.unwrap();
    assert_eq!((answer.status, answer.body_base64.as_str(), answer.is_whole), (201, "ZG9uZQ==", true));
    tokio::time::advance(limits::outbox::ANSWERS_AGE_DEFAULT + limits::outbox::TIDY_EVERY).await;
    let done = Arc::new(Upstream { ..Arc::into_inner(Upstream::new(|_, _| answers(200))).unwrap() });
    push(&outbox, "/next", "").await;
    deliver_until(&outbox, &done, nothing_waits).await;
    assert_eq!(outbox.status(id).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_function_is_told_of_answers_until_it_takes_them() {
    let outbox = outbox_on(&Disk::default(), Policy { tells: true, ..quick() });
    let id = outbox.push(call("/a", "", "k1"), body(1)).await.unwrap().id;
    let told = Arc::new(Mutex::new(0));
    let upstream = Upstream::new(|_, _| answers(200));
    let deaf = Arc::new(Upstream { takes_answers: false, ..Arc::into_inner(upstream).unwrap() });
    let counted = deaf.clone();
    let (delivering, courier) = (outbox.clone(), deaf.clone());
    let task = tokio::spawn(async move { delivering.deliver(&*courier).await });
    while counted.told.lock().unwrap().len() < 3 {
        sleep(Duration::from_secs(1)).await;
    }
    task.abort();
    *told.lock().unwrap() += 1;
    assert!(counted.told.lock().unwrap().iter().all(|answer| answer.id == id && answer.key == "k1"));

    let upstream = Upstream::new(|_, _| answers(200));
    let done = outbox.clone();
    deliver_until(&outbox, &upstream, move |_| done.inner.file.gauges.telling_bytes() == 0).await;
    assert_eq!(upstream.told.lock().unwrap().len(), 1);
    assert!(upstream.paths().is_empty());
}

#[tokio::test(start_paused = true)]
async fn all_calls_of_an_upstream_that_is_gone_die_with_the_reason() {
    let outbox = outbox_on(&Disk::default(), quick());
    let id = push(&outbox, "/", "").await;
    push(&outbox, "/", "").await;
    outbox.bury_all("the app has no such upstream any more").await.unwrap();
    assert_eq!((outbox.counts().waiting, outbox.counts().dead), (0, 2));
    let reason = outbox.status(id).await.unwrap().unwrap().reason.unwrap();
    assert_eq!(reason, "the app has no such upstream any more");
}
