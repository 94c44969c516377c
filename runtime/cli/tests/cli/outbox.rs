//! Deferred calls of the real node: seen and corrected from the command line, and none lost however the node ends.

mod disk;

use crate::harness::{Folder, PATIENCE, Running, address, example, guest};
use rustix::process::Signal;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A cloud service behind a link that may be cut: it remembers each call that it has read whole.
struct Cloud {
    address: SocketAddr,
    is_cut: Arc<AtomicBool>,
    calls: Arc<Mutex<Vec<Delivered>>>,
}

#[derive(Clone, Debug)]
struct Delivered {
    order_key: String,
    idempotency_key: String,
    body: String,
}

impl Cloud {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let cloud =
            Self { address: listener.local_addr().unwrap(), is_cut: Arc::default(), calls: Arc::default() };
        let (is_cut, calls) = (cloud.is_cut.clone(), cloud.calls.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (is_cut, calls) = (is_cut.clone(), calls.clone());
                // A connection that breaks is a link that breaks.
                std::thread::spawn(move || serve(stream.unwrap(), &is_cut, &calls));
            }
        });
        cloud
    }

    fn calls(&self) -> Vec<Delivered> {
        self.calls.lock().unwrap().clone()
    }
}

/// One request after the other. Where the link is cut, the connection ends: before the request, or before its answer.
fn serve(stream: TcpStream, is_cut: &AtomicBool, calls: &Mutex<Vec<Delivered>>) -> Option<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let mut headers = BTreeMap::new();
        let mut line = String::new();
        stream.read_line(&mut line).ok().filter(|read| *read > 0)?;
        if is_cut.load(Relaxed) {
            return None;
        }
        loop {
            let mut line = String::new();
            stream.read_line(&mut line).ok()?;
            let Some((name, value)) = line.split_once(": ") else { break };
            headers.insert(name.to_lowercase(), value.trim().to_owned());
        }
        let mut body = vec![0; headers.get("content-length").map_or(0, |length| length.parse().unwrap())];
        stream.read_exact(&mut body).ok()?;
        let of = |name: &str| headers.get(name).cloned().unwrap_or_default();
        calls.lock().unwrap().push(Delivered {
            order_key: of("x-sensor"),
            idempotency_key: of("idempotency-key"),
            body: String::from_utf8(body).unwrap(),
        });
        if is_cut.load(Relaxed) {
            return None;
        }
        stream.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").ok()?;
    }
}

/// A node whose app defers calls to `cloud`.
fn gateway(folder: &Folder, cloud: SocketAddr, port: u16) {
    let app = format!(
        "[app]\nname = \"gateway\"\n[function.sends]\ncomponent = \"proxy.wasm\"\nupstreams = [\"origin\"]\n\
         [[trigger.http]]\nroute = \"/*rest\"\nfunction = \"sends\"\n\
         [function.hello]\ncomponent = \"hello.wasm\"\n\
         [[trigger.http]]\nroute = \"GET /hello\"\nfunction = \"hello\"\n\
         [upstream.origin]\nurl = \"http://{cloud}\"\ncircuit-breaker = {{ open = \"50ms\", open-max = \"200ms\" }}\n\
         outbox = {{ attempts = 1000, backoff = \"5ms..50ms\", jitter = \"1ms\" }}\n"
    );
    let node = format!(
        "[node]\nstate = \"state\"\ncache = \"code\"\nlisten = [\"127.0.0.1:{port}\"]\ncores = 2\n[ops]\nlisten = \"127.0.0.1:0\"\n[limits]\nconcurrency = 8\n\
         [admin]\nsocket = \"admin.sock\"\n[[app]]\npath = \"gateway\"\n\
         [app.bind.upstream.origin]\nallow = [\"127.0.0.1/32:{}\"]\n",
        cloud.port()
    );
    folder
        .write("gateway/rimward.toml", app)
        .write("gateway/proxy.wasm", guest("proxy"))
        .write("gateway/hello.wasm", example("hello"))
        .write("node.toml", node);
}

fn start(folder: &Folder) -> (Running, SocketAddr) {
    let mut node = folder.start(&["--json", "serve", "--config", "node.toml"]);
    let address = address(&node.event("ready"));
    (node, address)
}

/// Defers one call; whether it was accepted.
fn defer(node: SocketAddr, sensor: &str, reading: u32) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(node)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let body = body(reading);
    write!(
        stream,
        "POST /readings HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nprefer: respond-async\r\n\
         rimward-order-key: {sensor}\r\nx-sensor: {sensor}\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply)?;
    Ok(reply.starts_with("HTTP/1.1 202 "))
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[test]
fn an_operator_sees_and_corrects_what_waits() {
    let (folder, cloud) = (Folder::new(), Cloud::start());
    cloud.is_cut.store(true, Relaxed);
    gateway(&folder, cloud.address, free_port());
    let (node, address) = start(&folder);
    for reading in 0..3 {
        assert!(defer(address, "a", reading).unwrap());
    }
    let outbox = |arguments: &[&str]| {
        folder.run(&[&["outbox"], arguments, &["--json", "--socket", "admin.sock"]].concat())
    };
    let all = outbox(&["list"]).succeeds().json();
    assert_eq!(
        (&all["outboxes"][0]["id"], &all["outboxes"][0]["waiting"]),
        (&"default/gateway/origin".into(), &3.into())
    );
    let calls = outbox(&["list", "origin"]).succeeds().json();
    let id = calls["calls"][1]["id"].as_str().unwrap().to_owned();
    assert_eq!(calls["calls"][1]["order-key"], "a");
    assert_eq!(outbox(&["show", "origin", &id]).succeeds().json()["state"], "waiting");
    assert_eq!(outbox(&["drop", "origin", &id]).succeeds().json()["calls"], 1);
    assert_eq!(outbox(&["show", "origin", &id]).status, Some(1));
    assert_eq!(outbox(&["dead", "origin"]).succeeds().json()["calls"], serde_json::json!([]));
    let wrong = outbox(&["list", "cloud"]);
    assert!(wrong.status == Some(1) && wrong.stdout.contains("default/gateway/origin"), "{}", wrong.stdout);
    let upstreams = folder.run(&["upstreams", "show", "origin", "--socket", "admin.sock"]).succeeds().stdout;
    assert!(upstreams.contains("default/gateway/origin") && upstreams.contains("breaker"), "{upstreams}");
    let forced = folder.run(&["upstreams", "open", "origin", "--socket", "admin.sock"]).succeeds().stdout;
    assert!(forced.contains("FORCED OPEN"), "{forced}");
    folder.run(&["upstreams", "auto", "origin", "--socket", "admin.sock"]).succeeds();
    cloud.is_cut.store(false, Relaxed);
    let started = Instant::now();
    while cloud.calls().last().is_none_or(|last| last.reading() != 2) {
        assert!(started.elapsed() < PATIENCE, "{:?}", cloud.calls());
        outbox(&["drain", "origin"]).succeeds();
        std::thread::sleep(Duration::from_millis(100));
    }
    let readings: BTreeSet<_> = cloud.calls().iter().map(Delivered::reading).collect();
    assert_eq!(readings, BTreeSet::from([0, 2]));
    assert_eq!(node.stop(), Some(0));
}

/// Every call of a function has a line under the trace of its invocation: one that was made, and one that was deferred
/// and carried later.
#[test]
fn the_log_tells_each_call_under_its_trace() {
    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
    let (folder, cloud) = (Folder::new(), Cloud::start());
    gateway(&folder, cloud.address, 0);
    let config = std::fs::read_to_string(folder.path().join("node.toml")).unwrap();
    folder.write("node.toml", format!("{config}[log]\nlevel = \"debug\"\nformat = \"json\"\n"));
    let (node, address) = start(&folder);
    for prefer in ["", "prefer: respond-async\r\n"] {
        let mut stream = TcpStream::connect(address).unwrap();
        let traceparent = format!("traceparent: 00-{TRACE}-b7ad6b7169203331-01\r\n");
        write!(
            stream,
            "GET /a HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{traceparent}{prefer}\r\n"
        )
        .unwrap();
        stream.read_to_string(&mut String::new()).unwrap();
    }
    let started = Instant::now();
    while cloud.calls().len() < 2 || !folder.log().contains("was carried") {
        assert!(started.elapsed() < PATIENCE, "{:?}\n{}", cloud.calls(), folder.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    let log = folder.log();
    let line = |message: &str| -> serde_json::Value {
        let line = log.lines().find(|line| line.contains(message)).expect("there is such a line");
        serde_json::from_str(line).unwrap()
    };
    let (called, deferred, carried) =
        (line("an upstream was called"), line("a call was deferred"), line("a deferred call was carried"));
    assert_eq!((&called["trace_id"], &called["upstream"]), (&TRACE.into(), &"origin".into()), "{called}");
    assert_eq!((&called["tries"], &called["status"]), (&1.into(), &200.into()), "{called}");
    assert_eq!(deferred["trace_id"], TRACE, "{deferred}");
    let place = deferred["outbox"].as_str().expect("it has a place");
    assert!(place.ends_with(&format!("/{}", carried["id"].as_str().unwrap())), "{deferred} {carried}");
    assert_eq!((&carried["status"], &carried["tries"]), (&200.into(), &1.into()), "{carried}");
    assert_eq!(node.stop(), Some(0));
}

/// Clients at a time, each with a sensor of its own.
const SENSORS: [&str; 4] = ["a", "b", "c", "d"];
/// Each client defers so often, so that all together defer a hundred calls a second.
const EVERY: Duration = Duration::from_millis(40);
/// One reading in so many is larger than what is kept in the index, and has a file of its own.
const LARGE_EVERY: u32 = 9;
const LARGE_BYTES: usize = 40_000;

/// What a sensor sends: the reading, filled up where it is a large one.
fn body(reading: u32) -> String {
    let width = if reading.is_multiple_of(LARGE_EVERY) { LARGE_BYTES } else { 0 };
    format!("{reading:<width$}")
}

/// Defers readings until it is over: what was accepted, and how many were offered.
fn sensor(node: SocketAddr, sensor: &str, is_over: &AtomicBool) -> (Vec<u32>, u32) {
    let (mut accepted, mut due) = (Vec::new(), Instant::now());
    for reading in 0.. {
        if is_over.load(Relaxed) {
            return (accepted, reading);
        }
        due = (due + EVERY).max(Instant::now() - 10 * EVERY);
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        if defer(node, sensor, reading).unwrap_or(false) {
            accepted.push(reading);
        }
    }
    unreachable!("numbers do not end")
}

/// The seed of the moments: that of `RIMWARD_SEED`, or a new one. It is printed, and shown when the test fails.
#[expect(clippy::print_stdout, reason = "the harness shows it for a test that fails")]
fn seed() -> u64 {
    let given = std::env::var("RIMWARD_SEED").ok().map(|seed| seed.parse().unwrap());
    let seed =
        given.unwrap_or_else(|| std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0_u64));
    println!("RIMWARD_SEED={seed} kills at these moments again");
    seed
}

/// Kills the node at random moments while calls are deferred and the link flaps; every call that was accepted arrives,
/// whole, in order within its key, and a duplicate carries the same idempotency key.
#[expect(clippy::print_stdout, reason = "the harness shows it for a test that fails")]
fn kill_again_and_again(kills: u32) {
    let (folder, cloud, mut random) = (Folder::new(), Cloud::start(), seed() | 1);
    let mut up_to = move |most: u64| {
        // Marsaglia's xorshift64.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % most
    };
    gateway(&folder, cloud.address, free_port());
    let (mut node, address) = start(&folder);
    let is_over = Arc::new(AtomicBool::new(false));
    let clients = SENSORS.map(|name| {
        let is_over = is_over.clone();
        std::thread::spawn(move || sensor(address, name, &is_over))
    });
    let mut served = Duration::ZERO;
    for _ in 0..kills {
        cloud.is_cut.store(up_to(3) == 0, Relaxed);
        let began = Instant::now();
        std::thread::sleep(Duration::from_millis(30 + up_to(400)));
        served += began.elapsed();
        node.signal(Signal::KILL);
        assert_eq!(node.ends(), None, "it was killed");
        (node, _) = start(&folder);
    }
    is_over.store(true, Relaxed);
    let sent = clients.map(|client| client.join().unwrap());
    cloud.is_cut.store(false, Relaxed);
    let accepted: BTreeSet<_> = SENSORS
        .iter()
        .zip(&sent)
        .flat_map(|(sensor, (accepted, _))| accepted.iter().map(|reading| ((*sensor).to_owned(), *reading)))
        .collect();
    let started = Instant::now();
    let missing = || {
        let arrived =
            cloud.calls().into_iter().map(|call| (call.order_key.clone(), call.reading())).collect();
        accepted.difference(&arrived).cloned().collect::<Vec<_>>()
    };
    while !missing().is_empty() {
        assert!(started.elapsed() < 2 * PATIENCE, "accepted and never delivered: {:?}", missing());
        folder.run(&["outbox", "drain", "origin", "--socket", "admin.sock"]).succeeds();
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(node.stop(), Some(0));
    let offered: u32 = sent.iter().map(|(_, offered)| offered).sum();
    let rate = accepted.len() as f64 / served.as_secs_f64();
    println!(
        "{kills} kills, {offered} offered, {} accepted, {rate:.0} per second of service",
        accepted.len()
    );
    // A debug build on a busy machine has some slack.
    assert!(rate > 50.0, "{rate} calls a second were deferred, not about a hundred");
    check_order_and_keys(&cloud.calls());
}

impl Delivered {
    fn reading(&self) -> u32 {
        self.body.trim_end().parse().unwrap()
    }
}

fn check_order_and_keys(calls: &[Delivered]) {
    let (mut keys, mut last) = (BTreeMap::new(), BTreeMap::<_, u32>::new());
    for call in calls {
        let (key, reading) = (&call.idempotency_key, call.reading());
        let id = (call.order_key.clone(), reading);
        assert_eq!(call.body, body(reading), "the body of {id:?} is another one");
        let known = keys.entry(id).or_insert_with(|| key.clone());
        assert_eq!(known, key, "a duplicate of {reading} of {} has another key", call.order_key);
        let before = last.insert(call.order_key.clone(), reading);
        // The same once more is a duplicate; an older one would be out of order.
        assert!(
            before.is_none_or(|before| before <= reading),
            "{reading} of {} came after {before:?}",
            call.order_key
        );
    }
}

mod heavy {
    /// K1, K3, K4, K6, K8: a sample.
    #[test]
    fn accepted_calls_survive_a_few_kills() {
        super::kill_again_and_again(6);
    }
}

mod slow {
    /// K1, K3, K4, K6, K8: two hundred random moments.
    #[test]
    fn accepted_calls_survive_two_hundred_kills() {
        super::kill_again_and_again(200);
    }
}
