//! The load of a soak: a few threads that each send one request after the other at a fixed rate, three good ones and then
//! two that no node likes. Plain sockets: some of what is sent no library would send.

use serde::Serialize;
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Threads: hostile requests take up to their wall limits, and must not lower the rate.
const CLIENTS: u32 = 12;
/// How often all slots are filled with memory.
const FILLINGS: u32 = 3;
/// The request that touches as much memory as it can.
const MEMORY_BOMB: usize = 5;
/// How long one reply may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a client stays that goes away in the middle.
const MOMENT: Duration = Duration::from_millis(40);
/// Between two looks whether the load goes on.
const PAUSED: Duration = Duration::from_millis(50);

/// A load that runs until it is stopped.
pub(super) struct Load {
    shared: Arc<Shared>,
    clients: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    paused: AtomicBool,
    stopped: AtomicBool,
    good: AtomicU64,
    good_failed: AtomicU64,
    hostile: AtomicU64,
}

/// Requests so far.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Counts {
    pub(super) good: u64,
    pub(super) good_failed: u64,
    pub(super) hostile: u64,
}

impl Load {
    pub(super) fn start(port: u16, rate: u32) -> Self {
        let shared = Arc::<Shared>::default();
        let between = Duration::from_secs(1) * CLIENTS / rate.max(1);
        let clients = (0..CLIENTS).map(|client| {
            let shared = shared.clone();
            std::thread::spawn(move || send(port, between, client as usize, &shared))
        });
        Self { clients: clients.collect(), shared }
    }

    /// Fills as many slots of the node's pool as the load can ever use, and more, with memory: a slot keeps some of what a
    /// guest has touched (`KEEP_RESIDENT_BYTES`), so that the first moment in which many run at once is not taken for a
    /// leak.
    pub(super) fn fill(port: u16) {
        for _ in 0..FILLINGS {
            let clients = (0..2 * CLIENTS).map(|_| std::thread::spawn(move || hostile(port, MEMORY_BOMB)));
            for client in clients.collect::<Vec<_>>() {
                // Refused or ended: what counts is what it touched before.
                let _ = client.join();
            }
        }
    }

    /// Sends nothing more until it goes on; what is open is closed.
    pub(super) fn pause(&self) {
        self.shared.paused.store(true, Ordering::Relaxed);
    }

    pub(super) fn go_on(&self) {
        self.shared.paused.store(false, Ordering::Relaxed);
    }

    pub(super) fn counts(&self) -> Counts {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Shared { good, good_failed, hostile, .. } = &*self.shared;
        Counts { good: count(good), good_failed: count(good_failed), hostile: count(hostile) }
    }

    pub(super) fn stop(self) -> Counts {
        self.shared.stopped.store(true, Ordering::Relaxed);
        let counts = self.counts();
        for client in self.clients {
            // Its panic was printed.
            let _ = client.join();
        }
        counts
    }
}

fn send(port: u16, between: Duration, client: usize, shared: &Shared) {
    let mut due = Instant::now();
    for request in client.. {
        while shared.paused.load(Ordering::Relaxed) && !shared.stopped.load(Ordering::Relaxed) {
            std::thread::sleep(PAUSED);
            due = Instant::now();
        }
        if shared.stopped.load(Ordering::Relaxed) {
            return;
        }
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        due += between;
        if request % 5 < 3 {
            let failed = good(port, request).is_err();
            shared.good.fetch_add(1, Ordering::Relaxed);
            shared.good_failed.fetch_add(u64::from(failed), Ordering::Relaxed);
        } else {
            // Whatever comes of it: the node stands it or not.
            let _ = hostile(port, request);
            shared.hostile.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn connect(port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Sends these bytes and gives the reply until the node closes.
fn exchange(port: u16, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = connect(port)?;
    stream.write_all(bytes)?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply)?;
    Ok(reply)
}

fn good(port: u16, request: usize) -> io::Result<()> {
    const BODY: usize = 4 << 10;
    let reply = if request.is_multiple_of(2) {
        exchange(port, b"GET / HTTP/1.1\r\nhost: hello.example\r\nconnection: close\r\n\r\n")?
    } else {
        let head = format!(
            "POST / HTTP/1.1\r\nhost: echo.example\r\ncontent-length: {BODY}\r\nconnection: close\r\n\r\n"
        );
        exchange(port, &[head.as_bytes(), &[b'x'; BODY]].concat())?
    };
    match reply.starts_with(b"HTTP/1.1 200") {
        true => Ok(()),
        false => Err(io::Error::other("the status is another")),
    }
}

fn hostile(port: u16, request: usize) -> io::Result<()> {
    let get = |host: &str, path: &str| {
        format!("GET {path} HTTP/1.1\r\nhost: {host}.example\r\nconnection: close\r\n\r\n").into_bytes()
    };
    match request / 5 % 9 {
        0 => exchange(port, &get("spin", "/")).map(drop),
        1 => exchange(port, &get("memory-bomb", "/")).map(drop),
        2 => exchange(port, &get("trap", "/")).map(drop),
        3 => exchange(port, &get("sleep", "/60000")).map(drop),
        4 => leave(port, &get("sleep", "/60000")),
        5 => leave(port, &get("drips", "/")),
        6 => leave(port, b"GET / HTTP/1.1\r\nhost: hello.exam"),
        7 => leave(port, b"POST / HTTP/1.1\r\nhost: echo.example\r\ncontent-length: 9999999\r\n\r\nsome"),
        _ => exchange(port, b"POST / HTTP/1.1\r\nhost: a\r\nhost: b\r\ntransfer-encoding: x\r\n\r\n\0")
            .map(drop),
    }
}

/// Sends these bytes, reads a little, and goes away.
fn leave(port: u16, bytes: &[u8]) -> io::Result<()> {
    let mut stream = connect(port)?;
    stream.write_all(bytes)?;
    stream.set_read_timeout(Some(MOMENT))?;
    stream.read(&mut [0; 256]).map(drop)
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} good requests, {} of them failed, {} hostile",
            self.good, self.good_failed, self.hostile
        )
    }
}
