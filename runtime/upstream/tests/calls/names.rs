//! faults C11 and C12: what DNS servers say and do not say, over real sockets.

use crate::support::dns::{
    A, AAAA, Asked, Dns, FORMAT_ERROR, NO_SUCH_NAME, REFUSED, SERVER_FAILURE, resolver,
};
use crate::support::servers::always;
use crate::support::{client_with, egress, get, text};
use rimward_upstream::{Error, LookupError, Resolve, Resolver, Servers, Setup, Target, Timeouts, limits};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::{Duration, Instant};

async fn found(resolver: &Resolver, name: &str) -> Result<Vec<String>, LookupError> {
    Ok(resolver.resolve(name).await?.iter().map(IpAddr::to_string).collect())
}

/// C11: the ways in which a lookup fails are told apart, for the operator and for the function.
#[tokio::test]
async fn failures_of_a_lookup_are_told_apart() {
    let dns = Dns::start(|asked| match &*asked.name {
        "gone.example" => asked.fails(NO_SUCH_NAME),
        "broken.example" => asked.fails(SERVER_FAILURE),
        "refused.example" => asked.fails(REFUSED),
        "bare.example" => Some(asked.answer()),
        _ => None,
    })
    .await;
    let client = client_with(|config| config.resolver = dns.resolver());
    for (name, expected) in [
        ("gone", "Dns Some(3)"),
        ("broken", "Dns Some(2)"),
        ("refused", "Dns Some(5)"),
        ("bare", "DestinationNotFound"),
        ("silent", "DnsTimeout"),
    ] {
        let any = egress(&["*:*"], &[]);
        let request = get(&format!("http://{name}.example/"));
        let failed = client.send(request, Target::Host(&any), Timeouts::default(), None).await;
        let told = match failed {
            Err(Error::Dns(error)) => format!("Dns {:?}", error.code()),
            Err(Error::DestinationNotFound) => "DestinationNotFound".to_owned(),
            Err(Error::DnsTimeout) => "DnsTimeout".to_owned(),
            other => panic!("{name}: {other:?}"),
        };
        assert_eq!(told, expected, "{name}");
    }
}

/// C11: both families are asked for and used by turns; a name may have one of them only.
#[tokio::test]
async fn a_name_has_the_addresses_of_both_families() {
    let dns = Dns::start(|asked| match &*asked.name {
        "both.example" => asked.with(&["192.0.2.1", "192.0.2.2", "2001:db8::1"], 60),
        "six.example" => asked.with(&["2001:db8::1"], 60),
        _ => asked.with(&["192.0.2.1"], 60),
    })
    .await;
    let resolver = dns.resolver();
    assert_eq!(found(&resolver, "both.example").await.unwrap(), ["2001:db8::1", "192.0.2.1", "192.0.2.2"]);
    assert_eq!(found(&resolver, "six.example").await.unwrap(), ["2001:db8::1"]);
    assert_eq!(found(&resolver, "four.example").await.unwrap(), ["192.0.2.1"]);
}

/// C11: a family whose question is not answered costs a moment and not the lookup.
#[tokio::test]
async fn half_an_answer_is_used() {
    let dns = Dns::start(|asked| match (&*asked.name, asked.kind) {
        ("silent.example", AAAA) => None,
        ("failing.example", AAAA) => asked.fails(SERVER_FAILURE),
        _ => asked.with(&["192.0.2.1"], 60),
    })
    .await;
    for name in ["silent.example", "failing.example"] {
        assert_eq!(found(&dns.resolver(), name).await.unwrap(), ["192.0.2.1"], "{name}");
    }
}

/// C11: an answer is used for its time; one with a time to live of 0 for the least.
#[tokio::test]
async fn an_answer_is_asked_for_once_in_its_time() {
    let dns = Dns::start(|asked| match &*asked.name {
        "zero.example" => asked.with(&["192.0.2.1"], 0),
        _ => asked.with(&["192.0.2.2"], 60),
    })
    .await;
    let resolver = dns.resolver();
    for _ in 0..10 {
        found(&resolver, "sixty.example").await.unwrap();
    }
    assert_eq!(dns.times(), 1);
    found(&resolver, "zero.example").await.unwrap();
    found(&resolver, "zero.example").await.unwrap();
    assert!(dns.times() <= 3);
    let start = Instant::now();
    while dns.times() < 3 {
        assert!(start.elapsed() < Duration::from_secs(20), "never asked again");
        tokio::time::sleep(limits::TTL_MIN / 4).await;
        found(&resolver, "zero.example").await.unwrap();
    }
}

/// C11: whoever asks while a lookup is under way waits for that one.
#[tokio::test]
async fn a_name_is_looked_up_once_for_everybody() {
    let dns = Dns::start(|asked| asked.with(&["192.0.2.1"], 60)).await;
    let resolver = dns.resolver();
    let all = (0..50).map(|_| found(&resolver, "busy.example"));
    for answer in futures_util::future::join_all(all).await {
        assert_eq!(answer.unwrap(), ["192.0.2.1"]);
    }
    assert_eq!(dns.times(), 1);
}

/// C11: who asked first may go away; the others still get their answer.
#[tokio::test]
async fn a_lookup_survives_whoever_began_it() {
    let is_open = Arc::new(AtomicBool::new(false));
    let gate = is_open.clone();
    let dns =
        Dns::start(move |asked| if gate.load(SeqCst) { asked.with(&["192.0.2.1"], 60) } else { None }).await;
    let resolver = dns.resolver();
    let mut first = Box::pin(found(&resolver, "a.example"));
    assert!(futures_util::poll!(&mut first).is_pending());
    let mut second = Box::pin(found(&resolver, "a.example"));
    assert!(futures_util::poll!(&mut second).is_pending());
    drop(first);
    is_open.store(true, SeqCst);
    assert_eq!(second.await.unwrap(), ["192.0.2.1"]);
}

/// C11: an answer that does not fit into a packet comes over TCP, and of a thousand records the first ones are used.
#[tokio::test]
async fn a_long_answer_comes_over_tcp() {
    let dns = Dns::start(|asked| {
        if asked.over_tcp {
            let addresses: Vec<_> =
                (0..1000).map(|each| format!("10.0.{}.{}", each / 250, each % 250)).collect();
            return asked.with(&addresses.iter().map(String::as_str).collect::<Vec<_>>(), 60);
        }
        let mut answer = asked.answer();
        answer.is_truncated = true;
        Some(answer)
    })
    .await;
    assert_eq!(found(&dns.resolver(), "many.example").await.unwrap().len(), limits::ADDRESSES_MAX);
    assert!(dns.asked().iter().any(|asked| asked.over_tcp));
}

/// C11: aliases that lead in a circle end, and those that lead somewhere are followed; what an answer says of other names
/// is not learned.
#[tokio::test]
async fn aliases_are_followed_to_their_end() {
    let dns = Dns::start(|asked| match &*asked.name {
        "circle.example" => asked.alias("circle.example.", &[]),
        "poisoned.example" => asked.and(asked.with(&["192.0.2.8"], 60), "bank.example", &["203.0.113.66"]),
        "far.example" => asked.aliases(limits::ALIASES_MAX, "192.0.2.6"),
        "too-far.example" => asked.aliases(limits::ALIASES_MAX + 1, "192.0.2.6"),
        "bank.example" => asked.with(&["192.0.2.9"], 60),
        _ => asked.alias("other.example.", &["192.0.2.7"]),
    })
    .await;
    let resolver = dns.resolver();
    assert_eq!(found(&resolver, "alias.example").await.unwrap(), ["192.0.2.7"]);
    assert_eq!(found(&resolver, "poisoned.example").await.unwrap(), ["192.0.2.8"]);
    assert_eq!(found(&resolver, "bank.example").await.unwrap(), ["192.0.2.9"]);
    assert_eq!(found(&resolver, "far.example").await.unwrap(), ["192.0.2.6"]);
    for endless in ["circle.example", "too-far.example"] {
        let failed = found(&resolver, endless).await;
        assert!(matches!(failed, Err(LookupError::Unusable(_))), "{failed:?}");
    }
}

/// What somebody sends who does not see the question: its name and type, in other letters or with another number.
fn guesses(asked: &Asked) -> Vec<Vec<u8>> {
    let Some(right) = asked.with(&["203.0.113.66", "2001:db8::66"], 3600) else { return Vec::new() };
    let mut number = right.clone();
    number.id = number.id.wrapping_add(1);
    let mut name = right.clone();
    name.name = "bank.example".to_owned();
    let mut question = right;
    question.is_answer = false;
    vec![number.bytes(), name.bytes(), question.bytes(), b"junk".to_vec()]
}

/// C11: forged packets that come before the answer are passed over; of too many of them the answer is asked for over TCP.
#[tokio::test]
async fn a_forged_answer_is_not_believed() {
    let dns = Dns::start_with(|asked| asked.with(&["192.0.2.1"], 60), guesses).await;
    assert_eq!(found(&dns.resolver(), "vision.example").await.unwrap(), ["192.0.2.1"]);
    assert!(dns.asked().iter().all(|asked| !asked.over_tcp));
    let flood = |asked: &Asked| std::iter::repeat_with(|| guesses(asked)).flatten().take(64).collect();
    let dns = Dns::start_with(|asked| asked.with(&["192.0.2.1"], 60), flood).await;
    assert_eq!(found(&dns.resolver(), "vision.example").await.unwrap(), ["192.0.2.1"]);
    assert!(dns.asked().iter().any(|asked| asked.over_tcp));
}

/// C11: a server that does not keep the case of letters is asked over TCP, where nobody can answer for it.
#[tokio::test]
async fn a_server_that_changes_letters_is_asked_over_tcp() {
    let dns = Dns::start(|asked| {
        let mut answer = asked.with(&["192.0.2.1"], 60)?;
        answer.name = answer.name.to_ascii_lowercase();
        Some(answer)
    })
    .await;
    let name = "a-name-with-many-letters.example";
    assert_eq!(found(&dns.resolver(), name).await.unwrap(), ["192.0.2.1"]);
    assert!(dns.asked().iter().any(|asked| asked.over_tcp));
}

/// C11: a server from before RFC 6891 is asked in its own way.
#[tokio::test]
async fn an_old_server_is_asked_again_without_extensions() {
    let questions = Arc::new(AtomicUsize::new(0));
    let count = questions.clone();
    let dns = Dns::start(move |asked| {
        // The first question of each family is refused.
        if count.fetch_add(1, SeqCst) < 2 {
            return asked.fails(FORMAT_ERROR);
        }
        asked.with(&["192.0.2.1"], 60)
    })
    .await;
    assert_eq!(found(&dns.resolver(), "old.example").await.unwrap(), ["192.0.2.1"]);
    assert_eq!(questions.load(SeqCst), 4);
}

/// C11: a server that is dead or broken is followed by the next one, which is then asked first.
#[tokio::test]
async fn the_next_server_answers_for_a_dead_one() {
    let silent = Dns::start(|_| None).await;
    let broken = Dns::start(|asked| asked.fails(SERVER_FAILURE)).await;
    let sound = Dns::start(|asked| asked.with(&["192.0.2.1"], 60)).await;
    let resolver = resolver(vec![silent.address, broken.address, sound.address]);
    assert_eq!(found(&resolver, "first.example").await.unwrap(), ["192.0.2.1"]);
    assert_eq!(found(&resolver, "second.example").await.unwrap(), ["192.0.2.1"]);
    assert_eq!(silent.times(), 1, "asked again though it is dead");
}

/// C11: when all servers die, names that are known stay known, and others fail in time.
#[tokio::test]
async fn dead_servers_stop_no_name_that_is_known() {
    let is_dead = Arc::new(AtomicBool::new(false));
    let dead = is_dead.clone();
    let dns =
        Dns::start(move |asked| if dead.load(SeqCst) { None } else { asked.with(&["192.0.2.1"], 1) }).await;
    let resolver = dns.resolver();
    found(&resolver, "known.example").await.unwrap();
    is_dead.store(true, SeqCst);
    tokio::time::sleep(limits::TTL_MIN).await;
    assert_eq!(found(&resolver, "known.example").await.unwrap(), ["192.0.2.1"]);
    let asked = dns.times();
    for _ in 0..100 {
        assert_eq!(found(&resolver, "known.example").await.unwrap(), ["192.0.2.1"]);
    }
    assert_eq!(dns.times(), asked, "each call waits for a dead server");
    let failed = found(&resolver, "unknown.example").await;
    assert!(matches!(failed, Err(LookupError::TimedOut)), "{failed:?}");
}

#[tokio::test]
async fn search_domains_and_known_names_are_as_the_files_say() {
    let dns = Dns::start(|asked| match &*asked.name {
        "db.lan.example" => asked.with(&["192.0.2.9"], 60),
        _ => asked.fails(NO_SUCH_NAME),
    })
    .await;
    let setup = Setup {
        search: vec!["lan.example".to_owned()],
        hosts: "192.0.2.8 camera".to_owned(),
        ..Setup::of(vec![dns.address])
    };
    let resolver = Resolver::new(Servers::Fixed(setup));
    assert_eq!(found(&resolver, "db").await.unwrap(), ["192.0.2.9"]);
    assert_eq!(found(&resolver, "camera").await.unwrap(), ["192.0.2.8"]);
    assert_eq!(found(&resolver, "localhost").await.unwrap(), ["::1", "127.0.0.1"]);
    assert!(dns.asked().iter().all(|asked| asked.name != "camera" && asked.name != "localhost"));
}

/// C12: a name that is public first and private then, with a server that says so: what is connected to is what was
/// checked, on every connection anew.
#[tokio::test]
async fn a_name_that_is_rebound_reaches_nothing_it_may_not() {
    let server = always("private").await;
    let port = server.address.port();
    let turn = Arc::new(AtomicUsize::new(0));
    let turns = turn.clone();
    let dns = Dns::start(move |asked| match (&*asked.name, asked.kind) {
        ("rebound.example", A) => match turns.fetch_add(1, SeqCst) {
            0 => asked.with(&["169.254.169.254"], 0),
            _ => asked.with(&["127.0.0.1"], 0),
        },
        ("alias.example", _) => asked.alias("internal.example.", &["127.0.0.1", "::1"]),
        ("six.example", _) => asked.with(&["::ffff:127.0.0.1", "::1", "fe80::1"], 0),
        _ => Some(asked.answer()),
    })
    .await;
    let client = client_with(|config| config.resolver = dns.resolver());
    let any = egress(&["*:*"], &[]);
    for name in ["rebound", "rebound", "alias", "six"] {
        let request = get(&format!("http://{name}.example:{port}/"));
        let failed = client.send(request, Target::Host(&any), Timeouts::default(), None).await;
        assert!(matches!(failed, Err(Error::DestinationProhibited(_))), "{name}: {failed:?}");
        tokio::time::sleep(limits::TTL_MIN).await;
    }
    assert!(turn.load(SeqCst) >= 2, "the second answer was never asked for");
    assert_eq!(server.connections(), 0);
}

/// C12: of a name with good and bad addresses in both families only the good ones are used.
#[tokio::test]
async fn bad_addresses_of_a_name_are_dropped_one_by_one() {
    let server = always("good").await;
    let dns =
        Dns::start(|asked| asked.with(&["fe80::1", "::1", "10.0.0.1", "169.254.169.254", "127.0.0.1"], 60))
            .await;
    let client = client_with(|config| config.resolver = dns.resolver());
    let granted = egress(&["*:*"], &[&server.address.to_string()]);
    let request = get(&format!("http://mixed.example:{}/", server.address.port()));
    let answer = client.send(request, Target::Host(&granted), Timeouts::default(), None).await;
    assert_eq!(text(answer.unwrap()).await.unwrap(), "good");
}
