//! Functions whose replies do not end as they should, or that do not read what they were sent.

use crate::support::{GUESTS, bad, beside, hostile, is_unharmed};
use rimward_capability::limits::LINGER;
use rimward_node::Outcome;
use rimward_tests::{Over, TestNode};
use std::time::{Duration, Instant};

const BOTH: [Over; 2] = [Over::Http1, Over::Http2];

/// The reply is cut short, over both versions of HTTP, for this reason.
async fn is_cut(guest: &str, limits: &str, path: &str, code: &'static str, kind: &'static str) -> TestNode {
    let node = beside(hostile(guest).limits(limits)).start().await;
    for over in BOTH {
        let open = bad(&node, path).over(over).open().await;
        assert_eq!(open.status(), 200);
        open.is_cut_short().await;
    }
    for ended in node.heard().ends(2).await {
        assert_eq!((ended.outcome, ended.status), (Outcome::CutShort(code), Some(200)), "{guest}{path}");
        assert_eq!(ended.offences, [(kind, 1)], "{guest}{path}");
    }
    is_unharmed(&node).await;
    node
}

/// G3: a trap after the head.
#[tokio::test]
async fn a_trap_midway_never_looks_like_the_end() {
    for guest in GUESTS {
        is_cut(guest, r#"wall = "20s""#, "/trap-midway", "rimward.guest.trap", "trap").await;
    }
}

/// G3, G4: the CPU budget covers the body too.
#[tokio::test]
async fn a_loop_midway_is_stopped_and_never_looks_like_the_end() {
    for guest in GUESTS {
        is_cut(guest, r#"cpu = "50ms""#, "/spin-midway", "rimward.guest.cpu", "cpu").await;
    }
}

/// G16: a body that is held open.
#[tokio::test]
async fn a_reply_that_stalls_is_cut_short_after_its_idle_time() {
    for guest in GUESTS {
        is_cut(guest, r#"stream-idle = "60ms""#, "/stalls", "rimward.guest.stream", "stream").await;
    }
}

/// G16: a body that comes by the drop and never stands still for long.
#[tokio::test]
async fn a_reply_that_drips_is_cut_short_where_a_rate_or_a_length_is_set() {
    for guest in GUESTS {
        let rate = r#"stream-idle = "200ms", stream-min-rate = "64KiB""#;
        is_cut(guest, rate, "/drips", "rimward.guest.stream", "stream").await;
        let length = r#"stream-idle = "10s", stream-max = "100ms""#;
        is_cut(guest, length, "/drips", "rimward.guest.stream", "stream").await;
    }
}

/// G16: the same drips are no offence where the rate is lower, for as long as the test looks.
#[tokio::test]
async fn a_reply_that_keeps_its_rate_goes_on() {
    for guest in GUESTS {
        let limits = r#"stream-idle = "1s", stream-min-rate = "2B""#;
        let node = beside(hostile(guest).limits(limits)).start().await;
        let mut open = bad(&node, "/drips").open().await;
        let started = Instant::now();
        while started.elapsed() < Duration::from_secs(2) {
            open.piece().await.expect("it goes on").expect("it is not cut short");
        }
    }
}

/// G17: a request's body that nobody reads, or not to its end.
#[tokio::test]
async fn a_reply_is_delivered_whether_its_request_was_read_or_not() {
    for guest in GUESTS {
        let node = beside(hostile(guest)).start().await;
        for over in BOTH {
            for path in ["/takes-nothing", "/takes-a-byte"] {
                let call = node.post(path).host("bad.example").over(over.clone());
                call.body(vec![b'x'; 4 << 20]).await.is(200).says("answered");
            }
        }
        is_unharmed(&node).await;
    }
}

/// G17: a client that has not sent all of it can use its connection again, or sees it closed; what it sends is never taken
/// for a request.
#[tokio::test]
async fn an_unread_body_is_never_taken_for_a_request() {
    for guest in GUESTS {
        let node = beside(hostile(guest)).start().await;
        for path in ["/takes-nothing", "/takes-a-byte"] {
            let inner = "GET /count HTTP/1.1\r\nhost: bad.example\r\n\r\n".repeat(2_000);
            let mut raw = node.raw().await;
            let head = format!(
                "POST {path} HTTP/1.1\r\nhost: bad.example\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
                inner.len()
            );
            raw.send(head).await;
            // The node may have closed the connection by then.
            let _ = raw.try_send(&inner).await;
            let text = String::from_utf8(raw.rest().await).expect("the reply is plain");
            assert_eq!(text.matches("HTTP/1.1").count(), 1, "{guest}{path}: {text}");
        }
        is_unharmed(&node).await;
    }
}

/// G26: work after the reply is ended after a while, or at the end of its CPU time.
#[tokio::test]
async fn work_after_the_reply_ends_in_time() {
    for guest in GUESTS {
        let node = beside(hostile(guest).limits(r#"cpu = "10s""#)).start().await;
        for path in ["/lingers", "/spins-on"] {
            bad(&node, path).await.is(200).says("done");
            let ended = node.heard().end(|ended| ended.path == path).await;
            assert_eq!(ended.status, Some(200), "{guest}{path}: {ended:?}");
            assert!(ended.duration >= LINGER, "{guest}{path}: {:?}", ended.duration);
            assert!(ended.duration < LINGER + Duration::from_secs(5), "{guest}{path}: {:?}", ended.duration);
        }
        is_unharmed(&node).await;
    }
}

/// G26: its CPU time is the invocation's, also after the reply.
#[tokio::test]
async fn a_loop_after_the_reply_is_charged() {
    for guest in GUESTS {
        let node = beside(hostile(guest).limits(r#"cpu = "50ms""#)).start().await;
        bad(&node, "/spins-on").await.is(200).says("done");
        let ended = node.heard().ends(1).await.remove(0);
        assert_eq!(ended.offences, [("cpu", 1)], "{ended:?}");
        assert!(ended.duration < LINGER, "{:?}", ended.duration);
        is_unharmed(&node).await;
    }
}
