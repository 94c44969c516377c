//! Faults against a transport that always answers, under a paused clock.

use super::*;
use crate::{Policy, Roots, State, Terms, Timeouts, Upstream, UpstreamConfig, breaker, call, retry};
use std::sync::atomic::AtomicUsize;

/// Answers every try with four kibibytes, and counts them.
#[derive(Default)]
struct Well(AtomicUsize);

impl Transport for Well {
    async fn send(&self, _: Request<Body>, _: Attempt<'_>) -> Result<Response<Body>, Error> {
        self.0.fetch_add(1, Relaxed);
        let body = Full::new(Bytes::from(vec![b'x'; 4096])).map_err(|never| match never {});
        Ok(Response::new(body.boxed_unsync()))
    }
}

/// One try for each call, and no breaker.
fn upstream(faults: &[Kind]) -> Upstream {
    let policy = Policy {
        retry: retry::Policy { attempts: 1, ..retry::Policy::default() },
        breaker: breaker::Policy { is_on: false, ..breaker::Policy::default() },
        ..Policy::default()
    };
    let upstream = Upstream::new(UpstreamConfig::new("http://vision.example"), &Roots::none()).unwrap();
    let upstream = upstream.with_state(Arc::new(State::unwatched(policy)));
    let faults = faults.iter().map(|&kind| Fault { kind, share: 1.0 }).collect();
    upstream.state().faults().set(faults, 1);
    upstream
}

async fn one(well: &Well, upstream: &Upstream) -> Result<Response<Body>, Error> {
    let request = Request::get("http://vision.upstream.internal/")
        .body(Full::default().map_err(|never| match never {}).boxed_unsync());
    let timeouts = Timeouts {
        connect: Duration::from_secs(1),
        first_byte: Duration::from_secs(2),
        ..Timeouts::default()
    };
    let terms = Terms { timeouts, deadline: Some(Instant::now() + Duration::from_secs(5)), is_probe: false };
    call(well, upstream, request.unwrap(), terms).await.map(|answer| answer.response)
}

/// What a call that meets `kind` comes to, after how many milliseconds, and how many tries the upstream saw.
async fn meets(kind: Kind) -> (Result<u16, Error>, u128, usize) {
    let (well, upstream) = (Well::default(), upstream(&[kind]));
    let start = Instant::now();
    let result = one(&well, &upstream).await.map(|response| response.status().as_u16());
    (result, start.elapsed().as_millis(), well.0.load(Relaxed))
}

#[tokio::test(start_paused = true)]
async fn each_fault_is_what_the_real_one_would_be() {
    assert!(matches!(meets(Kind::Reset).await, (Err(Error::ConnectionTerminated(_)), 0, 0)));
    assert!(matches!(meets(Kind::Refused).await, (Err(Error::ConnectionRefused), 0, 0)));
    assert!(matches!(meets(Kind::Dns).await, (Err(Error::Dns(LookupError::NoSuchName)), 0, 0)));
    assert!(matches!(meets(Kind::Tls).await, (Err(Error::TlsCertificate(_)), 0, 0)));
    assert!(matches!(meets(Kind::Unreachable).await, (Err(Error::DestinationUnavailable(_)), 0, 0)));
    assert!(matches!(meets(Kind::ConnectTimeout).await, (Err(Error::ConnectionTimeout), 1000.., 0)));
    assert!(matches!(meets(Kind::FirstByteTimeout).await, (Err(Error::FirstByteTimeout), 2000.., 0)));
    assert!(matches!(meets(Kind::Status(StatusCode::BAD_GATEWAY)).await, (Ok(502), 0, 0)));
    let second = Duration::from_secs(1);
    assert!(matches!(meets(Kind::Latency(second, Duration::ZERO)).await, (Ok(200), 1000.., 1)));
    assert!(matches!(
        meets(Kind::Latency(second * 3, Duration::ZERO)).await,
        (Err(Error::FirstByteTimeout), 2000..3000, 0)
    ));
}

/// C10: a fault waits no longer than the call may last.
#[tokio::test(start_paused = true)]
async fn a_fault_ends_by_the_deadline() {
    let well = Well::default();
    let slow = upstream(&[Kind::Latency(Duration::from_millis(1900), Duration::ZERO); 3]);
    let mut terms = Terms {
        timeouts: Timeouts::default(),
        deadline: Some(Instant::now() + Duration::from_secs(1)),
        is_probe: false,
    };
    terms.timeouts.first_byte = Duration::from_secs(10);
    let request =
        Request::get("http://vision.upstream.internal/").body(answer(StatusCode::OK).into_body()).unwrap();
    let start = Instant::now();
    let result = call(&well, &slow, request, terms).await;
    assert!(matches!(result, Err(Error::Deadline)), "{result:?}");
    assert_eq!(start.elapsed().as_millis() / 10, 100);
}

#[tokio::test(start_paused = true)]
async fn an_answer_is_cut_or_drips() {
    let well = Well::default();
    let cut = one(&well, &upstream(&[Kind::Cut])).await.unwrap().into_body().collect().await;
    assert!(matches!(cut, Err(Error::ResponseIncomplete(_))));
    let start = Instant::now();
    let drip = Kind::Drip(NonZeroU64::new(1024).unwrap());
    let whole = one(&well, &upstream(&[drip])).await.unwrap().into_body().collect().await.unwrap();
    assert_eq!(whole.to_bytes().len(), 4096);
    assert!((4.0..4.5).contains(&start.elapsed().as_secs_f64()), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_share_of_tries_meets_a_fault_the_same_ones_for_a_seed() {
    let run = async |seed: u64| {
        let (well, upstream) = (Well::default(), upstream(&[]));
        upstream.state().faults().set(vec![Fault { kind: Kind::Refused, share: 0.2 }], seed);
        let mut failed = Vec::new();
        for at in 0..1000 {
            if one(&well, &upstream).await.is_err() {
                failed.push(at);
            }
        }
        failed
    };
    let failed = run(7).await;
    assert!((150..250).contains(&failed.len()), "{}", failed.len());
    assert_eq!(failed, run(7).await);
    assert_ne!(failed, run(8).await);
}

#[tokio::test(start_paused = true)]
async fn without_faults_tries_are_as_they_were() {
    let (well, upstream) = (Well::default(), upstream(&[Kind::Refused]));
    assert!(one(&well, &upstream).await.is_err());
    upstream.state().faults().set(Vec::new(), 0);
    assert!(one(&well, &upstream).await.is_ok());
}
