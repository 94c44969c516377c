//! What a store means to its users, the same for both backends, and what the files on disk promise.

#![allow(clippy::unwrap_used, reason = "this is a test, also where it is not marked as one")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread;

use bytes::Bytes;
use rimward_store::limits::OPEN_STORES_MAX;
use rimward_store::{Batch, Limits, OpenError, Page, Settings, Store, StoreError, StoreId, Stores, Swap};
use tempfile::TempDir;

fn id(tenant: &str, app: &str, name: &str) -> StoreId {
    StoreId::new(tenant, app, name).unwrap()
}

fn small(limits: Limits) -> Settings {
    Settings { limits, ..Settings::default() }
}

/// Runs `check` on an empty store of each backend.
async fn on_both<F: AsyncFn(Arc<dyn Store>)>(limits: Limits, check: F) {
    let folder = TempDir::new().unwrap();
    for stores in [Stores::memory(), Stores::durable(folder.path()).unwrap()] {
        check(stores.open(&id("t", "a", "s"), small(limits)).await.unwrap()).await;
        stores.close().await;
    }
}

async fn value(store: &dyn Store, key: &str) -> Option<Bytes> {
    store.get(key).await.unwrap().map(|entry| entry.value)
}

#[tokio::test]
async fn a_batch_sets_and_deletes_and_its_last_change_to_a_key_wins() {
    on_both(Limits::default(), async |store| {
        store.write(Batch::new().set("a", "1").set("b", "2")).await.unwrap();
        store.write(Batch::new().set("b", "x").delete("b").set("c", "y").set("c", "3")).await.unwrap();
        assert_eq!(value(&*store, "a").await.unwrap(), "1");
        assert_eq!(value(&*store, "b").await, None);
        assert_eq!(value(&*store, "c").await.unwrap(), "3");
    })
    .await;
}

#[tokio::test]
async fn a_swap_needs_the_version_that_was_read() {
    on_both(Limits::default(), async |store| {
        let Swap::Done(first) = store.compare_and_swap("k", None, "1".into()).await.unwrap() else {
            panic!("the key did not exist");
        };
        let Swap::Conflict(Some(found)) = store.compare_and_swap("k", None, "2".into()).await.unwrap() else {
            panic!("the key exists");
        };
        assert_eq!((found.version, &*found.value), (first, &b"1"[..]));

        assert!(matches!(store.compare_and_swap("k", Some(first), "2".into()).await.unwrap(), Swap::Done(_)));
        assert!(matches!(
            store.compare_and_swap("k", Some(first), "3".into()).await.unwrap(),
            Swap::Conflict(Some(_))
        ));
        assert_eq!(value(&*store, "k").await.unwrap(), "2");
    })
    .await;
}

#[tokio::test]
async fn a_version_does_not_come_back_when_a_key_is_deleted_and_set_to_the_same_value() {
    on_both(Limits::default(), async |store| {
        store.write(Batch::new().set("k", "v")).await.unwrap();
        let before = store.get("k").await.unwrap().unwrap();
        store.write(Batch::new().delete("k")).await.unwrap();
        assert_eq!(
            store.compare_and_swap("k", Some(before.version), "x".into()).await.unwrap(),
            Swap::Conflict(None)
        );
        store.write(Batch::new().set("k", "v")).await.unwrap();
        let swap = store.compare_and_swap("k", Some(before.version), "x".into()).await.unwrap();
        assert!(matches!(swap, Swap::Conflict(Some(entry)) if entry.value == before.value));
    })
    .await;
}

#[tokio::test]
async fn an_increment_counts_in_decimal_text_from_zero() {
    on_both(Limits::default(), async |store| {
        assert_eq!(store.increment("n", 5).await.unwrap(), 5);
        assert_eq!(store.increment("n", -7).await.unwrap(), -2);
        assert_eq!(value(&*store, "n").await.unwrap(), "-2");
        store.write(Batch::new().set("n", i64::MAX.to_string())).await.unwrap();
        assert!(matches!(store.increment("n", 1).await, Err(StoreError::Overflow)));
        store.write(Batch::new().set("n", "many")).await.unwrap();
        assert!(matches!(store.increment("n", 1).await, Err(StoreError::NotANumber)));
        assert_eq!(value(&*store, "n").await.unwrap(), "many");
    })
    .await;
}

#[tokio::test]
async fn keys_come_in_byte_order_page_by_page() {
    on_both(Limits { page_keys_max: 3, ..Limits::default() }, async |store| {
        let page = |keys: &[&str], next: Option<&str>| Page {
            keys: keys.iter().map(|&key| key.to_owned()).collect(),
            next: next.map(str::to_owned),
        };
        assert_eq!(store.keys(None, 10).await.unwrap(), Page::default());
        let batch = ["", "b", "a", "ä", "c"].into_iter().fold(Batch::new(), |batch, key| batch.set(key, ""));
        store.write(batch).await.unwrap();

        // At the limit, one over it, and fewer than one.
        assert_eq!(store.keys(None, 3).await.unwrap(), page(&["", "a", "b"], Some("b")));
        assert_eq!(store.keys(None, 4).await.unwrap(), page(&["", "a", "b"], Some("b")));
        assert_eq!(store.keys(None, 0).await.unwrap(), page(&[""], Some("")));
        assert_eq!(store.keys(Some("b"), 2).await.unwrap(), page(&["c", "ä"], None));
        // A cursor need not be a key.
        assert_eq!(store.keys(Some("bb"), 1).await.unwrap(), page(&["c"], Some("c")));
        assert_eq!(store.keys(Some("ä"), 3).await.unwrap(), Page::default());
    })
    .await;
}

#[tokio::test]
async fn sizes_are_accepted_up_to_their_limit_and_refused_beyond() {
    let limits = Limits {
        key_bytes_max: 4,
        value_bytes_max: 6,
        batch_changes_max: 2,
        batch_bytes_max: 16,
        ..Limits::default()
    };
    on_both(limits, async |store| {
        store.write(Batch::new().set("4444", "666666").set("3", "55555")).await.unwrap();
        assert!(store.get("4444").await.unwrap().is_some());
        assert!(matches!(store.get("55555").await, Err(StoreError::KeyTooLong { bytes: 5, max: 4 })));
        assert!(matches!(store.increment("55555", 1).await, Err(StoreError::KeyTooLong { .. })));
        let write = async |batch| store.write(batch).await;
        assert!(matches!(write(Batch::new().delete("55555")).await, Err(StoreError::KeyTooLong { .. })));
        let over = write(Batch::new().set("k", "7777777")).await;
        assert!(matches!(over, Err(StoreError::ValueTooLarge { bytes: 7, max: 6 })));
        let over = store.compare_and_swap("k", None, "7777777".into()).await;
        assert!(matches!(over, Err(StoreError::ValueTooLarge { .. })));
        let over = write(Batch::new().set("a", "").set("b", "").set("c", "")).await;
        assert!(matches!(over, Err(StoreError::BatchTooLong { changes: 3, max: 2 })));
        let over = write(Batch::new().set("4444", "666666").set("3", "666666")).await;
        assert!(matches!(over, Err(StoreError::BatchTooLarge { bytes: 17, max: 16 })));
    })
    .await;
}

#[tokio::test]
async fn a_full_store_refuses_what_would_make_it_larger_and_nothing_else() {
    // Two entries of a 1-byte key, a 7-byte value and 32 bytes of overhead.
    on_both(Limits { store_bytes_max: 80, ..Limits::default() }, async |store| {
        store.write(Batch::new().set("a", "1234567").set("b", "1234567")).await.unwrap();
        let over = store.write(Batch::new().set("b", "12345678")).await;
        assert!(matches!(over, Err(StoreError::Full { bytes: 81, max: 80 })));
        assert_eq!(value(&*store, "b").await.unwrap(), "1234567");
        assert!(matches!(store.increment("n", 1).await, Err(StoreError::Full { .. })));
        store.write(Batch::new().set("b", "7654321")).await.unwrap();
        store.write(Batch::new().delete("a").set("c", "1234567")).await.unwrap();
        store.write(Batch::new().delete("b").delete("c")).await.unwrap();
        store.increment("n", 1).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_store_over_a_lowered_quota_can_still_shrink() {
    let folder = TempDir::new().unwrap();
    for stores in [Stores::memory(), Stores::durable(folder.path()).unwrap()] {
        let open = async |limits| stores.open(&id("t", "a", "s"), small(limits)).await.unwrap();
        let store = open(Limits::default()).await;
        store.write(Batch::new().set("a", "12345678").set("b", "12345678")).await.unwrap();
        open(Limits { store_bytes_max: 10, ..Limits::default() }).await;
        store.write(Batch::new().set("a", "1")).await.unwrap();
        assert!(matches!(store.write(Batch::new().set("a", "12")).await, Err(StoreError::Full { .. })));
    }
}

#[tokio::test]
async fn stores_of_other_tenants_apps_and_names_share_nothing() {
    let folder = TempDir::new().unwrap();
    for stores in [Stores::memory(), Stores::durable(folder.path()).unwrap()] {
        let ids = [
            id("t", "a", "s"),
            id("t", "a", "s-2"),
            id("t", "a-s", "s"),
            id("t-a", "s", "s"),
            id("u", "a", "s"),
        ];
        for (number, id) in ids.iter().enumerate() {
            let store = stores.open(id, Settings::default()).await.unwrap();
            store.write(Batch::new().set("k", number.to_string())).await.unwrap();
        }
        for (number, id) in ids.iter().enumerate() {
            let store = stores.open(id, Settings::default()).await.unwrap();
            assert_eq!(value(&*store, "k").await.unwrap(), number.to_string());
            assert_eq!(store.keys(None, 9).await.unwrap().keys, ["k"]);
        }
    }
}

/// One runtime per thread, as the node has one per core.
#[test]
fn increments_and_swaps_from_many_runtimes_are_all_counted() {
    const THREADS: i64 = 4;
    const ROUNDS: i64 = 50;
    let folder = TempDir::new().unwrap();
    let stores = Arc::new(Stores::durable(folder.path()).unwrap());
    let count = |stores: Arc<Stores>| {
        block_on(async move {
            let store = stores.open(&id("t", "a", "s"), Settings::default()).await.unwrap();
            for _ in 0..ROUNDS {
                store.increment("increments", 1).await.unwrap();
                swap_up(&*store, "swaps").await;
            }
        });
    };
    thread::scope(|scope| {
        for _ in 0..THREADS {
            let stores = Arc::clone(&stores);
            scope.spawn(move || count(stores));
        }
    });
    block_on(async {
        let store = stores.open(&id("t", "a", "s"), Settings::default()).await.unwrap();
        let expected = (THREADS * ROUNDS).to_string();
        assert_eq!(value(&*store, "increments").await.unwrap(), expected);
        assert_eq!(value(&*store, "swaps").await.unwrap(), expected);
    });
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// Adds one with compare-and-swap, as often as it takes.
async fn swap_up(store: &dyn Store, key: &str) {
    let mut current = store.get(key).await.unwrap();
    loop {
        let number: i64 =
            current.as_ref().map_or(0, |entry| std::str::from_utf8(&entry.value).unwrap().parse().unwrap());
        let expected = current.map(|entry| entry.version);
        match store.compare_and_swap(key, expected, (number + 1).to_string().into()).await.unwrap() {
            Swap::Done(_) => return,
            Swap::Conflict(now) => current = now,
        }
    }
}

#[tokio::test]
async fn a_durable_store_is_there_after_a_restart() {
    let folder = TempDir::new().unwrap();
    let version = {
        let stores = Stores::durable(folder.path()).unwrap();
        let store = stores.open(&id("t", "a", "s"), Settings::default()).await.unwrap();
        store.write(Batch::new().set("k", "v")).await.unwrap();
        let version = store.get("k").await.unwrap().unwrap().version;
        stores.close().await;
        version
    };
    let stores = Stores::durable(folder.path()).unwrap();
    let store = stores.open(&id("t", "a", "s"), Settings::default()).await.unwrap();
    assert!(matches!(store.compare_and_swap("k", Some(version), "w".into()).await.unwrap(), Swap::Done(_)));
}

#[tokio::test]
async fn after_close_operations_fail_and_nothing_can_be_opened() {
    let folder = TempDir::new().unwrap();
    let stores = Stores::durable(folder.path()).unwrap();
    let store = stores.open(&id("t", "a", "s"), Settings::default()).await.unwrap();
    stores.close().await;
    assert!(matches!(store.get("k").await, Err(StoreError::Closed)));
    assert!(matches!(store.increment("k", 1).await, Err(StoreError::Closed)));
    let again = stores.open(&id("t", "a", "s"), Settings::default()).await;
    assert!(matches!(again, Err(OpenError::Closed)));
}

#[tokio::test]
async fn as_many_stores_open_as_may_and_no_more() {
    let stores = Stores::memory();
    for number in 0..OPEN_STORES_MAX {
        stores.open(&id("t", "a", &format!("s{number}")), Settings::default()).await.unwrap();
    }
    let over = stores.open(&id("t", "a", "one-more"), Settings::default()).await;
    assert!(matches!(over, Err(OpenError::TooMany { max: OPEN_STORES_MAX })));
    assert!(stores.open(&id("t", "a", "s0"), Settings::default()).await.is_ok());
}

#[tokio::test]
async fn folders_and_files_are_the_owners_alone() {
    let folder = TempDir::new().unwrap();
    let stores = Stores::durable(folder.path().join("state")).unwrap();
    stores.open(&id("t", "a", "s"), Settings::default()).await.unwrap();
    let mode = |path: &str| fs::metadata(folder.path().join(path)).unwrap().permissions().mode() & 0o777;
    for path in ["state", "state/tenants", "state/tenants/t", "state/tenants/t/a", "state/tenants/t/a/stores"]
    {
        assert_eq!(mode(path), 0o700, "{path}");
    }
    assert_eq!(mode("state/tenants/t/a/stores/s.redb"), 0o600);
}

#[tokio::test]
async fn a_file_that_is_no_store_is_reported_and_left_as_it_is() {
    for content in ["", "not a store\n", &"x".repeat(100_000)] {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("tenants/t/a/stores/s.redb");
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        let stores = Stores::durable(folder.path()).unwrap();
        let opened = stores.open(&id("t", "a", "s"), Settings::default()).await;
        assert!(matches!(opened, Err(OpenError::Damaged { path: reported, .. }) if reported == path));
        assert_eq!(fs::read_to_string(&path).unwrap(), content);
        // The damage stays in that store.
        assert!(stores.open(&id("t", "a", "other"), Settings::default()).await.is_ok());
    }
}

#[tokio::test]
async fn a_truncated_file_is_reported() {
    let folder = TempDir::new().unwrap();
    let stores = Stores::durable(folder.path()).unwrap();
    let store = stores.open(&id("t", "a", "s"), Settings::default()).await.unwrap();
    store.write(Batch::new().set("k", vec![7; 200_000])).await.unwrap();
    stores.close().await;
    let path = folder.path().join("tenants/t/a/stores/s.redb");
    let whole = fs::metadata(&path).unwrap().len();
    fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(whole / 2).unwrap();
    let stores = Stores::durable(folder.path()).unwrap();
    let opened = stores.open(&id("t", "a", "s"), Settings::default()).await;
    assert!(matches!(opened, Err(OpenError::Damaged { .. })), "{opened:?}");
}

/// Set for the process that [`a_killed_process_loses_no_answered_write`] starts: the state directory.
const VICTIM: &str = "RIMWARD_STORE_VICTIM";

#[test]
fn a_killed_process_loses_no_answered_write() {
    use std::io::{BufRead, BufReader};
    let name = "a_killed_process_loses_no_answered_write";
    if let Some(state) = std::env::var_os(VICTIM) {
        return block_on(count_forever(Path::new(&state)));
    }
    let folder = TempDir::new().unwrap();
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args([name, "--exact", "--nocapture"])
        .env(VICTIM, folder.path())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(victim.stdout.take().unwrap()).lines().map(Result::unwrap);
    let counts =
        lines.filter_map(|line| line.strip_prefix("answered ").map(|count| count.parse::<i64>().unwrap()));
    let answered = counts.take(20).last().unwrap();

    block_on(async {
        let stores = Stores::durable(folder.path()).unwrap();
        let locked = stores.open(&id("t", "a", "s"), Settings::default()).await;
        assert!(matches!(locked, Err(OpenError::InUse { .. })), "{locked:?}");
        victim.kill().unwrap();
        victim.wait().unwrap();
        let store = stores.open(&id("t", "a", "s"), Settings::default()).await.unwrap();
        assert!(store.increment("n", 0).await.unwrap() >= answered);
    });
}

#[expect(clippy::print_stdout, reason = "the parent process reads it")]
async fn count_forever(state: &Path) {
    let stores = Stores::durable(state).unwrap();
    let store = stores.open(&id("t", "a", "s"), Settings::default()).await.unwrap();
    loop {
        let count = store.increment("n", 1).await.unwrap();
        println!("\nanswered {count}");
    }
}
