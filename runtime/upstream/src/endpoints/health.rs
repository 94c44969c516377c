//! Asking the places of an upstream whether they are well.
//!
//! [`watch`] runs as one task for each upstream that declares it, on one core, and ends with its revision. A check is a
//! GET outside of the policy: no breaker, no budget, no retry. Rounds are jittered, so that the nodes of a fleet do
//! not ask at the same moment. What a failed check means is up to [`Endpoints`](super::Endpoints).

use super::Change;
use crate::transport::{Attempt, Transport};
use crate::watch::Event;
use crate::{Body, Resend, Timeouts, Upstream, limits};
use futures_util::future::join_all;
use http::{Request, Uri};
use http_body_util::{BodyExt as _, Empty};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::time::Instant;

/// How places are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// Path, and perhaps a query, under the place's own.
    pub path: Box<str>,
    /// The time from one round to the next; a tenth of it is jitter.
    pub every: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Checks in a row that must fail before a place is not used.
    pub unhealthy: u32,
    /// Checks in a row that must succeed before it is used again.
    pub healthy: u32,
    /// Statuses of a place that is well; every 2xx where it is empty.
    pub statuses: Vec<u16>,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            path: "/".into(),
            every: Duration::from_secs(5),
            timeout: Duration::from_secs(1),
            unhealthy: 3,
            healthy: 2,
            statuses: Vec::new(),
        }
    }
}

impl Policy {
    fn accepts(&self, status: u16) -> bool {
        if self.statuses.is_empty() { (200..300).contains(&status) } else { self.statuses.contains(&status) }
    }
}

/// Checks in a row with the same end.
#[derive(Clone, Copy, Default)]
struct Streak {
    is_well: bool,
    length: u32,
}

impl Streak {
    /// What the place is to be taken for after one more check; `None` where that is not decided.
    fn after(&mut self, is_well: bool, policy: &Policy) -> Option<bool> {
        let length = if is_well == self.is_well { self.length.saturating_add(1) } else { 1 };
        *self = Self { is_well, length };
        let enough = if is_well { policy.healthy } else { policy.unhealthy };
        (length >= enough).then_some(is_well)
    }
}

/// Checks the places of `upstream` until it is gone. Returns at once where it declares no checks or has one place only.
pub async fn watch<T: Transport>(transport: Arc<T>, upstream: Weak<Upstream>) {
    let mut streaks = Vec::new();
    loop {
        let Some(pause) = round(&*transport, &upstream, &mut streaks).await else { return };
        tokio::time::sleep(pause).await;
    }
}

/// One round, and the pause after it.
async fn round<T: Transport>(
    transport: &T,
    upstream: &Weak<Upstream>,
    streaks: &mut Vec<Streak>,
) -> Option<Duration> {
    let upstream = upstream.upgrade()?;
    let state = upstream.state();
    let endpoints = state.endpoints();
    let policy = endpoints.policy().health.as_ref().filter(|_| endpoints.count() > 1)?;
    streaks.resize(endpoints.count(), Streak::default());
    let checks = (0..endpoints.count()).map(|index| check(transport, &upstream, policy, index));
    for (index, is_well) in join_all(checks).await.into_iter().enumerate() {
        let decided = streaks[index].after(is_well, policy);
        if decided.is_some_and(|is_healthy| endpoints.set_health(index, is_healthy, Instant::now())) {
            let change = if is_well { Change::Healthy } else { Change::Unhealthy };
            state.watch().hear(Event::Endpoint { index, url: endpoints.url(index), change });
        }
    }
    let jitter = policy.every / 10;
    Some(policy.every - jitter / 2 + state.random().up_to(jitter))
}

async fn check<T: Transport>(transport: &T, upstream: &Upstream, policy: &Policy, endpoint: usize) -> bool {
    let Ok(path) = policy.path.parse::<http::uri::PathAndQuery>() else { return false };
    let mut request: Request<Body> =
        Request::new(Empty::new().map_err(|never| match never {}).boxed_unsync());
    *request.uri_mut() = Uri::from(path);
    let end = Instant::now() + policy.timeout;
    let timeouts = Timeouts { total: policy.timeout, ..Timeouts::default() };
    let attempt = Attempt { upstream, endpoint, timeouts, head_by: None, end, resend: Resend::Client };
    let asked = async {
        let response = crate::fault::send(upstream.state(), transport, request, attempt).await.ok()?;
        let is_well = policy.accepts(response.status().as_u16());
        // The rest of the answer is read for the connection's sake only.
        let _ =
            http_body_util::Limited::new(response.into_body(), limits::HEALTH_BODY_BYTES_MAX).collect().await;
        Some(is_well)
    };
    tokio::time::timeout_at(end, asked).await.ok().flatten().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_judged_by_checks_in_a_row() {
        let policy = Policy { unhealthy: 3, healthy: 2, ..Policy::default() };
        let mut streak = Streak::default();
        let decided: Vec<_> = "ffsfffssf"
            .chars()
            .map(|each| match streak.after(each == 's', &policy) {
                None => '-',
                Some(true) => 's',
                Some(false) => 'f',
            })
            .collect();
        assert_eq!(decided.iter().collect::<String>(), "-----f-s-");
    }

    #[test]
    fn statuses_are_those_of_2xx_unless_declared() {
        let check = |statuses: &[u16], status: u16| {
            Policy { statuses: statuses.to_vec(), ..Policy::default() }.accepts(status)
        };
        assert!(check(&[], 200) && check(&[], 204) && !check(&[], 301) && !check(&[], 503));
        assert!(check(&[401], 401) && !check(&[401], 200));
    }
}
