//! What signals do to a node that serves.

use crate::harness::{Folder, Running, address, get_path, guest};
use rustix::process::Signal;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

/// A node whose function takes as many milliseconds as the path says, and one request to it that has been sent.
fn with_an_open_request(folder: &Folder, ms: u32) -> (Running, SocketAddr, TcpStream) {
    folder.write("sleep.wasm", guest("sleep"));
    let mut node = folder.start(&[
        "serve",
        "sleep.wasm",
        "--listen",
        "127.0.0.1:0",
        "--ops-listen",
        "127.0.0.1:0",
        "--json",
    ]);
    let ready = node.event("ready");
    let ops: SocketAddr = ready["addresses"]["ops"].as_str().unwrap().parse().unwrap();
    let address = address(&ready);
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET /{ms} HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    while !metrics(ops).contains("rimward_permits_taken 1") {
        std::thread::yield_now();
    }
    (node, ops, stream)
}

fn metrics(ops: SocketAddr) -> String {
    get_path(ops, "/metrics").1
}

fn reply(mut stream: TcpStream) -> String {
    let mut reply = String::new();
    // A connection that is cut is an answer too.
    let _ = stream.read_to_string(&mut reply);
    reply
}

#[track_caller]
fn drains(signal: Signal) {
    let folder = Folder::new();
    let (node, ops, open) = with_an_open_request(&folder, 600);
    node.signal(signal);
    while get_path(ops, "/readyz").0 != 503 {
        std::thread::yield_now();
    }
    let reply = reply(open);
    assert!(reply.starts_with("HTTP/1.1 200 ") && reply.ends_with("slept\n"), "{reply}");
    assert_eq!(node.ends(), Some(0));
}

/// F24: SIGTERM and SIGINT let open requests finish, and the node ends with status 0.
#[test]
fn the_first_signal_to_stop_drains() {
    drains(Signal::TERM);
    drains(Signal::INT);
}

/// F24: a second SIGTERM does not wait for anybody.
#[test]
fn the_second_signal_to_stop_forces() {
    let folder = Folder::new();
    let (node, ops, open) = with_an_open_request(&folder, 60_000);
    node.signal(Signal::TERM);
    while get_path(ops, "/readyz").0 != 503 {
        std::thread::yield_now();
    }
    node.signal(Signal::TERM);
    assert_eq!(node.ends(), Some(1));
    assert_eq!(reply(open), "");
}

/// F24: a pipe that nobody reads any more, and the signal that tells of it, end nothing.
#[test]
fn a_broken_pipe_is_ignored() {
    let folder = Folder::new();
    folder.write("sleep.wasm", guest("sleep"));
    let mut command = folder.rimward(&["serve", "sleep.wasm", "--listen", "127.0.0.1:0", "--json"]);
    let (reader, writer) = std::io::pipe().unwrap();
    let mut node = Folder::spawn(command.env("RIMWARD_LOG_REQUESTS", "all").stderr(writer));
    drop(command);
    let address = address(&node.event("ready"));
    drop(reader);
    node.signal(Signal::PIPE);
    for _ in 0..3 {
        assert_eq!(get_path(address, "/1").0, 200, "each request logs a line that goes nowhere");
    }
    assert_eq!(node.stop(), Some(0));
}
