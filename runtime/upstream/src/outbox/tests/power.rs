//! Power cuts.

use super::disk::{Event, after_power_cut};
use super::*;

/// Pushes, failures, deliveries and a death, with a mark in the disk's events behind each acknowledged push.
async fn history(disk: &Disk) {
    let outbox = outbox_on(disk, Policy::default());
    for number in 0..6 {
        let key = format!("k{number}");
        outbox.push(call("/", "a", &key), body(300 * number)).await.unwrap();
        disk.acknowledged(&key);
        let change = match number {
            1 => Change::Later { number: 1, due_ms: 5, reason: "slow".to_owned(), counts: true },
            2 => Change::Dead { number: 1, reason: "gone".to_owned(), counts: true },
            3 => Change::Requeue(1),
            4 => Change::Dead { number: 2, reason: "gone".to_owned(), counts: true },
            _ => Change::Hurry(1),
        };
        outbox.inner.change(change).await.unwrap();
    }
}

/// The keys that an outbox on `content` still has, as waiting or dead calls.
async fn keys_on(content: Vec<u8>) -> Vec<String> {
    let disk = Disk::with(content);
    let outbox = outbox_on(&disk, Policy::default());
    assert!(outbox.shut().is_none(), "{:?}", outbox.shut());
    assert!(outbox.set_aside().await.unwrap().is_empty(), "a power cut is no damage");
    let mut all = outbox.list(false, None, 100).await.unwrap();
    all.extend(outbox.list(true, None, 100).await.unwrap());
    // It goes on: the next call is accepted under a new number.
    let id = push(&outbox, "/next", "").await;
    assert!(all.iter().all(|call| call.id != id.to_string()));
    all.into_iter().map(|call| call.idempotency_key).collect()
}

/// K3, K8: whatever is acknowledged is there after a power cut at any write, with any part of what was not synced.
#[tokio::test(start_paused = true)]
async fn what_was_acknowledged_outlives_a_power_cut_at_every_write() {
    let disk = Disk::default();
    // The index is made beside its place and renamed: it is never cut while it is made.
    drop(outbox_on(&disk, Policy::default()));
    let disk = Disk::with(disk.content());
    let start = disk.content();
    history(&disk).await;
    let events = disk.events();
    assert!(events.len() > 40, "{}", events.len());
    let random = Random::seeded(11);
    for cut in 0..=events.len() {
        let before = &events[..cut];
        let acknowledged: Vec<&String> = before
            .iter()
            .filter_map(|event| match event {
                Event::Acknowledged(key) => Some(key),
                _ => None,
            })
            .collect();
        for variant in 0..4 {
            let keep = || match variant {
                0 => false,
                1 => true,
                _ => random.number().is_multiple_of(2),
            };
            let found = keys_on(after_power_cut(start.clone(), before, keep)).await;
            for key in &acknowledged {
                assert!(
                    found.contains(key),
                    "cut {cut}, variant {variant}: {key} is lost, left are {found:?}"
                );
            }
            // Nothing is there that nobody sent, and nothing twice.
            assert!(found.len() <= acknowledged.len() + 1, "cut {cut}: {found:?}");
        }
    }
}
