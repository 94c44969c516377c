//! The cache before a scripted upstream, under a paused clock. Each test names the section of RFC 9111 that it is about.

use super::*;
use crate::transport::{Attempt, Transport};
use crate::{
    Error, Policy as Calls, Roots, State, Terms, Timeouts, Upstream, UpstreamConfig, breaker, call,
    call_or_fall_back, fallback, retry,
};
use bytes::Bytes;
use http::{HeaderValue, header};
use http_body_util::Full;
use std::pin::Pin;
use std::sync::Mutex;
use tokio::time::advance;

/// Answers with a status and these headers; the body says how many requests came before.
struct Origin {
    answer: Mutex<(u16, Vec<(&'static str, String)>)>,
    seen: Mutex<Vec<(Method, String, HeaderMap)>>,
    /// What the body consists of beside the number.
    more: Mutex<Vec<Result<&'static str, Error>>>,
}

impl Transport for Origin {
    async fn send(&self, request: Request<Body>, _: Attempt<'_>) -> Result<Response<Body>, Error> {
        let (parts, _) = request.into_parts();
        let number = {
            let mut seen = self.seen.lock().unwrap();
            seen.push((parts.method, parts.uri.path_and_query().unwrap().to_string(), parts.headers));
            seen.len()
        };
        let (status, headers) = self.answer.lock().unwrap().clone();
        if status == 0 {
            return Err(Error::ConnectionRefused);
        }
        let mut response = Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(name, value);
        }
        let mut parts: Vec<_> = vec![Ok(Bytes::from(format!("answer {number}")))];
        parts.extend(self.more.lock().unwrap().iter().map(|part| part.clone().map(Bytes::from)));
        if status == 304 {
            parts.clear();
        }
        let parts = parts.into_iter().map(|part| part.map(http_body::Frame::data));
        let body = http_body_util::StreamBody::new(futures_util::stream::iter(parts));
        Ok(response.body(body.boxed_unsync()).unwrap())
    }
}

impl Origin {
    fn new(status: u16, headers: &[(&'static str, &str)]) -> Self {
        let origin = Self { answer: Mutex::default(), seen: Mutex::default(), more: Mutex::default() };
        origin.answers(status, headers);
        origin
    }

    fn answers(&self, status: u16, headers: &[(&'static str, &str)]) {
        let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        *self.answer.lock().unwrap() = (status, headers);
    }

    fn requests(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

struct Nobody;

impl fallback::Functions for Nobody {
    fn ask<'a>(
        &'a self,
        _: &'a str,
        _: fallback::Reason,
        _: Request<Body>,
    ) -> Pin<Box<dyn Future<Output = Option<Response<Body>>> + Send + 'a>> {
        Box::pin(async { None })
    }
}

fn upstream(cache: Policy, fallback: Option<fallback::Policy>) -> Upstream {
    let policy = Calls {
        cache: Some(cache),
        fallback,
        retry: retry::Policy { attempts: 1, ..retry::Policy::default() },
        breaker: breaker::Policy { is_on: false, ..breaker::Policy::default() },
        ..Calls::default()
    };
    Upstream::new(UpstreamConfig::new("http://vision.example"), &Roots::none())
        .unwrap()
        .with_state(Arc::new(State::unwatched(policy)))
}

fn cached() -> Upstream {
    upstream(Policy::default(), None)
}

/// An answer as its caller sees it.
#[derive(Debug)]
struct Got {
    status: u16,
    headers: HeaderMap,
    body: String,
}

impl Got {
    fn told(&self) -> &str {
        self.header("cache-status")
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

async fn ask(
    origin: &Origin,
    upstream: &Upstream,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
) -> Result<Got, Error> {
    let mut request = Request::builder().method(method).uri(format!("http://vision.upstream.internal{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::default().map_err(|never| match never {}).boxed_unsync()).unwrap();
    let terms = Terms { timeouts: Timeouts::default(), deadline: None, is_probe: false };
    let (parts, body) =
        call_or_fall_back(origin, upstream, request, terms, &Nobody).await?.response.into_parts();
    let body = body.collect().await?.to_bytes();
    Ok(Got {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body: String::from_utf8(body.to_vec()).unwrap(),
    })
}

async fn get(origin: &Origin, upstream: &Upstream, headers: &[(&str, &str)]) -> Got {
    ask(origin, upstream, Method::GET, "/a", headers).await.unwrap()
}

const SECOND: Duration = Duration::from_secs(1);

/// Sections 4 and 4.2: a fresh answer is given without asking, with its age; then it is asked for again.
#[tokio::test(start_paused = true)]
async fn a_fresh_answer_is_given_again() {
    let (origin, upstream) =
        (Origin::new(200, &[("cache-control", "max-age=10"), ("x-of", "origin")]), cached());
    let first = get(&origin, &upstream, &[]).await;
    assert_eq!((first.body.as_str(), first.told()), ("answer 1", "rimward; fwd=uri-miss; stored"));
    advance(SECOND * 4).await;
    let second = get(&origin, &upstream, &[]).await;
    assert_eq!((second.body.as_str(), second.told()), ("answer 1", "rimward; hit; ttl=6"));
    assert_eq!(
        (second.header("age"), second.header("x-of"), second.header("content-length")),
        ("4", "origin", "8")
    );
    assert_eq!(second.header("rimward-upstream"), "");
    advance(SECOND * 6).await;
    let third = get(&origin, &upstream, &[]).await;
    assert_eq!((third.body.as_str(), third.told()), ("answer 2", "rimward; fwd=stale; stored"));
    assert_eq!(ask(&origin, &upstream, Method::GET, "/b", &[]).await.unwrap().body, "answer 3");
}

/// Section 3: what may be stored.
#[tokio::test(start_paused = true)]
async fn only_what_may_be_stored_is() {
    let check =
        async |status: u16, answer: &[(&'static str, &str)], request: &[(&str, &str)], expected: bool| {
            let (origin, upstream) = (Origin::new(status, answer), cached());
            for _ in 0..2 {
                let _ = ask(&origin, &upstream, Method::GET, "/a", request).await;
            }
            assert_eq!(origin.requests() == 1, expected, "{status} {answer:?} {request:?}");
            assert_eq!(
                upstream.state().cache().unwrap().size().0 == 1,
                expected,
                "{status} {answer:?} {request:?}"
            );
        };
    let fresh = ("cache-control", "max-age=60");
    for status in [200, 203, 204, 300, 301, 308, 404, 405, 410, 414] {
        check(status, &[fresh], &[], true).await;
    }
    for status in [201, 206, 302, 307, 400, 401, 403, 429, 500, 503] {
        check(status, &[fresh], &[], false).await;
    }
    check(200, &[], &[], false).await;
    for said in
        ["no-store, max-age=60", "private, max-age=60", "private=\"x\", max-age=60", "max-age=0", "max-age=x"]
    {
        check(200, &[("cache-control", said)], &[], false).await;
    }
    check(200, &[("cache-control", "s-maxage=60, max-age=0")], &[], true).await;
    check(200, &[("cache-control", "s-maxage=0, max-age=60")], &[], false).await;
    check(200, &[fresh], &[("cache-control", "no-store")], false).await;
    check(200, &[fresh, ("set-cookie", "a=b")], &[], false).await;
    check(200, &[fresh, ("vary", "*")], &[], false).await;
    check(200, &[fresh, ("vary", "a, *")], &[], false).await;
    for own in ["range", "if-range", "if-match", "if-none-match", "if-modified-since", "if-unmodified-since"]
    {
        check(200, &[fresh], &[(own, "x")], false).await;
    }
    // Section 3.5.
    check(200, &[fresh], &[("authorization", "x")], false).await;
    for said in ["max-age=60, public", "max-age=60, must-revalidate", "s-maxage=60"] {
        check(200, &[("cache-control", said)], &[("authorization", "x")], true).await;
    }
    // Section 5.3: by the upstream's own clock.
    let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
    check(200, &[date, ("expires", "Sun, 06 Nov 1994 08:50:37 GMT")], &[], true).await;
    check(200, &[date, ("expires", "Sun, 06 Nov 1994 08:49:37 GMT")], &[], false).await;
    check(200, &[date, ("expires", "0")], &[], false).await;
    check(
        200,
        &[date, ("expires", "Sun, 06 Nov 1994 08:50:37 GMT"), ("cache-control", "max-age=0")],
        &[],
        false,
    )
    .await;
}

/// Section 4.2.3: an answer may come with an age, and ages while it is on its way.
#[tokio::test(start_paused = true)]
async fn the_age_that_an_answer_came_with_counts() {
    let (origin, upstream) = (Origin::new(200, &[("cache-control", "max-age=60"), ("age", "50")]), cached());
    get(&origin, &upstream, &[]).await;
    advance(SECOND * 9).await;
    assert_eq!(get(&origin, &upstream, &[]).await.header("age"), "59");
    advance(SECOND).await;
    assert_eq!(get(&origin, &upstream, &[]).await.body, "answer 2");
}

/// Section 4.1: answers are for requests with the same headers under the names of `Vary`.
#[tokio::test(start_paused = true)]
async fn an_answer_is_for_requests_that_are_alike() {
    let vary = [("cache-control", "max-age=60"), ("vary", "Accept, accept-language")];
    let (origin, upstream) = (Origin::new(200, &vary), cached());
    let json = [("accept", "json")];
    assert_eq!(get(&origin, &upstream, &json).await.body, "answer 1");
    let other = get(&origin, &upstream, &[("accept", "xml")]).await;
    assert_eq!((other.body.as_str(), other.told()), ("answer 2", "rimward; fwd=vary-miss; stored"));
    assert_eq!(
        get(&origin, &upstream, &[("accept", "json"), ("accept-language", "de")]).await.body,
        "answer 3"
    );
    assert_eq!(get(&origin, &upstream, &[]).await.body, "answer 4");
    assert_eq!(get(&origin, &upstream, &[("accept", "json"), ("x-other", "1")]).await.body, "answer 1");
    assert_eq!(get(&origin, &upstream, &[("accept", "json"), ("accept", "xml")]).await.body, "answer 5");
    assert_eq!(get(&origin, &upstream, &[]).await.body, "answer 4");
}

#[tokio::test(start_paused = true)]
async fn so_many_variants_are_kept_and_then_the_oldest_goes() {
    let (origin, upstream) =
        (Origin::new(200, &[("cache-control", "max-age=60"), ("vary", "accept")]), cached());
    for at in 0..limits::CACHE_VARIANTS_MAX {
        get(&origin, &upstream, &[("accept", &at.to_string())]).await;
    }
    assert_eq!(get(&origin, &upstream, &[("accept", "0")]).await.body, "answer 1");
    let more = get(&origin, &upstream, &[("accept", "more")]).await.body;
    assert_eq!(get(&origin, &upstream, &[("accept", "more")]).await.body, more);
    assert_ne!(get(&origin, &upstream, &[("accept", "0")]).await.body, "answer 1");
}

/// Sections 4.3.1 to 4.3.4: a stale answer is asked about with its validators, and a 304 makes it fresh with its new head.
#[tokio::test(start_paused = true)]
async fn a_stale_answer_is_validated() {
    let tagged = [
        ("cache-control", "max-age=1"),
        ("etag", "\"1\""),
        ("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("x-of", "first"),
    ];
    let (origin, upstream) = (Origin::new(200, &tagged), cached());
    get(&origin, &upstream, &[]).await;
    advance(SECOND * 2).await;
    origin.answers(
        304,
        &[("cache-control", "max-age=10"), ("etag", "\"1\""), ("x-of", "second"), ("content-length", "0")],
    );
    let good = get(&origin, &upstream, &[]).await;
    assert_eq!((good.status, good.body.as_str()), (200, "answer 1"));
    assert_eq!(
        (good.told(), good.header("x-of"), good.header("age")),
        ("rimward; fwd=stale; fwd-status=304; stored", "second", "0")
    );
    {
        let seen = origin.seen.lock().unwrap();
        assert_eq!(seen[1].2["if-none-match"], "\"1\"");
        assert_eq!(seen[1].2["if-modified-since"], "Sun, 06 Nov 1994 08:49:37 GMT");
    }
    advance(SECOND * 9).await;
    assert_eq!(get(&origin, &upstream, &[]).await.told(), "rimward; hit; ttl=1");
    advance(SECOND * 2).await;
    origin.answers(200, &[("cache-control", "max-age=10")]);
    let changed = get(&origin, &upstream, &[]).await;
    assert_eq!((changed.body.as_str(), changed.header("x-of")), ("answer 3", ""));
    assert_eq!(get(&origin, &upstream, &[]).await.body, "answer 3");
}

/// Sections 3 and 5.2.2.4: an answer with a validator is kept to be asked about, and one with `no-cache` always is.
#[tokio::test(start_paused = true)]
async fn an_answer_without_freshness_is_asked_about_each_time() {
    for said in ["x=y", "no-cache, max-age=60", "max-age=0"] {
        let (origin, upstream) = (Origin::new(200, &[("cache-control", said), ("etag", "\"1\"")]), cached());
        get(&origin, &upstream, &[]).await;
        origin.answers(304, &[]);
        assert_eq!(get(&origin, &upstream, &[]).await.body, "answer 1", "{said}");
        assert_eq!(get(&origin, &upstream, &[("cache-control", "max-stale")]).await.body, "answer 1");
        assert_eq!(origin.requests(), if said == "x=y" || said == "max-age=0" { 2 } else { 3 }, "{said}");
    }
}

/// Section 5.2.1: what a caller asks of the cache.
#[tokio::test(start_paused = true)]
async fn a_caller_may_want_a_fresher_answer_or_a_stale_one() {
    let (origin, upstream) = (Origin::new(200, &[("cache-control", "max-age=60")]), cached());
    get(&origin, &upstream, &[]).await;
    advance(SECOND * 50).await;
    let check = async |said: &str, expected: &str| {
        let got = get(&origin, &upstream, &[("cache-control", said)]).await;
        assert!(got.told().starts_with(expected), "{said}: {}", got.told());
    };
    let hit = "rimward; hit";
    check("max-age=50", hit).await;
    check("min-fresh=10", hit).await;
    check("only-if-cached", hit).await;
    check("max-age=49", "rimward; fwd=request").await;
    advance(SECOND * 50).await;
    check("min-fresh=11", "rimward; fwd=request").await;
    check("no-cache", "rimward; fwd=request").await;
    advance(SECOND * 70).await;
    check("max-stale=10", hit).await;
    check("max-stale", hit).await;
    check("only-if-cached", "rimward; detail=only-if-cached").await;
    assert_eq!(get(&origin, &upstream, &[("cache-control", "only-if-cached")]).await.status, 504);
    check("max-stale=9", "rimward; fwd=stale").await;
}

/// Section 5.2.2.2: what must be validated is never given stale.
#[tokio::test(start_paused = true)]
async fn what_must_be_validated_is_not_given_stale() {
    for said in ["max-age=1, must-revalidate", "max-age=1, proxy-revalidate", "s-maxage=1"] {
        let fallback = fallback::Policy { cached: Some(SECOND * 3600), ..fallback::Policy::default() };
        let (origin, upstream) =
            (Origin::new(200, &[("cache-control", said)]), upstream(Policy::default(), Some(fallback)));
        get(&origin, &upstream, &[]).await;
        advance(SECOND * 2).await;
        assert_eq!(
            get(&origin, &upstream, &[("cache-control", "max-stale")]).await.body,
            "answer 2",
            "{said}"
        );
        advance(SECOND * 2).await;
        origin.answers(503, &[]);
        assert_eq!(get(&origin, &upstream, &[]).await.status, 503, "{said}");
    }
}

/// Section 4.4: a change takes away what it may have changed; a failed one does not.
#[tokio::test(start_paused = true)]
async fn a_change_takes_answers_away() {
    let (origin, upstream) = (Origin::new(200, &[("cache-control", "max-age=60")]), cached());
    let of = async |path: &str| ask(&origin, &upstream, Method::GET, path, &[]).await.unwrap().body;
    let change = async |status: u16, headers: &[(&'static str, &str)]| {
        origin.answers(status, headers);
        let got = ask(&origin, &upstream, Method::POST, "/a", &[]).await.unwrap();
        assert_eq!(got.told(), "rimward; fwd=method");
        origin.answers(200, &[("cache-control", "max-age=60")]);
    };
    assert_eq!((of("/a").await, of("/b").await), ("answer 1".into(), "answer 2".into()));
    change(400, &[("location", "/b")]).await;
    assert_eq!((of("/a").await, of("/b").await), ("answer 1".into(), "answer 2".into()));
    change(201, &[("location", "http://vision.example/b")]).await;
    assert_eq!((of("/a").await, of("/b").await), ("answer 5".into(), "answer 6".into()));
    // Whoever defers a call does not wait for its answer, and has changed as much.
    let request = Request::delete("http://vision.upstream.internal/a")
        .body(Full::default().map_err(|never| match never {}).boxed_unsync());
    let terms = Terms { timeouts: Timeouts::default(), deadline: None, is_probe: false };
    call(&origin, &upstream, request.unwrap(), terms).await.unwrap();
    assert_eq!(of("/a").await, "answer 8");
}

/// Section 4.3.5 and 4: HEAD is answered from what GET left, and leaves nothing itself.
#[tokio::test(start_paused = true)]
async fn head_is_answered_from_the_answer_to_get() {
    let (origin, upstream) = (Origin::new(200, &[("cache-control", "max-age=60")]), cached());
    let head = async || ask(&origin, &upstream, Method::HEAD, "/a", &[]).await.unwrap();
    assert_eq!(head().await.told(), "rimward; fwd=uri-miss");
    get(&origin, &upstream, &[]).await;
    let got = head().await;
    assert_eq!(
        (got.told(), got.body.as_str(), got.header("content-length")),
        ("rimward; hit; ttl=60", "", "8")
    );
}

/// C8; RFC 5861, section 4: where the upstream does not answer, what was kept does, for as long as somebody allowed it.
#[tokio::test(start_paused = true)]
async fn a_kept_answer_stands_in_for_one_that_is_not_there() {
    let stale = |cached: Option<Duration>| {
        let reply = fallback::Reply {
            status: StatusCode::OK,
            headers: HeaderMap::new(),
            body: Bytes::from_static(b"fixed"),
        };
        upstream(Policy::default(), Some(fallback::Policy { cached, function: None, reply: Some(reply) }))
    };
    let check = async |said: &str, upstream: Upstream, status: u16, past: u64, expected: &str| {
        let origin = Origin::new(200, &[("cache-control", said), ("etag", "\"1\"")]);
        get(&origin, &upstream, &[]).await;
        advance(SECOND * (10 + u32::try_from(past).unwrap())).await;
        origin.answers(status, &[]);
        let got = get(&origin, &upstream, &[]).await;
        assert_eq!(got.body, expected, "{said} {status} {past}");
        if expected == "answer 1" {
            assert_eq!(got.told(), "rimward; hit; detail=stale-if-error");
            assert!(got.header("rimward-upstream").starts_with("fallback=cached, reason="), "{got:?}");
        }
    };
    check("max-age=10", stale(Some(SECOND * 60)), 0, 60, "answer 1").await;
    check("max-age=10", stale(Some(SECOND * 60)), 503, 60, "answer 1").await;
    check("max-age=10", stale(Some(SECOND * 60)), 503, 61, "fixed").await;
    check("max-age=10", stale(Some(SECOND * 60)), 404, 1, "answer 2").await;
    check("max-age=10", stale(None), 503, 1, "fixed").await;
    check("max-age=10, stale-if-error=5", stale(None), 503, 5, "answer 1").await;
    check("max-age=10, stale-if-error=5", stale(None), 503, 6, "fixed").await;
    check("max-age=10, stale-if-error=5", cached(), 0, 5, "answer 1").await;
    check("max-age=10, no-cache", stale(Some(SECOND * 60)), 503, 1, "fixed").await;
}

/// Section 3.3: half an answer is not stored.
#[tokio::test(start_paused = true)]
async fn a_body_that_ends_early_or_is_given_up_is_not_stored() {
    let (origin, upstream) = (Origin::new(200, &[("cache-control", "max-age=60")]), cached());
    let cut = || Error::ResponseIncomplete(Arc::new(std::io::Error::other("cut")));
    *origin.more.lock().unwrap() = vec![Ok("more"), Err(cut())];
    assert!(ask(&origin, &upstream, Method::GET, "/a", &[]).await.is_err());
    assert_eq!(upstream.state().cache().unwrap().size().0, 0);
    *origin.more.lock().unwrap() = vec![Ok("more"), Ok("and more")];
    let request = Request::get("http://vision.upstream.internal/a")
        .body(Full::default().map_err(|never| match never {}).boxed_unsync());
    let terms = Terms { timeouts: Timeouts::default(), deadline: None, is_probe: false };
    let mut answer = call_or_fall_back(&origin, &upstream, request.unwrap(), terms, &Nobody).await.unwrap();
    answer.response.body_mut().frame().await.unwrap().unwrap();
    drop(answer);
    assert_eq!(upstream.state().cache().unwrap().size().0, 0);
    assert_eq!(get(&origin, &upstream, &[]).await.body, "answer 3moreand more");
    assert_eq!(get(&origin, &upstream, &[]).await.body, "answer 3moreand more");
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_kept_up_to_its_bound_and_all_of_them_up_to_theirs() {
    let policy =
        |body_bytes: usize, bytes: u64| upstream(Policy { body_bytes, bytes, ..Policy::default() }, None);
    let fresh = [("cache-control", "max-age=60")];
    let origin = Origin::new(200, &fresh);
    let (fits, does_not) = (policy(8, 1 << 20), policy(7, 1 << 20));
    get(&origin, &fits, &[]).await;
    get(&origin, &does_not, &[]).await;
    assert_eq!((fits.state().cache().unwrap().size().0, does_not.state().cache().unwrap().size().0), (1, 0));
    let small = policy(1 << 20, 64 << 10);
    for at in 0..1000 {
        let path = format!("/{at}");
        ask(&origin, &small, Method::GET, &path, &[]).await.unwrap();
        let (_, bytes) = small.state().cache().unwrap().size();
        assert!(bytes <= 64 << 10, "{bytes}");
    }
    let (entries, bytes) = small.state().cache().unwrap().size();
    assert!(entries > 20 && bytes > 32 << 10, "{entries} {bytes}");
    let none = policy(1 << 20, 1);
    get(&origin, &none, &[]).await;
    assert_eq!(none.state().cache().unwrap().size(), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn what_other_caches_told_stays() {
    let (origin, upstream) =
        (Origin::new(200, &[("cache-control", "max-age=60"), ("cache-status", "cdn; hit")]), cached());
    get(&origin, &upstream, &[]).await;
    let got = get(&origin, &upstream, &[]).await;
    let told: Vec<_> =
        got.headers.get_all("cache-status").iter().map(HeaderValue::to_str).map(Result::unwrap).collect();
    assert_eq!(told, ["cdn; hit", "rimward; hit; ttl=60"]);
}

#[tokio::test(start_paused = true)]
async fn headers_with_several_values_keep_them() {
    let (origin, upstream) =
        (Origin::new(200, &[("cache-control", "max-age=60"), ("link", "a"), ("link", "b")]), cached());
    get(&origin, &upstream, &[]).await;
    let got = get(&origin, &upstream, &[]).await;
    assert_eq!(got.headers.get_all(header::LINK).iter().count(), 2);
}
