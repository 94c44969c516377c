//! A compile cache that somebody tampers with, while a node uses it and between two starts. Whatever is done to it costs
//! compilations: the node answers, and runs no byte that it did not write.

use crate::code::in_a_process;
use rand::{Rng, SeedableRng};
use rimward_engine::ChildLimits;
use rimward_tests::{TestNode, app, node};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The one entry of the node's cache.
fn entry(node: &TestNode) -> PathBuf {
    let entries = std::fs::read_dir(node.folder().join("cache")).unwrap();
    let mut entries = entries.map(|entry| entry.unwrap().path());
    let entry = entries.find(|path| path.extension().is_some_and(|extension| extension == "code"));
    entry.expect("the cache has an entry")
}

/// Flips random bytes of the entry of an app that is loaded again and again.
async fn check_flips(flips: usize) {
    let seed = rand::random::<u64>();
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    let node = node().own_cache().app("hello").start().await;
    let entry = entry(&node);
    let good = std::fs::read(&entry).unwrap();
    for flip in 0..flips {
        let at = random.random_range(0..good.len());
        let mut bad = good.clone();
        bad[at] ^= random.random_range(1..=255_u8);
        // Written over the very file that the serving revision was loaded from.
        std::fs::write(&entry, &bad).unwrap();
        node.get("/").await.is(200).says("hello\n");
        assert_eq!(node.install("hello").await.compiled, 1, "flip {flip} of seed {seed}, byte {at}");
        assert!(std::fs::read(&entry).unwrap() != bad, "the damaged entry is gone");
        node.get("/").await.is(200).says("hello\n");
        assert_eq!(node.install("hello").await.compiled, 0, "what was compiled is kept");
    }
}

/// D10: a sample of 8 flips through a whole node; the whole is in `slow`.
#[tokio::test]
async fn a_flipped_byte_costs_a_compilation() {
    check_flips(8).await;
}

mod slow {
    /// D10: 200 flips through a whole node.
    #[tokio::test]
    async fn two_hundred_flipped_bytes_cost_a_compilation_each() {
        super::check_flips(200).await;
    }
}

/// D10: entries that are emptied under a node that runs what was loaded from them, as `> file` does.
#[tokio::test]
async fn an_entry_that_is_emptied_does_not_touch_what_was_loaded_from_it() {
    let node = node().own_cache().app("hello").start().await;
    std::fs::write(entry(&node), b"").unwrap();
    for _ in 0..50 {
        node.get("/").await.is(200).says("hello\n");
    }
}

/// D10: two entries that change places.
#[tokio::test]
async fn entries_that_are_swapped_cost_a_compilation_each() {
    let node = node().own_cache().app("hello").start().await;
    let hello = entry(&node);
    let aside = node.folder().join("aside");
    std::fs::rename(&hello, &aside).unwrap();
    node.install(app("trap").on("trap.example")).await;
    let trap = entry(&node);
    std::fs::rename(&trap, &hello).unwrap();
    std::fs::rename(&aside, &trap).unwrap();
    assert_eq!(node.install("hello").await.compiled, 1);
    assert_eq!(node.install(app("trap").on("trap.example")).await.compiled, 1);
    node.get("/").await.is(200).says("hello\n");
    node.get("/").host("trap.example").await.code("rimward.guest.trap");
}

/// D12: a folder that others can write to, or a link, is refused at start with the remedy.
#[tokio::test]
async fn a_cache_that_others_can_write_to_is_refused_at_start() {
    let node = node().own_cache().app("hello").start().await;
    let cache = node.folder().join("cache");
    let mode = |mode| std::fs::set_permissions(&cache, PermissionsExt::from_mode(mode)).unwrap();
    mode(0o777);
    let starting = node.stop().own_cache();
    let Err(refused) = starting.try_start().await else { panic!("it started") };
    let why = rimward_tests::chain(&refused);
    assert!(why.contains("writable by nobody else") && why.contains("chmod 700"), "{why}");
}

/// D12: and one that becomes so while the node runs is left alone.
#[tokio::test]
async fn a_cache_that_others_can_write_to_later_is_not_used() {
    let node = node().own_cache().app("hello").start().await;
    let cache = node.folder().join("cache");
    std::fs::set_permissions(&cache, PermissionsExt::from_mode(0o777)).unwrap();
    assert_eq!(node.install("hello").await.compiled, 1);
    std::fs::set_permissions(&cache, PermissionsExt::from_mode(0o700)).unwrap();
    let aside = node.folder().join("aside");
    std::fs::rename(&cache, &aside).unwrap();
    symlink(&aside, &cache).unwrap();
    assert_eq!(node.install("hello").await.compiled, 1, "a link is not followed");
    node.get("/").await.is(200).says("hello\n");
}

/// D13: somebody replaces, overwrites and cuts the entry as fast as they can while a node loads it.
#[tokio::test]
async fn an_entry_that_is_replaced_while_it_is_loaded_is_never_run() {
    const LOADS: usize = 60;
    let node = node().own_cache().app("hello").start().await;
    let entry = entry(&node);
    let good = std::fs::read(&entry).unwrap();
    let bad: Vec<u8> = good.iter().enumerate().map(|(at, byte)| byte ^ u8::from(at % 97 == 0)).collect();
    let done = Arc::new(AtomicBool::new(false));
    let racing = {
        let (entry, beside, done) = (entry.clone(), node.folder().join("beside"), done.clone());
        std::thread::spawn(move || {
            while !done.load(Ordering::Relaxed) {
                // In place, then by another file; the good one is there for a while each time. A node that removes what is
                // damaged does so at any moment.
                let raced = std::fs::write(&entry, &bad)
                    .and_then(|()| std::fs::write(&entry, &good))
                    .and_then(|()| std::fs::write(&beside, &bad))
                    .and_then(|()| std::fs::rename(&beside, &entry))
                    .and_then(|()| std::fs::write(&beside, &good))
                    .and_then(|()| std::fs::rename(&beside, &entry));
                raced.unwrap();
                std::thread::sleep(Duration::from_millis(1));
            }
        })
    };
    let mut compiled = 0;
    for _ in 0..LOADS {
        compiled += node.install("hello").await.compiled;
        node.get("/").await.is(200).says("hello\n");
    }
    done.store(true, Ordering::Relaxed);
    racing.join().unwrap();
    eprintln!("{compiled} of {LOADS} loads were compiled");
}

/// D14: two nodes that start at once with one cache compile a component once.
#[tokio::test]
async fn two_processes_compile_a_component_once() {
    let one = node().own_cache().compiler(in_a_process(ChildLimits::default())).start().await;
    let cache = one.folder().join("cache");
    let other = node()
        .file(|file| file.node.cache.clone_from(&cache))
        .compiler(in_a_process(ChildLimits::default()))
        .start()
        .await;
    // A node's lock of the cache belongs to the open file, so two nodes in one process are as good as two processes.
    let (first, second) = tokio::join!(one.install("trap"), other.install("trap"));
    assert_eq!(first.compiled + second.compiled, 1);
    for node in [one, other] {
        node.get("/").await.code("rimward.guest.trap");
    }
}
