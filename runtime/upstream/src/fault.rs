//! Faults put into tries by an author or a test, between the policy stack and the network: what the stack does about them
//! is what it would do about real ones.
//!
//! Each upstream has one [`Faults`]; looking that there are none is one relaxed load. The upstream itself sees nothing of a
//! try that meets a fault, except `Cut` and `Drip`, which change its answer. Draws come from a seed, so that a run can be
//! repeated.

use crate::random::Random;
use crate::resolve::LookupError;
use crate::state::State;
use crate::transport::{Attempt, Transport};
use crate::watch::Event;
use crate::{Body, Error};
use bytes::Bytes;
use futures_util::future::Either;
use futures_util::stream::{self, StreamExt as _};
use http::{Request, Response, StatusCode};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

/// One fault, and how many of the tries meet it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fault {
    /// What happens.
    pub kind: Kind,
    /// To which share of the tries, from 0 to 1.
    pub share: f64,
}

/// What happens to a try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It takes longer, by the first time give or take the second, evenly spread.
    Latency(Duration, Duration),
    /// It is answered with this status and no headers.
    Status(StatusCode),
    /// Its connection ends before an answer.
    Reset,
    /// Nobody listens.
    Refused,
    /// No connection within the connect timeout.
    ConnectTimeout,
    /// No answer within the first-byte timeout.
    FirstByteTimeout,
    /// There is no such name.
    Dns,
    /// The server's certificate is not acceptable.
    Tls,
    /// There is no way to it.
    Unreachable,
    /// The answer ends early.
    Cut,
    /// The answer comes at so many bytes in a second.
    Drip(NonZeroU64),
}

/// The faults of one upstream, for all cores.
#[derive(Debug, Default)]
pub struct Faults {
    is_on: AtomicBool,
    plan: Mutex<Arc<Plan>>,
}

#[derive(Debug)]
struct Plan {
    faults: Vec<Fault>,
    random: Random,
}

impl Default for Plan {
    fn default() -> Self {
        Self { faults: Vec::new(), random: Random::seeded(0) }
    }
}

/// What a try is to meet.
#[derive(Debug, Default)]
struct Drawn {
    delay: Duration,
    end: Option<Kind>,
    cut: bool,
    drip: Option<NonZeroU64>,
}

/// It was put there on purpose.
#[derive(Debug, thiserror::Error)]
#[error("a fault was injected")]
struct Injected;

impl Faults {
    /// From now on tries meet these, drawn from `seed`. None of them: what is under way goes on, the rest is free.
    pub fn set(&self, faults: Vec<Fault>, seed: u64) {
        let is_on = !faults.is_empty();
        let plan = Plan { faults, random: Random::seeded(seed) };
        *self.plan.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(plan);
        self.is_on.store(is_on, Relaxed);
    }

    /// Whether there are any.
    #[must_use]
    pub fn are_on(&self) -> bool {
        self.is_on.load(Relaxed)
    }

    fn draw(&self) -> Drawn {
        let plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut drawn = Drawn::default();
        for fault in &plan.faults {
            if plan.random.fraction() >= fault.share {
                continue;
            }
            match fault.kind {
                Kind::Latency(typical, spread) => {
                    let longest = typical.saturating_add(spread);
                    let shortest = typical.saturating_sub(spread);
                    drawn.delay += shortest + plan.random.up_to(longest - shortest);
                }
                Kind::Cut => drawn.cut = true,
                Kind::Drip(rate) => drawn.drip = Some(rate),
                end => {
                    drawn.end.get_or_insert(end);
                }
            }
        }
        drawn
    }
}

/// One try, with whatever fault it is to meet.
///
/// The faults are those of `state`: what an upstream needs besides, such as tokens, meets what it meets itself.
pub(crate) fn send<T: Transport>(
    state: &State,
    transport: &T,
    request: Request<Body>,
    attempt: Attempt<'_>,
) -> impl Future<Output = Result<Response<Body>, Error>> + Send {
    match state.faults().are_on() {
        false => Either::Left(transport.send(request, attempt)),
        true => Either::Right(Box::pin(met(state, transport, request, attempt))),
    }
}

async fn met<T: Transport>(
    state: &State,
    transport: &T,
    request: Request<Body>,
    mut attempt: Attempt<'_>,
) -> Result<Response<Body>, Error> {
    let Drawn { delay, end, cut, drip } = state.faults().draw();
    if delay > Duration::ZERO || end.is_some() || cut || drip.is_some() {
        state.watch().hear(Event::Injected);
    }
    if delay > Duration::ZERO {
        let first_byte = attempt.timeouts.first_byte;
        wait(&attempt, delay.min(first_byte)).await?;
        attempt.timeouts.first_byte = first_byte.checked_sub(delay).ok_or(Error::FirstByteTimeout)?;
    }
    let cause = || Arc::new(Injected);
    match end {
        None | Some(Kind::Latency(..) | Kind::Cut | Kind::Drip(_)) => {}
        Some(Kind::Status(status)) => return Ok(answer(status)),
        Some(Kind::Reset) => return Err(Error::ConnectionTerminated(cause())),
        Some(Kind::Refused) => return Err(Error::ConnectionRefused),
        Some(Kind::Dns) => return Err(Error::Dns(LookupError::NoSuchName)),
        Some(Kind::Tls) => return Err(Error::TlsCertificate(cause())),
        Some(Kind::Unreachable) => return Err(Error::DestinationUnavailable(cause())),
        Some(Kind::ConnectTimeout) => {
            wait(&attempt, attempt.timeouts.connect).await?;
            return Err(Error::ConnectionTimeout);
        }
        Some(Kind::FirstByteTimeout) => {
            wait(&attempt, attempt.timeouts.first_byte).await?;
            return Err(Error::FirstByteTimeout);
        }
    }
    let response = transport.send(request, attempt).await?;
    let response = match drip {
        None => response,
        Some(rate) => response.map(|body| dripping(body, rate)),
    };
    Ok(if cut { response.map(cut_off) } else { response })
}

/// Waits for `time`, if the call has as much of it.
async fn wait(attempt: &Attempt<'_>, time: Duration) -> Result<(), Error> {
    let ready = Instant::now() + time;
    let (limit, error) = match attempt.head_by {
        Some(head_by) if head_by <= attempt.end => (head_by, Error::Deadline),
        _ => (attempt.end, Error::TotalTimeout),
    };
    sleep_until(ready.min(limit)).await;
    if ready < limit { Ok(()) } else { Err(error) }
}

fn answer(status: StatusCode) -> Response<Body> {
    let text = Bytes::from_static(b"a fault was injected: this is not the upstream's answer\n");
    let mut response = Response::new(Full::new(text).map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    response
}

/// The first part of `body`, and no more.
fn cut_off(body: Body) -> Body {
    let first = body.into_data_stream().take(1);
    let cut = stream::once(async { Err(Error::ResponseIncomplete(Arc::new(Injected))) });
    BodyExt::boxed_unsync(StreamBody::new(first.chain(cut).map(|part| part.map(Frame::data))))
}

/// `body`, so many bytes in a second, in parts of a tenth of that.
fn dripping(body: Body, rate: NonZeroU64) -> Body {
    const PARTS: u64 = 10;
    let part = usize::try_from((rate.get() / PARTS).max(1)).unwrap_or(usize::MAX);
    let parts = stream::unfold((body, None::<Bytes>), move |(mut body, left)| async move {
        let mut data = match left {
            Some(left) => left,
            None => match body.frame().await? {
                Err(error) => return Some((Err(error), (body, None))),
                Ok(frame) => match frame.into_data() {
                    Err(frame) => return Some((Ok(frame), (body, None))),
                    Ok(data) => data,
                },
            },
        };
        let now = data.split_to(part.min(data.len()));
        sleep(Duration::from_secs_f64(now.len() as f64 / rate.get() as f64)).await;
        Some((Ok(Frame::data(now)), (body, Some(data).filter(|data| !data.is_empty()))))
    });
    BodyExt::boxed_unsync(StreamBody::new(parts))
}

#[cfg(test)]
mod tests;
