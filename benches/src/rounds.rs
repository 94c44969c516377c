//! Measures every contestant in every round, one after the other, so that whatever else the machine does meets all of them
//! alike. A round starts each server anew; the order is turned by one from round to round.

use crate::contestants::{Contestant, Which};
use crate::load::{Load, Outcome, Pace};
use crate::process;
use crate::server::Server;
use anyhow::{Context, Result, ensure};
use serde::Serialize;
use std::time::Duration;

/// The path of every request.
const PATH: &str = "/hello";

/// How much is measured.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Rounds.
    pub rounds: u32,
    /// Starts of each server in a round.
    pub starts: u32,
    /// Time of each load.
    pub time: Duration,
    /// Connections of the loads with many.
    pub connections: usize,
    /// Requests per second of the load with a fixed rate.
    pub rate: f64,
    /// How long a node without a function may settle before its memory is read.
    pub settle: Duration,
    /// Functions that are loaded to see what one more costs.
    pub functions: u32,
}

impl Plan {
    /// A comparison that means something.
    pub fn full(rounds: u32) -> Self {
        let time = Duration::from_secs(2);
        Self {
            rounds,
            starts: 5,
            time,
            connections: 50,
            rate: 500.0,
            settle: Duration::from_secs(5),
            functions: 20,
        }
    }

    /// One that only shows that everything works.
    pub fn quick(rounds: u32) -> Self {
        let time = Duration::from_millis(300);
        Self {
            rounds,
            starts: 2,
            time,
            settle: Duration::from_millis(500),
            functions: 5,
            ..Self::full(rounds)
        }
    }
}

/// One contestant in one round. Times in microseconds where nothing else is said.
#[derive(Debug, Clone, Serialize)]
#[expect(missing_docs, reason = "the names say it: a load, and what of it")]
pub struct Sample {
    /// Replies in each second, with many connections that send as fast as they are answered.
    pub requests_per_second: f64,
    /// CPU time of the server for each of these requests.
    pub cpu: f64,
    pub many_p50: f64,
    pub many_p99: f64,
    pub one_p50: f64,
    pub one_p99: f64,
    /// At a fixed rate, from when the request should have been sent.
    pub paced_p50: f64,
    pub paced_p99: f64,
    /// From the start of the process to the end of the first reply; the median of several starts, milliseconds.
    pub start_ms: f64,
    /// In RAM after all loads, MiB.
    pub resident_mib: f64,
    /// The share of one core that the load generator took, with many connections: near 1 it is what was measured.
    pub generator: f64,
}

/// What was measured of one contestant, a sample for each round.
#[derive(Debug, Clone, Serialize)]
pub struct Measured {
    /// Which.
    pub which: Which,
    /// In the order of the rounds.
    pub samples: Vec<Sample>,
}

/// Runs one round after the other; `told` hears of each before it begins.
pub fn run(contestants: &[Contestant], plan: &Plan, mut told: impl FnMut(u32)) -> Result<Vec<Measured>> {
    let measured =
        contestants.iter().map(|contestant| Measured { which: contestant.which, samples: Vec::new() });
    let mut measured: Vec<_> = measured.collect();
    prepare(contestants)?;
    for round in 0..plan.rounds {
        told(round);
        for turn in 0..contestants.len() {
            let at = (round as usize + turn) % contestants.len();
            let sample = measure(&contestants[at], plan).with_context(|| contestants[at].which.name())?;
            measured[at].samples.push(sample);
        }
    }
    Ok(measured)
}

/// Starts everything once, so that what is compiled once is.
fn prepare(contestants: &[Contestant]) -> Result<()> {
    for contestant in contestants {
        let server = Server::start(&mut contestant.command())?;
        server.first_reply(PATH)?;
    }
    Ok(())
}

fn measure(contestant: &Contestant, plan: &Plan) -> Result<Sample> {
    let mut starts = (0..plan.starts).map(|_| start_once(contestant)).collect::<Result<Vec<_>>>()?;
    let server = Server::start(&mut contestant.command())?;
    let load = |connections, time, pace| Load {
        address: server.address(),
        path: PATH.into(),
        connections,
        time,
        pace,
    };
    run_load(&load(plan.connections, plan.time / 4, Pace::Closed))?;
    let one = run_load(&load(1, plan.time, Pace::Closed))?;
    let (before, ours_before) = (process::cpu(server.pid())?, process::cpu(std::process::id())?);
    let many = run_load(&load(plan.connections, plan.time, Pace::Closed))?;
    let (spent, ours) =
        (process::cpu(server.pid())? - before, process::cpu(std::process::id())? - ours_before);
    let paced = run_load(&load(plan.connections, plan.time, Pace::Open(plan.rate)))?;
    Ok(Sample {
        requests_per_second: many.per_second(),
        cpu: microseconds(spent) / count(&many),
        many_p50: microseconds(many.latencies.quantile(0.5)),
        many_p99: microseconds(many.latencies.quantile(0.99)),
        one_p50: microseconds(one.latencies.quantile(0.5)),
        one_p99: microseconds(one.latencies.quantile(0.99)),
        paced_p50: microseconds(paced.latencies.quantile(0.5)),
        paced_p99: microseconds(paced.latencies.quantile(0.99)),
        start_ms: median(&mut starts),
        resident_mib: mib(process::memory(server.pid())?.resident),
        generator: ours.as_secs_f64() / many.took.as_secs_f64(),
    })
}

fn start_once(contestant: &Contestant) -> Result<f64> {
    let server = Server::start(&mut contestant.command())?;
    Ok(microseconds(server.first_reply(PATH)?) / 1e3)
}

/// A server that fails requests is not compared.
fn run_load(load: &Load) -> Result<Outcome> {
    let outcome = load.run()?;
    let why = outcome.first_failure.as_deref().unwrap_or("nothing was answered");
    ensure!(
        outcome.failures == 0 && outcome.latencies.count() > 0,
        "{} requests failed: {why}",
        outcome.failures
    );
    Ok(outcome)
}

pub(crate) fn microseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

pub(crate) fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

fn count(outcome: &Outcome) -> f64 {
    outcome.latencies.count() as f64
}

/// The one in the middle, the lower of two; not a number where there is none.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_one_in_the_middle() {
        let check = |values: &[f64], wanted: f64| assert_eq!(median(&mut values.to_vec()), wanted);
        check(&[3.0, 1.0, 2.0], 2.0);
        check(&[4.0, 3.0, 1.0, 2.0], 2.0);
        check(&[1.0], 1.0);
        assert!(median(&mut []).is_nan());
    }
}
