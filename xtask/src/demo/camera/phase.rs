//! What came of the scans while the link was in one state.

use std::fmt;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use super::super::http;
use super::digits::Scan;
use super::sleep_until;

/// A scan is sent so much after the one before, whatever became of that: 15 a second, 75 digits.
const EVERY: Duration = Duration::from_millis(66);
/// How long a scan may take: the model's deadline (250 ms), and as much for the rest of the way on a busy machine.
const IN_TIME: Duration = Duration::from_millis(500);
/// Scans that are in time, of a hundred.
const IN_TIME_PERCENT_MIN: usize = 99;
/// Digits that are right, of a hundred: 94.0 with the large model and 93.1 with the small one alone, and one for rounding.
const RIGHT_PERCENT_MIN: [usize; 2] = [93, 92];

/// What the function answers: examples/camera/README.md describes it.
#[derive(Debug, Deserialize)]
struct Answer {
    text: String,
    sure: bool,
    boxes: Vec<Read>,
}

#[derive(Debug, Deserialize)]
struct Read {
    by: Option<String>,
}

/// All scans under one state of the link.
pub(super) struct Phase {
    name: &'static str,
    took: Vec<Duration>,
    by_cloud: usize,
    right: usize,
    digits: usize,
    sure: usize,
}

impl Phase {
    pub(super) fn run(name: &'static str, port: u16, scans: &[Scan]) -> Result<Self> {
        let begin = Instant::now();
        let answers = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for (place, scan) in (0..).zip(scans) {
                let moment = begin + EVERY * place;
                let answers = &answers;
                sleep_until(moment);
                scope.spawn(move || {
                    let answer = ask(port, scan);
                    answers.lock().expect("no thread panics").push((scan, answer, moment.elapsed()));
                });
            }
        });
        let mut phase = Self { name, took: Vec::new(), by_cloud: 0, right: 0, digits: 0, sure: 0 };
        for (scan, answer, took) in answers.into_inner().expect("no thread panics") {
            phase.count(scan, &answer?, took);
        }
        phase.took.sort_unstable();
        Ok(phase)
    }

    fn count(&mut self, scan: &Scan, answer: &Answer, took: Duration) {
        let pairs = scan.number.chars().zip(answer.text.chars());
        self.right += pairs.filter(|(written, read)| written == read).count();
        self.digits += Scan::DIGITS;
        self.by_cloud += answer.boxes.iter().filter(|read| read.by.as_deref() == Some("cloud")).count();
        self.sure += usize::from(answer.sure);
        self.took.push(took);
    }

    fn percentile(&self, percent: usize) -> Duration {
        self.took
            .get((self.took.len() * percent).div_ceil(100).saturating_sub(1))
            .copied()
            .unwrap_or_default()
    }

    fn in_time(&self) -> usize {
        self.took.iter().filter(|took| **took <= IN_TIME).count()
    }
}

fn ask(port: u16, scan: &Scan) -> Result<Answer> {
    let path = format!("/read?boxes={}", Scan::DIGITS);
    let reply = http::post(port, &path, &scan.picture).context("the node did not answer")?;
    ensure!(reply.status == 200, "the node answered with status {}: {}", reply.status, reply.body);
    serde_json::from_str(&reply.body).context("the function's answer is not what it promises")
}

/// All phases.
pub(super) struct Report(pub(super) Vec<Phase>);

impl Report {
    /// An error where a promise was not kept.
    pub(super) fn verdict(&self) -> Result<()> {
        for phase in &self.0 {
            let Phase { name, took, right, digits, by_cloud, .. } = phase;
            let in_time = phase.in_time();
            ensure!(
                in_time * 100 >= took.len() * IN_TIME_PERCENT_MIN,
                "while the link was {name}, {in_time} of {} scans were in time",
                took.len()
            );
            let asks_cloud = *name == "up" || *name == "back";
            let least = RIGHT_PERCENT_MIN[usize::from(!asks_cloud)];
            ensure!(
                right * 100 >= digits * least,
                "while the link was {name}, {right} of {digits} digits were right, and {least} % should be"
            );
            ensure!(
                asks_cloud == (by_cloud * 20 > *digits),
                "while the link was {name}, the cloud read {by_cloud}"
            );
        }
        Ok(())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |f: &mut fmt::Formatter<'_>, name: &str, cells: [String; 6]| {
            write!(f, "    {name:<6}")?;
            cells.iter().try_for_each(|cell| write!(f, "{cell:>16}"))?;
            writeln!(f)
        };
        let heads = ["in time", "median", "99th of 100", "by the cloud", "right digits", "sure scans"];
        row(f, "link", heads.map(str::to_owned))?;
        for phase in &self.0 {
            let ms = |percent| format!("{:.0} ms", phase.percentile(percent).as_secs_f64() * 1000.0);
            let part = |of: usize, all: usize| format!("{:.1} %", of as f64 * 100.0 / all.max(1) as f64);
            let scans = phase.took.len();
            let cells = [
                format!("{} of {scans}", phase.in_time()),
                ms(50),
                ms(99),
                part(phase.by_cloud, phase.digits),
                part(phase.right, phase.digits),
                part(phase.sure, scans),
            ];
            row(f, phase.name, cells)?;
        }
        writeln!(
            f,
            "\nThe small model at the edge reads what it is sure of. The rest goes to the cloud, where that answers in time;\n\
             where it does not, the edge reads all of it, and says of less that it is sure."
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn phase(name: &'static str, ms: u64, by_cloud: usize, right: usize) -> Phase {
        let took = vec![Duration::from_millis(ms); 100];
        Phase { name, took, by_cloud, right, digits: 500, sure: 90 }
    }

    #[test]
    fn a_promise_that_was_not_kept_is_told() {
        let check = |phase: Phase, wrong: &str| {
            let verdict = Report(vec![phase]).verdict();
            let told = verdict.err().map(|error| error.to_string()).unwrap_or_default();
            assert!(told.contains(wrong) && told.is_empty() == wrong.is_empty(), "{told}");
        };
        check(phase("up", 500, 100, 465), "");
        check(phase("up", 501, 100, 470), "0 of 100 scans were in time");
        check(phase("up", 20, 100, 464), "464 of 500 digits were right");
        check(phase("cut", 20, 0, 460), "");
        check(phase("cut", 20, 0, 459), "459 of 500 digits were right");
        check(phase("cut", 20, 26, 470), "the cloud read 26");
        check(phase("back", 20, 25, 470), "the cloud read 25");
    }
}
