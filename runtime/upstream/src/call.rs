//! One call to an upstream under its policy, from the caller's request to the answer that it gets.
//!
//! The capability crate calls [`call`] for each request to a named upstream. The steps stand in the order in which they
//! run: is there time, is there a place, and then tries, each of them admitted by the breaker, sent, and told
//! to everybody who learns from it, until one is good enough or another one is not worth it. Dropping the future
//! cancels the tries in flight and gives everything back.

use crate::bulkhead::Place;
use crate::cache::{self, Cache, Looked};
use crate::deadline::{self, Time};
use crate::endpoints::Change;
use crate::replay::Replay;
use crate::state::State;
use crate::told::Told;
use crate::transport::{Attempt, Transport};
use crate::trial::Trial;
use crate::watch::{Event, Outcome, Shed};
use crate::{Body, Error, Resend, Timeouts, Upstream, ending, fallback, fault, limits, retry};
use arc_swap::Guard;
use futures_util::future::{Either, select};
use http::{Request, Response};
use http_body_util::BodyExt as _;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// What the caller of an upstream brings along.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// The upstream's timeouts, narrowed by what the caller wants. `total` counts for all tries together.
    pub timeouts: Timeouts,
    /// When the caller's own time is up: the head of the answer must be there by then.
    pub deadline: Option<Instant>,
    /// Whether it is a probe: it goes out although the breaker is open, unless an operator opened that, because whoever
    /// calls has another answer at hand and keeps times between such calls. If it goes well, the breaker waits no longer.
    pub is_probe: bool,
}

/// What came of a call.
#[derive(Debug)]
pub struct Answer {
    /// The response; its body holds the call's place among the concurrent ones until it has ended.
    pub response: Response<Body>,
    /// How it came about.
    pub told: Told,
}

/// Calls `upstream` under its policy.
///
/// The answer may be an error status: that of the last try. Dropping the future cancels what is in flight.
///
/// # Errors
/// That of the last try; or [`Error::CircuitOpen`], [`Error::BulkheadFull`] and [`Error::Deadline`] for a call
/// that was not tried.
pub async fn call<T: Transport>(
    transport: &T,
    upstream: &Upstream,
    request: Request<Body>,
    terms: Terms,
) -> Result<Answer, Error> {
    answered(transport, upstream, request, terms, None).await
}

/// The same for a caller who waits for the answer: it may come from the [`cache`], and where the upstream does
/// not answer, its [`fallback`] does, if it has one.
///
/// # Errors
/// Those of [`call`], where nothing else answers.
pub async fn call_or_fall_back<T: Transport>(
    transport: &T,
    upstream: &Upstream,
    request: Request<Body>,
    terms: Terms,
    functions: &dyn fallback::Functions,
) -> Result<Answer, Error> {
    answered(transport, upstream, request, terms, Some(functions)).await
}

async fn answered<T: Transport>(
    transport: &T,
    upstream: &Upstream,
    mut request: Request<Body>,
    terms: Terms,
    functions: Option<&dyn fallback::Functions>,
) -> Result<Answer, Error> {
    let state = upstream.state();
    let time = Time::start(terms);
    let mut told = Told::default();
    // Whoever does not wait wants the upstream itself; what it changes there is noted all the same.
    let cache = state.cache().filter(|_| functions.is_some() || !request.method().is_safe());
    let asking = match cache.map(|cache| (cache, look(cache, upstream, &mut request, time.start))) {
        None => None,
        Some((cache, Looked::Ask(asking))) => Some((cache, asking)),
        Some((_, Looked::Here(response, status))) => {
            told.cache = Some(status);
            return Ok(told_of(response, told, state));
        }
    };
    let fallback = state.policy().fallback.as_ref().filter(|_| functions.is_some());
    let is_kept = is_repeated(upstream) || fallback.is_some_and(fallback::Policy::needs_request);
    let mut replay = Replay::new(request, is_kept);
    let result = tried(transport, upstream, time, &mut replay, &mut told).await;
    if let Some((_, asking)) = &asking {
        told.cache = Some(cache::Status::Asked { fwd: asking.fwd, answered: None, is_stored: false });
        asking.undo(replay.headers_mut());
    }
    let Some(reason) = fallback::reason(&result) else {
        let mut response = result?;
        if let Some((cache, asking)) = &asking {
            let (kept, status) = cache.kept(asking, replay.head(), response);
            (response, told.cache) = (kept, Some(status));
        }
        return Ok(told_of(response, told, state));
    };
    let extended = fallback.and_then(|fallback| fallback.cached);
    let stale = asking.as_ref().and_then(|(cache, asking)| cache.instead(asking, extended));
    let instead = match (stale, fallback, functions) {
        (Some(response), _, _) => {
            told.cache = Some(cache::Status::Stale);
            Some((fallback::Kind::Cached, response))
        }
        (None, Some(fallback), Some(functions)) => fallback.answer(reason, &mut replay, functions).await,
        (None, _, _) => None,
    };
    let Some((kind, response)) = instead else { return Ok(told_of(result?, told, state)) };
    state.watch().hear(Event::FellBack { kind, reason });
    told.fallback = Some((kind, reason));
    Ok(told_of(response, told, state))
}

fn look(cache: &Cache, upstream: &Upstream, request: &mut Request<Body>, now: Instant) -> Looked {
    let below = upstream.relative(request.uri());
    cache.look(request, &below, now)
}

/// The answer, with what became of the call in its headers.
fn told_of(mut response: Response<Body>, told: Told, state: &State) -> Answer {
    if let Some(status) = told.cache {
        state.watch().hear(Event::Cache(status));
    }
    told.mark(response.headers_mut());
    Answer { response, told }
}

fn is_repeated(upstream: &Upstream) -> bool {
    let policy = upstream.state().policy();
    policy.retry.attempts > 1 || policy.hedge.is_some() || upstream.credentials().auth.is_some()
}

async fn tried<T: Transport>(
    transport: &T,
    upstream: &Upstream,
    time: Time,
    replay: &mut Replay,
    told: &mut Told,
) -> Sent {
    let state = upstream.state();
    let place = enter(state, time).await?; //                                  a place among the calls under way
    let last = &AtomicUsize::new(usize::MAX);
    let response = Course { transport, upstream, state, time, told, last }.tries(replay).await?;
    Ok(ending::holding(response, place, state)) //                             the place is held until the body ends
}

async fn enter(state: &Arc<State>, time: Time) -> Result<Place, Error> {
    let entered = match time.is_over(time.start) {
        true => Err(Error::Deadline),
        false => state.bulkhead().enter(time.head_by()).await,
    };
    entered.inspect_err(|error| {
        let shed = if matches!(error, Error::Deadline) { Shed::Deadline } else { Shed::BulkheadFull };
        state.watch().hear(Event::Shed(shed));
    })
}

/// One call while it is tried.
struct Course<'a, T> {
    transport: &'a T,
    upstream: &'a Upstream,
    state: &'a Arc<State>,
    time: Time,
    told: &'a mut Told,
    /// The place that the last try went to; the next one goes to another.
    last: &'a AtomicUsize,
}

type Sent = Result<Response<Body>, Error>;

impl<T: Transport> Course<'_, T> {
    /// Tries, until one is good enough.
    async fn tries(&mut self, replay: &mut Replay) -> Sent {
        let policy = self.state.policy();
        let mut now = self.time.start;
        loop {
            let result = self.one_try(replay, now).await;
            if matches!(result, Err(Error::CircuitOpen | Error::Credentials(_))) {
                self.told.tries = self.told.tries.saturating_sub(1); //             it did not come to a try
            }
            let outcome = retry::outcome(&result);
            if outcome == Outcome::Answered {
                self.state.retries().put_in();
            }
            if self.is_refused(&result, replay, now) {
                now = Instant::now();
                continue;
            }
            if !policy.retry.on.includes(&result) {
                return result;
            }
            let Some(pause) = self.pause(replay, &result, outcome) else { return result };
            self.state.watch().hear(Event::Retrying { failed: self.told.tries, pause });
            rest(result, pause).await;
            now = Instant::now();
            // What others met meanwhile may say that it is no use.
            if !self.state.breaker().would_retry(now) {
                self.state.watch().hear(Event::Shed(Shed::CircuitOpen));
                return Err(Error::CircuitOpen);
            }
        }
    }

    /// Whether the upstream refused what proves who calls, and one more try with another proof is worth it. It has done
    /// nothing about the request then (RFC 9110, section 15.5.2), so any request may be sent again.
    fn is_refused(&mut self, result: &Sent, replay: &Replay, start: Instant) -> bool {
        let Ok(response) = result else { return false };
        if !response.status().is_client_error() || self.told.is_renewed || !replay.is_possible() {
            return false;
        }
        let credentials = self.upstream.credentials();
        let Some(auth) = &credentials.auth else { return false };
        self.told.is_renewed = auth.is_refused(response, start) && self.state.retries().take_out(1);
        self.told.is_renewed
    }

    /// The pause before the next try; `None` where there is no next one.
    fn pause(&self, replay: &Replay, result: &Sent, outcome: Outcome) -> Option<Duration> {
        let policy = &self.state.policy().retry;
        let is_unsent = result.as_ref().err().is_some_and(Error::is_unsent);
        let head = replay.head();
        let may_repeat = is_unsent || retry::is_repeatable(&head.method, &head.headers);
        if self.told.tries >= policy.attempts || !may_repeat || !replay.is_possible() {
            return None;
        }
        let now = Instant::now();
        if !self.state.breaker().would_retry(now) {
            return None;
        }
        let backoff = match result {
            // The next connection is another one, and nothing is known against it.
            Err(Error::IdleClosed(_)) => Duration::ZERO,
            _ => policy.backoff(self.told.tries, self.state.random()),
        };
        let pause = retry::retry_after(result).map_or(backoff, |asked| asked.saturating_add(backoff));
        // As long as the quickest answers take, at the least.
        let needed = self.state.latency().percentile(limits::QUICKEST_SHARE, limits::HEDGE_SAMPLES_MIN, now);
        let ready = now.checked_add(pause)?.checked_add(needed.unwrap_or(limits::TIMEOUT_MIN))?;
        if ready > self.time.head_by() {
            return None;
        }
        if !self.state.retries().take_out(retry::cost(outcome)) {
            self.state.watch().hear(Event::BudgetSpent);
            return None;
        }
        Some(pause)
    }

    /// One try, and perhaps another one beside it.
    async fn one_try(&mut self, replay: &mut Replay, now: Instant) -> Sent {
        let hedge = self.state.policy().hedge;
        let after = hedge.and_then(|hedge| hedge.pause(self.state.latency(), now));
        self.told.tries = self.told.tries.saturating_add(1);
        let Some(after) = after else {
            return send(self.transport, self.upstream, self.last, self.time, replay.request(), now).await;
        };
        let head = replay.head();
        let may_hedge = !self.told.is_hedged && retry::is_repeatable(&head.method, &head.headers);
        let mut first =
            pin!(send(self.transport, self.upstream, self.last, self.time, replay.request(), now));
        if !may_hedge {
            return first.await;
        }
        if let Ok(result) = timeout_at(now + after, &mut first).await {
            if retry::outcome(&result) == Outcome::Answered {
                self.state.hedges().put_in();
            }
            return result;
        }
        let now = Instant::now();
        let is_worth_it = replay.is_whole() && self.state.breaker().would_admit(now);
        if !is_worth_it || !self.state.hedges().take_out(1) {
            return first.await;
        }
        self.told.tries = self.told.tries.saturating_add(1);
        self.told.is_hedged = true;
        self.state.watch().hear(Event::Hedged);
        let second = pin!(send(self.transport, self.upstream, self.last, self.time, replay.request(), now));
        // The one that loses is dropped with this function's frame, and its exchange with it.
        match select(first, second).await {
            Either::Left((result, second)) => better(result, second).await,
            Either::Right((result, first)) => {
                if retry::outcome(&result) == Outcome::Answered {
                    self.state.watch().hear(Event::HedgeWon);
                }
                better(result, first).await
            }
        }
    }
}

/// The result that came first, if it is good; else the other one's, if that is better.
async fn better(result: Sent, other: impl Future<Output = Sent>) -> Sent {
    if retry::outcome(&result) == Outcome::Answered {
        return result;
    }
    let later = other.await;
    if later.is_ok() || result.is_err() { later } else { result }
}

/// One try over the network: admitted, sent, and told.
async fn send<T: Transport>(
    transport: &T,
    upstream: &Upstream,
    last: &AtomicUsize,
    time: Time,
    mut request: Request<Body>,
    mut now: Instant,
) -> Sent {
    let state = upstream.state();
    let avoid = Some(last.load(Relaxed)).filter(|&endpoint| endpoint != usize::MAX);
    let picked = state.endpoints().pick(avoid, state.random(), now);
    let endpoint = picked.index();
    last.store(endpoint, Relaxed);
    for index in picked.returned() {
        let url = state.endpoints().url(index);
        state.watch().hear(Event::Endpoint { index, url, change: Change::Returned });
    }
    let would_admit = || time.is_probe || state.breaker().would_admit(now);
    if upstream.credentials().auth.is_some() && would_admit() {
        request = authorized(transport, upstream, endpoint, request, time).await?;
        now = Instant::now();
    }
    let breaker = state.breaker();
    let Some(admitted) = (if time.is_probe { breaker.admit_probe(now) } else { breaker.admit(now) }) else {
        state.watch().hear(Event::Shed(Shed::CircuitOpen));
        return Err(Error::CircuitOpen);
    };
    let trial = Trial::start(state, admitted, picked, time, now);
    if let Some(left) = time.left(now) {
        deadline::tell(request.headers_mut(), left);
    }
    let attempt = Attempt {
        upstream,
        endpoint,
        timeouts: time.timeouts,
        head_by: time.deadline,
        end: time.end,
        resend: if state.policy().retry.attempts > 1 { Resend::Caller } else { Resend::Client },
    };
    let result = fault::send(state, transport, request, attempt).await;
    trial.finish(&result);
    result
}

/// The request with what proves who calls. Of its own, so that calls without it do not carry it along.
async fn authorized<T: Transport>(
    transport: &T,
    upstream: &Upstream,
    endpoint: usize,
    request: Request<Body>,
    time: Time,
) -> Result<Request<Body>, Error> {
    let credentials = Guard::into_inner(upstream.credentials());
    match &credentials.auth {
        Some(auth) => Box::pin(auth.authorize(transport, upstream, endpoint, request, time)).await,
        None => Ok(request),
    }
}

/// Waits, and reads what is left of a failed response meanwhile, so that its connection can be used again.
async fn rest(result: Sent, pause: Duration) {
    if pause.is_zero() {
        return;
    }
    let until = Instant::now() + pause;
    if let Ok(response) = result {
        let mut body = response.into_body();
        let drained = async {
            let mut left = limits::DRAIN_BYTES_MAX;
            while let Some(Ok(frame)) = body.frame().await {
                let bytes = frame.data_ref().map_or(0, bytes::Bytes::len);
                match left.checked_sub(bytes) {
                    Some(rest) => left = rest,
                    None => return,
                }
            }
        };
        if timeout_at(until, drained).await.is_err() {
            return;
        }
    }
    tokio::time::sleep_until(until).await;
}

#[cfg(test)]
mod tests;
