//! What a call through an upstream's whole policy stack costs beside the same call through a plain pooled hyper client:
//! 1 KiB over loopback, one connection, all well.
//!
//! `upstream-call` measures both by turns and prints the medians; with `--instructions` it also runs itself under
//! callgrind and prints the user instructions of a whole exchange, client and server together.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line talks to people")]

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use clap::{Parser, ValueEnum};
use http::{Request, Response};
use http_body_util::{BodyExt, Empty, Full};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rimward_upstream::{Allowed, Client, ClientConfig, Roots, Terms, Upstream, UpstreamConfig, call};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;

/// What a call goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Way {
    /// hyper-util's pooled client.
    Plain,
    /// The node's own pool, without a policy.
    Pool,
    /// The whole policy stack, with its defaults and a deadline.
    Stack,
}

const WAYS: [Way; 3] = [Way::Plain, Way::Pool, Way::Stack];

/// Measures a call through an upstream's policy stack beside a plain one
#[derive(Parser)]
struct Arguments {
    /// Calls of each kind in each round
    #[arg(long, default_value_t = 2_000)]
    calls: u32,
    /// Rounds, in which the kinds take turns
    #[arg(long, default_value_t = 15)]
    rounds: u32,
    /// Count user instructions too, with valgrind
    #[arg(long)]
    instructions: bool,
    /// Only make calls of this kind
    #[arg(long, value_enum)]
    only: Option<Way>,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let address = serve()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if let Some(way) = arguments.only {
        return runtime.block_on(async { Caller::new(address)?.calls(way, arguments.calls).await.map(drop) });
    }
    let medians = runtime.block_on(rounds(address, &arguments))?;
    println!(
        "| a call through | p50 | to plain |{}",
        if arguments.instructions { " instructions | to plain |" } else { "" }
    );
    println!("|---|---|---|{}", if arguments.instructions { "---|---|" } else { "" });
    let counts = if arguments.instructions {
        WAYS.iter().map(|way| instructions(*way)).collect::<Result<Vec<_>>>()?
    } else {
        Vec::new()
    };
    for (place, way) in WAYS.iter().enumerate() {
        let median = medians[place];
        let ratio = median.as_secs_f64() / medians[0].as_secs_f64();
        print!("| {way:?} | {:.1} µs | {ratio:.3} |", median.as_secs_f64() * 1e6);
        if let (Some(count), Some(plain)) = (counts.get(place), counts.first()) {
            print!(" {count:.0} | {:.3} |", count / plain);
        }
        println!();
    }
    Ok(())
}

/// The median of each way, all of them by turns, so that whatever else the machine does meets all alike.
async fn rounds(address: SocketAddr, arguments: &Arguments) -> Result<Vec<Duration>> {
    let caller = Caller::new(address)?;
    let mut took = vec![Vec::new(); WAYS.len()];
    for round in 0..=arguments.rounds {
        for turn in 0..WAYS.len() {
            let place = (turn + round as usize) % WAYS.len();
            let times = caller.calls(WAYS[place], arguments.calls).await?;
            if round > 0 {
                took[place].extend(times);
            }
        }
    }
    Ok(took
        .into_iter()
        .map(|mut times| {
            times.sort_unstable();
            times[times.len() / 2]
        })
        .collect())
}

/// All three ways to the same server.
struct Caller {
    plain: legacy::Client<legacy::connect::HttpConnector, Empty<Bytes>>,
    client: Client,
    upstream: Upstream,
    url: String,
}

impl Caller {
    /// Inside the runtime that drives the connections.
    fn new(address: SocketAddr) -> Result<Self> {
        let url = format!("http://{address}");
        let config = UpstreamConfig { allowed: vec![Allowed::from(address)], ..UpstreamConfig::new(&url) };
        let mut connector = legacy::connect::HttpConnector::new();
        connector.set_nodelay(true);
        Ok(Self {
            plain: legacy::Client::builder(TokioExecutor::new()).build(connector),
            client: Client::new(ClientConfig::new(Roots::none()))?,
            upstream: Upstream::new(config, &Roots::none())?,
            url,
        })
    }

    async fn calls(&self, way: Way, calls: u32) -> Result<Vec<Duration>> {
        let mut took = Vec::with_capacity(calls as usize);
        for _ in 0..calls {
            let start = Instant::now();
            let bytes = match way {
                Way::Plain => self.plain().await?,
                Way::Pool => self.pool().await?,
                Way::Stack => self.stack().await?,
            };
            took.push(start.elapsed());
            ensure!(bytes == 1024, "the answer has {bytes} bytes");
        }
        Ok(took)
    }

    async fn plain(&self) -> Result<usize> {
        let request = Request::get(&self.url).body(Empty::new())?;
        let answer = self.plain.request(request).await?;
        Ok(answer.into_body().collect().await?.to_bytes().len())
    }

    async fn pool(&self) -> Result<usize> {
        let target = rimward_upstream::Target::Upstream(&self.upstream);
        let answer = self.client.send(self.request()?, target, self.upstream.timeouts(), None).await?;
        Ok(answer.into_body().collect().await?.to_bytes().len())
    }

    async fn stack(&self) -> Result<usize> {
        let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
        let terms = Terms { timeouts: self.upstream.timeouts(), deadline: Some(deadline), is_probe: false };
        let answer = call(&self.client, &self.upstream, self.request()?, terms).await?;
        Ok(answer.response.into_body().collect().await?.to_bytes().len())
    }

    fn request(&self) -> Result<Request<rimward_upstream::Body>> {
        Ok(Request::get(&self.url).body(Empty::new().map_err(|never| match never {}).boxed_unsync())?)
    }
}

/// A server of one core that answers 1 KiB, until the process ends.
fn serve() -> Result<SocketAddr> {
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || -> Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            tell.send(listener.local_addr()?)?;
            loop {
                let (stream, _) = listener.accept().await?;
                stream.set_nodelay(true)?;
                tokio::spawn(
                    http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer)),
                );
            }
        })
    });
    told.recv().context("the server did not start")
}

async fn answer(_request: Request<hyper::body::Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    static BODY: [u8; 1024] = [b'a'; 1024];
    Ok(Response::new(Full::new(Bytes::from_static(&BODY))))
}

/// User instructions of one exchange, client and server: what a thousand further calls add.
fn instructions(way: Way) -> Result<f64> {
    const CALLS: [u32; 2] = [200, 1_200];
    let [few, many] = CALLS.map(|calls| collected(way, calls));
    Ok((many? - few?) / f64::from(CALLS[1] - CALLS[0]))
}

fn collected(way: Way, calls: u32) -> Result<f64> {
    let program = std::env::current_exe()?;
    let name = way.to_possible_value().context("a way has a name")?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(["--only", name.get_name(), "--calls", &calls.to_string()])
        .output()
        .context("running valgrind")?;
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().find_map(|line| line.split_once("Collected :"));
    let count = line.and_then(|(_, count)| count.trim().parse().ok());
    count.with_context(|| format!("callgrind collected nothing: {text}"))
}
