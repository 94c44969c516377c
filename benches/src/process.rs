//! What a process has used, read from `/proc` (proc_pid_stat(5), proc_pid_status(5)). Children of the process are not
//! counted. Failing, the process is gone.

use std::fs;
use std::io;
use std::time::Duration;

/// Memory of a process that is in RAM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    /// All of it, bytes.
    pub resident: u64,
    /// What no file backs, bytes: what more of the same would cost.
    pub anonymous: u64,
}

/// CPU time in user and kernel mode, of all threads. The kernel counts it in ticks of 10 ms.
pub fn cpu(pid: u32) -> io::Result<Duration> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let ticks = cpu_ticks(&stat).ok_or_else(|| unexpected("stat"))?;
    Ok(Duration::from_secs(1).mul_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
}

/// The memory that it has now.
pub fn memory(pid: u32) -> io::Result<Memory> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let field = |name| kib(&status, name).ok_or_else(|| unexpected("status"));
    Ok(Memory { resident: field("VmRSS:")? << 10, anonymous: field("RssAnon:")? << 10 })
}

fn unexpected(file: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("`{file}` of the process is not what Linux writes"))
}

/// The fields after the name, which is in parentheses and may hold anything: user and kernel time are the 12th and 13th.
fn cpu_ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut times = fields.split_whitespace().skip(11).map(|field| field.parse::<u64>().ok());
    Some(times.next()?? + times.next()??)
}

fn kib(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_process_does_not_confuse_its_times() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 100 0 0 0 31 11 5 5 20 0 4 0";
        assert_eq!(cpu_ticks(stat), Some(42));
        assert_eq!(cpu_ticks("7 (a) S 1"), None);
    }

    #[test]
    fn this_process_has_used_something() {
        let memory = memory(std::process::id()).unwrap();
        assert!(memory.anonymous > 0 && memory.resident > memory.anonymous, "{memory:?}");
        assert!(cpu(std::process::id()).is_ok());
        assert_eq!(kib("VmRSS:\t  1234 kB\n", "VmRSS:"), Some(1234));
        assert_eq!(kib("VmRSS:\t  1234 kB\n", "RssAnon:"), None);
    }
}
