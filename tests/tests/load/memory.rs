//! What this process has resident, node and clients together.

/// Bytes resident now, and the most there ever were.
pub(crate) fn resident() -> (u64, u64) {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells");
    let bytes = |field: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(field));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kib.expect("it is in the status") * 1024
    };
    (bytes("VmRSS:"), bytes("VmHWM:"))
}
