//! What the cache takes for its own, what it removes, and what it does when the disk or the folder is against it.

use super::entry::TRAILER_BYTES;
use super::*;
use std::fs::File;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::{Duration, SystemTime};

const CODE: &[u8] = b"native code, as far as the cache cares";
const DIGEST: [u8; 32] = [7; 32];
const ENTRY_BYTES: u64 = (CODE.len() + TRAILER_BYTES) as u64;

fn open(folder: &Path, bytes_max: u64) -> Result<Cache, CacheError> {
    Cache::open(&folder.join("cache"), &folder.join("keys/cache.key"), bytes_max)
}

fn cache(folder: &Path) -> Cache {
    open(folder, Cache::BYTES_MAX).unwrap()
}

fn path_of(folder: &Path, digest: u8) -> PathBuf {
    folder.join("cache").join(entry_name(Generation::Plain, &[digest; 32]))
}

fn entry(folder: &Path) -> PathBuf {
    path_of(folder, DIGEST[0])
}

fn filled() -> (tempfile::TempDir, Cache) {
    let folder = tempfile::tempdir().unwrap();
    let cache = cache(folder.path());
    cache.put(Generation::Plain, &DIGEST, CODE).unwrap();
    (folder, cache)
}

fn get(cache: &Cache) -> Option<Vec<u8>> {
    cache.get(Generation::Plain, &DIGEST).map(|hit| std::fs::read(hit.path()).unwrap())
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

fn set_age(path: &Path, age: Duration) {
    let modified = SystemTime::now() - age;
    File::options().write(true).open(path).unwrap().set_modified(modified).unwrap();
}

#[test]
fn an_entry_is_found_again_also_by_the_next_process() {
    let (folder, cache) = filled();
    assert_eq!(get(&cache).unwrap(), CODE);
    assert_eq!(get(&self::cache(folder.path())).unwrap(), CODE);
}

/// D11: another engine, other settings or another component have another name.
#[test]
fn another_component_or_engine_has_another_entry() {
    let (_folder, cache) = filled();
    assert!(cache.get(Generation::Concurrent, &DIGEST).is_none());
    assert!(cache.get(Generation::Plain, &[8; 32]).is_none());
    assert!(Settings::code_key(Generation::Plain).contains(env!("RIMWARD_WASMTIME_VERSION")));
}

/// D10: any damage is a miss, and the damaged entry is gone.
#[test]
fn an_entry_with_any_byte_flipped_or_cut_off_is_removed() {
    let (folder, cache) = filled();
    let good = std::fs::read(entry(folder.path())).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        std::fs::write(entry(folder.path()), bad).unwrap();
        assert_eq!(get(&cache), None, "byte {at}");
        assert!(!entry(folder.path()).exists(), "byte {at}");
    }
    for len in 0..good.len() {
        std::fs::write(entry(folder.path()), &good[..len]).unwrap();
        assert_eq!(get(&cache), None, "{len} bytes");
        assert!(!entry(folder.path()).exists(), "{len} bytes");
    }
    let longer = [&good[..], b"."].concat();
    std::fs::write(entry(folder.path()), longer).unwrap();
    assert_eq!(get(&cache), None);
    std::fs::write(entry(folder.path()), &good).unwrap();
    assert_eq!(get(&cache).unwrap(), CODE, "what is whole is taken");
}

/// D10: entries cannot be swapped for one another.
#[test]
fn an_entry_under_another_name_is_a_miss() {
    let (folder, cache) = filled();
    std::fs::rename(entry(folder.path()), path_of(folder.path(), 8)).unwrap();
    assert!(cache.get(Generation::Plain, &[8; 32]).is_none());
    assert!(!path_of(folder.path(), 8).exists());
}

/// D10, D11: an entry that another node wrote, with another key.
#[test]
fn an_entry_of_another_node_is_a_miss() {
    let (ours, cache) = filled();
    let (theirs, _) = filled();
    std::fs::copy(entry(theirs.path()), entry(ours.path())).unwrap();
    assert_eq!(get(&cache), None);
}

/// D12: a link, a pipe or a folder in place of an entry is not followed, not waited for, and not loaded.
#[test]
fn what_is_no_file_in_place_of_an_entry_is_a_miss() {
    let (folder, cache) = filled();
    let (aside, at) = (folder.path().join("aside"), entry(folder.path()));
    std::fs::rename(&at, &aside).unwrap();
    symlink(&aside, &at).unwrap();
    assert_eq!(get(&cache), None);
    assert!(aside.exists() && at.symlink_metadata().is_err(), "the link is removed, not what it led to");
    rustix::fs::mknodat(rustix::fs::CWD, &at, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    assert_eq!(get(&cache), None);
    drop(std::os::unix::net::UnixListener::bind(&at).unwrap());
    assert_eq!(get(&cache), None);
    std::fs::create_dir(&at).unwrap();
    assert_eq!(get(&cache), None);
    assert!(cache.put(Generation::Plain, &DIGEST, CODE).is_err());
}

/// D12: an entry that others could write to.
#[test]
fn an_entry_that_others_can_write_to_is_a_miss() {
    let (folder, cache) = filled();
    set_mode(&entry(folder.path()), 0o622);
    assert_eq!(get(&cache), None);
    assert!(!entry(folder.path()).exists());
}

/// D12: at start.
#[test]
fn a_folder_that_others_can_write_to_or_that_is_a_link_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path(), 0).unwrap();
    for (mode, refused) in [(0o777, true), (0o770, true), (0o1777, true), (0o755, false), (0o700, false)] {
        set_mode(&folder.path().join("cache"), mode);
        assert_eq!(matches!(open(folder.path(), 0), Err(CacheError::NotOurs { .. })), refused, "{mode:o}");
    }
    std::fs::rename(folder.path().join("cache"), folder.path().join("aside")).unwrap();
    symlink(folder.path().join("aside"), folder.path().join("cache")).unwrap();
    assert!(matches!(open(folder.path(), 0), Err(CacheError::NotOurs { .. })));
}

/// D12: while the node runs.
#[test]
fn a_folder_that_others_can_write_to_later_is_not_used() {
    let (folder, cache) = filled();
    let path = folder.path().join("cache");
    set_mode(&path, 0o777);
    assert_eq!(get(&cache), None);
    assert!(cache.put(Generation::Plain, &[8; 32], CODE).is_err());
    set_mode(&path, 0o700);
    assert!(get(&cache).is_some());
    std::fs::rename(&path, folder.path().join("aside")).unwrap();
    symlink(folder.path().join("aside"), &path).unwrap();
    assert_eq!(get(&cache), None, "a link in its place is not followed");
    assert!(cache.put(Generation::Plain, &[8; 32], CODE).is_err());
}

/// D12: the key.
#[test]
fn a_key_that_others_can_read_is_refused_and_so_is_one_of_another_size() {
    let (folder, _) = filled();
    let key = folder.path().join("keys/cache.key");
    set_mode(&key, 0o644);
    assert!(matches!(open(folder.path(), 0), Err(CacheError::NotOurs { .. })));
    set_mode(&key, 0o600);
    for bytes in [31, 33] {
        std::fs::write(&key, vec![0; bytes]).unwrap();
        assert!(matches!(open(folder.path(), 0), Err(CacheError::BadKey { .. })), "{bytes}");
    }
    std::fs::rename(&key, folder.path().join("aside")).unwrap();
    symlink(folder.path().join("aside"), &key).unwrap();
    assert!(open(folder.path(), 0).is_err(), "a link is not followed");
}

/// D13: what was checked stays what is loaded, whatever is written to the file or put in its place.
#[test]
fn an_entry_that_changes_after_it_was_checked_is_loaded_as_it_was() {
    let (folder, cache) = filled();
    let hit = cache.get(Generation::Plain, &DIGEST).unwrap();
    std::fs::write(entry(folder.path()), b"tampered with").unwrap();
    assert_eq!(std::fs::read(hit.path()).unwrap(), CODE);
    let writing = File::options().write(true).open(hit.path());
    let written = writing.and_then(|mut file| std::io::Write::write_all(&mut file, b"x"));
    assert!(written.is_err(), "the copy is sealed");
}

/// D15: at the limit the oldest goes, past it nothing is kept.
#[test]
fn what_was_used_longest_ago_makes_room() {
    let folder = tempfile::tempdir().unwrap();
    let cache = open(folder.path(), 2 * ENTRY_BYTES).unwrap();
    for n in [1, 2] {
        cache.put(Generation::Plain, &[n; 32], CODE).unwrap();
        set_age(&path_of(folder.path(), n), Duration::from_secs(100 - u64::from(n)));
    }
    let there = || [1, 2, 3].map(|n| path_of(folder.path(), n).exists());
    assert_eq!(there(), [true, true, false], "both fit exactly");
    assert!(cache.get(Generation::Plain, &[1; 32]).is_some(), "using it makes it the youngest");
    cache.put(Generation::Plain, &[3; 32], CODE).unwrap();
    assert_eq!(there(), [true, false, true]);
}

/// D15: one entry alone, at the limit and past it.
#[test]
fn an_entry_that_does_not_fit_the_cache_displaces_nothing() {
    let folder = tempfile::tempdir().unwrap();
    open(folder.path(), ENTRY_BYTES).unwrap().put(Generation::Plain, &DIGEST, CODE).unwrap();
    let smaller = open(folder.path(), ENTRY_BYTES - 1).unwrap();
    assert!(smaller.put(Generation::Plain, &[8; 32], CODE).is_err());
    assert!(entry(folder.path()).exists());
}

/// D15: the operator may name a folder that holds other things.
#[test]
fn files_that_are_no_entries_are_neither_counted_nor_removed() {
    let folder = tempfile::tempdir().unwrap();
    let cache = open(folder.path(), ENTRY_BYTES).unwrap();
    let others = ["notes.txt", "main.code", "other.code"].map(|name| folder.path().join("cache").join(name));
    for other in &others {
        std::fs::write(other, [0; 4096]).unwrap();
    }
    cache.put(Generation::Plain, &DIGEST, CODE).unwrap();
    cache.put(Generation::Plain, &[8; 32], CODE).unwrap();
    assert!(others.iter().all(|other| other.exists()));
    assert!(!entry(folder.path()).exists() && path_of(folder.path(), 8).exists());
}

/// D15: what a crash has left is removed, what another process is writing is not.
#[test]
fn what_a_crash_has_left_half_written_is_removed() {
    let (folder, cache) = filled();
    let [left, fresh] = [".new-left", ".new-fresh"].map(|name| folder.path().join("cache").join(name));
    for path in [&left, &fresh] {
        std::fs::write(path, CODE).unwrap();
    }
    set_age(&left, crate::limits::CACHE_HALF_WRITTEN + Duration::from_secs(60));
    set_age(&fresh, crate::limits::CACHE_HALF_WRITTEN - Duration::from_secs(60));
    cache.put(Generation::Plain, &[8; 32], CODE).unwrap();
    assert!(!left.exists() && fresh.exists());
}

/// D15: a cache may be deleted at any time.
#[test]
fn a_folder_that_was_deleted_is_made_again() {
    let (folder, cache) = filled();
    std::fs::remove_dir_all(folder.path().join("cache")).unwrap();
    assert_eq!(get(&cache), None);
    cache.put(Generation::Plain, &DIGEST, CODE).unwrap();
    assert!(get(&cache).is_some());
}

/// D14: one process at a time compiles; whoever waits goes on when the other one is done.
#[test]
fn one_process_at_a_time_compiles() {
    let (folder, cache) = filled();
    // Locks of files belong to the open file, so a second cache in this process is as good as a second process.
    let other = self::cache(folder.path());
    let turn = cache.turn();
    let (tell, told) = std::sync::mpsc::channel();
    let waiting = std::thread::spawn(move || {
        let turn = other.turn();
        tell.send(()).unwrap();
        drop(turn);
    });
    assert!(told.recv_timeout(Duration::from_millis(200)).is_err(), "it waits");
    drop(turn);
    told.recv_timeout(Duration::from_secs(10)).unwrap();
    waiting.join().unwrap();
}

/// D10: random flips of one to eight bytes. `seed` is printed by a failure.
fn check_flips(flips: usize) {
    use rand::{Rng, SeedableRng};
    let seed = rand::random::<u64>();
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    let key = [9; 32];
    let name = entry_name(Generation::Plain, &DIGEST);
    let code: Vec<u8> = (0..4096).map(|_| random.random()).collect();
    let mut good = Vec::new();
    entry::write(&key, &name, &code, &mut good).unwrap();
    assert!(is_authentic(&key, &name, &good));
    for flip in 0..flips {
        let mut bad = good.clone();
        for _ in 0..random.random_range(1..=8) {
            let at = random.random_range(0..bad.len());
            bad[at] ^= random.random_range(1..=255_u8);
        }
        assert!(bad == good || !is_authentic(&key, &name, &bad), "flip {flip} of seed {seed}");
    }
}

/// D10: a sample of 2,000; the whole is in `slow`.
#[test]
fn random_flips_are_never_taken_for_an_entry() {
    check_flips(2_000);
}

mod slow {
    /// D10: 50,000 random byte flips.
    #[test]
    fn fifty_thousand_random_flips_are_never_taken_for_an_entry() {
        super::check_flips(50_000);
    }
}
