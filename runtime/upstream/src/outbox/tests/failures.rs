//! Disks that fail, and files that are damaged.

use super::disk::Fault;
use super::*;
use std::io::ErrorKind;

/// Pushes five calls while the disk has `fault`, heals it, and checks. Whether the fault happened.
async fn push_through(fault: Fault) -> bool {
    let disk = Disk::default();
    let outbox = outbox_on(&disk, Policy::default());
    let opens = disk.opens();
    disk.set_fault(Some(fault));
    let mut acknowledged = Vec::new();
    let mut failed = 0;
    for number in 0..5 {
        match outbox.push(call(&format!("/{number}"), "", ""), body(600)).await {
            Ok(pushed) => acknowledged.push(pushed.id),
            Err(PushError::Failed(_)) => failed += 1,
            Err(other) => panic!("{other:?}"),
        }
        if fault.is_once {
            tokio::time::advance(limits::outbox::REOPEN_PAUSE * 2).await;
        }
    }
    let happened = disk.has_failed();
    disk.set_fault(None);
    tokio::time::advance(limits::outbox::REOPEN_PAUSE * 2).await;
    // It recovers by itself.
    acknowledged.push(push(&outbox, "/after", "").await);
    if failed > 0 {
        assert!(outbox.counts().failures > 0);
        assert!(disk.opens() > opens, "the file was not opened anew");
    }
    for outbox in [&outbox, &outbox_on(&Disk::with(disk.content()), Policy::default())] {
        for id in &acknowledged {
            assert!(outbox.status(*id).await.unwrap().is_some(), "{fault:?}: {id} is lost");
        }
    }
    assert!(outbox.set_aside().await.unwrap().is_empty(), "{fault:?}: nothing was damaged");
    happened
}

/// K9, K10: whichever write or sync fails, once or from then on, calls are refused and not lost, and the outbox recovers.
#[tokio::test(start_paused = true)]
async fn the_nth_write_may_fail_for_every_n() {
    for is_once in [true, false] {
        for kind in [ErrorKind::StorageFull, ErrorKind::ReadOnlyFilesystem, ErrorKind::Other] {
            let mut after = 0;
            while push_through(Fault { after, kind, is_once }).await {
                after += 1;
            }
            assert!(after > 20, "{kind:?}: only {after} writes");
        }
    }
}

async fn three_calls() -> Vec<u8> {
    let disk = Disk::default();
    let outbox = outbox_on(&disk, Policy::default());
    for number in 0..3 {
        push(&outbox, &format!("/{number}"), "").await;
    }
    drop(outbox);
    disk.content()
}

/// K12: wherever a file is damaged, it is noticed and set aside, or does not matter; a new outbox takes calls.
#[tokio::test(start_paused = true)]
async fn a_damaged_file_is_set_aside_and_told_and_a_new_one_takes_calls() {
    let sound = three_calls().await;
    let mut noticed = 0;
    for page in 0..sound.len() / 4096 {
        let mut content = sound.clone();
        for byte in &mut content[page * 4096..page * 4096 + 64] {
            *byte ^= 0x55;
        }
        let disk = Disk::with(content);
        let outbox = outbox_on(&disk, Policy::default());
        assert!(outbox.shut().is_none(), "page {page}: {:?}", outbox.shut());
        let (aside, waiting) = (outbox.set_aside().await.unwrap(), outbox.counts().waiting);
        match waiting {
            3 => assert!(aside.is_empty()),
            0 => {
                assert_eq!((aside.len(), outbox.counts().damaged), (1, 1), "page {page}");
                noticed += 1;
            }
            other => panic!("page {page}: {other} calls are left"),
        }
        push(&outbox, "/new", "").await;
    }
    assert!(noticed >= 2, "{noticed}");
}

/// K12: where the policy says so, a damaged file stays, and calls are refused.
#[tokio::test(start_paused = true)]
async fn a_damaged_file_may_refuse_calls_until_somebody_has_seen_to_it() {
    let disk = Disk::with(vec![0x55; 8192]);
    let policy = Policy { when_damaged: WhenDamaged::Refuse, ..Policy::default() };
    let outbox = outbox_on(&disk, policy);
    assert!(matches!(outbox.shut(), Some(Shut::Damaged(_))), "{:?}", outbox.shut());
    assert!(matches!(outbox.push(call("/", "", ""), body(1)).await, Err(PushError::Failed(_))));
    assert_eq!(disk.content(), vec![0x55; 8192]);
    assert_eq!(outbox.counts().refused, 1);
}

/// K12: the file of a newer version is left alone.
#[tokio::test(start_paused = true)]
async fn the_file_of_a_newer_version_is_refused_and_left_alone() {
    let disk = Disk::with(three_calls().await);
    let database = redb::Builder::new().create_with_backend(disk.clone()).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(index::NUMBERS).unwrap().insert(index::KEY_FORMAT, index::FORMAT + 1).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let outbox = outbox_on(&disk, Policy::default());
    assert!(matches!(outbox.shut(), Some(Shut::Newer { .. })), "{:?}", outbox.shut());
    assert!(outbox.set_aside().await.unwrap().is_empty());
    assert!(matches!(outbox.push(call("/", "", ""), body(1)).await, Err(PushError::Failed(_))));
}

/// K14: the wall clock jumps between two runs; nothing is old because of it.
#[tokio::test(start_paused = true)]
async fn a_clock_that_was_wrong_makes_no_call_old() {
    let content = three_calls().await;
    for wall_ms in [1_u64, 4_000_000_000_000] {
        let disk = Disk::with(content.clone());
        let database = redb::Builder::new().create_with_backend(disk.clone()).unwrap();
        let transaction = database.begin_write().unwrap();
        transaction.open_table(index::NUMBERS).unwrap().insert("wall-ms", wall_ms).unwrap();
        transaction.commit().unwrap();
        drop(database);
        let outbox = outbox_on(&disk, Policy::default());
        outbox.inner.change(Change::Tidy).await.unwrap();
        assert_eq!((outbox.counts().waiting, outbox.counts().died), (3, 0), "written at {wall_ms}");
        assert!(outbox.counts().oldest_ms <= 3_700_000);
    }
}
