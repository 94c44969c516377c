//! The parts of the harness, and how they wait.

pub(crate) mod answer;
pub(crate) mod app;
pub(crate) mod call;
pub(crate) mod certificates;
pub(crate) mod component;
pub(crate) mod connection;
pub(crate) mod fake;
pub(crate) mod heard;
pub(crate) mod metric;
pub(crate) mod node;
pub(crate) mod raw;

use std::time::{Duration, Instant};

/// How long anything may take before a test gives up: far more than it takes on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// How long to wait between two looks at something that tells nobody when it changes.
const POLL: Duration = Duration::from_millis(1);

/// What `future` comes to; a panic that names `what` after [`DEADLINE`].
pub async fn within<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(DEADLINE, future).await {
        Ok(output) => output,
        Err(_) => panic!("{what}: not within {} s", DEADLINE.as_secs()),
    }
}

/// Looks again and again until `look` finds what it looks for; a panic that names `what` after [`DEADLINE`].
pub async fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < DEADLINE, "{what}: not within {} s", DEADLINE.as_secs());
        tokio::time::sleep(POLL).await;
    }
}
