//! Where a model is answered while its link to the cloud is up, slow, lossy, cut and back: two nodes, and a link between them
//! that holds bytes back or loses them.

use crate::models::{INFER, app, x};
use rimward_tests::{Answer, Over, TestNode, declared, node};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, sleep_until};

/// What becomes of bytes on their way.
#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    /// They arrive so much later.
    Up(Duration),
    /// One packet of so many has to be sent again, which takes so long.
    Lossy(u32, Duration),
    /// They are lost, and with them all that comes behind them.
    Cut,
}

/// A link to a server.
struct Link {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl Link {
    async fn to(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it has an address");
        let state = Arc::new(Mutex::new(State::Up(Duration::ZERO)));
        let of_all = state.clone();
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect(server).await.expect("the server is there");
                let (from_near, to_near) = near.into_split();
                let (from_far, to_far) = far.into_split();
                pass_on(from_near, to_far, of_all.clone());
                pass_on(from_far, to_near, of_all.clone());
            }
        });
        Self { address, state }
    }

    fn set(&self, state: State) {
        *self.state.lock().expect("no panic") = state;
    }
}

fn pass_on(mut from: OwnedReadHalf, to: OwnedWriteHalf, state: Arc<Mutex<State>>) {
    let (later, due) = unbounded_channel();
    tokio::spawn(deliver(due, to));
    tokio::spawn(async move {
        let (mut buffer, mut packets, mut is_lost) = (vec![0; 64 << 10], 0_u32, false);
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            packets += 1;
            let now = *state.lock().expect("no panic");
            let delay = match now {
                State::Up(delay) => delay,
                State::Lossy(one_of, again) if packets.is_multiple_of(one_of) => again,
                State::Lossy(..) => Duration::ZERO,
                State::Cut => {
                    is_lost = true;
                    continue;
                }
            };
            if is_lost || later.send((Instant::now() + delay, buffer[..length].to_vec())).is_err() {
                return;
            }
        }
    });
}

async fn deliver(mut due: UnboundedReceiver<(Instant, Vec<u8>)>, mut to: OwnedWriteHalf) {
    while let Some((moment, bytes)) = due.recv().await {
        sleep_until(moment).await;
        if to.write_all(&bytes).await.is_err() {
            return;
        }
    }
}

/// The time of a call, and what more a function and a busy machine may take.
const DEADLINE: Duration = Duration::from_millis(150);
const MARGIN: Duration = Duration::from_millis(50);
/// Calls a second.
const RATE: u32 = 40;
/// Within this time a change of the link has turned the choice.
const TURN: Duration = Duration::from_secs(2);

/// One call: when it was due, and what came of it.
struct Asked {
    at: Duration,
    took: Duration,
    told: String,
}

impl Asked {
    fn is_remote(&self) -> bool {
        self.told.starts_with("remote")
    }

    /// Tried whether the link is back.
    fn is_probe(&self) -> bool {
        self.told.contains("reason=probe")
    }
}

/// Calls at a steady rate, whatever comes of those before.
async fn calls(edge: &Arc<TestNode>, lasts: Duration) -> Vec<Asked> {
    let begin = Instant::now();
    let every = Duration::from_secs(1) / RATE;
    let mut under_way = Vec::new();
    while begin.elapsed() < lasts {
        let at = every * u32::try_from(under_way.len()).expect("there are fewer");
        sleep_until(begin + at).await;
        let edge = edge.clone();
        under_way.push(tokio::spawn(async move {
            let answer: Answer = edge.ask(Over::Http1, "POST", INFER).body(x([0.0; 3]).to_string()).await;
            let took = (begin + at).elapsed();
            let told = answer.is(200).header("rimward-model").expect("it says who answered").to_owned();
            Asked { at, took, told }
        }));
    }
    let mut asked = Vec::new();
    for call in under_way {
        asked.push(call.await.expect("it ends"));
    }
    asked
}

/// What is wanted of calls while the link is in one state.
async fn check(edge: &Arc<TestNode>, state: State, lasts: Duration, wanted: Option<&str>) {
    let asked = calls(edge, lasts).await;
    let in_time = asked.iter().filter(|asked| asked.took <= DEADLINE + MARGIN).count();
    let slowest = asked.iter().map(|asked| asked.took).max();
    assert!(
        in_time * 100 >= asked.len() * 99,
        "{state:?}: {in_time} of {}, slowest {slowest:?}",
        asked.len()
    );
    let Some(wanted) = wanted else { return };
    let settled: Vec<&Asked> = asked.iter().filter(|asked| asked.at >= TURN && !asked.is_probe()).collect();
    let as_wanted = settled.iter().filter(|asked| asked.is_remote() == (wanted == "remote")).count();
    assert!(
        as_wanted * 100 >= settled.len() * 95,
        "{state:?}: {as_wanted} of {} were {wanted}",
        settled.len()
    );
    let usual: Vec<bool> =
        asked.iter().filter(|asked| !asked.is_probe()).map(|asked| asked.told.contains("in-time")).collect();
    let turns = usual.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert!(turns <= 1, "{state:?}: {turns} turns");
}

async fn two_nodes(mode: &str) -> (TestNode, Link, Arc<TestNode>) {
    let local = "local = { file = 'classifier.onnx' }";
    let cloud = format!("[model.classifier]\n{local}");
    let cloud = node().app(app(&cloud, "['classifier']", None)).offers_models(None).start().await;
    let link = Link::to(cloud.models()).await;
    // The node's model is never sure of three zeros.
    let least = if mode == "escalate" { "min-confidence = 0.9\n" } else { "" };
    // The policy of the upstream is the default one: it tries again, and its breaker opens.
    let edge = format!(
        "[app]\nname = 'edge'\n[function.asks]\ncomponent = 'model'\nmodels = ['classifier']\n\
         [[trigger.http]]\nroute = '/*rest'\nfunction = 'asks'\n\
         [model.classifier]\nmode = '{mode}'\n{least}deadline = '150ms'\n{local}\n\
         remote = {{ upstream = 'cloud', binary = true }}\n"
    );
    let edge = declared(&edge).upstream_at("cloud", &format!("http://{}", link.address), "");
    let edge = node().app(edge).offers_models(None).start().await;
    (cloud, link, Arc::new(edge))
}

async fn holds(mode: &str, lasts: Duration) {
    let (_cloud, link, edge) = two_nodes(mode).await;
    let ms = Duration::from_millis;
    for (state, wanted) in [
        (State::Up(ms(10)), Some("remote")),
        (State::Up(ms(300)), Some("local")),
        (State::Up(ms(10)), Some("remote")),
        (State::Lossy(5, ms(300)), None),
        (State::Cut, Some("local")),
        (State::Up(ms(10)), Some("remote")),
    ] {
        link.set(state);
        check(&edge, state, lasts, wanted).await;
    }
}

mod heavy {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn calls_are_in_time_whatever_the_link_does_and_the_cloud_answers_where_it_can() {
        holds("hedge", Duration::from_secs(3)).await;
        holds("escalate", Duration::from_secs(4)).await;
    }
}

mod slow {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn calls_are_in_time_whatever_the_link_does_for_longer_and_in_each_mode() {
        holds("hedge", Duration::from_secs(15)).await;
        holds("fallback", Duration::from_secs(15)).await;
        holds("escalate", Duration::from_secs(15)).await;
    }
}
