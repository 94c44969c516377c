//! An outbox with very many calls: what it takes in memory does not grow with them.

use bytes::Bytes;
use http::{HeaderMap, Method};
use http_body_util::{BodyExt, Full};
use rimward_upstream::Random;
use rimward_upstream::outbox::{Draft, Folder, Outbox, Policy};

const CALLERS: u64 = 64;

/// What this process takes in memory, without files, in bytes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux has it");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("it has this line");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("it is a number") << 10
}

async fn push(outbox: &Outbox, calls: u64) {
    let tasks: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let outbox = outbox.clone();
            tokio::spawn(async move {
                for number in 0..calls / CALLERS {
                    let draft = Draft {
                        method: Method::POST,
                        path: format!("/readings/{number}"),
                        headers: HeaderMap::new(),
                        key: Some(format!("{caller}-{number}-{calls}")),
                        lane: Some(format!("sensor-{}", (caller * number) % 1000)),
                        urgency: 3,
                    };
                    let body = Full::new(Bytes::from_static(&[b'x'; 100])).map_err(|never| match never {});
                    outbox.push(draft, body.boxed_unsync()).await.expect("it is accepted");
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("it does not panic");
    }
}

async fn memory_with(small: u64, large: u64, may_grow: u64) {
    let folder = tempfile::tempdir().expect("there is room");
    let policy = Policy { bytes_max: 1 << 40, ..Policy::default() };
    let place = Folder::new(folder.path(), "cloud", 1);
    let outbox = Outbox::open("cloud", place.clone(), policy.clone(), Random::seeded(1)).expect("it opens");
    push(&outbox, small).await;
    let before = resident();
    push(&outbox, large - small).await;
    let after = resident();
    assert!(outbox.counts().waiting >= large - 2 * CALLERS, "{:?}", outbox.counts());
    assert!(after < before + may_grow, "{before} bytes with {small} calls, {after} with {large}");
    outbox.close().await;
    drop(outbox);
    // Nor does opening it, which verifies all of it.
    let outbox = Outbox::open("cloud", place, policy, Random::seeded(2)).expect("it opens again");
    assert!(outbox.shut().is_none() && outbox.counts().waiting >= large - 2 * CALLERS);
    let opened = resident();
    assert!(opened < before + may_grow, "{before} bytes with {small} calls, {opened} after opening");
}

mod heavy {
    /// K2: a sample.
    #[tokio::test]
    async fn memory_does_not_grow_with_what_waits() {
        super::memory_with(10_000, 60_000, 16 << 20).await;
    }
}

mod slow {
    /// K2: a million calls take no more memory than a hundred thousand.
    #[tokio::test]
    async fn memory_is_flat_with_a_million_calls() {
        super::memory_with(100_000, 1_000_000, 32 << 20).await;
    }
}
