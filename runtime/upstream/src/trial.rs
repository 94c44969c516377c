//! One try under way, and who learns what from its end.
//!
//! Told exactly once. A try that is dropped was given up by its caller and says nothing about the upstream, unless the
//! caller's time was up while it waited: then the upstream was too slow.

use crate::breaker::Admitted;
use crate::deadline::Time;
use crate::endpoints::Picked;
use crate::state::State;
use crate::watch::{Event, Outcome};
use crate::{Body, Error, limits, retry};
use http::Response;
use std::time::Duration;
use tokio::time::Instant;

pub(crate) struct Trial<'a> {
    state: &'a State,
    admitted: Option<Admitted<'a>>,
    picked: Option<Picked<'a>>,
    time: Time,
    start: Instant,
}

impl<'a> Trial<'a> {
    pub(crate) fn start(
        state: &'a State,
        admitted: Admitted<'a>,
        picked: Picked<'a>,
        time: Time,
        now: Instant,
    ) -> Self {
        Self { state, admitted: Some(admitted), picked: Some(picked), time, start: now }
    }

    pub(crate) fn finish(mut self, result: &Result<Response<Body>, Error>) {
        let now = Instant::now();
        let outcome = match result {
            Err(Error::Deadline) => self.cut_short(now),
            result => retry::outcome(result),
        };
        self.tell(outcome, now);
    }

    /// The caller's time was up. The upstream's fault only where it had as much time as it usually takes.
    fn cut_short(&self, now: Instant) -> Outcome {
        let usual = self.state.latency().percentile(limits::USUAL_SHARE, limits::HEDGE_SAMPLES_MIN, now);
        if usual.is_none_or(|usual| self.took(now) >= usual) { Outcome::TimedOut } else { Outcome::Void }
    }

    fn took(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.start)
    }

    fn tell(&mut self, outcome: Outcome, now: Instant) {
        let Some(admitted) = self.admitted.take() else { return };
        let took = self.took(now);
        if outcome == Outcome::Answered {
            self.state.latency().record(took, now);
        }
        self.state.bulkhead().learn(outcome);
        admitted.finish(outcome, took, now);
        self.tell_endpoint(outcome, took, now);
        self.state.watch().hear(Event::Tried { outcome, took });
    }
}

impl Trial<'_> {
    fn tell_endpoint(&mut self, outcome: Outcome, took: Duration, now: Instant) {
        let Some(picked) = self.picked.take() else { return };
        let index = picked.index();
        if let Some(change) = picked.finish(outcome, took, now) {
            let url = self.state.endpoints().url(index);
            self.state.watch().hear(Event::Endpoint { index, url, change });
        }
    }
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        if self.admitted.is_some() {
            let now = Instant::now();
            let outcome = if self.time.is_over(now) { self.cut_short(now) } else { Outcome::Void };
            self.tell(outcome, now);
        }
    }
}
