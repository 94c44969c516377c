//! Clients that send many requests: as fast as the answers come, or at a fixed rate whatever the answers do.

use rimward_tests::{Answer, Connection, Over, TestNode};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Statuses and how long answers took.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) statuses: BTreeMap<u16, usize>,
    took: Vec<Duration>,
}

impl Tally {
    pub(crate) fn count(&mut self, status: u16, took: Duration) {
        *self.statuses.entry(status).or_default() += 1;
        self.took.push(took);
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

    /// The time within which that part of the answers came, 0 to 1.
    pub(crate) fn quantile(&self, part: f64) -> Duration {
        let mut took = self.took.clone();
        took.sort_unstable();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small number")]
        #[expect(clippy::cast_precision_loss, reason = "a small number")]
        let at = (took.len().saturating_sub(1) as f64 * part).round() as usize;
        took.get(at).copied().unwrap_or_default()
    }
}

/// Sends requests at a fixed rate over so many connections, until `end`. An answer's time counts from when its request was
/// due, so that a slow answer cannot hide those behind it.
pub(crate) async fn at_rate(
    node: &TestNode,
    host: &str,
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
            let answer = connection.get("/").host(host).await;
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

/// Sends one request after the other until `end`.
pub(crate) async fn hammer(connection: Connection, host: &str, end: Instant) -> Tally {
    let mut tally = Tally::default();
    while Instant::now() < end {
        let started = Instant::now();
        let answer: Answer = connection.get("/").host(host).await;
        tally.count(answer.status(), started.elapsed());
    }
    tally
}
