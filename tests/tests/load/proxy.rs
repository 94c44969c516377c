//! A proxy must not lose a request: bodies stream both ways through a function, over connections that stay open and
//! over connections that the origin closes whenever it likes.

use crate::origin::{Closes, Origin};
use bytes::Bytes;
use rimward_tests::{Connection, Over, TestNode, answers_early, app, fake, node};
use std::time::Instant;

/// Requests of a usual run.
const SAMPLE: usize = 5_000;

/// Clients at once.
const CLIENTS: usize = 16;

async fn proxying(guest: &str, origin: &Origin) -> TestNode {
    node().room(32, 64).app(app(guest).upstream_at("origin", &origin.url(), "")).start().await
}

/// Requests without a body, with a small one, and now and then with one of many pieces.
fn body(request: usize) -> Bytes {
    let bytes = match request % 8 {
        0..4 => 0,
        4..7 => 1 << 10,
        _ => 100 << 10,
    };
    (0..bytes).map(|at| u8::try_from(at % 251).expect("it is below 251")).collect()
}

/// Sends `requests` and expects each back as it was.
async fn check_echoes(guest: &str, requests: usize) {
    let origin = Origin::start(Closes::Never);
    let node = proxying(guest, &origin).await;
    let sent = |connection: Connection, request: usize| async move {
        let body = body(request);
        let answer = match body.is_empty() {
            true => connection.get("/").await,
            false => connection.post("/").body(body.clone()).await,
        };
        answer.is(200);
        assert!(answer.bytes() == &body, "request {request}: {} bytes came back", answer.bytes().len());
    };
    check(&node, guest, requests, sent).await;
}

/// Sends `requests` to an origin that closes its connections after ten answers each.
async fn check_reconnects(guest: &str, requests: usize) {
    let origin = Origin::start(Closes::After(10));
    let node = proxying(guest, &origin).await;
    let sent = |connection: Connection, _| async move {
        connection.get("/").await.is(200).says("ok");
    };
    check(&node, guest, requests, sent).await;
}

async fn check<F: Future<Output = ()>>(
    node: &TestNode,
    guest: &str,
    requests: usize,
    send: impl Fn(Connection, usize) -> F,
) {
    let started = Instant::now();
    let clients = (0..CLIENTS).map(|client| {
        let send = &send;
        async move {
            let connection = node.connect(Over::Http1).await;
            for request in (client..requests).step_by(CLIENTS) {
                send(connection.clone(), request).await;
            }
        }
    });
    futures_util::future::join_all(clients).await;
    #[expect(clippy::cast_precision_loss, reason = "it is shown to people")]
    let rate = requests as f64 / started.elapsed().as_secs_f64();
    eprintln!("{guest}: {requests} requests, {rate:.0} each second, no failure");
}

#[tokio::test]
async fn proxy_on_wstd_loses_no_request() {
    check_echoes("proxy", SAMPLE).await;
}

#[tokio::test]
async fn proxy_sdk_loses_no_request() {
    check_echoes("proxy-sdk", SAMPLE).await;
}

#[tokio::test]
async fn a_connection_that_the_origin_closes_costs_no_request() {
    check_reconnects("proxy-sdk", SAMPLE).await;
}

/// The origin answers before it has read the body.
async fn check_early(guest: &str, bytes: usize) {
    let origin = fake(answers_early("too early"));
    let node = node().app(app(guest).upstream("origin", &origin)).start().await;
    for _ in 0..20 {
        node.post("/").body(vec![7; bytes]).await.is(200).says("too early");
    }
    node.is_idle().await;
}

#[tokio::test]
async fn an_origin_that_answers_early_is_heard() {
    for guest in ["proxy", "proxy-sdk"] {
        check_early(guest, 1 << 10).await;
        check_early(guest, 2 << 20).await;
    }
}

mod slow {
    use super::{check_echoes, check_reconnects};

    #[tokio::test]
    async fn a_hundred_thousand_requests_through_proxy_and_none_is_lost() {
        check_echoes("proxy", 100_000).await;
    }

    #[tokio::test]
    async fn a_hundred_thousand_requests_through_proxy_sdk_and_none_is_lost() {
        check_echoes("proxy-sdk", 100_000).await;
    }

    #[tokio::test]
    async fn a_hundred_thousand_requests_to_an_origin_that_closes_connections_and_none_is_lost() {
        check_reconnects("proxy-sdk", 100_000).await;
    }
}
