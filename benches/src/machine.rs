//! The machine that a comparison ran on, and how busy it was: without it the figures say nothing.

use serde::Serialize;
use std::fmt;
use std::fs;

/// The machine.
#[derive(Debug, Clone, Serialize)]
pub struct Machine {
    /// The processor's name.
    pub cpu: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// The kernel's release.
    pub kernel: String,
    /// Memory, bytes.
    pub memory_bytes: u64,
}

impl Machine {
    /// Looks at the machine; what cannot be read is called unknown.
    pub fn probe() -> Self {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        Self {
            cpu: field(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| "unknown processor".into()),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            kernel: match read("/proc/sys/kernel/osrelease").trim() {
                "" => "unknown".into(),
                release => release.into(),
            },
            memory_bytes: field(&read("/proc/meminfo"), "MemTotal").map_or(0, |total| kib(&total) << 10),
        }
    }
}

/// Processes that wanted to run, on average over the last minute.
pub fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().and_then(|load| load.parse().ok()).unwrap_or(f64::NAN)
}

fn field(text: &str, name: &str) -> Option<String> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim_start_matches([' ', '\t', ':']).trim().to_owned())
}

fn kib(value: &str) -> u64 {
    value.trim_end_matches("kB").trim().parse().unwrap_or(0)
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gib = self.memory_bytes >> 30;
        write!(f, "{}, {} cores, {gib} GiB, Linux {}", self.cpu, self.cores, self.kernel)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_as_the_kernel_writes_them() {
        let check = |text, name, wanted: Option<&str>| assert_eq!(field(text, name).as_deref(), wanted);
        check(
            "processor\t: 0\nmodel name\t: A Processor @ 2.0GHz\n",
            "model name",
            Some("A Processor @ 2.0GHz"),
        );
        check("MemTotal:       24632576 kB\n", "MemTotal", Some("24632576 kB"));
        check("", "MemTotal", None);
        assert_eq!(kib("24632576 kB"), 24_632_576);
    }
}
