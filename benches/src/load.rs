//! The load generator: one thread, keep-alive connections, requests that are ready-made bytes. It does as little as it can
//! for each reply, so that it is not what is measured.
//!
//! A *closed* loop sends the next request of a connection when the last one was answered: it finds how much a server can
//! do. An *open* loop sends at a rate whether or not the server keeps up, and counts a time from when the request should
//! have been sent: it finds what a caller would see. A failed request is counted; a lost connection is opened anew.

use crate::histogram::Histogram;
use crate::limits::{CONNECTIONS, OPEN_LOOP_REQUESTS, REPLY_WAIT};
use crate::reply::{NotAReply, parse};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;

/// What is sent where.
#[derive(Debug, Clone)]
pub struct Load {
    /// The server.
    pub address: SocketAddr,
    /// The path of every request.
    pub path: String,
    /// Connections, all open at once.
    pub connections: usize,
    /// How long requests are sent.
    pub time: Duration,
    /// When each is sent.
    pub pace: Pace,
}

/// When a request is sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pace {
    /// When the last one of its connection was answered.
    Closed,
    /// So many in each second, evenly, whatever the server does.
    Open(f64),
}

/// What came of it.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// From the (intended) start of a request to the end of its reply, of those that were answered with 2xx.
    pub latencies: Histogram,
    /// Requests that failed or were answered otherwise.
    pub failures: u64,
    /// The first failure, as text.
    pub first_failure: Option<String>,
    /// From the first request to the end of the last reply.
    pub took: Duration,
}

/// Why a load could not be run.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It is larger than what one generator does.
    #[error("a load has at most {CONNECTIONS} connections and {OPEN_LOOP_REQUESTS} requests of an open loop")]
    TooMuch,
    /// The thread has no runtime.
    #[error("the load generator could not be started")]
    Start(#[source] io::Error),
    /// The server does not take connections.
    #[error("cannot connect to {address}")]
    Connect {
        /// The server.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Replies stayed out.
    #[error("the server at {0} stopped answering")]
    Stuck(SocketAddr),
}

/// Why one request failed.
#[derive(Debug, thiserror::Error)]
enum RequestError {
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
    #[error(transparent)]
    Reply(#[from] NotAReply),
    #[error("the status is {0}")]
    Status(u16),
}

impl Outcome {
    /// Answered requests in each second.
    pub fn per_second(&self) -> f64 {
        self.latencies.count() as f64 / self.took.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    fn record(&mut self, since: Instant, result: Result<(), RequestError>) {
        match result {
            Ok(()) => self.latencies.record(since.elapsed()),
            Err(error) => {
                self.failures += 1;
                self.first_failure.get_or_insert_with(|| error.to_string());
            }
        }
    }
}

impl Load {
    /// Runs the load on this thread.
    pub fn run(&self) -> Result<Outcome, LoadError> {
        self.check()?;
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(LoadError::Start)?;
        runtime.block_on(async {
            let limit = self.time + REPLY_WAIT;
            tokio::time::timeout(limit, self.send()).await.unwrap_or(Err(LoadError::Stuck(self.address)))
        })
    }

    fn check(&self) -> Result<(), LoadError> {
        let requests = match self.pace {
            Pace::Closed => 0,
            Pace::Open(per_second) => planned(per_second, self.time),
        };
        match self.connections <= CONNECTIONS && requests <= OPEN_LOOP_REQUESTS {
            true => Ok(()),
            false => Err(LoadError::TooMuch),
        }
    }

    async fn send(&self) -> Result<Outcome, LoadError> {
        let connections = self.connect().await?;
        let outcome = Shared::default();
        let started = Instant::now();
        let starts = Starts::new(self.pace, started, self.time);
        let mut running = JoinSet::new();
        for connection in connections {
            running.spawn(use_connection(connection, starts.clone(), outcome.clone()));
        }
        running.join_all().await;
        let outcome = std::mem::take(&mut *outcome.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(Outcome { took: started.elapsed(), ..outcome })
    }

    async fn connect(&self) -> Result<Vec<Connection>, LoadError> {
        let mut connections = Vec::with_capacity(self.connections);
        for _ in 0..self.connections {
            let opened = Connection::open(self.address, &self.path).await;
            connections.push(opened.map_err(|source| LoadError::Connect { address: self.address, source })?);
        }
        Ok(connections)
    }
}

/// What all connections of a load count in. They take turns on one thread, so that nobody ever waits for it.
type Shared = Arc<std::sync::Mutex<Outcome>>;

async fn use_connection(mut connection: Connection, starts: Starts, outcome: Shared) {
    while let Some(intended) = starts.next().await {
        let result = connection.request().await;
        // A server that answers, whatever it answers, keeps its connections.
        let lost = matches!(result, Err(RequestError::Io(_) | RequestError::Reply(_)));
        outcome.lock().unwrap_or_else(PoisonError::into_inner).record(intended, result);
        if lost && connection.reopen().await.is_err() {
            return;
        }
    }
}

/// When requests are to be sent; shared by all connections.
#[derive(Clone)]
enum Starts {
    Closed { until: Instant },
    Open(Arc<Mutex<mpsc::UnboundedReceiver<Instant>>>),
}

impl Starts {
    fn new(pace: Pace, from: Instant, time: Duration) -> Self {
        match pace {
            Pace::Closed => Self::Closed { until: from + time },
            Pace::Open(per_second) => {
                let (sender, receiver) = mpsc::unbounded_channel();
                std::thread::spawn(move || pace_out(&sender, per_second, from, time));
                Self::Open(Arc::new(Mutex::new(receiver)))
            }
        }
    }

    /// The intended start of the next request, no sooner than then; `None` when all have been sent.
    async fn next(&self) -> Option<Instant> {
        match self {
            Self::Closed { until } => Some(Instant::now()).filter(|now| now < until),
            Self::Open(queue) => queue.lock().await.recv().await,
        }
    }
}

/// Tells of every start when it has come. A thread of its own: the runtime's timers are a millisecond apart.
fn pace_out(starts: &mpsc::UnboundedSender<Instant>, per_second: f64, from: Instant, time: Duration) {
    let between = Duration::from_secs_f64(1.0 / per_second);
    for request in 0..planned(per_second, time) {
        let intended = from + between.mul_f64(request as f64);
        std::thread::sleep(intended.saturating_duration_since(Instant::now()));
        if starts.send(intended).is_err() {
            return;
        }
    }
}

fn planned(per_second: f64, time: Duration) -> u64 {
    (per_second * time.as_secs_f64()).round() as u64
}

/// One keep-alive connection and the request that it sends again and again.
struct Connection {
    address: SocketAddr,
    stream: TcpStream,
    request: Box<[u8]>,
    received: Vec<u8>,
}

impl Connection {
    async fn open(address: SocketAddr, path: &str) -> io::Result<Self> {
        let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n").into_bytes().into();
        Ok(Self { address, stream: connect(address).await?, request, received: Vec::with_capacity(4096) })
    }

    async fn reopen(&mut self) -> io::Result<()> {
        self.received.clear();
        self.stream = connect(self.address).await?;
        Ok(())
    }

    async fn request(&mut self) -> Result<(), RequestError> {
        self.stream.write_all(&self.request).await?;
        loop {
            if self.stream.read_buf(&mut self.received).await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            if let Some(reply) = parse(&self.received)? {
                self.received.drain(..reply.bytes);
                return match reply.status {
                    200..=299 => Ok(()),
                    status => Err(RequestError::Status(status)),
                };
            }
        }
    }
}

async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bare_hyper::Bare;

    fn load(address: SocketAddr) -> Load {
        let time = Duration::from_millis(50);
        Load { address, path: "/".into(), connections: 3, time, pace: Pace::Closed }
    }

    #[test]
    fn a_closed_loop_counts_every_reply() {
        let server = Bare::start(1).unwrap();
        let outcome = load(server.address()).run().unwrap();
        assert!(outcome.latencies.count() >= 3, "{outcome:?}");
        assert_eq!((outcome.failures, outcome.first_failure), (0, None));
    }

    #[test]
    fn an_open_loop_sends_what_its_rate_says_whatever_the_server_does() {
        let server = Bare::start(1).unwrap();
        let outcome = Load { pace: Pace::Open(1_000.0), ..load(server.address()) }.run().unwrap();
        assert_eq!((outcome.latencies.count(), outcome.failures), (50, 0));
    }

    #[test]
    fn a_load_is_accepted_up_to_its_bounds_and_no_further() {
        let load = load(([127, 0, 0, 1], 1).into());
        let check = |connections, requests: u64, fits: bool| {
            let time = Duration::from_secs(1);
            let load = Load { connections, time, pace: Pace::Open(requests as f64), ..load.clone() };
            assert_eq!(load.check().is_ok(), fits, "{connections} connections, {requests} requests");
        };
        check(CONNECTIONS, OPEN_LOOP_REQUESTS, true);
        check(CONNECTIONS + 1, 1, false);
        check(1, OPEN_LOOP_REQUESTS + 1, false);
    }

    #[test]
    fn a_server_that_is_not_there_is_an_error_and_not_a_slow_one() {
        let gone = Bare::start(1).unwrap().address();
        assert!(matches!(load(gone).run(), Err(LoadError::Connect { .. })));
    }
}
