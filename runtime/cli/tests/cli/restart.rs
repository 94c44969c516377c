//! A node that is replaced while clients use it.

use crate::harness::{Folder, Running, address, example, get, guest, manifest};
use bytes::Bytes;
use command_fds::{CommandFdExt, FdMapping};
use rustix::process::Signal;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// What clients have seen.
#[derive(Default)]
struct Seen {
    answered: AtomicU32,
    failed: AtomicU32,
    stop: AtomicBool,
}

impl Seen {
    #[expect(clippy::print_stderr, reason = "what a failing test has to say")]
    fn failed(&self, why: impl std::fmt::Display) {
        eprintln!("a request failed: {why}");
        self.failed.fetch_add(1, Relaxed);
    }
}

/// One request after the other on a connection that is kept for as long as the node keeps it.
fn http1(address: SocketAddr, seen: &Seen) {
    while !seen.stop.load(Relaxed) {
        let mut stream = match TcpStream::connect(address) {
            Ok(stream) => BufReader::new(stream),
            Err(error) => return seen.failed(error),
        };
        loop {
            match one(&mut stream) {
                Ok(kept) => {
                    seen.answered.fetch_add(1, Relaxed);
                    if !kept || seen.stop.load(Relaxed) {
                        break;
                    }
                }
                Err(error) => return seen.failed(error),
            }
        }
    }
}

/// Whether the connection stays.
fn one(stream: &mut BufReader<TcpStream>) -> std::io::Result<bool> {
    stream.get_mut().write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
    let (mut head, mut length) = (String::new(), 0);
    while !head.ends_with("\r\n\r\n") {
        let before = head.len();
        if stream.read_line(&mut head)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(value) = head[before..].to_lowercase().strip_prefix("content-length: ") {
            length = value.trim().parse().unwrap();
        }
    }
    std::io::Read::read_exact(stream, &mut vec![0; length])?;
    match head.starts_with("HTTP/1.1 200 ") {
        true => Ok(!head.to_lowercase().contains("connection: close")),
        false => Err(std::io::Error::other(head)),
    }
}

/// Requests in streams of one connection until the node says that there shall be no more.
async fn http2(address: SocketAddr, seen: &Seen) {
    while !seen.stop.load(Relaxed) {
        let stream = match tokio::net::TcpStream::connect(address).await {
            Ok(stream) => stream,
            Err(error) => return seen.failed(error),
        };
        let (mut client, connection) = match h2::client::handshake(stream).await {
            Ok(pair) => pair,
            Err(error) => return seen.failed(error),
        };
        let driver = tokio::spawn(connection);
        while !seen.stop.load(Relaxed) {
            // The node has said so before the request was sent: there is another connection for it.
            client = match client.ready().await {
                Ok(client) => client,
                Err(_) => break,
            };
            let request = http::Request::get("http://localhost/").body(()).unwrap();
            let Ok((reply, _)) = client.send_request(request, true) else { break };
            match answered(reply).await {
                Ok(()) => seen.answered.fetch_add(1, Relaxed),
                // The node says that it did not look at this one.
                Err(error) if error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR) => break,
                Err(error) => return seen.failed(error),
            };
        }
        driver.abort();
    }
}

async fn answered(reply: h2::client::ResponseFuture) -> Result<(), h2::Error> {
    let mut body = reply.await?.into_body();
    let mut bytes = Vec::new();
    while let Some(data) = body.data().await {
        let data: Bytes = data?;
        body.flow_control().release_capacity(data.len())?;
        bytes.extend(data);
    }
    assert!(!bytes.is_empty());
    Ok(())
}

/// A node with an app and its file.
fn start(folder: &Folder) -> (Running, SocketAddr) {
    folder.write("shop/rimward.toml", manifest("shop", "")).write("shop/function.wasm", example("hello"));
    let node_toml = "[node]\nstate = \"state\"\ncache = \"code\"\nlisten = [\"127.0.0.1:0\"]\n\
                     [ops]\nlisten = \"127.0.0.1:0\"\n[[app]]\npath = \"shop\"\n";
    folder.write("node.toml", node_toml);
    let mut node = folder.start(&["serve", "--config", "node.toml", "--json"]);
    let address = address(&node.event("ready"));
    (node, address)
}

#[track_caller]
fn restarts(times: u32, pause: Duration) {
    let folder = Folder::new();
    let (mut node, address) = start(&folder);
    let seen = Arc::<Seen>::default();
    let mut clients = Vec::new();
    for _ in 0..4 {
        let seen = seen.clone();
        clients.push(std::thread::spawn(move || http1(address, &seen)));
    }
    for _ in 0..2 {
        let seen = seen.clone();
        clients.push(std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(http2(address, &seen));
        }));
    }
    for _ in 0..times {
        let before = seen.answered.load(Relaxed);
        while seen.answered.load(Relaxed) < before + 50 && seen.failed.load(Relaxed) == 0 {
            std::thread::yield_now();
        }
        std::thread::sleep(pause);
        folder.run(&["restart", "--socket", "state/admin.sock"]).succeeds();
        assert_eq!(crate::harness::address(&node.event("ready")), address, "the sockets are the same");
    }
    seen.stop.store(true, Relaxed);
    clients.into_iter().for_each(|client| client.join().unwrap());
    let (answered, failed) = (seen.answered.load(Relaxed), seen.failed.load(Relaxed));
    assert_eq!(failed, 0, "of {} requests; {}", answered + failed, folder.log());
    assert_eq!(node.stop(), Some(0));
}

/// H19: a node that is restarted in place five times under load, over HTTP/1.1 and HTTP/2, fails no request.
#[test]
fn a_restart_in_place_fails_no_request() {
    restarts(5, Duration::ZERO);
}

mod slow {
    /// H19: the same for a while, and more layers than the kernel stacks of what a process is confined to.
    #[test]
    fn many_restarts_in_place_fail_no_request() {
        super::restarts(40, std::time::Duration::from_millis(500));
    }
}

/// H19, F9: a node does not restart into settings that the program does not accept; it goes on and says why.
#[test]
fn a_restart_that_would_fail_is_not_begun() {
    let folder = Folder::new();
    let (node, address) = start(&folder);
    let good = std::fs::read_to_string(folder.path().join("node.toml")).unwrap();
    folder.write("node.toml", format!("{good}[limits]\nconcurrency = 0\n"));
    let ended = folder.run(&["restart", "--socket", "state/admin.sock"]);
    assert_eq!(ended.status, Some(1));
    assert!(
        ended.stderr.contains("does not accept the settings") && ended.stderr.contains("concurrency = 0"),
        "{}",
        ended.stderr
    );
    node.signal(Signal::USR2);
    while folder.log().matches("not restarted, the node goes on as it was").count() < 2 {
        std::thread::yield_now();
    }
    assert_eq!(get(address).0, 200);
    assert_eq!(node.stop(), Some(0));
}

/// Starts a node with a socket that was bound by somebody else.
fn start_with(folder: &Folder, listener: &TcpListener) -> Running {
    let mut command = folder.rimward(&["serve", "--config", "node.toml", "--json"]);
    let mapping = FdMapping { parent_fd: listener.try_clone().unwrap().into(), child_fd: 3 };
    command.fd_mappings(vec![mapping]).unwrap();
    Folder::spawn(command.env("LISTEN_FDS", "1").env("LISTEN_FDNAMES", "http"))
}

/// F20, H19: a node that was killed is back within 2 s of its start, on sockets that the service manager kept, with what its
/// functions stored; who connected meanwhile is answered.
#[test]
fn a_killed_node_comes_back_on_its_sockets_with_its_state() {
    let folder = Folder::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let app = manifest("counter", "stores = [\"visits\"]").replace("GET /", "GET /*path");
    folder.write("counter/rimward.toml", app).write("counter/function.wasm", example("counter"));
    folder.write("node.toml", format!("[node]\nstate = \"state\"\ncache = \"code\"\nlisten = [\"{address}\"]\n[ops]\nlisten = \"off\"\n[[app]]\npath = \"counter\"\n"));
    let mut node = start_with(&folder, &listener);
    assert_eq!(crate::harness::address(&node.event("ready")), address);
    let first = get(address);
    assert_eq!(first.0, 200, "{}", first.1);
    node.signal(Signal::KILL);
    assert_eq!(node.ends(), None, "it was killed");
    let meanwhile = std::thread::spawn(move || get(address));
    let started = Instant::now();
    let mut node = start_with(&folder, &listener);
    node.event("ready");
    let took = started.elapsed();
    let second = meanwhile.join().unwrap();
    assert_eq!(second.0, 200);
    assert_ne!(first.1, second.1, "it counts on from where it was");
    let third = get(address).1;
    assert!(third.contains('3'), "{} {} {third}", first.1, second.1);
    // The component was compiled before; a busy machine is given three times as long.
    assert!(took < Duration::from_secs(6), "{took:?}");
    assert_eq!(node.stop(), Some(0));
}

/// H19: a socket that node.toml does not name is a mistake of the socket unit, and told.
#[test]
fn a_socket_that_no_setting_names_is_told() {
    let folder = Folder::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    folder.write("sleep.wasm", guest("sleep"));
    let mut command = folder.rimward(&["serve", "sleep.wasm", "--listen", "127.0.0.2:0"]);
    let mapping = FdMapping { parent_fd: listener.try_clone().unwrap().into(), child_fd: 3 };
    command.fd_mappings(vec![mapping]).unwrap();
    let ended = folder.ended(command.env("LISTEN_FDS", "1").output().unwrap());
    assert_eq!(ended.status, Some(1));
    assert!(ended.stderr.contains("was handed to this process"), "{}", ended.stderr);
}
