//! When a second try is sent beside a slow first one.
//!
//! Off unless configured. At most two tries of a call are in flight; what may be hedged, and for how many calls, the
//! stack decides ([`call`](crate::call())): only calls that may be sent twice, and no more than the budget has
//! earned. The scheme is that of gRPC (proposal A6) and of tower's hedge: a delay taken from measured latencies.

use crate::budget::Share;
use crate::latency::Latency;
use crate::limits;
use std::time::Duration;
use tokio::time::Instant;

/// When to hedge, and how often.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Policy {
    /// How long the first try is waited for.
    pub after: After,
    /// Hedges for each successful call.
    pub budget: Share,
}

impl Default for Policy {
    fn default() -> Self {
        Self { after: After::Percentile(0.95), budget: Share::new(0.05) }
    }
}

/// How long the first try is waited for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum After {
    /// As long as this share of the answers took, `0..1`, once enough are known.
    Percentile(f64),
    /// This long.
    Time(Duration),
}

impl Policy {
    /// The pause before the second try; `None` while nothing is known of the upstream.
    pub(crate) fn pause(&self, latency: &Latency, now: Instant) -> Option<Duration> {
        match self.after {
            After::Time(pause) => Some(pause),
            After::Percentile(share) => {
                latency.kept_percentile(share, now).map(|pause| pause.max(limits::TIMEOUT_MIN))
            }
        }
    }
}
