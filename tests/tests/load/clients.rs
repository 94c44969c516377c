//! Clients that send many requests: as fast as the answers come, or at a fixed rate whatever the answers do.

use rimward_tests::{Answer, Connection, Over, TestNode};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Statuses and how long answers took.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) statuses: BTreeMap<u16, usize>,
    took: Vec<(u16, Duration)>,
}

impl Tally {
    pub(crate) fn count(&mut self, status: u16, took: Duration) {
        *self.statuses.entry(status).or_default() += 1;
        self.took.push((status, took));
    }

    pub(crate) fn add(&mut self, other: Self) {
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        self.took.extend(other.took);
    }

    /// Answers that are not this.
    pub(crate) fn others_than(&self, status: u16) -> usize {
        self.statuses.iter().filter(|(other, _)| **other != status).map(|(_, count)| count).sum()
    }

    pub(crate) fn len(&self) -> usize {
        self.took.len()
    }

    /// Answers with this status.
    pub(crate) fn of(&self, status: u16) -> usize {
        self.statuses.get(&status).copied().unwrap_or_default()
    }

    /// The time within which that part of the answers came, 0 to 1.
    pub(crate) fn quantile(&self, part: f64) -> Duration {
        quantile(self.took.iter().map(|(_, took)| *took).collect(), part)
    }

    /// The same for the answers with this status.
    pub(crate) fn quantile_of(&self, status: u16, part: f64) -> Duration {
        let took = self.took.iter().filter(|(of, _)| *of == status);
        quantile(took.map(|(_, took)| *took).collect(), part)
    }
}

fn quantile(mut took: Vec<Duration>, part: f64) -> Duration {
    took.sort_unstable();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small number")]
    #[expect(clippy::cast_precision_loss, reason = "a small number")]
    let at = (took.len().saturating_sub(1) as f64 * part).round() as usize;
    took.get(at).copied().unwrap_or_default()
}

/// Sends requests at a fixed rate over so many connections, until `end`. An answer's time counts from when its request was
/// due, so that a slow answer cannot hide those behind it.
pub(crate) async fn at_rate(
    node: &TestNode,
    (host, path): (&str, &str),
    per_second: u32,
    connections: u32,
    end: Instant,
) -> Tally {
    let start = Instant::now();
    let clients = (0..connections).map(|client| async move {
        let connection = node.connect(Over::Http1).await;
        let mut tally = Tally::default();
        for request in 0.. {
            let due = start + Duration::from_secs(1) * (client + request * connections) / per_second;
            if due >= end {
                break;
            }
            tokio::time::sleep_until(due.into()).await;
            let answer = connection.get(path).host(host).await;
            tally.count(answer.status(), due.elapsed());
        }
        tally
    });
    let tallies = futures_util::future::join_all(clients).await;
    tallies.into_iter().fold(Tally::default(), |mut all, one| {
        all.add(one);
        all
    })
}

/// Sends one request for `path` after the other until `end`.
pub(crate) async fn hammer(connection: Connection, host: &str, path: &str, end: Instant) -> Tally {
    let mut tally = Tally::default();
    while Instant::now() < end {
        let started = Instant::now();
        let answer: Answer = connection.get(path).host(host).await;
        tally.count(answer.status(), started.elapsed());
    }
    tally
}
