//! Where functions send requests: what they make of an address, how many at once, for how long, and how deep.

use crate::support::{GUESTS, bad, beside, hex, hostile, is_unharmed};
use rimward_tests::{TestNode, always, node, replies, silent};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

const ORIGIN: &str = "origin.upstream.internal";

/// A node whose hostile function has the upstream `origin`.
async fn with_origin(guest: &str, limits: &str, behaviour: rimward_tests::Behaviour) -> TestNode {
    let function = hostile(guest).limits(limits);
    let node = node().file(|file| file.node.wasi_http_03 = true).app(function).upstream("origin", behaviour);
    node.app(rimward_tests::app("hello").on("good.example")).start().await
}

async fn sends(node: &TestNode, scheme: &str, authority: &str, path: &str, method: &str) -> String {
    let path = format!("/send/{}/{}/{}/{}", hex(scheme), hex(authority), hex(path), hex(method));
    bad(node, &path).await.is(200).text()
}

/// G21: what an address must not be. The function gets an error, and no connection is made.
#[tokio::test]
async fn an_address_that_is_none_is_an_error_and_nothing_is_sent() {
    let paths = [
        "http://evil.example/",
        "http://origin.upstream.internal/",
        "*",
        "no-slash",
        "/a b",
        "/a\r\nx-evil: 1",
        "/a\0",
        "/a HTTP/1.1\r\nhost: evil.example\r\n\r\nGET /",
        // The guest makes a path of so many letters of it.
        "~70000",
        "~70000?q",
    ];
    let authorities = [
        "",
        "user:secret@origin.upstream.internal",
        "user@origin.upstream.internal",
        "evil.example@origin.upstream.internal",
        "origin.upstream.internal@evil.example",
        "origin.upstream.internal#a",
        "origin.upstream.internal/a",
        "origin.upstream.internal?a",
        "origin.upstream.internal\r\nx-evil: 1",
        "origin.upstream.internal:99999",
        "origin.upstream.internal:80:80",
        "a b",
        "[::1",
        ":80",
        "origin.upstream.internal.evil.example",
    ];
    for guest in GUESTS {
        let node = with_origin(guest, r#"wall = "20s""#, always(200)).await;
        assert_eq!(sends(&node, "http", ORIGIN, "/sound?q=1", "GET").await, "200");
        for path in paths {
            let came = sends(&node, "http", ORIGIN, path, "GET").await;
            assert_ne!(came, "200", "{guest}: `{path}`");
        }
        for authority in authorities {
            let came = sends(&node, "http", authority, "/", "GET").await;
            assert_ne!(came, "200", "{guest}: `{authority}`");
        }
        for (scheme, method) in [
            ("ftp", "GET"),
            ("file", "GET"),
            ("ht tp", "GET"),
            ("http", "CONNECT"),
            ("http", "GET /evil HTTP/1.1"),
            ("http", "G\r\nx-evil: 1"),
            ("http", ""),
        ] {
            let came = sends(&node, scheme, ORIGIN, "/", method).await;
            assert_ne!(came, "200", "{guest}: {scheme} {method:?}");
        }
        let seen = node.upstream("origin").seen();
        assert_eq!(seen.len(), 1, "{guest}: only the sound one came: {seen:?}");
        assert_eq!(seen[0].uri.path_and_query().map(ToString::to_string).as_deref(), Some("/sound?q=1"));
        is_unharmed(&node).await;
    }
}

/// G21: a path that looks like an address is a path.
#[tokio::test]
async fn two_slashes_do_not_lead_elsewhere() {
    for guest in GUESTS {
        let node = with_origin(guest, r#"wall = "20s""#, always(200)).await;
        assert_eq!(sends(&node, "http", ORIGIN, "//evil.example/a", "GET").await, "200");
        let seen = node.upstream("origin").seen().remove(0);
        assert_eq!(seen.uri.path(), "//evil.example/a");
        assert_eq!(
            seen.headers["host"].to_str().ok(),
            Some(node.upstream("origin").address().to_string().as_str())
        );
    }
}

/// G22: what was not granted, and what leads into the node's own network, is denied and counted.
#[tokio::test]
async fn what_was_not_granted_is_denied_and_counted() {
    for guest in GUESTS {
        let node = beside(hostile(guest).with(r#"hosts = ["*"]"#)).start().await;
        let mut denied = 0;
        for authority in [
            "other.upstream.internal",
            "other.function.internal",
            "metadata.internal",
            "127.0.0.1",
            "0x7f.1",
            "2130706433",
            "169.254.169.254",
            "[::ffff:7f00:1]",
            "[fd00:ec2::254]",
            "10.0.0.1:22",
        ] {
            let came = sends(&node, "http", authority, "/", "GET").await;
            // Addresses in unusual spellings are none at all.
            let refused = ["HttpRequestDenied", "DestinationIpProhibited", "HttpRequestUriInvalid"];
            assert!(refused.iter().any(|code| came.contains(code)), "{guest} {authority}: {came}");
            denied += u32::from(!came.contains("HttpRequestUriInvalid"));
        }
        assert!(denied >= 6, "{guest}: {denied}");
        node.metric("rimward_function_offences_total", "function=hostile, kind=denied")
            .is(denied.into())
            .await;
    }
}

/// G23: a thousand at once: as many as the limit says are under way, and each of the others is refused at once.
#[tokio::test]
async fn requests_at_once_are_sent_up_to_the_limit_and_no_further() {
    const LIMIT: usize = 16;
    for guest in GUESTS {
        let (now, most) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let counts = (now.clone(), most.clone());
        let behaviour = replies(move |_| {
            let (now, most) = counts.clone();
            async move {
                most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
                // Nobody is answered before as many have asked.
                while most.load(SeqCst) < LIMIT {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                now.fetch_sub(1, SeqCst);
                http::Response::new("together".into())
            }
        });
        let limits = format!(r#"outgoing = {LIMIT}, wall = "20s""#);
        let node = with_origin(guest, &limits, behaviour).await;
        let text = bad(&node, "/parallel/1000").await.is(200).text();
        let times = |outcome: &str| -> usize {
            let told = text.split(", ").find(|told| told.ends_with(outcome));
            told.and_then(|told| told.split(' ').next()?.parse().ok()).unwrap_or_else(|| panic!("{text}"))
        };
        let (sent, refused) = (times(" 200"), times("ConnectionLimitReached"));
        assert_eq!((sent + refused, most.load(SeqCst)), (1_000, LIMIT), "{guest}: {text}");
        let counted = u32::try_from(refused).expect("it is less than a thousand");
        assert_eq!(node.heard().ends(1).await[0].offences, [("outgoing", counted)]);
        is_unharmed(&node).await;
    }
}

/// G24: GHSA-w4qr-p94g-mjhv was a timeout of zero. What is longer than the policy gives is cut to that.
#[tokio::test]
async fn timeouts_of_nothing_and_of_ages_are_brought_to_where_they_may_be() {
    for guest in GUESTS {
        let origin = rimward_tests::fake(silent());
        // Each call times out, and none of them shall be refused for that.
        let more = "timeout = { first-byte = '300ms', total = '2s' }\ncircuit-breaker = { enabled = false }";
        let function = hostile(guest).upstream_at("origin", &origin.url(), more);
        let node = beside(function).start().await;
        for ns in [0, 1, 999_999, 1_000_000, u64::MAX / 2, u64::MAX] {
            let started = Instant::now();
            let came = bad(&node, &format!("/waits-for/{ns}")).await.is(200).text();
            assert!(came.contains("Timeout"), "{guest} {ns} ns: {came}");
            assert!(started.elapsed() < Duration::from_secs(10), "{guest} {ns} ns: {:?}", started.elapsed());
        }
        is_unharmed(&node).await;
    }
}

/// G32: a function that calls itself is told at the limit, and the offence is its own.
#[tokio::test]
async fn a_chain_of_calls_ends_at_its_depth() {
    for guest in GUESTS {
        let function = hostile(guest).with(r#"functions = ["hostile"]"#).limits(r#"concurrency = 64"#);
        let node = beside(function).room(32, 64).start().await;
        bad(&node, "/chain").await.is(200);
        let depth = usize::from(rimward_capability::limits::CALL_DEPTH);
        // The first, each one deeper, and the one that was not called.
        let ends = node.heard().ends(depth + 2).await;
        assert_eq!(ends.len(), depth + 2);
        let refused = ends.iter().find(|ended| ended.status == Some(508)).expect("one was too deep");
        assert_eq!(refused.offences, [("depth", 1)]);
        node.metric("rimward_function_offences_total", "function=hostile, kind=depth").is(1.0).await;
        is_unharmed(&node).await;
    }
}

/// G32: two calls for each call. The function fills its own share, and others are answered meanwhile.
#[tokio::test]
async fn a_fork_bomb_fills_its_own_share_and_no_other() {
    for guest in GUESTS {
        let function =
            hostile(guest).with(r#"functions = ["hostile"]"#).limits(r#"concurrency = 4, wall = "20s""#);
        let node = beside(function).start().await;
        let bomb = tokio::spawn(bad(&node, "/fork").into_future());
        rimward_tests::eventually("it is full", || (node.node().status().running >= 4).then_some(())).await;
        for answer in node.get("/").host("good.example").times(20).await {
            answer.is(200).says("hello\n");
        }
        let text = bomb.await.expect("the client does not panic").is(200).text();
        assert!(text.contains("200"), "{guest}: what is left of it comes back: {text}");
        assert!(
            node.metric("rimward_function_failures_total", "code=rimward.caller.quota").value() >= 1.0,
            "{guest}: calls were refused"
        );
        is_unharmed(&node).await;
    }
}
