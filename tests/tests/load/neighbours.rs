//! A function that misbehaves costs its neighbours nothing that they would notice: one function is called at a fixed rate
//! while others on the same cores spin and take memory, and its answers are compared with those of a quiet node.

use crate::clients::{Tally, at_rate, hammer};
use crate::memory::resident;
use rimward_tests::{Over, TestNode, app, node};
use std::time::{Duration, Instant};

/// Requests each second for the function that behaves, and the connections that they come over.
const RATE: u32 = 200;
const CONNECTIONS: u32 = 20;

/// What misbehaves, all at once: the program, what it does, the statuses that its callers may get, and the kinds of
/// offence of which one is counted. Half of them speak `wasi:http` 0.3.
const OFFENDERS: [(&str, &str, &[u16], &[&str]); 8] = [
    ("hostile-02", "/spin", &[504], &["cpu", "wall"]),
    ("hostile-03", "/yield", &[504], &["cpu", "wall"]),
    ("memory-bomb", "/", &[500, 504], &["memory"]),
    ("hostile-03", "/fields/1000000", &[500], &["handles"]),
    ("hostile-02", "/fill/32", &[504], &["cpu", "wall"]),
    ("hostile-03", "/recurse", &[500], &["stack"]),
    ("hostile-02", "/stdout/2000", &[200, 504], &["log"]),
    ("hostile-03", "/hands/path/5000000", &[500], &["host-call"]),
];

/// Connections that hammer each of them.
const HAMMERS: usize = 2;

/// The time in the queue comes before the wall limit's: the node's default.
const QUEUE_WAIT: Duration = Duration::from_millis(500);
/// Wall and CPU time of each of them.
const WALL: Duration = Duration::from_millis(500);

/// How long after its wall limit an offender's caller may wait.
const LATE: Duration = Duration::from_millis(50);

/// What all instances may hold together.
const MEMORY: &str = "512MiB";

/// What the process may have resident beside that: code, connections, and what the test remembers of every request.
const BESIDE: u64 = 384 << 20;

/// What the hostile half of a round showed.
struct Hostile {
    victim: Tally,
    offenders: Vec<Tally>,
}

fn host_of(offender: usize) -> String {
    format!("o{offender}.bad.example")
}

async fn started() -> TestNode {
    // The one that takes memory comes to its limit in time also where it gets little CPU.
    let limits = |guest| {
        let memory = if guest == "memory-bomb" { "8MiB" } else { "64MiB" };
        format!(r#"wall = "{0}ms", cpu = "{0}ms", memory = "{memory}""#, WALL.as_millis())
    };
    let tenants = r#"
        [tenant.bad]
        hosts = ["*.bad.example"]
        [tenant.good]
        hosts = ["good.example"]
    "#;
    let mut builder = node()
        .room(64, 64)
        .tenants(tenants)
        .file(|file| {
            file.node.wasi_http_03 = true;
            file.limits.memory = Some(MEMORY.parse().expect("it is a size"));
        })
        .app(app("hello").on("good.example").of_tenant("good"));
    for (index, (guest, ..)) in OFFENDERS.iter().enumerate() {
        let name = format!("o{index}");
        let offender = app(guest).named(&name).on(&host_of(index)).of_tenant("bad");
        builder = builder.app(offender.limits(&limits(*guest)));
    }
    builder.start().await
}

async fn quiet(node: &TestNode, time: Duration) -> Tally {
    at_rate(node, ("good.example", "/"), RATE, CONNECTIONS, Instant::now() + time).await
}

async fn hostile(node: &TestNode, time: Duration) -> Hostile {
    let end = Instant::now() + time;
    let offending = (0..OFFENDERS.len()).map(|index| offend(node, index, end));
    let victim = at_rate(node, ("good.example", "/"), RATE, CONNECTIONS, end);
    let (victim, offenders) = tokio::join!(victim, futures_util::future::join_all(offending));
    Hostile { victim, offenders }
}

async fn offend(node: &TestNode, index: usize, end: Instant) -> Tally {
    let (host, path) = (host_of(index), OFFENDERS[index].1);
    let hammering = (0..HAMMERS).map(|_| {
        let host = &host;
        async move { hammer(node.connect(Over::Http1).await, host, path, end).await }
    });
    let tallies = futures_util::future::join_all(hammering).await;
    tallies.into_iter().fold(Tally::default(), |mut all, one| {
        all.add(one);
        all
    })
}

fn show(name: &str, tally: &Tally) {
    let (p50, p99, worst) = (tally.quantile(0.5), tally.quantile(0.99), tally.quantile(1.0));
    eprintln!(
        "{name:14} {:6} p50 {p50:9.1?} p99 {p99:9.1?} worst {worst:9.1?} {:?}",
        tally.len(),
        tally.statuses
    );
}

/// So many rounds, quiet and hostile in turn. The 99th percentile of the hostile round in the middle is at most `times`
/// that of the quiet one, or `more` above it: whatever else the machine did for a while spoils one round, not half.
async fn check(rounds: usize, time: Duration, times: u32, more: Duration) {
    let node = started().await;
    quiet(&node, Duration::from_millis(500)).await;
    let (mut calm, mut stormy) = (Vec::new(), Vec::new());
    let mut offenders: Vec<Tally> = OFFENDERS.iter().map(|_| Tally::default()).collect();
    let before = resident().0;
    for round in 1..=rounds {
        let quiet = quiet(&node, time).await;
        show(&format!("quiet {round}"), &quiet);
        calm.push(answered(&quiet));
        let hostile = hostile(&node, time).await;
        show(&format!("hostile {round}"), &hostile.victim);
        stormy.push(answered(&hostile.victim));
        offenders.iter_mut().zip(hostile.offenders).for_each(|(all, one)| all.add(one));
    }
    let most = resident().1;
    eprintln!("resident {} MiB before, {} MiB at the most", before >> 20, most >> 20);
    let (quiet, hostile) = (middle(calm), middle(stormy));
    eprintln!("p99 of the round in the middle: quiet {quiet:.1?}, hostile {hostile:.1?}");
    assert!(hostile <= (quiet * times).max(quiet + more), "{quiet:?} and then {hostile:?}");
    let ceiling = started_with(MEMORY) + BESIDE;
    assert!(most <= before + ceiling, "{before} bytes before, {most} at the most");
    for (index, tally) in offenders.iter().enumerate() {
        check_offender(&node, index, tally, more).await;
    }
}

fn started_with(memory: &str) -> u64 {
    memory.parse::<rimward_manifest::Bytes>().expect("it is a size").get()
}

/// The 99th percentile of a round in which every request was answered.
fn answered(tally: &Tally) -> Duration {
    assert_eq!(tally.others_than(200), 0, "{:?}", tally.statuses);
    tally.quantile(0.99)
}

fn middle(mut rounds: Vec<Duration>) -> Duration {
    rounds.sort_unstable();
    rounds[rounds.len() / 2]
}

/// Its callers learn what happened, and in time; `late` is how late on a machine that has other things to do. The operator
/// learns it by tenant, function, revision and kind.
async fn check_offender(node: &TestNode, index: usize, tally: &Tally, late: Duration) {
    let (guest, path, statuses, kinds) = OFFENDERS[index];
    show(&format!("{guest}{path}"), tally);
    // Where eight want everything, each may find no room, or too little time for what it is up to.
    let expected = |status: &u16| statuses.contains(status) || matches!(status, 429 | 503 | 504);
    assert!(tally.statuses.keys().all(expected), "{guest}{path}: {:?}", tally.statuses);
    let waited = tally.quantile(0.99);
    assert!(
        waited <= QUEUE_WAIT + WALL + LATE.max(late),
        "{guest}{path}: waited {waited:?} with a wall limit of {WALL:?}"
    );
    let host = format!("o{index}");
    let in_time = tally.statuses.keys().any(|status| statuses.contains(status));
    let kinds = if in_time { kinds } else { &["cpu", "wall"] };
    let counted = kinds.iter().any(|kind| {
        let labels = format!("tenant=bad,function=o{index},kind={kind}");
        node.metric("rimward_function_offences_total", &labels).value() > 0.0
    });
    assert!(counted, "no offence of {guest}{path} is counted");
    let told = node.heard().ended().into_iter().find(|ended| {
        ended.function.as_ref().is_some_and(|id| id.function.as_str() == host)
            && ended.offences.iter().any(|(of, _)| kinds.contains(of))
    });
    let told = told.unwrap_or_else(|| panic!("nothing is told of {guest}{path}"));
    assert_eq!(told.function.map(|id| id.tenant.to_string()).as_deref(), Some("bad"));
    assert!(told.revision.is_some());
}

mod heavy {
    use super::{Duration, check};

    #[tokio::test]
    async fn neighbours_of_a_function_that_misbehaves_go_on() {
        check(1, Duration::from_secs(2), 20, Duration::from_millis(500)).await;
    }
}

mod slow {
    mod heavy {
        use super::super::{Duration, check};

        #[tokio::test]
        async fn neighbours_of_a_function_that_misbehaves_do_not_notice() {
            check(5, Duration::from_secs(10), 3, Duration::from_millis(10)).await;
        }
    }
}
