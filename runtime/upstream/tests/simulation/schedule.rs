//! One schedule from one seed: a policy, the weather, the calls, and what came of them.

use crate::world::{Weather, World};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use rimward_upstream::watch::{Event, Watch};
use rimward_upstream::{
    Body, Error, Policy, Random, Roots, State, Terms, Timeouts, Upstream, UpstreamConfig, call, hedge,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

/// What came of a schedule.
pub(crate) struct Outcome {
    pub(crate) calls: u64,
    pub(crate) answered: u64,
    /// Calls that ended after their deadline.
    pub(crate) late: u64,
    /// Calls whose answer's head came back at all, or whose failure did.
    pub(crate) ended: u64,
    pub(crate) world: Arc<World>,
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) heard: Arc<Heard>,
}

/// Counts what the stack says of itself.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) tried: AtomicU64,
    pub(crate) retries: AtomicU64,
    pub(crate) hedges: AtomicU64,
    pub(crate) shed: AtomicU64,
}

impl Watch for Heard {
    fn hear(&self, event: Event<'_>) {
        match event {
            Event::Tried { .. } => self.tried.fetch_add(1, Relaxed),
            Event::Retrying { .. } => self.retries.fetch_add(1, Relaxed),
            Event::Hedged => self.hedges.fetch_add(1, Relaxed),
            Event::Shed(_) => self.shed.fetch_add(1, Relaxed),
            _ => 0,
        };
    }
}

/// What runs: how many calls, how far apart on average, for how long each, under which weather.
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) policy: Policy,
    pub(crate) weather: Vec<(Duration, Weather)>,
    pub(crate) calls: u64,
    pub(crate) every: Duration,
    pub(crate) deadline: Duration,
    /// This share of the callers goes away early.
    pub(crate) cancelled: f64,
    /// This share of the calls is a POST without a key.
    pub(crate) posts: f64,
}

impl Plan {
    /// Anything may happen.
    pub(crate) fn random(seed: u64) -> Self {
        let random = Random::seeded(seed);
        let every = Duration::from_micros(1_000 + random.number() % 30_000);
        let calls = 200 + random.number() % 600;
        let lasts = every * calls as u32;
        let mut policy = Policy::default();
        policy.retry.attempts = 1 + (random.number() % 5) as u8;
        policy.breaker.probes = 1 + (random.number() % 3) as u32;
        policy.breaker.slow_call = (random.number().is_multiple_of(2)).then_some(Duration::from_millis(150));
        policy.bulkhead.concurrent = 1 + (random.number() % 64) as u32;
        policy.bulkhead.queue = (random.number() % 32) as u32;
        policy.bulkhead.adaptive_min = (random.number().is_multiple_of(2)).then_some(1);
        if random.number().is_multiple_of(2) {
            let after = match random.number() % 2 {
                0 => hedge::After::Percentile(0.95),
                _ => hedge::After::Time(Duration::from_millis(20)),
            };
            policy.hedge = Some(hedge::Policy { after, ..hedge::Policy::default() });
        }
        let weather = (0..random.number() % 6).map(|_| {
            let weather = match random.number() % 7 {
                0 => Weather::Refuses,
                1 => Weather::Hangs,
                2 => Weather::Throttles,
                3 => Weather::CutOff,
                _ => Weather::Answers { failing: random.fraction(), ms: 1 + random.number() % 300 },
            };
            (random.up_to(lasts), weather)
        });
        let mut weather: Vec<_> = weather.collect();
        weather.sort_by_key(|(from, _)| *from);
        Self {
            seed,
            policy,
            weather,
            calls,
            every,
            deadline: Duration::from_millis(100 + random.number() % 3_000),
            cancelled: random.fraction() * 0.2,
            posts: random.fraction() * 0.5,
        }
    }

    /// The same calls against one upstream that is always like this, under the default policy.
    pub(crate) fn steady(seed: u64, weather: Weather, calls: u64) -> Self {
        Self {
            seed,
            policy: Policy::default(),
            weather: vec![(Duration::ZERO, weather)],
            calls,
            every: Duration::from_millis(2),
            deadline: Duration::from_secs(3),
            cancelled: 0.0,
            posts: 0.0,
        }
    }

    pub(crate) fn lasts(&self) -> Duration {
        self.every * self.calls as u32 + self.deadline
    }

    /// Runs it to its end.
    pub(crate) fn run(self) -> Outcome {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime");
        runtime.block_on(self.calls())
    }

    async fn calls(self) -> Outcome {
        let heard = Arc::new(Heard::default());
        let random = Random::seeded(self.seed ^ 0xca11);
        let world = World::new(self.weather.clone(), self.seed, self.lasts());
        let upstream = Arc::new(upstream(self.policy.clone(), heard.clone(), self.seed));
        let mut calls = JoinSet::new();
        let (mut answered, mut late, mut ended) = (0, 0, 0);
        for _ in 0..self.calls {
            sleep(random.up_to(self.every * 2)).await;
            let request = request(random.fraction() < self.posts);
            let leaves = (random.fraction() < self.cancelled).then(|| random.up_to(self.deadline));
            let (world, upstream, deadline) = (world.clone(), upstream.clone(), self.deadline);
            calls.spawn(async move {
                let deadline = Instant::now() + deadline;
                let terms =
                    Terms { timeouts: upstream.timeouts(), deadline: Some(deadline), is_probe: false };
                let calling = one(&world, &upstream, request, terms);
                let result = match leaves {
                    Some(after) => tokio::time::timeout(after, calling).await.ok(),
                    None => Some(calling.await),
                };
                (result, Instant::now() > deadline + Duration::from_millis(2))
            });
        }
        while let Some(call) = calls.join_next().await {
            let (result, is_late) = call.expect("a call does not panic");
            ended += 1;
            late += u64::from(is_late);
            answered += u64::from(matches!(result, Some(Ok(200))));
        }
        Outcome { calls: self.calls, answered, late, ended, world, upstream, heard }
    }
}

/// One call, its body read to the end.
async fn one(world: &World, upstream: &Upstream, request: Request<Body>, terms: Terms) -> Result<u16, Error> {
    let answer = call(world, upstream, request, terms).await?;
    let status = answer.response.status().as_u16();
    answer.response.into_body().collect().await?;
    Ok(status)
}

fn request(is_post: bool) -> Request<Body> {
    let method = if is_post { "POST" } else { "GET" };
    let text = if is_post { "a body" } else { "" };
    let body = Full::new(Bytes::from_static(text.as_bytes())).map_err(|never| match never {}).boxed_unsync();
    Request::builder().method(method).uri("http://u.upstream.internal/").body(body).expect("a request")
}

pub(crate) fn upstream(policy: Policy, watch: Arc<dyn Watch>, seed: u64) -> Upstream {
    let timeouts = Timeouts {
        connect: Duration::from_millis(400),
        first_byte: Duration::from_millis(800),
        ..Timeouts::default()
    };
    let config = UpstreamConfig { timeouts, ..UpstreamConfig::new("http://u.example") };
    let state = State::new(policy, watch, Random::seeded(seed ^ 0x57a7e));
    Upstream::new(config, &Roots::none()).expect("an upstream").with_state(Arc::new(state))
}
