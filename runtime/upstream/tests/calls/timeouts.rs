//! Every stage of an exchange ends in time, and names the stage.

use crate::support::servers::{raw, read_head, read_until, say};
use crate::support::{channel, client, client_with, data, egress, empty, get_text, post, text, upstream};
use http::Request;
use rimward_upstream::{
    Body, Client, Error, Resolve, Resolving, Roots, Target, Timeouts, Upstream, UpstreamConfig,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

const SHORT: Duration = Duration::from_millis(30);
const LONG: Duration = Duration::from_secs(30);
const ALL_LONG: Timeouts = Timeouts { connect: LONG, first_byte: LONG, between_bytes: LONG, total: LONG };

async fn send(client: &Client, upstream: &Upstream, timeouts: Timeouts) -> Result<String, Error> {
    let request = Request::get("http://it.upstream.internal/").body(empty()).unwrap();
    text(client.send(request, Target::Upstream(upstream), timeouts, None).await?).await
}

/// What a call with these timeouts gets from a server that says `answer` and then nothing, keeping the connection.
async fn from_stalling(answer: &'static str, timeouts: Timeouts) -> Error {
    let server = raw(move |mut stream, _| async move {
        read_head(&mut stream).await;
        say(&mut stream, answer).await;
        read_head(&mut stream).await;
    })
    .await;
    send(&client(), &upstream(server.address), timeouts).await.unwrap_err()
}

/// C3.
#[tokio::test]
async fn a_stalled_answer_times_out_at_its_stage() {
    let half = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf";
    let first = Timeouts { first_byte: SHORT, ..ALL_LONG };
    let between = Timeouts { between_bytes: SHORT, ..ALL_LONG };
    let total = Timeouts { total: SHORT, ..ALL_LONG };
    assert!(matches!(from_stalling("", first).await, Error::FirstByteTimeout));
    assert!(matches!(from_stalling("HTTP/1.1 200", first).await, Error::FirstByteTimeout));
    assert!(matches!(from_stalling("", total).await, Error::TotalTimeout));
    assert!(matches!(from_stalling(half, between).await, Error::BetweenBytesTimeout));
    assert!(matches!(from_stalling(half, total).await, Error::TotalTimeout));
}

#[tokio::test]
async fn an_answer_that_drips_for_ever_ends_at_the_total() {
    let server = raw(|mut stream, _| async move {
        read_head(&mut stream).await;
        say(&mut stream, "HTTP/1.1 200 OK\r\n\r\n").await;
        loop {
            tokio::io::AsyncWriteExt::write_all(&mut stream, b"x").await.unwrap_or(());
            tokio::task::yield_now().await;
        }
    })
    .await;
    let failed = send(&client(), &upstream(server.address), Timeouts { total: SHORT, ..ALL_LONG }).await;
    assert!(matches!(failed, Err(Error::TotalTimeout)), "{failed:?}");
}

#[tokio::test]
async fn a_deadline_bounds_everything() {
    let server = raw(|mut stream, _| async move {
        read_head(&mut stream).await;
        read_head(&mut stream).await;
    })
    .await;
    let (client, upstream) = (client(), upstream(server.address));
    for deadline in [Instant::now(), Instant::now() + SHORT] {
        let request = Request::get("http://it.upstream.internal/").body(empty()).unwrap();
        let failed = client.send(request, Target::Upstream(&upstream), ALL_LONG, Some(deadline)).await;
        assert!(matches!(failed, Err(Error::TotalTimeout)), "{failed:?}");
        assert!(Instant::now() >= deadline);
    }
}

/// C1.
#[tokio::test]
async fn a_silent_handshake_is_a_connect_timeout() {
    let server = raw(|mut stream, _| async move {
        read_head(&mut stream).await;
    })
    .await;
    let config = UpstreamConfig {
        allowed: vec![server.address.into()],
        ..UpstreamConfig::new(format!("https://{}", server.address))
    };
    let upstream = Upstream::new(config, &Roots::none()).unwrap();
    let failed = send(&client(), &upstream, Timeouts { connect: SHORT, ..ALL_LONG }).await;
    assert!(matches!(failed, Err(Error::ConnectionTimeout)), "{failed:?}");
}

/// A resolver that never answers.
struct Silent;

impl Resolve for Silent {
    fn resolve(&self, _name: &str) -> Resolving {
        Box::pin(std::future::pending())
    }
}

async fn lookup_in_silence(timeouts: Timeouts) -> Error {
    let client = client_with(|config| config.resolver = Arc::new(Silent));
    let egress = egress(&["*"], &[]);
    let request = Request::get("http://example.com/").body(empty()).unwrap();
    client.send(request, Target::Host(&egress), timeouts, None).await.unwrap_err()
}

/// C11. No socket is involved, so the clock can be paused.
#[tokio::test(start_paused = true)]
async fn a_silent_resolver_is_a_dns_timeout_at_its_own_limit() {
    let start = Instant::now();
    assert!(matches!(lookup_in_silence(ALL_LONG).await, Error::DnsTimeout));
    assert_eq!(start.elapsed().as_secs(), rimward_upstream::limits::LOOKUP_MAX.as_secs());
    let start = Instant::now();
    assert!(matches!(lookup_in_silence(Timeouts { connect: SHORT, ..ALL_LONG }).await, Error::DnsTimeout));
    assert!(start.elapsed() < SHORT * 2);
}

#[tokio::test]
async fn a_reused_connection_is_not_charged_a_connect() {
    let server = crate::support::servers::always("hello").await;
    let (client, upstream) = (client(), upstream(server.address));
    get_text(&client, &upstream).await.unwrap();
    let answered = send(&client, &upstream, Timeouts { connect: Duration::ZERO, ..ALL_LONG }).await;
    assert_eq!(answered.unwrap(), "hello");
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn the_wait_for_the_answer_begins_when_the_request_has_been_sent() {
    let server = raw(|mut stream, _| async move {
        read_until(&mut stream, "0\r\n\r\n").await;
        say(&mut stream, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    })
    .await;
    let (sender, body) = channel();
    let request: Request<Body> = post("http://it.upstream.internal/", body);
    let (client, upstream) = (client(), upstream(server.address));
    let timeouts = Timeouts { first_byte: SHORT, ..ALL_LONG };
    let sent = client.send(request, Target::Upstream(&upstream), timeouts, None);
    let slow_guest = async {
        for _ in 0..4 {
            // The passing of time is what is tested here.
            tokio::time::timeout(SHORT, std::future::pending::<()>()).await.unwrap_err();
            sender.send(data("a")).await.unwrap();
        }
        drop(sender);
    };
    let (answered, ()) = tokio::join!(sent, slow_guest);
    assert_eq!(text(answered.unwrap()).await.unwrap(), "ok");
}

#[tokio::test]
async fn a_slow_reader_is_not_the_servers_fault() {
    let server = raw(|mut stream, _| async move {
        read_head(&mut stream).await;
        say(&mut stream, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
        read_head(&mut stream).await;
    })
    .await;
    let (client, upstream) = (client(), upstream(server.address));
    let timeouts = Timeouts { between_bytes: Duration::from_millis(1), ..ALL_LONG };
    let request = Request::get("http://it.upstream.internal/").body(empty()).unwrap();
    let response = client.send(request, Target::Upstream(&upstream), timeouts, None).await.unwrap();
    tokio::time::timeout(SHORT, std::future::pending::<()>()).await.unwrap_err();
    // The bytes are in the socket's buffer; the connection's task has had the whole time to see them.
    assert_eq!(text(response).await.unwrap(), "ok");
}
