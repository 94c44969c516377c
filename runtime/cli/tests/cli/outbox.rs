//! Deferred calls of the real node: seen and corrected from the command line, and none lost however the node ends.

use crate::harness::{Folder, PATIENCE, Running, address, guest};
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
    let body = reading.to_string();
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
    while cloud.calls().last().is_none_or(|last| last.body != "2") {
        assert!(started.elapsed() < PATIENCE, "{:?}", cloud.calls());
        outbox(&["drain", "origin"]).succeeds();
        std::thread::sleep(Duration::from_millis(100));
    }
    let bodies: BTreeSet<_> = cloud.calls().into_iter().map(|call| call.body).collect();
    assert_eq!(bodies, BTreeSet::from(["0".to_owned(), "2".to_owned()]));
    assert_eq!(node.stop(), Some(0));
}

/// Kills the node at random moments while calls are deferred and the link flaps; every call that was accepted arrives, in
/// order within its key, and a duplicate carries the same idempotency key.
fn kill_again_and_again(kills: u32) {
    const SENSORS: [&str; 4] = ["a", "b", "c", "d"];
    let (folder, cloud) = (Folder::new(), Cloud::start());
    gateway(&folder, cloud.address, free_port());
    let (mut node, address) = start(&folder);
    let is_over = Arc::new(AtomicBool::new(false));
    let client = std::thread::spawn({
        let is_over = is_over.clone();
        move || {
            let mut accepted = Vec::new();
            let mut due = Instant::now();
            for reading in 0.. {
                if is_over.load(Relaxed) {
                    break;
                }
                // A hundred per second.
                due = (due + Duration::from_millis(10)).max(Instant::now() - Duration::from_millis(100));
                std::thread::sleep(due.saturating_duration_since(Instant::now()));
                if defer(address, SENSORS[reading as usize % SENSORS.len()], reading).unwrap_or(false) {
                    accepted.push(reading);
                }
            }
            accepted
        }
    });
    let random = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0_u64);
    for kill in 0..kills {
        let moment = (random.rotate_left(kill * 7) % 400) + 30;
        cloud.is_cut.store(kill % 3 == 1, Relaxed);
        std::thread::sleep(Duration::from_millis(moment));
        node.signal(Signal::KILL);
        assert_eq!(node.ends(), None, "it was killed");
        (node, _) = start(&folder);
    }
    is_over.store(true, Relaxed);
    let accepted = client.join().unwrap();
    cloud.is_cut.store(false, Relaxed);
    let expected: BTreeSet<String> = accepted.iter().map(u32::to_string).collect();
    let started = Instant::now();
    let missing = || {
        let arrived: BTreeSet<_> = cloud.calls().into_iter().map(|call| call.body).collect();
        expected.difference(&arrived).cloned().collect::<Vec<_>>()
    };
    while !missing().is_empty() {
        assert!(started.elapsed() < PATIENCE, "accepted and never delivered: {:?}", missing());
        folder.run(&["outbox", "drain", "origin", "--socket", "admin.sock"]).succeeds();
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(node.stop(), Some(0));
    assert!(accepted.len() > kills as usize, "calls were accepted between the kills: {}", accepted.len());
    check_order_and_keys(&cloud.calls());
}

fn check_order_and_keys(calls: &[Delivered]) {
    let (mut keys, mut last) = (BTreeMap::new(), BTreeMap::<_, u32>::new());
    for call in calls {
        let known = keys.entry(call.body.clone()).or_insert_with(|| call.idempotency_key.clone());
        assert_eq!(*known, call.idempotency_key, "a duplicate of {} has another key", call.body);
        let reading: u32 = call.body.parse().unwrap();
        let before = last.insert(call.order_key.clone(), reading);
        // The same once more is a duplicate; an older one would be out of order.
        assert!(before.is_none_or(|before| before <= reading), "{reading} came after {before:?}: {calls:?}");
    }
}

mod heavy {
    /// K1, K3, K4, K6: a sample.
    #[test]
    fn accepted_calls_survive_a_few_kills() {
        super::kill_again_and_again(6);
    }
}

mod slow {
    /// K1, K3, K4, K6: two hundred random moments.
    #[test]
    fn accepted_calls_survive_two_hundred_kills() {
        super::kill_again_and_again(200);
    }
}
