//! `cargo xtask soak`: a node under mixed load, good and hostile, for as long as one likes; afterwards its memory,
//! descriptors, threads and invocations are what they were before.
//!
//! The node is the real `rimward serve`, started by us on loopback. It is warmed up first, because pools and caches fill
//! with the first requests; what is compared is the time after the warm-up with the time after the load, both at rest.

mod load;
mod node;

use anyhow::{Context, Result, bail};
use load::Load;
use node::{Node, Sample};
use serde::Serialize;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// Load before the first comparison.
const WARM_UP: Duration = Duration::from_secs(20);
/// How long the node may take to come to rest: longer than it keeps idle connections and threads for.
const REST_MAX: Duration = Duration::from_secs(60);
/// Between two looks at the node.
const LOOK: Duration = Duration::from_secs(10);

/// Memory that may be resident beyond a tenth more than before, bytes: what the allocator keeps for itself.
const MEMORY_MORE: u64 = 16 << 20;
/// Descriptors that may be open beyond those before.
const DESCRIPTORS_MORE: u64 = 8;
/// Threads that may run beyond those before: of the pool for blocking work.
const THREADS_MORE: u64 = 4;

/// Keeps a node under mixed load, and compares what it holds before and afterwards.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// For how long, without warm-up and rest.
    #[arg(long, default_value_t = 30.0)]
    minutes: f64,

    /// Requests each second, good and hostile together.
    #[arg(long, default_value_t = 120)]
    rate: u32,

    /// Write every sample here, as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// What a soak has shown.
#[derive(Serialize)]
struct Report {
    seconds: u64,
    rate: u32,
    before: Sample,
    after: Sample,
    samples: Vec<Sample>,
    load: load::Counts,
    grown: Vec<String>,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let report = soak(Duration::from_secs_f64(arguments.minutes * 60.0), arguments.rate)?;
    if let Some(file) = &arguments.json {
        let json = serde_json::to_string_pretty(&report).context("cannot write the report")?;
        std::fs::write(file, json).with_context(|| format!("cannot write `{}`", file.display()))?;
    }
    match report.grown.is_empty() {
        true => Ok(()),
        false => bail!("the node holds more than before: {}", report.grown.join("; ")),
    }
}

fn soak(time: Duration, rate: u32) -> Result<Report> {
    let mut node = Node::start()?;
    let load = Load::start(node.port(), rate);
    std::thread::sleep(WARM_UP);
    Load::fill(node.port());
    load.pause();
    let before = at_rest(&mut node)?;
    println!("warm   {before}");
    load.go_on();
    let (started, mut samples) = (Instant::now(), Vec::new());
    while started.elapsed() < time {
        std::thread::sleep(LOOK.min(time.saturating_sub(started.elapsed())));
        let sample = node.sample()?;
        println!("{:4} s {sample}; {}", started.elapsed().as_secs(), load.counts());
        samples.push(sample);
    }
    load.pause();
    let after = at_rest(&mut node)?;
    println!("after  {after}");
    let counts = load.stop();
    let mut grown = compare(&before, &after);
    if counts.good_failed > 0 {
        grown.push(format!("{} of {} good requests failed", counts.good_failed, counts.good));
    }
    Ok(Report { seconds: time.as_secs(), rate, before, after, samples, load: counts, grown })
}

/// Waits until nothing runs and no client is connected, and until memory, descriptors and threads no longer fall.
fn at_rest(node: &mut Node) -> Result<Sample> {
    let started = Instant::now();
    let mut last = node.sample()?;
    loop {
        std::thread::sleep(Duration::from_secs(3));
        let sample = node.sample()?;
        let falls = sample.memory_bytes + (1 << 20) < last.memory_bytes
            || sample.descriptors < last.descriptors
            || sample.threads < last.threads;
        if (sample.is_idle() && !falls) || started.elapsed() > REST_MAX {
            return Ok(sample);
        }
        last = sample;
    }
}

/// What has grown beyond what is tolerated.
fn compare(before: &Sample, after: &Sample) -> Vec<String> {
    let bound = |what: &str, before: u64, after: u64, most: u64| {
        (after > most).then(|| format!("{what}: {before} before, {after} after, {most} are tolerated"))
    };
    let memory = before.memory_bytes + before.memory_bytes / 10 + MEMORY_MORE;
    [
        bound("bytes of memory", before.memory_bytes, after.memory_bytes, memory),
        bound("descriptors", before.descriptors, after.descriptors, before.descriptors + DESCRIPTORS_MORE),
        bound("threads", before.threads, after.threads, before.threads + THREADS_MORE),
        bound("permits taken", before.permits, after.permits, 0),
        bound("invocations under way", before.running, after.running, 0),
        bound("client connections", before.connections, after.connections, 0),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: Sample = Sample {
        memory_bytes: 100 << 20,
        descriptors: 50,
        threads: 10,
        permits: 0,
        running: 0,
        connections: 0,
    };

    #[test]
    fn what_grows_within_the_tolerance_is_not_reported_and_one_more_is() {
        let at_most = Sample {
            memory_bytes: (110 << 20) + MEMORY_MORE,
            descriptors: 50 + DESCRIPTORS_MORE,
            threads: 10 + THREADS_MORE,
            ..BEFORE
        };
        assert!(compare(&BEFORE, &at_most).is_empty(), "{:?}", compare(&BEFORE, &at_most));
        let more = Sample {
            memory_bytes: at_most.memory_bytes + 1,
            descriptors: at_most.descriptors + 1,
            threads: at_most.threads + 1,
            permits: 1,
            running: 1,
            connections: 1,
        };
        assert_eq!(compare(&BEFORE, &more).len(), 6);
    }
}

#[cfg(test)]
mod slow {
    /// G12, G8, G13: a minute of mixed load; `cargo xtask soak --minutes 30` is the whole.
    #[test]
    fn a_minute_of_mixed_load_leaves_a_node_as_it_was() {
        let report = super::soak(std::time::Duration::from_secs(60), 60).unwrap();
        assert_eq!(report.grown, Vec::<String>::new());
        assert!(report.load.good > 500 && report.load.hostile > 200, "{}", report.load);
    }
}
