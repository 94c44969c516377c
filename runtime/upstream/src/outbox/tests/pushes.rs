//! What is accepted, what is refused, and what is the same call once more.

use super::*;

const CALL_BYTES: u64 = 10 + limits::outbox::CALL_OVERHEAD_BYTES;

/// A policy with room for about `calls` calls of ten bytes.
fn room_for(calls: u64, when_full: WhenFull) -> Policy {
    // Keys, method and path count too: fewer than 100 bytes here.
    Policy { bytes_max: calls * (CALL_BYTES + 100), when_full, ..Policy::default() }
}

/// K2: a full outbox refuses new calls, and counts them.
#[tokio::test(start_paused = true)]
async fn a_full_outbox_refuses_and_counts() {
    let outbox = outbox_on(&Disk::default(), room_for(3, WhenFull::Reject));
    let mut accepted = 0;
    let refused = loop {
        match outbox.push(call("/", "", ""), body(10)).await {
            Ok(_) => accepted += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, PushError::Full), "{refused:?}");
    assert!((3..=4).contains(&accepted), "{accepted}");
    let counts = outbox.counts();
    assert_eq!((counts.waiting, counts.deferred, counts.refused, counts.dropped), (accepted, accepted, 1, 0));
}

/// K2: where the policy says so, the oldest make room, and are counted.
#[tokio::test(start_paused = true)]
async fn the_oldest_make_room_and_are_counted() {
    let outbox = outbox_on(&Disk::default(), room_for(3, WhenFull::DropOldest));
    let mut ids = Vec::new();
    for _ in 0..10 {
        ids.push(push(&outbox, "/", "").await);
    }
    let counts = outbox.counts();
    assert_eq!(counts.waiting + counts.dropped, 10);
    assert!((3..=4).contains(&counts.waiting), "{counts:?}");
    let waiting: Vec<_> =
        outbox.list(false, None, 100).await.unwrap().into_iter().map(|call| call.id).collect();
    let newest: Vec<_> = ids[counts.dropped as usize..].iter().map(Id::to_string).collect();
    assert_eq!(waiting, newest);
}

/// K2, K15: a body may fill its bound and no more; what can never fit is told apart from what does not fit now.
#[tokio::test(start_paused = true)]
async fn a_body_may_fill_its_bound_and_no_more() {
    let outbox = outbox_on(&Disk::default(), Policy { body_bytes_max: 1000, ..Policy::default() });
    assert!(outbox.push(call("/", "", ""), body(1000)).await.is_ok());
    let over = outbox.push(call("/", "", ""), body(1001)).await;
    assert!(matches!(over, Err(PushError::TooLarge { bytes_max: 1000 })), "{over:?}");
    assert_eq!(outbox.counts().waiting, 1);
}

/// K4: a second call with the same key is the first one, while the key is remembered.
#[tokio::test(start_paused = true)]
async fn a_second_call_with_the_same_key_is_the_first_one_within_the_window() {
    let dedupe = Duration::from_secs(3600);
    let outbox = outbox_on(&Disk::default(), Policy { dedupe, ..Policy::default() });
    let first = outbox.push(call("/a", "", "k1"), body(10)).await.unwrap();
    let again = outbox.push(call("/a", "", "k1"), body(10)).await.unwrap();
    let other = outbox.push(call("/a", "", "k2"), body(10)).await.unwrap();
    assert_eq!((again.id, again.is_new, first.is_new), (first.id, false, true));
    assert_ne!(other.id, first.id);
    assert_eq!(outbox.counts().waiting, 2);

    // Delivered calls are remembered too.
    let upstream = Upstream::new(|_, _| answers(200));
    deliver_until(&outbox, &upstream, nothing_waits).await;
    assert_eq!(outbox.push(call("/a", "", "k1"), body(10)).await.unwrap().id, first.id);

    tokio::time::advance(dedupe).await;
    assert!(outbox.push(call("/a", "", "k1"), body(10)).await.unwrap().is_new);
}

/// K4: calls without a key get one each, and keep it through a restart.
#[tokio::test(start_paused = true)]
async fn a_made_key_is_a_uuid_and_outlives_a_restart() {
    let disk = Disk::default();
    let outbox = outbox_on(&disk, Policy::default());
    let (a, b) = (push(&outbox, "/a", "").await, push(&outbox, "/b", "").await);
    let key = outbox.status(a).await.unwrap().unwrap().idempotency_key;
    assert_ne!(key, outbox.status(b).await.unwrap().unwrap().idempotency_key);
    let parts: Vec<usize> = key.split('-').map(str::len).collect();
    assert_eq!(parts, [8, 4, 4, 4, 12]);
    assert_eq!(key.as_bytes()[14], b'4');
    assert!(matches!(key.as_bytes()[19], b'8' | b'9' | b'a' | b'b'), "{key}");
    drop(outbox);
    let outbox = outbox_on(&Disk::with(disk.content()), Policy::default());
    assert_eq!(outbox.status(a).await.unwrap().unwrap().idempotency_key, key);
}

/// A file that was set aside had the same numbers: its ids must name nothing in its successor.
#[tokio::test(start_paused = true)]
async fn an_id_of_another_file_names_nothing() {
    let outbox = outbox_on(&Disk::default(), Policy::default());
    let id = push(&outbox, "/", "").await;
    let strange = Id { mark: id.mark + 1, ..id };
    assert_eq!(outbox.status(strange).await.unwrap(), None);
    assert!(!outbox.discard(strange).await.unwrap());
    assert!(outbox.discard(id).await.unwrap());
    assert_eq!(outbox.status(id).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn a_closed_outbox_refuses() {
    let outbox = outbox_on(&Disk::default(), Policy::default());
    outbox.close().await;
    assert!(matches!(outbox.push(call("/", "", ""), body(1)).await, Err(PushError::Closed)));
}
