//! Tokens from a scripted authorization server, for calls to a scripted upstream, under a paused clock.

use super::*;
use crate::{Policy, Terms, auth, breaker, call, retry};
use std::collections::VecDeque;
use std::sync::Mutex as StdMutex;

/// What the authorization server says next, after how long; the last one holds for all further ones.
type Answers = VecDeque<(u64, u16, String)>;

/// Both servers: requests to `/token` are for the authorization server.
struct World {
    answers: StdMutex<Answers>,
    /// Tokens that the upstream takes; all where there are none.
    accepted: StdMutex<Vec<String>>,
    asked: StdMutex<Vec<(Option<String>, String)>>,
    called: StdMutex<Vec<String>>,
}

impl World {
    fn new(answers: &[(u64, u16, &str)]) -> Self {
        let answers = answers.iter().map(|(ms, status, body)| (*ms, *status, (*body).to_owned())).collect();
        Self {
            answers: StdMutex::new(answers),
            accepted: StdMutex::default(),
            asked: StdMutex::default(),
            called: StdMutex::default(),
        }
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    fn called(&self) -> Vec<String> {
        self.called.lock().unwrap().clone()
    }
}

fn body(text: &str) -> Body {
    Full::new(Bytes::from(text.to_owned())).map_err(|never| match never {}).boxed_unsync()
}

fn answer(status: u16, text: &str) -> Response<Body> {
    Response::builder().status(status).body(body(text)).unwrap()
}

impl Transport for World {
    async fn send(&self, request: Request<Body>, _: Attempt<'_>) -> Result<Response<Body>, Error> {
        let proof = request.headers().get(AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned());
        if request.uri().path() != "/token" {
            let proof = proof.unwrap();
            self.called.lock().unwrap().push(proof.clone());
            let accepted = self.accepted.lock().unwrap();
            let is_good =
                accepted.is_empty() || accepted.iter().any(|token| proof == format!("Bearer {token}"));
            return Ok(answer(if is_good { 200 } else { 401 }, ""));
        }
        let form = request.into_body().collect().await?.to_bytes();
        self.asked.lock().unwrap().push((proof, String::from_utf8(form.to_vec()).unwrap()));
        let (ms, status, text) = {
            let mut answers = self.answers.lock().unwrap();
            if answers.len() > 1 { answers.pop_front().unwrap() } else { answers[0].clone() }
        };
        sleep(Duration::from_millis(ms)).await;
        if status == 0 { Err(Error::ConnectionRefused) } else { Ok(answer(status, &text)) }
    }
}

fn config(style: Style) -> Config {
    Config {
        token_url: "https://login.example/token".into(),
        client_id: "edge 7".into(),
        client_secret: Secret::new("p:w&d"),
        scope: "read write".into(),
        audience: Some("https://api.example/".into()),
        style,
        ca_pem: None,
    }
}

fn upstream(style: Style) -> Upstream {
    let mut upstream = UpstreamConfig::new("https://api.example");
    upstream.auth = Some(auth::Config::OAuth(config(style)));
    upstream.policy = Policy {
        retry: retry::Policy { attempts: 1, ..retry::Policy::default() },
        breaker: breaker::Policy { is_on: false, ..breaker::Policy::default() },
        ..Policy::default()
    };
    Upstream::new(upstream, &Roots::none()).unwrap()
}

async fn one(world: &World, upstream: &Upstream) -> Result<u16, Error> {
    let request = Request::post("http://api.upstream.internal/x").header(AUTHORIZATION, "the function's own");
    let terms = Terms {
        timeouts: Timeouts::default(),
        deadline: Some(Instant::now() + Duration::from_secs(20)),
        is_probe: false,
    };
    let answer = call(world, upstream, request.body(body("x")).unwrap(), terms).await?;
    Ok(answer.response.status().as_u16())
}

const GOOD: &str = r#"{"access_token":"one","token_type":"Bearer","expires_in":100}"#;
const NEXT: &str = r#"{"access_token":"two","token_type":"bearer","expires_in":100}"#;

#[tokio::test(start_paused = true)]
async fn a_token_is_asked_for_once_as_the_server_wants_it_and_the_functions_own_is_replaced() {
    for style in [Style::Basic, Style::Post] {
        let (world, upstream) = (World::new(&[(50, 200, GOOD)]), upstream(style));
        let calls = futures_util::future::join_all((0..20).map(|_| one(&world, &upstream))).await;
        assert!(calls.iter().all(|call| matches!(call, Ok(200))), "{calls:?}");
        assert_eq!(world.called(), vec!["Bearer one"; 20]);
        let asked = world.asked.lock().unwrap();
        assert_eq!(asked.len(), 1, "all wait for one");
        let form = "grant_type=client_credentials&scope=read+write&audience=https%3A%2F%2Fapi.example%2F";
        match style {
            // "edge+7:p%3Aw%26d"
            Style::Basic => {
                assert_eq!(asked[0], (Some("Basic ZWRnZSs3OnAlM0F3JTI2ZA==".into()), form.into()))
            }
            Style::Post => {
                assert_eq!(asked[0], (None, format!("{form}&client_id=edge+7&client_secret=p%3Aw%26d")));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_token_is_renewed_before_its_end_by_one_call_and_the_old_one_serves_meanwhile() {
    let world = World::new(&[(10, 200, GOOD), (500, 200, NEXT)]);
    let upstream = upstream(Style::Basic);
    assert_eq!(one(&world, &upstream).await.unwrap(), 200);
    sleep(Duration::from_secs(70)).await;
    one(&world, &upstream).await.unwrap();
    assert_eq!(world.asked(), 1, "three quarters are not over");
    sleep(Duration::from_secs(19)).await;
    let start = Instant::now();
    let calls = (0..10).map(|_| async {
        one(&world, &upstream).await.unwrap();
        start.elapsed().as_millis()
    });
    let took = futures_util::future::join_all(calls).await;
    assert_eq!(took.iter().filter(|ms| **ms >= 500).count(), 1, "one waits: {took:?}");
    assert_eq!(world.asked(), 2);
    one(&world, &upstream).await.unwrap();
    assert_eq!(world.called().last().unwrap(), "Bearer two");
}

#[tokio::test(start_paused = true)]
async fn a_token_that_cannot_be_renewed_serves_to_its_end() {
    let world = World::new(&[(0, 200, GOOD), (0, 503, ""), (0, 503, ""), (0, 503, ""), (0, 200, NEXT)]);
    let upstream = upstream(Style::Basic);
    one(&world, &upstream).await.unwrap();
    sleep(Duration::from_secs(89)).await;
    assert_eq!(one(&world, &upstream).await.unwrap(), 200);
    assert_eq!(world.called(), ["Bearer one"; 2]);
    sleep(Duration::from_millis(990)).await;
    sleep(Duration::from_secs(2)).await;
    one(&world, &upstream).await.unwrap();
    assert_eq!(world.called().last().unwrap(), "Bearer two");
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_is_replaced_once_for_a_call() {
    let world = World::new(&[(0, 200, GOOD), (0, 200, NEXT)]);
    let upstream = upstream(Style::Basic);
    one(&world, &upstream).await.unwrap();
    world.accepted.lock().unwrap().push("two".into());
    sleep(Duration::from_secs(1)).await;
    let calls = futures_util::future::join_all((0..10).map(|_| one(&world, &upstream))).await;
    assert!(calls.iter().all(|call| matches!(call, Ok(200))), "{calls:?}");
    assert_eq!(world.asked(), 2, "one new token is enough for all");
    world.accepted.lock().unwrap()[0] = "three".into();
    sleep(Duration::from_secs(1)).await;
    let before = world.called().len();
    assert_eq!(one(&world, &upstream).await.unwrap(), 401, "the answer stands");
    assert_eq!(world.called().len(), before + 2);
}

#[tokio::test(start_paused = true)]
async fn without_a_token_calls_fail_at_once_after_the_first_and_the_upstream_is_not_asked() {
    let world = World::new(&[(0, 0, "")]);
    let upstream = upstream(Style::Basic);
    let failed = one(&world, &upstream).await.unwrap_err();
    assert!(
        matches!(failed, Error::Credentials(_)) && failed.is_unsent() && !failed.is_upstreams(),
        "{failed:?}"
    );
    assert_eq!(world.asked(), limits::TOKEN_TRIES as usize);
    let start = Instant::now();
    for _ in 0..100 {
        assert!(matches!(one(&world, &upstream).await, Err(Error::Credentials(_))));
    }
    assert_eq!((start.elapsed(), world.asked()), (Duration::ZERO, limits::TOKEN_TRIES as usize));
    world.answers.lock().unwrap()[0] = (0, 200, GOOD.into());
    sleep(limits::TOKEN_PAUSE).await;
    assert_eq!(one(&world, &upstream).await.unwrap(), 200);
    assert_eq!(world.called(), ["Bearer one"]);
}

/// C10: a call does not wait for a token beyond its time.
#[tokio::test(start_paused = true)]
async fn a_server_that_hangs_costs_a_call_its_time_and_no_more() {
    let world = World::new(&[(60_000, 200, GOOD)]);
    let upstream = upstream(Style::Basic);
    let request = Request::get("http://api.upstream.internal/x").body(body("")).unwrap();
    let start = Instant::now();
    let terms = Terms {
        timeouts: Timeouts::default(),
        deadline: Some(start + Duration::from_secs(2)),
        is_probe: false,
    };
    let result = call(&world, &upstream, request, terms).await;
    assert!(matches!(result, Err(Error::Deadline)), "{result:?}");
    assert!(start.elapsed() < Duration::from_millis(2010));
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_no_token_says_why_and_shows_no_secret() {
    let check = async |status: u16, text: &str, expected: &str| {
        let (world, upstream) = (World::new(&[(0, status, text)]), upstream(Style::Post));
        let failed = one(&world, &upstream).await.unwrap_err();
        let text = format!("{failed:?} {}", chain(&failed));
        assert!(text.contains(expected), "{text}");
        assert!(!text.contains("p:w") && !text.contains("p%3A") && !text.contains("s3cret"), "{text}");
        assert_eq!(failed.caller_text(), "the node has no credentials for it");
    };
    check(400, r#"{"error":"invalid_client"}"#, "refused with status 400 and `invalid_client`").await;
    check(401, "<html>s3cret", "refused with status 401").await;
    check(200, "no json s3cret", "it is not the JSON of a token").await;
    check(200, r#"{"token_type":"bearer"}"#, "it has no `access_token`").await;
    check(200, r#"{"access_token":"s3cret","token_type":"mac"}"#, "its type is not `bearer`").await;
    check(200, r#"{"access_token":"s3cret\n"}"#, "cannot stand in a header").await;
    let large = |bytes: usize| format!("{{\"access_token\":\"x\"{}}}", " ".repeat(bytes - 20));
    check(200, &large(limits::TOKEN_ANSWER_BYTES_MAX + 1), "it is too large").await;
    let (world, upstream) =
        (World::new(&[(0, 200, &large(limits::TOKEN_ANSWER_BYTES_MAX))]), upstream(Style::Post));
    assert_eq!(one(&world, &upstream).await.unwrap(), 200);
    let shown = format!("{upstream:?}");
    assert!(!shown.contains("p:w") && !shown.contains("Bearer x"), "{shown}");
}
