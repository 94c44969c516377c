//! Whether the machine runs out of memory. Looked at a few times a second by one task of the first core, off the request
//! path, which reads one flag. While there is too little, no further invocation begins and instances that wait for their
//! next use are dropped: better a 503 now than the kernel's choice of a process a moment later. What cannot be read, as on
//! a kernel without control groups, is taken to be no limit.

use crate::limits::{MEMORY_BEAT, MEMORY_KEPT_BYTES, MEMORY_KEPT_PART};
use crate::node::Shared;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

/// Memory that this process may have, by the machine or by the control group that leaves it the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryLeft {
    /// Bytes in all.
    pub total_bytes: u64,
    /// Bytes that are free, or would be if the kernel dropped what it only caches.
    pub left_bytes: u64,
}

/// Where a node reads how much memory is left.
pub type MemorySource = Arc<dyn Fn() -> Option<MemoryLeft> + Send + Sync>;

/// The machine's own word.
pub fn machine_memory() -> MemorySource {
    Arc::new(|| {
        let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        read(Path::new("/proc/meminfo"), Path::new("/sys/fs/cgroup"), &own)
    })
}

/// Whether memory is short.
#[derive(Debug, Default)]
pub(crate) struct Pressure(AtomicBool);

impl Pressure {
    pub(crate) fn is_short(&self) -> bool {
        self.0.load(Relaxed)
    }

    /// What is left now; says whether it is short.
    fn update(&self, left: Option<MemoryLeft>) -> bool {
        let was = self.is_short();
        let is = left.is_some_and(|left| left.is_short(was));
        self.0.store(is, Relaxed);
        if is != was {
            let left = left.map_or(0, |left| left.left_bytes);
            match is {
                true => tracing::warn!(left, "memory is short: requests are refused until there is more"),
                false => tracing::info!(left, "there is memory again"),
            }
        }
        is
    }
}

impl MemoryLeft {
    /// It stays short until there is twice as much as what made it so, so that it does not flutter.
    fn is_short(self, was: bool) -> bool {
        let kept = (self.total_bytes / MEMORY_KEPT_PART).min(MEMORY_KEPT_BYTES);
        self.left_bytes < if was { kept.saturating_mul(2) } else { kept }
    }
}

/// Looks until the node is gone.
pub(crate) async fn watch(node: Arc<Shared>, source: MemorySource) {
    let mut beat = tokio::time::interval(MEMORY_BEAT);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        beat.tick().await;
        if node.pressure.update(source()) {
            // Each time: what ran a moment ago waits by now.
            node.drop_warm();
        }
    }
}

fn read(machine: &Path, groups: &Path, own: &str) -> Option<MemoryLeft> {
    let limits = group_folders(groups, own).into_iter().filter_map(|folder| group(&folder));
    limits.chain(of_machine(machine)).min_by_key(|left| left.left_bytes)
}

fn of_machine(path: &Path) -> Option<MemoryLeft> {
    let text = std::fs::read_to_string(path).ok()?;
    let bytes = |field: &str| Some(field_of(&text, field)? << 10);
    Some(MemoryLeft { total_bytes: bytes("MemTotal:")?, left_bytes: bytes("MemAvailable:")? })
}

/// The folders of the control group of this process and of those above it (cgroups(7), version 2).
fn group_folders(root: &Path, own: &str) -> Vec<PathBuf> {
    let path = own.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("/");
    Path::new(path.trim_start_matches('/')).ancestors().map(|group| root.join(group)).collect()
}

fn group(folder: &Path) -> Option<MemoryLeft> {
    let number =
        |file: &str| -> Option<u64> { std::fs::read_to_string(folder.join(file)).ok()?.trim().parse().ok() };
    let total_bytes = number("memory.max")?;
    let stat = std::fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
    // The kernel gives these back before it kills.
    let cached = ["inactive_file", "active_file", "slab_reclaimable"];
    let cached: u64 = cached.iter().filter_map(|field| field_of(&stat, field)).sum();
    let used = number("memory.current")?.saturating_sub(cached);
    Some(MemoryLeft { total_bytes, left_bytes: total_bytes.saturating_sub(used) })
}

/// The number behind the first word of a line.
fn field_of(text: &str, field: &str) -> Option<u64> {
    text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next() == Some(field)).then(|| words.next()?.parse().ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(total_mib: u64, left_bytes: u64) -> Option<MemoryLeft> {
        Some(MemoryLeft { total_bytes: total_mib << 20, left_bytes })
    }

    #[test]
    fn memory_is_short_below_what_is_kept_and_until_there_is_twice_as_much() {
        let pressure = Pressure::default();
        // A thirty-second of 640 MiB.
        assert!(!pressure.update(left(640, 20 << 20)), "at the limit");
        assert!(pressure.update(left(640, (20 << 20) - 1)), "a byte less");
        assert!(pressure.update(left(640, (40 << 20) - 1)), "not yet twice as much");
        pressure.update(left(640, 40 << 20));
        assert!(!pressure.is_short());
        assert!(
            !pressure.update(left(1 << 20, MEMORY_KEPT_BYTES)),
            "a large machine keeps no more than that"
        );
        assert!(pressure.update(left(1 << 20, MEMORY_KEPT_BYTES - 1)));
        pressure.update(None);
        assert!(!pressure.is_short(), "what cannot be read is no limit");
    }

    #[test]
    fn the_group_with_the_least_left_counts_without_what_is_only_cached() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let file = folder.path().join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        };
        write("meminfo", "MemTotal: 1000 kB\nMemFree: 1 kB\nMemAvailable: 500 kB\n");
        let read = |own| read(&folder.path().join("meminfo"), folder.path(), own);
        let of_machine = MemoryLeft { total_bytes: 1000 << 10, left_bytes: 500 << 10 };
        assert_eq!(read("0::/a/b\n"), Some(of_machine));
        write("a/b/memory.max", "max\n");
        write("a/b/memory.current", "1\n");
        write("a/memory.max", "300000\n");
        write("a/memory.current", "290000\n");
        write("a/memory.stat", "anon 1\ninactive_file 100000\nactive_file 50000\n");
        assert_eq!(read("0::/a/b\n"), Some(MemoryLeft { total_bytes: 300_000, left_bytes: 160_000 }));
        assert_eq!(read(""), Some(of_machine));
    }
}
