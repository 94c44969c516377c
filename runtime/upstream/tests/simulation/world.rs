//! A simulated upstream: what a try meets is decided by the weather at its moment.

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use rimward_upstream::{Attempt, Body, Error, Random, Transport};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// What an upstream does at a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Weather {
    /// Answers; this share of tries fails, and each takes up to so long.
    Answers { failing: f64, ms: u64 },
    /// Refuses connections, as during a restart.
    Refuses,
    /// Takes the request and never answers.
    Hangs,
    /// Answers 429 with `Retry-After`.
    Throttles,
    /// Nothing arrives and nothing comes back.
    CutOff,
}

/// An upstream, and what it has seen.
pub(crate) struct World {
    /// From when on which weather holds, in order.
    weather: Vec<(Duration, Weather)>,
    start: Instant,
    random: Random,
    pub(crate) tries: AtomicU64,
    in_flight: AtomicU64,
    pub(crate) in_flight_max: AtomicU64,
    /// Tries that went on after their caller's deadline.
    pub(crate) overdue: AtomicU64,
    /// The busiest second, and how many tries it had.
    seconds: Vec<AtomicU64>,
}

impl World {
    pub(crate) fn new(weather: Vec<(Duration, Weather)>, seed: u64, lasts: Duration) -> Arc<Self> {
        Arc::new(Self {
            weather,
            start: Instant::now(),
            random: Random::seeded(seed ^ 0x5eed),
            tries: AtomicU64::new(0),
            in_flight: AtomicU64::new(0),
            in_flight_max: AtomicU64::new(0),
            overdue: AtomicU64::new(0),
            seconds: (0..lasts.as_secs() + 700).map(|_| AtomicU64::new(0)).collect(),
        })
    }

    fn now(&self) -> Weather {
        let age = self.start.elapsed();
        let current = self.weather.iter().rev().find(|(from, _)| *from <= age);
        current.map_or(Weather::Answers { failing: 0.0, ms: 1 }, |(_, weather)| *weather)
    }

    /// Tries in one second after the start.
    pub(crate) fn tries_in(&self, second: u64) -> u64 {
        self.seconds[second as usize].load(Relaxed)
    }

    pub(crate) fn under_way(&self) -> u64 {
        self.in_flight.load(Relaxed)
    }
}

/// One try inside the world, however it ends.
struct Inside<'a>(&'a World, Option<Instant>);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
        // A timer's tick late is in time.
        if self.1.is_some_and(|by| Instant::now() > by + Duration::from_millis(2)) {
            self.0.overdue.fetch_add(1, Relaxed);
        }
    }
}

impl Transport for World {
    async fn send(&self, request: Request<Body>, attempt: Attempt<'_>) -> Result<Response<Body>, Error> {
        self.tries.fetch_add(1, Relaxed);
        self.seconds[self.start.elapsed().as_secs() as usize].fetch_add(1, Relaxed);
        let in_flight = self.in_flight.fetch_add(1, Relaxed) + 1;
        self.in_flight_max.fetch_max(in_flight, Relaxed);
        let _inside = Inside(self, attempt.head_by);
        let by = attempt.head_by.map_or(attempt.end, |by| by.min(attempt.end));
        let wait = |most: Duration, expired: Error| async move {
            let at = Instant::now() + most;
            sleep_until(at.min(by)).await;
            if at < by { Err(expired) } else { Err(Error::Deadline) }
        };
        match self.now() {
            Weather::Answers { failing, ms } => {
                let took = Duration::from_micros(1 + self.random.number() % (ms * 1000).max(1));
                let answered = Instant::now() + took;
                if answered >= by {
                    return wait(by - Instant::now(), Error::Deadline).await;
                }
                sleep_until(answered).await;
                request.into_body().collect().await?;
                if self.random.fraction() >= failing {
                    return Ok(answer(200));
                }
                match self.random.number() % 4 {
                    0 => Ok(answer(500)),
                    1 => Err(Error::ConnectionTerminated(Arc::new(std::io::Error::other("reset")))),
                    _ => Ok(answer(503)),
                }
            }
            Weather::Refuses => Err(Error::ConnectionRefused),
            Weather::Hangs => wait(attempt.timeouts.first_byte, Error::FirstByteTimeout).await,
            Weather::CutOff => wait(attempt.timeouts.connect, Error::ConnectionTimeout).await,
            Weather::Throttles => {
                let mut answer = answer(429);
                answer.headers_mut().insert("retry-after", 2.into());
                Ok(answer)
            }
        }
    }
}

fn answer(status: u16) -> Response<Body> {
    let body = Full::new(Bytes::from_static(b"answer")).map_err(|never| match never {}).boxed_unsync();
    Response::builder().status(status).body(body).expect("a status")
}
