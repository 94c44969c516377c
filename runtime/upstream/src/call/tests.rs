//! Single calls against a scripted transport, under a paused clock.

use super::*;
use crate::{Policy, Random, Roots, UpstreamConfig, breaker, bulkhead, hedge};
use bytes::Bytes;
use http::StatusCode;
use http_body_util::Full;
use std::collections::VecDeque;
use std::sync::Mutex;

/// What one try meets.
#[derive(Clone, Debug)]
enum Step {
    Status(u16),
    With(u16, &'static str, &'static str),
    Fails(fn() -> Error),
    /// Answers with this status after a while.
    Slow(u64, u16),
    /// Reads the request's body first.
    Reads(u16),
}

/// Answers tries by a script; the last step holds for all further ones.
struct Script {
    steps: Mutex<VecDeque<Step>>,
    seen: Mutex<Vec<(Instant, http::HeaderMap, Bytes)>>,
    ended: Arc<std::sync::atomic::AtomicUsize>,
}

struct Ends(Arc<std::sync::atomic::AtomicUsize>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}

impl Script {
    fn new(steps: &[Step]) -> Self {
        Self {
            steps: Mutex::new(steps.iter().cloned().collect()),
            seen: Mutex::default(),
            ended: Arc::default(),
        }
    }

    fn tries(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    fn next(&self) -> Step {
        let mut steps = self.steps.lock().unwrap();
        if steps.len() > 1 { steps.pop_front().unwrap() } else { steps[0].clone() }
    }
}

impl Transport for Script {
    async fn send(&self, request: Request<Body>, attempt: Attempt<'_>) -> Result<Response<Body>, Error> {
        let _ends = Ends(self.ended.clone());
        let step = self.next();
        let (head, body) = request.into_parts();
        self.seen.lock().unwrap().push((Instant::now(), head.headers, Bytes::new()));
        let mut answer = Response::builder();
        let status = match step {
            Step::Status(status) => status,
            Step::With(status, name, value) => {
                answer = answer.header(name, value);
                status
            }
            Step::Fails(error) => return Err(error()),
            Step::Slow(ms, status) => {
                let answered = Instant::now() + Duration::from_millis(ms);
                let by = attempt.head_by.map_or(attempt.end, |by| by.min(attempt.end));
                let first_byte = Instant::now() + attempt.timeouts.first_byte;
                if answered > by.min(first_byte) {
                    tokio::time::sleep_until(by.min(first_byte)).await;
                    return Err(if by <= first_byte { Error::Deadline } else { Error::FirstByteTimeout });
                }
                tokio::time::sleep_until(answered).await;
                status
            }
            Step::Reads(status) => {
                let body = body.collect().await?.to_bytes();
                self.seen.lock().unwrap().last_mut().unwrap().2 = body;
                status
            }
        };
        Ok(answer.status(status).body(text("answer")).unwrap())
    }
}

fn text(text: &'static str) -> Body {
    Full::new(Bytes::from_static(text.as_bytes())).map_err(|never| match never {}).boxed_unsync()
}

fn none() -> Body {
    http_body_util::Empty::new().map_err(|never| match never {}).boxed_unsync()
}

fn get() -> Request<Body> {
    Request::get("http://vision.upstream.internal/").body(none()).unwrap()
}

fn post() -> Request<Body> {
    Request::post("http://vision.upstream.internal/").body(text("asked")).unwrap()
}

fn keyed() -> Request<Body> {
    let mut request = post();
    request.headers_mut().insert(retry::IDEMPOTENCY_KEY, http::HeaderValue::from_static("\"1\""));
    request
}

fn upstream(policy: Policy) -> Upstream {
    let state = State::new(policy, Arc::new(crate::watch::Unwatched), Random::seeded(1));
    Upstream::new(UpstreamConfig::new("http://vision.example"), &Roots::none())
        .unwrap()
        .with_state(Arc::new(state))
}

fn terms(upstream: &Upstream, ms: u64) -> Terms {
    Terms {
        timeouts: upstream.timeouts(),
        deadline: Some(Instant::now() + Duration::from_millis(ms)),
        is_probe: false,
    }
}

/// How often the script is tried, and the status or error that the caller gets.
async fn check(steps: &[Step], request: fn() -> Request<Body>, tries: usize, status: Result<u16, &str>) {
    let (script, upstream) = (Script::new(steps), upstream(Policy::default()));
    let answer = call(&script, &upstream, request(), terms(&upstream, 60_000)).await;
    let got = answer.map(|answer| answer.response.status().as_u16()).map_err(|error| error.to_string());
    assert_eq!(got, status.map_err(str::to_owned), "{steps:?}");
    assert_eq!(script.tries(), tries, "{steps:?}");
}

fn terminated() -> Error {
    Error::ConnectionTerminated(Arc::new(std::io::Error::other("reset")))
}

fn unsent() -> Error {
    Error::Unsent(Arc::new(std::io::Error::other("refused stream")))
}

fn bad_certificate() -> Error {
    Error::TlsCertificate(Arc::new(std::io::Error::other("expired")))
}

/// C2: whatever may have arrived is sent again only where that does no harm.
#[tokio::test(start_paused = true)]
async fn an_idempotent_call_is_tried_again_and_attempts_count_the_first_try() {
    use Step::{Fails, Status};
    check(&[Status(503), Status(200)], get, 2, Ok(200)).await;
    check(&[Status(503), Status(502), Status(200)], get, 3, Ok(200)).await;
    check(&[Status(503)], get, 3, Ok(503)).await;
    check(&[Fails(terminated), Status(200)], get, 2, Ok(200)).await;
    check(&[Fails(terminated)], get, 3, Err("connection ended before the response")).await;
    check(&[Status(500)], get, 1, Ok(500)).await;
    check(&[Status(404)], get, 1, Ok(404)).await;
}

/// C9: a POST is never sent twice without a key.
#[tokio::test(start_paused = true)]
async fn a_call_that_is_not_idempotent_is_not_sent_twice() {
    use Step::{Fails, Reads, Status};
    check(&[Status(503)], post, 1, Ok(503)).await;
    check(&[Fails(terminated)], post, 1, Err("connection ended before the response")).await;
    check(&[Fails(|| Error::FirstByteTimeout)], post, 1, Err("waiting for the response timed out")).await;
    check(&[Reads(503), Reads(200)], keyed, 2, Ok(200)).await;
}

/// C1, C2, C15: what the upstream has provably not seen may be sent again, whatever it is.
#[tokio::test(start_paused = true)]
async fn what_was_never_sent_is_sent_again() {
    use Step::{Fails, Status};
    check(&[Fails(|| Error::ConnectionRefused), Status(200)], post, 2, Ok(200)).await;
    check(&[Fails(|| Error::ConnectionTimeout), Status(200)], post, 2, Ok(200)).await;
    check(&[Fails(unsent), Status(200)], post, 2, Ok(200)).await;
}

/// C13: a TLS failure is never tried again.
#[tokio::test(start_paused = true)]
async fn a_tls_failure_is_not_tried_again() {
    let text = "the server's certificate is not acceptable";
    check(&[Step::Fails(bad_certificate)], get, 1, Err(text)).await;
    check(&[Step::Fails(|| Error::TlsAlert(116))], get, 1, Err("TLS alert 116 received")).await;
}

/// C2: each try gets the whole body.
#[tokio::test(start_paused = true)]
async fn a_body_is_sent_again_from_its_beginning() {
    let (script, upstream) =
        (Script::new(&[Step::Reads(503), Step::Reads(200)]), upstream(Policy::default()));
    let answer = call(&script, &upstream, keyed(), terms(&upstream, 60_000)).await.unwrap();
    assert_eq!(answer.told.tries, 2);
    assert_eq!(answer.response.headers()["rimward-upstream"], "tries=2");
    let seen = script.seen.lock().unwrap();
    assert!(seen.iter().all(|(_, _, body)| body == "asked"), "{seen:?}");
}

/// C6: `Retry-After` is waited for; what is longer than the time left is not.
#[tokio::test(start_paused = true)]
async fn retry_after_is_honoured_as_far_as_there_is_time() {
    let busy = |seconds| Step::With(503, "retry-after", seconds);
    let (script, upstream) = (Script::new(&[busy("3"), Step::Status(200)]), upstream(Policy::default()));
    let start = Instant::now();
    let answer = call(&script, &upstream, get(), terms(&upstream, 60_000)).await.unwrap();
    assert_eq!(answer.response.status(), StatusCode::OK);
    assert!(start.elapsed() >= Duration::from_secs(3), "{:?}", start.elapsed());
    let script = Script::new(&[busy("3"), Step::Status(200)]);
    let start = Instant::now();
    let answer = call(&script, &upstream, get(), terms(&upstream, 2_900)).await.unwrap();
    assert_eq!(answer.response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!((script.tries(), start.elapsed()), (1, Duration::ZERO));
}

/// C10: the time left goes along with each try, and gets less.
#[tokio::test(start_paused = true)]
async fn each_try_says_how_much_time_is_left() {
    let (script, upstream) =
        (Script::new(&[Step::Slow(400, 503), Step::Status(200)]), upstream(Policy::default()));
    call(&script, &upstream, get(), terms(&upstream, 1_000)).await.unwrap();
    let seen = script.seen.lock().unwrap();
    let left =
        |number: usize| seen[number].1["x-envoy-expected-rq-timeout-ms"].to_str().unwrap().parse::<u64>();
    assert_eq!(left(0).unwrap(), 1_000);
    assert!(left(1).unwrap() <= 600, "{seen:?}");
}

/// C10, C3: nothing goes on after the deadline, and nothing is begun that cannot end.
#[tokio::test(start_paused = true)]
async fn a_call_ends_at_its_deadline() {
    let (script, upstream) = (Script::new(&[Step::Slow(90_000, 200)]), upstream(Policy::default()));
    let start = Instant::now();
    let failed = call(&script, &upstream, get(), terms(&upstream, 1_000)).await.unwrap_err();
    assert!(matches!(failed, Error::Deadline), "{failed}");
    assert_eq!(start.elapsed(), Duration::from_secs(1));
    assert_eq!(script.tries(), 1);
    let late = Terms { timeouts: upstream.timeouts(), deadline: Some(Instant::now()), is_probe: false };
    assert!(matches!(call(&script, &upstream, get(), late).await, Err(Error::Deadline)));
    assert_eq!(script.tries(), 1, "a call without time is not tried");
}

/// C3: `total` counts for all tries together.
#[tokio::test(start_paused = true)]
async fn all_tries_together_take_no_longer_than_the_total() {
    let (script, upstream) = (Script::new(&[Step::Slow(400, 503)]), upstream(Policy::default()));
    let timeouts = Timeouts { total: Duration::from_millis(1_000), ..upstream.timeouts() };
    let start = Instant::now();
    let _ = call(&script, &upstream, get(), Terms { timeouts, deadline: None, is_probe: false }).await;
    assert!(start.elapsed() <= Duration::from_millis(1_000), "{:?}", start.elapsed());
}

/// C5: an empty budget ends retrying, and successes fill it.
#[tokio::test(start_paused = true)]
async fn retries_stop_when_the_budget_is_spent() {
    let breaker = breaker::Policy { is_on: false, ..breaker::Policy::default() };
    let (script, upstream) =
        (Script::new(&[Step::Status(503)]), upstream(Policy { breaker, ..Policy::default() }));
    for _ in 0..1_000 {
        call(&script, &upstream, get(), terms(&upstream, 60_000)).await.unwrap();
    }
    assert_eq!(script.tries(), 1_100, "500 tokens pay for a hundred retries at 20 %");
}

/// C5: where the last five calls failed, a failed one is not tried again, whatever the rate says.
#[tokio::test(start_paused = true)]
async fn nothing_is_tried_again_while_everything_fails() {
    let upstream = upstream(Policy::default());
    for _ in 0..50 {
        call(&Script::new(&[Step::Status(200)]), &upstream, get(), terms(&upstream, 60_000)).await.unwrap();
    }
    for failed in 0..4 {
        let script = Script::new(&[Step::Status(500)]);
        call(&script, &upstream, get(), terms(&upstream, 60_000)).await.unwrap();
        assert_eq!(script.tries(), 1, "{failed}");
    }
    let script = Script::new(&[Step::Status(503)]);
    call(&script, &upstream, get(), terms(&upstream, 60_000)).await.unwrap();
    assert_eq!(script.tries(), 1, "the fifth in a row is the last");
    assert_eq!(upstream.state().breaker().phase(Instant::now()), breaker::Phase::Closed);
}

/// C15: what was lost with an idle connection is sent again at once, within the budget, and says nothing about the
/// upstream.
#[tokio::test(start_paused = true)]
async fn a_closed_idle_connection_is_no_failure_of_the_upstream() {
    let gone = || Error::IdleClosed(Arc::new(std::io::Error::other("closed")));
    let (script, upstream) =
        (Script::new(&[Step::Fails(gone), Step::Status(200)]), upstream(Policy::default()));
    let start = Instant::now();
    let answer = call(&script, &upstream, get(), terms(&upstream, 60_000)).await.unwrap();
    assert_eq!((answer.told.tries, start.elapsed()), (2, Duration::ZERO));
    assert_eq!(upstream.state().breaker().counts(Instant::now()).failures, 0);
    assert!(upstream.state().retries().level() < 1.0);
    check(&[Step::Fails(gone), Step::Status(200)], post, 1, Err("an idle connection closed")).await;
}

/// C5: a retry after a timeout costs double.
#[tokio::test(start_paused = true)]
async fn a_retry_after_a_timeout_costs_two() {
    let breaker = breaker::Policy { is_on: false, ..breaker::Policy::default() };
    let (script, upstream) = (
        Script::new(&[Step::Fails(|| Error::FirstByteTimeout)]),
        upstream(Policy { breaker, ..Policy::default() }),
    );
    for _ in 0..1_000 {
        let _ = call(&script, &upstream, get(), terms(&upstream, 60_000)).await;
    }
    assert_eq!(script.tries(), 1_050);
}

/// C5, C7: an upstream that only fails is left alone.
#[tokio::test(start_paused = true)]
async fn an_open_breaker_refuses_without_trying() {
    let (script, upstream) = (Script::new(&[Step::Status(500)]), upstream(Policy::default()));
    for _ in 0..5 {
        call(&script, &upstream, get(), terms(&upstream, 60_000)).await.unwrap();
    }
    let refused = call(&script, &upstream, get(), terms(&upstream, 60_000)).await;
    assert!(matches!(refused, Err(Error::CircuitOpen)));
    assert_eq!(script.tries(), 5);
}

/// C10, C12: a hanging upstream opens the breaker although its callers lose patience first.
#[tokio::test(start_paused = true)]
async fn callers_that_run_out_of_time_count_against_the_upstream() {
    let (script, upstream) = (Script::new(&[Step::Slow(90_000, 200)]), upstream(Policy::default()));
    for _ in 0..5 {
        let terms = Terms {
            timeouts: upstream.timeouts(),
            deadline: Some(Instant::now() + Duration::from_secs(1)),
            is_probe: false,
        };
        // As a node does it: the invocation ends at the same moment.
        let _ = tokio::time::timeout(Duration::from_secs(1), call(&script, &upstream, get(), terms)).await;
    }
    assert_eq!(upstream.state().breaker().phase(Instant::now()), breaker::Phase::Open);
}

/// C7: callers that go away say nothing about the upstream.
#[tokio::test(start_paused = true)]
async fn callers_that_go_away_do_not_count() {
    let (script, upstream) = (Script::new(&[Step::Slow(5_000, 200)]), upstream(Policy::default()));
    for _ in 0..50 {
        let calling = call(&script, &upstream, get(), terms(&upstream, 60_000));
        assert!(tokio::time::timeout(Duration::from_secs(1), calling).await.is_err());
    }
    assert_eq!(upstream.state().breaker().counts(Instant::now()).calls, 0);
    assert_eq!(upstream.state().bulkhead().taken(), 0);
}

/// C16: a call holds its place until its body has ended.
#[tokio::test(start_paused = true)]
async fn a_place_is_held_as_long_as_the_body() {
    let bulkhead = bulkhead::Policy { concurrent: 1, queue: 0, ..bulkhead::Policy::default() };
    let (script, upstream) =
        (Script::new(&[Step::Status(200)]), upstream(Policy { bulkhead, ..Policy::default() }));
    let answer = call(&script, &upstream, get(), terms(&upstream, 60_000)).await.unwrap();
    let second = call(&script, &upstream, get(), terms(&upstream, 60_000)).await;
    assert!(matches!(second, Err(Error::BulkheadFull)));
    assert_eq!(answer.response.into_body().collect().await.unwrap().to_bytes(), "answer");
    assert!(call(&script, &upstream, get(), terms(&upstream, 60_000)).await.is_ok());
    assert_eq!(upstream.state().bulkhead().taken(), 0, "a body that nobody reads holds nothing");
}

fn hedging(ms: u64) -> Policy {
    let after = hedge::After::Time(Duration::from_millis(ms));
    Policy { hedge: Some(hedge::Policy { after, ..hedge::Policy::default() }), ..Policy::default() }
}

/// Earns what hedges cost.
fn earned(upstream: &Upstream) {
    (0..200).for_each(|_| upstream.state().hedges().put_in());
}

/// C4, C17: the second try wins, and the first one is gone at once.
#[tokio::test(start_paused = true)]
async fn a_slow_try_is_hedged_and_the_loser_is_cancelled_at_once() {
    let (script, upstream) =
        (Script::new(&[Step::Slow(5_000, 200), Step::Slow(10, 201)]), upstream(hedging(100)));
    earned(&upstream);
    let start = Instant::now();
    let answer = call(&script, &upstream, get(), terms(&upstream, 60_000)).await.unwrap();
    assert_eq!(answer.response.status(), StatusCode::CREATED);
    assert_eq!(start.elapsed(), Duration::from_millis(110));
    assert_eq!(script.ended.load(std::sync::atomic::Ordering::Relaxed), 2, "the loser goes with the answer");
    assert_eq!(answer.response.headers()["rimward-upstream"], "tries=2, hedged");
    assert_eq!(upstream.state().breaker().counts(Instant::now()).calls, 1, "the loser says nothing");
}

/// C17: what may not be sent twice is not hedged; a key makes it so.
#[tokio::test(start_paused = true)]
async fn only_what_may_be_sent_twice_is_hedged() {
    for (request, tries) in [(post as fn() -> _, 1), (get, 2)] {
        let (script, upstream) =
            (Script::new(&[Step::Slow(5_000, 200), Step::Status(200)]), upstream(hedging(100)));
        earned(&upstream);
        call(&script, &upstream, request(), terms(&upstream, 60_000)).await.unwrap();
        assert_eq!(script.tries(), tries);
    }
}

/// C4, C17: hedges are at most 5 % of the load, and never more than two tries are in flight.
#[tokio::test(start_paused = true)]
async fn hedges_stay_within_their_budget() {
    let script = Script::new(&[Step::Slow(200, 200)]);
    let upstream = upstream(hedging(100));
    for call_number in 0..1_000 {
        if call_number % 2 == 0 {
            // Quick answers, which earn.
            let quick = Script::new(&[Step::Status(200)]);
            call(&quick, &upstream, get(), terms(&upstream, 60_000)).await.unwrap();
        } else {
            call(&script, &upstream, get(), terms(&upstream, 60_000)).await.unwrap();
        }
    }
    let hedges = script.tries() - 500;
    assert!((20..=50).contains(&hedges), "{hedges} hedges for 1000 calls");
}

/// C17: of two failures the first does not end the call while the other may still answer.
#[tokio::test(start_paused = true)]
async fn a_failed_hedge_does_not_end_the_call() {
    let (script, upstream) =
        (Script::new(&[Step::Slow(500, 200), Step::Status(503)]), upstream(hedging(100)));
    earned(&upstream);
    let answer = call(&script, &upstream, get(), terms(&upstream, 60_000)).await.unwrap();
    assert_eq!(answer.response.status(), StatusCode::OK);
}
