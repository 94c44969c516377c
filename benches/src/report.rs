//! What a comparison came to, as text for people and as JSON for programs: the figures, the ratios that are meant to hold,
//! and the machine. Ratios are taken within each round; their median is quoted with the least and the most.

use crate::contestants::Which;
use crate::footprint::Footprint;
use crate::machine::Machine;
use crate::rounds::{Measured, Sample, median};
use serde::Serialize;
use std::fmt;

/// What a comparison came to.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Where it was run.
    pub machine: Machine,
    /// The machine's load before and after: other work makes all figures worse, and some more than others.
    pub load: (f64, f64),
    /// The versions of what was compared, as they say themselves.
    pub versions: Vec<String>,
    /// Size of the component, bytes.
    pub component_bytes: u64,
    /// Connections of the loads with many.
    pub connections: usize,
    /// Requests per second of the load with a fixed rate.
    pub rate: f64,
    /// The servers.
    pub measured: Vec<Measured>,
    /// The node alone.
    pub footprint: Footprint,
}

/// A column: a figure of a sample.
struct Column {
    title: &'static str,
    digits: usize,
    value: fn(&Sample) -> f64,
}

const COLUMNS: [Column; 10] = [
    Column { title: "req/s", digits: 0, value: |s| s.requests_per_second },
    Column { title: "cpu/req", digits: 0, value: |s| s.cpu },
    Column { title: "p50", digits: 0, value: |s| s.many_p50 },
    Column { title: "p99", digits: 0, value: |s| s.many_p99 },
    Column { title: "1: p50", digits: 0, value: |s| s.one_p50 },
    Column { title: "p99", digits: 0, value: |s| s.one_p99 },
    Column { title: "rate: p50", digits: 0, value: |s| s.paced_p50 },
    Column { title: "p99", digits: 0, value: |s| s.paced_p99 },
    Column { title: "start ms", digits: 1, value: |s| s.start_ms },
    Column { title: "MiB", digits: 1, value: |s| s.resident_mib },
];

/// A figure of one server divided by that of another, and what it is meant to be.
struct Ratio {
    of: Which,
    to: Which,
    what: &'static str,
    value: fn(&Sample) -> f64,
    goal: Goal,
}

#[derive(Clone, Copy)]
enum Goal {
    AtLeast(f64),
    AtMost(f64),
}

const RATIOS: [Ratio; 9] = [
    ratio(Which::Fresh, Which::Bare, "requests", |s| s.requests_per_second, Goal::AtLeast(0.30)),
    ratio(Which::Fresh, Which::Wasmtime, "requests", |s| s.requests_per_second, Goal::AtLeast(3.0)),
    ratio(Which::Fresh, Which::WasmtimeTuned, "requests", |s| s.requests_per_second, Goal::AtLeast(2.3)),
    ratio(Which::Fresh, Which::Wasmtime, "CPU for each request", |s| s.cpu, Goal::AtMost(0.40)),
    ratio(Which::Fresh, Which::Wasmtime, "p50 at 1 connection", |s| s.one_p50, Goal::AtMost(0.55)),
    ratio(Which::Fresh, Which::Wasmtime, "start to first reply", |s| s.start_ms, Goal::AtMost(0.5)),
    ratio(Which::Reused, Which::Bare, "requests", |s| s.requests_per_second, Goal::AtLeast(0.45)),
    ratio(Which::Reused, Which::WasmtimeReused, "requests", |s| s.requests_per_second, Goal::AtLeast(2.0)),
    ratio(Which::Reused, Which::WasmtimeReused, "CPU for each request", |s| s.cpu, Goal::AtMost(0.6)),
];

const fn ratio(of: Which, to: Which, what: &'static str, value: fn(&Sample) -> f64, goal: Goal) -> Ratio {
    Ratio { of, to, what, value, goal }
}

impl Goal {
    fn is_met_by(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }
}

impl fmt::Display for Goal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, "at least {least}"),
            Self::AtMost(most) => write!(f, "at most {most}"),
        }
    }
}

impl Report {
    fn samples(&self, which: Which) -> Option<&[Sample]> {
        let measured = self.measured.iter().find(|measured| measured.which == which)?;
        Some(&measured.samples)
    }

    /// The ratio in each round, sorted; `None` where one of the two did not take part.
    fn ratios(&self, ratio: &Ratio) -> Option<Vec<f64>> {
        let pairs = self.samples(ratio.of)?.iter().zip(self.samples(ratio.to)?);
        let mut ratios: Vec<_> = pairs.map(|(of, to)| (ratio.value)(of) / (ratio.value)(to)).collect();
        ratios.sort_unstable_by(f64::total_cmp);
        Some(ratios)
    }

    fn write_figures(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:26}", "")?;
        COLUMNS.iter().try_for_each(|column| write!(f, " {:>9}", column.title))?;
        writeln!(f)?;
        for Measured { which, samples } in &self.measured {
            write!(f, "{:26}", which.name())?;
            for Column { digits, value, .. } in &COLUMNS {
                let figure = median(&mut samples.iter().map(value).collect::<Vec<_>>());
                write!(f, " {figure:>9.digits$}")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }

    fn write_ratios(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ratio in &RATIOS {
            let Some(ratios) = self.ratios(ratio) else { continue };
            let name = format!("{}: {} / {}", ratio.what, ratio.of.name(), ratio.to.name());
            let middle = median(&mut ratios.clone());
            let (least, most) = (ratios.first().unwrap_or(&f64::NAN), ratios.last().unwrap_or(&f64::NAN));
            write_goal(f, &name, &format!("{middle:.2} ({least:.2}-{most:.2})"), middle, ratio.goal)?;
        }
        Ok(())
    }

    fn write_footprint(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let it = &self.footprint;
        let mut line = |name: &str, unit: &str, value: f64, goal| {
            write_goal(f, name, &format!("{value:.1} {unit}"), value, goal)
        };
        line("first request of a function: p50", "us", it.first_request_p50, Goal::AtMost(2_000.0))?;
        line("first request of a function: p99", "us", it.first_request_p99, Goal::AtMost(5_000.0))?;
        line("resident without a function", "MiB", it.idle_resident_mib, Goal::AtMost(15.0))?;
        line("anonymous for each loaded function", "KiB", it.function_anonymous_kib, Goal::AtMost(150.0))?;
        writeln!(
            f,
            "{:74} {:.1} ms",
            format!("start to first reply with {} functions", it.functions),
            it.start_with_functions_ms
        )?;
        writeln!(f, "{:74} {:.1} MiB", "the binary", it.binary_mib)
    }
}

fn write_goal(f: &mut fmt::Formatter<'_>, name: &str, text: &str, value: f64, goal: Goal) -> fmt::Result {
    let met = if goal.is_met_by(value) { "met" } else { "MISSED" };
    writeln!(f, "{name:74} {text:22} {:14} {met}", goal.to_string())
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rounds = self.measured.first().map_or(0, |measured| measured.samples.len());
        let (connections, rate) = (self.connections, self.rate);
        writeln!(f, "{}; load {:.1} before, {:.1} after", self.machine, self.load.0, self.load.1)?;
        writeln!(f, "{}; component of {} KiB", self.versions.join("; "), self.component_bytes >> 10)?;
        writeln!(
            f,
            "Medians of {rounds} interleaved rounds; times in microseconds. req/s, cpu/req and the first p50, p99:"
        )?;
        writeln!(
            f,
            "{connections} connections; `1`: one connection; `rate`: {rate} requests/s on {connections} connections.\n"
        )?;
        self.write_figures(f)?;
        let generator =
            self.measured.iter().flat_map(|measured| &measured.samples).map(|sample| sample.generator);
        writeln!(
            f,
            "\nThe load generator took {:.2} of one core at the most.\n",
            generator.fold(0.0, f64::max)
        )?;
        self.write_ratios(f)?;
        self.write_footprint(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(requests_per_second: f64) -> Sample {
        Sample {
            requests_per_second,
            cpu: 50.0,
            many_p50: 1.0,
            many_p99: 1.0,
            one_p50: 1.0,
            one_p99: 1.0,
            paced_p50: 1.0,
            paced_p99: 1.0,
            start_ms: 12.5,
            resident_mib: 10.0,
            generator: 0.5,
        }
    }

    fn measured(which: Which, requests: &[f64]) -> Measured {
        Measured { which, samples: requests.iter().copied().map(sample).collect() }
    }

    fn report(measured: Vec<Measured>) -> Report {
        Report {
            machine: Machine {
                cpu: "A Processor".into(),
                cores: 2,
                kernel: "6.1".into(),
                memory_bytes: 4 << 30,
            },
            load: (0.5, 1.5),
            versions: vec!["rimward 0.1.0".into()],
            component_bytes: 2048,
            connections: 50,
            rate: 500.0,
            measured,
            footprint: Footprint {
                idle_resident_mib: 14.0,
                idle_anonymous_mib: 3.0,
                function_anonymous_kib: 200.0,
                first_request_p50: 300.0,
                first_request_p99: 900.0,
                start_with_functions_ms: 40.0,
                functions: 20,
                binary_mib: 30.0,
            },
        }
    }

    #[test]
    fn a_ratio_is_taken_within_each_round() {
        let fresh = measured(Which::Fresh, &[10.0, 30.0, 20.0]);
        let bare = measured(Which::Bare, &[20.0, 30.0, 80.0]);
        let report = report(vec![bare, fresh]);
        assert_eq!(report.ratios(&RATIOS[0]), Some(vec![0.25, 0.5, 1.0]));
        let text = report.to_string();
        let line = text.lines().find(|line| line.starts_with("requests: rimward, fresh")).unwrap();
        assert!(line.contains("0.50 (0.25-1.00)") && line.ends_with("at least 0.3   met"), "{line}");
    }

    #[test]
    fn what_did_not_take_part_is_left_out() {
        let report = report(vec![measured(Which::Fresh, &[10.0])]);
        assert_eq!(report.ratios(&RATIOS[0]), None);
        assert!(!report.to_string().contains("wasmtime"));
    }

    #[test]
    fn a_goal_is_met_at_its_bound_and_missed_past_it() {
        assert!(Goal::AtLeast(3.0).is_met_by(3.0) && !Goal::AtLeast(3.0).is_met_by(2.99));
        assert!(Goal::AtMost(0.4).is_met_by(0.4) && !Goal::AtMost(0.4).is_met_by(0.41));
        assert!(report(Vec::new()).to_string().contains("200.0 KiB              at most 150    MISSED"));
    }
}
