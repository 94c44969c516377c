//! Whether the upstream can be reached, as far as the deliveries of an outbox have found out.
//!
//! While it is away, one call at a time looks for it, with pauses that double. When it is back, the others wait for a
//! random moment: a thousand nodes get their link back together, and must not all come at once.

use super::policy::Backoff;
use crate::limits::outbox as limits;
use crate::random::Random;
use std::time::Duration;
use tokio::time::Instant;

/// See the file's head.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    failures: u32,
    away_since: Option<Instant>,
    rests_until: Option<Instant>,
}

const LOOKS: Backoff = Backoff { first: limits::AWAY_FIRST, most: limits::AWAY_MOST };

impl Link {
    pub(super) fn new() -> Self {
        Self { failures: 0, away_since: None, rests_until: None }
    }

    pub(super) fn is_away(&self) -> bool {
        self.away_since.is_some()
    }

    /// Until when nothing is to be sent.
    pub(super) fn rests_until(&self, now: Instant) -> Option<Instant> {
        self.rests_until.filter(|until| *until > now)
    }

    /// A call did not get there; `after` is what the upstream asked for.
    pub(super) fn away(&mut self, after: Option<Duration>, random: &Random) {
        let now = Instant::now();
        // Others that were under way at the same time found out the same.
        if self.rests_until(now).is_some() {
            return;
        }
        self.failures = self.failures.saturating_add(1);
        self.away_since.get_or_insert(now);
        let pause = LOOKS.pause(self.failures, random);
        self.rests_until = Some(now + after.map_or(pause, |after| after + pause.min(limits::AWAY_FIRST)));
    }

    /// A call got there. The rest follows at a random moment within `jitter`, or within the time for which the upstream was
    /// away if that is shorter.
    pub(super) fn reached(&mut self, jitter: Duration, random: &Random) {
        let Some(since) = self.away_since.take() else { return };
        let now = Instant::now();
        self.failures = 0;
        self.rests_until = Some(now + random.up_to(jitter.min(now - since)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// K7: a thousand nodes whose link comes back at the same moment begin at moments spread over the whole minute.
    #[tokio::test(start_paused = true)]
    async fn a_thousand_nodes_do_not_come_back_at_once() {
        let mut seconds = [0; 60];
        for node in 0..1000 {
            let (mut link, random) = (Link::new(), Random::seeded(node));
            link.away_since = Some(Instant::now() - Duration::from_secs(3600));
            link.reached(Duration::from_secs(60), &random);
            let rest = link.rests_until.unwrap() - Instant::now();
            seconds[rest.as_secs() as usize] += 1;
        }
        assert!(seconds.iter().all(|begun| (1..50).contains(begun)), "{seconds:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_short_absence_costs_no_longer_than_it_was() {
        let (mut link, random) = (Link::new(), Random::seeded(7));
        link.away(None, &random);
        tokio::time::advance(Duration::from_secs(2)).await;
        link.reached(Duration::from_secs(60), &random);
        assert!(link.rests_until.unwrap() - Instant::now() <= Duration::from_secs(2));
        assert!(!link.is_away());
    }

    /// C6: what the upstream asked for is waited for.
    #[tokio::test(start_paused = true)]
    async fn retry_after_is_honoured() {
        let (mut link, random) = (Link::new(), Random::seeded(7));
        link.away(Some(Duration::from_secs(90)), &random);
        let rest = link.rests_until.unwrap() - Instant::now();
        assert!(rest >= Duration::from_secs(90) && rest <= Duration::from_secs(91), "{rest:?}");
    }
}
