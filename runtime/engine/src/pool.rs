//! How many guests fit on this machine. The pool reserves address space for each slot (6 GiB with guards), which small
//! boards and limited processes do not have: the wanted size is halved until the kernel grants it, and below
//! [`limits::SLOTS_MIN`] every guest gets memory of its own instead.

use crate::limits;
use std::path::{Path, PathBuf};

/// How many guests the pool should hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PoolSize {
    /// Derived from cores, memory and limits of the machine.
    Probe,
    /// As many as the operator says, fewer where the machine cannot hold them.
    Slots(u32),
    /// No pool: every guest gets memory of its own.
    None,
}

/// What came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// Guests take one of this many slots.
    Slots(u32),
    /// Guests get memory of their own, slower by about a quarter.
    OnDemand,
}

/// What the machine has, as far as it bounds the pool.
#[derive(Debug, Clone, Copy)]
pub struct Machine {
    /// Cores that this process may use.
    pub cores: u32,
    /// Memory of the machine, or of the control group that this process is in, bytes.
    pub memory_bytes: u64,
    /// Memory mappings that the kernel allows one process.
    pub mappings_max: u64,
}

impl Machine {
    /// Looks at the machine; what cannot be read is taken to be small.
    pub fn probe() -> Self {
        let cores =
            std::thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(u32::MAX));
        Self {
            cores,
            memory_bytes: memory_bytes(),
            mappings_max: number_in(Path::new("/proc/sys/vm/max_map_count")).unwrap_or(65_530),
        }
    }

    /// Slots to ask for where nobody says how many.
    pub fn slots(&self) -> u32 {
        self.cores.saturating_mul(limits::SLOTS_PER_CORE).clamp(limits::SLOTS_MIN, self.slots_max())
    }

    /// Slots that memory and mappings allow at the most. Each takes a handful of mappings: two memories, four tables, one
    /// stack.
    pub fn slots_max(&self) -> u32 {
        const MAPPINGS_PER_SLOT: u64 = 16;
        let by_memory = self.memory_bytes / 2 / limits::SLOT_MEMORY_BYTES;
        let by_mappings = self.mappings_max / 2 / MAPPINGS_PER_SLOT;
        let bound = u32::try_from(by_memory.min(by_mappings)).unwrap_or(u32::MAX);
        bound.clamp(limits::SLOTS_MIN, limits::SLOTS_MAX)
    }
}

impl PoolSize {
    /// Slots to try, largest first.
    pub(crate) fn attempts(self) -> impl Iterator<Item = u32> {
        let first = match self {
            Self::Probe => Machine::probe().slots(),
            Self::Slots(n) => n.clamp(limits::SLOTS_MIN, limits::SLOTS_MAX),
            Self::None => 0,
        };
        std::iter::successors(Some(first), |n| Some(n / 2)).take_while(|n| *n >= limits::SLOTS_MIN)
    }
}

fn memory_bytes() -> u64 {
    let machine = std::fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| {
            text.lines().next().and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
        })
        .map_or(256 << 20, |kib| kib << 10);
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    machine.min(group_memory_bytes(Path::new("/sys/fs/cgroup"), &own))
}

/// The least that a control group of this process or one above it may have; `own` is what `/proc/self/cgroup` says (see
/// cgroups(7)). A service manager sets it on the process's own group, a container on the root that it shows.
fn group_memory_bytes(root: &Path, own: &str) -> u64 {
    let group = |prefix: &str| own.lines().find_map(|line| line.split_once(prefix).map(|(_, path)| path));
    let unified = group("0::").unwrap_or("/");
    let legacy = group(":memory:").unwrap_or("/");
    let limits = |root: PathBuf, path: &str, file: &'static str| {
        let relative = path.trim_start_matches('/').to_owned();
        let groups: Vec<PathBuf> = Path::new(&relative).ancestors().map(|group| root.join(group)).collect();
        groups.into_iter().filter_map(move |group| number_in(&group.join(file)))
    };
    limits(root.to_owned(), unified, "memory.max")
        .chain(limits(root.join("memory"), legacy, "memory.limit_in_bytes"))
        .min()
        .unwrap_or(u64::MAX)
}

fn number_in(path: &Path) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_follow_cores_memory_and_mappings() {
        let check = |cores, memory_bytes, mappings_max, slots| {
            assert_eq!(Machine { cores, memory_bytes, mappings_max }.slots(), slots);
        };
        check(2, 24 << 30, 65_530, 128);
        check(64, 256 << 30, 65_530, 1_024);
        check(64, 256 << 30, 8_000, 250);
        check(4, 512 << 20, 65_530, 32);
        check(1, 1 << 20, 65_530, limits::SLOTS_MIN);
    }

    #[test]
    fn the_least_memory_of_all_groups_counts() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let file = folder.path().join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        };
        let own = "0::/system.slice/rimward.service\n";
        assert_eq!(group_memory_bytes(folder.path(), own), u64::MAX);
        write("system.slice/rimward.service/memory.max", "536870912\n");
        write("system.slice/memory.max", "max\n");
        assert_eq!(group_memory_bytes(folder.path(), own), 512 << 20);
        write("system.slice/memory.max", "268435456\n");
        assert_eq!(group_memory_bytes(folder.path(), own), 256 << 20);
        write("memory.max", "134217728\n");
        assert_eq!(group_memory_bytes(folder.path(), "0::/\n"), 128 << 20, "as a container shows it");
        write("memory/docker/x/memory.limit_in_bytes", "67108864\n");
        assert_eq!(group_memory_bytes(folder.path(), "5:memory:/docker/x\n"), 64 << 20, "version 1");
    }

    #[test]
    fn attempts_halve_down_to_the_least() {
        assert_eq!(PoolSize::Slots(20).attempts().collect::<Vec<_>>(), [20, 10, 5]);
        assert_eq!(PoolSize::Slots(limits::SLOTS_MAX + 1).attempts().next(), Some(limits::SLOTS_MAX));
        assert_eq!(PoolSize::None.attempts().count(), 0);
    }
}
