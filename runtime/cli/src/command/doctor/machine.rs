//! What this machine has: cores, memory, address space for the pool of instances, file descriptors, the kernel.

use super::Finding;
use crate::limits::{DESCRIPTORS_WANTED, MEMORY_WANTED_BYTES};
use crate::print::bytes;
use rimward_engine::{Cache, Engine, Machine, Pooling, Settings};
use rustix::process::{Resource, getrlimit};

/// The first kernel that scans page maps (`PAGEMAP_SCAN`), with which an instance's memory is reset page by page.
const PAGE_MAP_SCAN: (u32, u32) = (6, 7);

pub(super) fn look() -> Vec<Finding> {
    let machine = Machine::probe();
    vec![
        Finding::fine("cores", format!("{}: so many threads serve requests", machine.cores)),
        memory(machine.memory_bytes),
        pool(&machine),
        descriptors(getrlimit(Resource::Nofile).maximum),
        confinement(&rimward_confine::support()),
        kernel(&std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default()),
    ]
}

fn memory(memory_bytes: u64) -> Finding {
    let found = format!("{} for this process", bytes(memory_bytes));
    match memory_bytes < MEMORY_WANTED_BYTES {
        false => Finding::fine("memory", found),
        true => Finding::limited(
            "memory",
            found,
            format!("below {} few functions fit: lower their `limits.memory`", bytes(MEMORY_WANTED_BYTES)),
        ),
    }
}

/// What the engine really gets: the kernel may grant less address space than the machine's size suggests.
fn pool(machine: &Machine) -> Finding {
    let engine = Engine::new(
        &Settings::default(),
        Cache::none(),
        crate::compiler::child(&rimward_manifest::Compile::default(), rimward_manifest::Confine::Auto),
    );
    match engine.map(|engine| engine.pooling()) {
        Ok(Pooling::Slots(slots)) if slots >= machine.slots() => {
            Finding::fine("instance pool", format!("{slots} instances at once"))
        }
        Ok(Pooling::Slots(slots)) => Finding::limited(
            "instance pool",
            format!("{slots} instances at once, {} would suit this machine", machine.slots()),
            "address space is short: raise `ulimit -v` and vm.max_map_count, or use a 64-bit kernel with 48-bit addresses",
        ),
        Ok(Pooling::OnDemand) => Finding::limited(
            "instance pool",
            "none: every instance gets memory of its own, about a quarter slower",
            "address space is short: raise `ulimit -v` and vm.max_map_count, or use a 64-bit kernel with 48-bit addresses",
        ),
        Err(error) => {
            Finding::wrong("instance pool", error.to_string(), "this machine cannot run WebAssembly")
        }
    }
}

/// What `rimward serve` and the processes that compile can give up here.
fn confinement(support: &rimward_confine::Report) -> Finding {
    match support.missing().next() {
        None => Finding::fine("confinement", "files and system calls"),
        Some(_) => Finding::limited(
            "confinement",
            support.to_string(),
            "the node runs without this second wall, unless `confine = \"required\"` is in `[node]`",
        ),
    }
}

/// `rimward serve` raises its soft limit to the hard one, which is therefore what counts.
fn descriptors(hard: Option<u64>) -> Finding {
    match hard {
        Some(hard) if hard < DESCRIPTORS_WANTED => Finding::limited(
            "file descriptors",
            format!("at most {hard}; a node with its default of connections wants {DESCRIPTORS_WANTED}"),
            "raise the hard limit: `LimitNOFILE=` of a systemd unit, or `ulimit -Hn`",
        ),
        Some(hard) => Finding::fine("file descriptors", format!("at most {hard}")),
        None => Finding::fine("file descriptors", "as many as wanted"),
    }
}

fn kernel(release: &str) -> Finding {
    let release = release.trim();
    match version(release) {
        Some(version) if version >= PAGE_MAP_SCAN => {
            Finding::fine("kernel", format!("{release}: scans page maps, so instances are reset quickly"))
        }
        _ => Finding::limited(
            "kernel",
            format!("{}: does not scan page maps", if release.is_empty() { "unknown" } else { release }),
            "everything works; from Linux 6.7 on resetting an instance is cheaper",
        ),
    }
}

fn version(release: &str) -> Option<(u32, u32)> {
    let mut parts = release.split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn the_kernel_is_judged_by_its_version() {
        let check = |release, state| assert_eq!(kernel(release).state, state, "{release}");
        check("6.7.0-arch1\n", State::Fine);
        check("6.12.3", State::Fine);
        check("6.6.30", State::Limited);
        check("", State::Limited);
    }

    #[test]
    fn a_wall_that_is_missing_is_a_limit() {
        let mut support = rimward_confine::Report::default();
        support.parts.push(rimward_confine::Part { name: "files", missing: None });
        assert_eq!(confinement(&support).state, State::Fine);
        support.parts[0].missing = Some("no landlock".into());
        assert_eq!(confinement(&support).state, State::Limited);
    }

    #[test]
    fn limits_are_judged_at_the_bound_and_just_below() {
        assert_eq!(descriptors(Some(DESCRIPTORS_WANTED)).state, State::Fine);
        assert_eq!(descriptors(Some(DESCRIPTORS_WANTED - 1)).state, State::Limited);
        assert_eq!(descriptors(None).state, State::Fine);
        assert_eq!(memory(MEMORY_WANTED_BYTES).state, State::Fine);
        assert_eq!(memory(MEMORY_WANTED_BYTES - 1).state, State::Limited);
    }
}
