//! What the durable store does when the disk misbehaves: power cuts, damage, a full disk, a slow one.

use std::path::Path;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join_all;

use super::disk::{Disk, after_power_cut};
use super::*;
use crate::limits::GROUP_BYTES_MAX;
use crate::stores::Durability;

async fn open(disk: &Disk, settings: Settings) -> Durable {
    let readers = Arc::new(Readers::start(1, 8).unwrap());
    Durable::open("disk".into(), disk.opener(), settings, readers).await.unwrap()
}

fn pair(number: u64) -> Batch {
    let text = number.to_string();
    Batch::new().set("left", text.clone()).set("right", text)
}

/// The number that both keys of a [`pair`] hold, 0 for none; panics if they differ.
async fn number(store: &Durable) -> u64 {
    let text = async |key| store.get(key).await.unwrap().map(|entry| entry.value);
    let (left, right) = (text("left").await, text("right").await);
    assert_eq!(left, right, "half of a batch");
    left.map_or(0, |text| std::str::from_utf8(&text).unwrap().parse().unwrap())
}

/// Writes pairs 1, 2, .. and closes, then cuts the power at every moment of it. `keep` decides what of the unsynced
/// sectors survives.
async fn check_power_cuts(mut keep: impl FnMut() -> bool) {
    let disk = Disk::default();
    drop(disk.opener()().unwrap());
    let before = disk.content();
    let from = disk.events().len();
    let store = open(&disk, Settings::default()).await;
    for count in 1..=6 {
        store.write(pair(count)).await.unwrap();
        disk.answered(count);
    }
    store.close().await;

    let events = &disk.events()[from..];
    for cut in 0..=events.len() {
        let answered = events[..cut].iter().rev().find_map(|event| match event {
            disk::Event::Answered(count) => Some(*count),
            _ => None,
        });
        let answered = answered.unwrap_or(0);
        let left = Disk::with(after_power_cut(before.clone(), &events[..cut], &mut keep));
        let found = number(&open(&left, Settings::default()).await).await;
        assert!(
            found == answered || found == answered + 1,
            "cut at {cut}: {answered} answered, {found} found"
        );
    }
}

#[tokio::test]
async fn a_power_cut_at_any_moment_loses_no_answered_write_and_splits_no_batch() {
    check_power_cuts(|| true).await;
    check_power_cuts(|| false).await;
}

#[tokio::test]
async fn sectors_written_out_of_order_before_a_power_cut_do_no_harm() {
    for seed in 1..=3_u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let coin = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state & 1 == 0
        };
        check_power_cuts(coin).await;
    }
}

#[tokio::test]
async fn damage_is_reported_when_the_store_is_opened_and_never_served() {
    let disk = Disk::default();
    let store = open(&disk, Settings::default()).await;
    store.write(pair(7)).await.unwrap();
    store.close().await;
    let good = disk.content();
    let mut reported = 0;
    for at in (0..good.len()).step_by(61) {
        let mut bad = good.clone();
        bad[at] ^= 0x40;
        match Disk::with(bad).opener()() {
            Err(OpenError::Damaged { .. }) => reported += 1,
            Err(other) => panic!("byte {at}: {other}"),
            Ok(database) => {
                let file = StoreFile::open("disk".into(), Box::new(move || Err(OpenError::Closed)));
                assert!(file.is_err());
                let value =
                    |key| file::get(&redb::ReadableDatabase::begin_read(&database).unwrap(), key).unwrap();
                assert_eq!(value("left").unwrap().value, "7", "byte {at}");
                assert_eq!(value("right").unwrap().value, "7", "byte {at}");
            }
        }
    }
    assert!(reported > 0);
}

#[tokio::test]
async fn a_full_disk_fails_the_write_and_the_store_works_again_when_there_is_room() {
    let disk = Disk::default();
    let store = open(&disk, Settings::default()).await;
    store.write(pair(1)).await.unwrap();

    disk.set_full(true);
    for _ in 0..2 {
        assert!(matches!(store.write(pair(2)).await, Err(StoreError::Failed(_))));
    }
    disk.set_full(false);
    assert!(store.write(pair(3)).await.is_ok());
    assert_eq!(number(&store).await, 3);
}

#[tokio::test]
async fn writes_that_share_a_commit_see_each_other_in_the_order_they_came() {
    let disk = Disk::default();
    let store = open(&disk, Settings::default()).await;
    disk.hold();
    let mut answers: Vec<_> = (0..50).map(|_| store.increment("n", 1)).collect();
    for answer in &mut answers {
        assert!(answer.now_or_never().is_none());
    }
    disk.release();
    let sums: Vec<_> = join_all(answers).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(sums, (1..=50).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_failed_read_is_an_error_and_later_reads_work_without_a_write_in_between() {
    let disk = Disk::default();
    let store = open(&disk, Settings::default()).await;
    // More than the cache holds, so that reads come from the disk.
    for key in ["a", "b", "c", "d"] {
        store.write(Batch::new().set(key, vec![1; 1 << 20])).await.unwrap();
    }
    disk.set_unreadable(true);
    let results = join_all(["a", "b", "c", "d"].map(|key| store.get(key))).await;
    assert!(results.iter().any(|result| matches!(result, Err(StoreError::Failed(_)))));
    disk.set_unreadable(false);
    while store.get("a").await.is_err() {}
    assert_eq!(store.get("d").await.unwrap().unwrap().value.len(), 1 << 20);
}

/// How many commits `writes` of 1 MiB share that come while the disk is busy.
async fn check_commits(writes: usize, expected: usize) {
    let disk = Disk::default();
    let store = open(&disk, Settings::default()).await;
    let value = Bytes::from(vec![0; (1 << 20) - WRITE_OVERHEAD_BYTES - 1]);
    // The file grows now and not later, which would take a sync more.
    for _ in 0..3 {
        store.write(Batch::new().set("k", value.clone())).await.unwrap();
    }
    let before = disk.syncs();
    store.increment("n", 1).await.unwrap();
    let syncs_per_commit = disk.syncs() - before;

    disk.hold();
    let mut first = store.increment("n", 1);
    assert!((&mut first).now_or_never().is_none());
    disk.wait_until_held();
    let mut rest: Vec<_> = (0..writes).map(|_| store.write(Batch::new().set("k", value.clone()))).collect();
    for answer in &mut rest {
        assert!(answer.now_or_never().is_none());
    }
    let before = disk.syncs();
    disk.release();
    first.await.unwrap();
    join_all(rest).await.into_iter().for_each(Result::unwrap);
    assert_eq!(disk.syncs() - before, (1 + expected) * syncs_per_commit);
}

#[tokio::test]
async fn a_group_ends_when_it_has_the_bytes_a_group_may_have() {
    check_commits(GROUP_BYTES_MAX >> 20, 1).await;
    check_commits((GROUP_BYTES_MAX >> 20) + 1, 2).await;
}

#[tokio::test]
async fn a_write_is_answered_only_after_its_commit_is_on_disk() {
    let disk = Disk::default();
    let store = open(&disk, Settings::default()).await;
    disk.hold();
    let mut write = store.write(pair(1));
    assert!((&mut write).now_or_never().is_none());
    disk.wait_until_held();
    assert!((&mut write).now_or_never().is_none());
    assert_eq!(number(&store).await, 0, "a reader waits for no writer, and sees no unfinished commit");
    disk.release();
    write.await.unwrap();
}

#[tokio::test]
async fn a_write_beyond_the_bytes_that_may_wait_is_refused() {
    let disk = Disk::default();
    let store = open(&disk, Settings::default()).await;
    disk.hold();
    let mut first = store.write(pair(1));
    assert!((&mut first).now_or_never().is_none());
    disk.wait_until_held();

    // 16 writes that fill the queue to the last byte.
    let value = Bytes::from(vec![0; WRITE_QUEUE_BYTES_MAX / 16 - WRITE_OVERHEAD_BYTES - 1]);
    let mut waiting: Vec<_> = (0..16).map(|_| store.write(Batch::new().set("k", value.clone()))).collect();
    for write in &mut waiting {
        assert!(write.now_or_never().is_none());
    }
    assert!(matches!(store.increment("n", 1).await, Err(StoreError::Busy)));
    disk.release();
    for write in waiting {
        write.await.unwrap();
    }
    first.await.unwrap();
    store.increment("n", 1).await.unwrap();
}

#[tokio::test]
async fn with_an_interval_a_write_is_answered_before_it_is_on_disk_and_saved_at_the_latest_by_close() {
    let interval =
        Settings { durability: Durability::Interval(Duration::from_secs(3600)), ..Settings::default() };
    let disk = Disk::default();
    let store = open(&disk, interval).await;
    let before = disk.syncs();
    store.write(pair(1)).await.unwrap();
    assert_eq!(number(&store).await, 1);
    assert_eq!(disk.syncs(), before);

    store.close().await;
    assert!(disk.syncs() > before);
    assert_eq!(number(&open(&Disk::with(disk.content()), interval).await).await, 1);
}

#[tokio::test]
async fn with_an_interval_a_write_is_on_disk_when_the_interval_is_over() {
    let disk = Disk::default();
    let interval =
        Settings { durability: Durability::Interval(Duration::from_millis(1)), ..Settings::default() };
    let store = open(&disk, interval).await;
    disk.hold();
    store.write(pair(1)).await.unwrap();
    // Nothing else is written, so this sync is the interval's.
    disk.wait_until_held();
    disk.release();
}

#[test]
fn a_store_of_a_newer_version_is_refused_with_the_remedy() {
    let disk = Disk::default();
    let database = disk.opener()().unwrap();
    let write = database.begin_write().unwrap();
    let numbers: redb::TableDefinition<'_, &str, u64> = redb::TableDefinition::new("rimward-store");
    write.open_table(numbers).unwrap().insert("format", 2).unwrap();
    write.commit().unwrap();
    drop(database);
    let error = disk.opener()().unwrap_err();
    assert_eq!(
        error.to_string(),
        "the store file `disk` has format 2 and this version reads up to 1: run the version that wrote it, or a newer one"
    );
}

#[test]
fn a_database_of_another_program_is_refused() {
    let disk = Disk::default();
    let database = redb::Builder::new().create_with_backend(disk.clone()).unwrap();
    let write = database.begin_write().unwrap();
    write.open_table(redb::TableDefinition::<&str, u64>::new("theirs")).unwrap();
    write.commit().unwrap();
    drop(database);
    assert!(matches!(disk.opener()(), Err(OpenError::Damaged { .. })));
}

#[test]
fn a_half_made_file_is_made_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("stores/a.redb");
    std::fs::create_dir(folder.path().join("stores")).unwrap();
    std::fs::write(path.with_extension("redb.new"), "half").unwrap();
    drop(file::open_or_create(&path).unwrap());
    assert!(file::open_or_create(&path).is_ok());
    assert!(!Path::new(&path.with_extension("redb.new")).exists());
}
