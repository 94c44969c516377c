//! A DNS server on loopback, UDP and TCP, that answers as a script says.

use rimward_upstream::{Resolver, Servers, Setup};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;

pub(crate) const A: u16 = 1;
pub(crate) const AAAA: u16 = 28;
pub(crate) const FORMAT_ERROR: u8 = 1;
pub(crate) const SERVER_FAILURE: u8 = 2;
pub(crate) const NO_SUCH_NAME: u8 = 3;
pub(crate) const REFUSED: u8 = 5;

/// What the server says to one question. `None`: nothing at all.
pub(crate) type Say = Option<Message>;

/// An answer, in the parts that tests change.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) id: u16,
    pub(crate) is_answer: bool,
    pub(crate) is_truncated: bool,
    pub(crate) code: u8,
    /// As it came: in its letters.
    pub(crate) name: String,
    kind: u16,
    /// Name, type, time to live, content.
    answers: Vec<(String, u16, u32, Vec<u8>)>,
}

fn wire_name(name: &str) -> Vec<u8> {
    let labels = name.split('.').filter(|label| !label.is_empty());
    labels.flat_map(|label| [&[label.len() as u8][..], label.as_bytes()].concat()).chain([0]).collect()
}

impl Message {
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let flags = u16::from(self.is_answer) << 15
            | u16::from(self.is_truncated) << 9
            | 0x0180
            | u16::from(self.code);
        let is_none = self.code == NO_SUCH_NAME;
        let mut bytes = Vec::new();
        for word in [self.id, flags, 1, self.answers.len() as u16, is_none.into(), 0] {
            bytes.extend(word.to_be_bytes());
        }
        bytes.extend(wire_name(&self.name));
        bytes.extend([self.kind.to_be_bytes(), [0, 1]].concat());
        for (name, kind, ttl, content) in &self.answers {
            bytes.extend(record(name, *kind, *ttl, content));
        }
        if is_none {
            let numbers: Vec<u8> =
                [1_u32, 2, 3, 4, 30].iter().flat_map(|number| number.to_be_bytes()).collect();
            bytes.extend(record(
                "example",
                6,
                30,
                &[wire_name("example"), wire_name("example"), numbers].concat(),
            ));
        }
        bytes
    }
}

fn record(name: &str, kind: u16, ttl: u32, content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u16).to_be_bytes();
    [&wire_name(name)[..], &kind.to_be_bytes(), &[0, 1], &ttl.to_be_bytes(), &length, content].concat()
}

/// One question as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// In small letters.
    pub(crate) name: String,
    pub(crate) kind: u16,
    pub(crate) over_tcp: bool,
    empty: Message,
}

impl Asked {
    fn read(bytes: &[u8], over_tcp: bool) -> Self {
        let mut labels = Vec::new();
        let mut at = 12;
        while bytes[at] != 0 {
            let end = at + 1 + usize::from(bytes[at]);
            labels.push(String::from_utf8(bytes[at + 1..end].to_vec()).unwrap());
            at = end;
        }
        let kind = u16::from_be_bytes([bytes[at + 1], bytes[at + 2]]);
        let name = labels.join(".");
        let id = u16::from_be_bytes([bytes[0], bytes[1]]);
        let empty = Message {
            id,
            is_answer: true,
            is_truncated: false,
            code: 0,
            name: name.clone(),
            kind,
            answers: Vec::new(),
        };
        Self { name: name.to_ascii_lowercase(), kind, over_tcp, empty }
    }

    /// An answer without records.
    pub(crate) fn answer(&self) -> Message {
        self.empty.clone()
    }

    /// These addresses, as far as they are of the family that is asked for.
    pub(crate) fn with(&self, addresses: &[&str], ttl: u32) -> Say {
        let mut answer = self.answer();
        let name = answer.name.clone();
        answer.answers = self.records(&name, addresses, ttl);
        Some(answer)
    }

    /// An alias, and the addresses of what it leads to.
    pub(crate) fn alias(&self, to: &str, addresses: &[&str]) -> Say {
        let mut answer = self.answer();
        answer.answers = vec![(answer.name.clone(), 5, 60, wire_name(to))];
        answer.answers.extend(self.records(to, addresses, 60));
        Some(answer)
    }

    /// So many aliases one after the other, and an address at the end.
    pub(crate) fn aliases(&self, count: usize, address: &str) -> Say {
        let mut answer = self.answer();
        let name = |each: usize| if each == 0 { self.name.clone() } else { format!("n{each}.example") };
        answer.answers = (0..count).map(|each| (name(each), 5, 60, wire_name(&name(each + 1)))).collect();
        answer.answers.extend(self.records(&name(count), &[address], 60));
        Some(answer)
    }

    /// Records of other names too.
    pub(crate) fn and(&self, say: Say, name: &str, addresses: &[&str]) -> Say {
        let mut answer = say?;
        answer.answers.extend(self.records(name, addresses, 3600));
        Some(answer)
    }

    fn records(&self, name: &str, addresses: &[&str], ttl: u32) -> Vec<(String, u16, u32, Vec<u8>)> {
        let content = |address: &&str| match address.parse().unwrap() {
            IpAddr::V4(v4) if self.kind == A => Some(v4.octets().to_vec()),
            IpAddr::V6(v6) if self.kind == AAAA => Some(v6.octets().to_vec()),
            _ => None,
        };
        let found = addresses.iter().filter_map(content);
        found.map(|content| (name.to_owned(), self.kind, ttl, content)).collect()
    }

    pub(crate) fn fails(&self, code: u8) -> Say {
        Some(Message { code, ..self.answer() })
    }
}

/// The server, stopped when dropped.
pub(crate) struct Dns {
    pub(crate) address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    _tasks: JoinSet<()>,
}

impl Dns {
    /// A server that answers each question with `say`, in its turn.
    pub(crate) async fn start(say: impl Fn(&Asked) -> Say + Send + Sync + 'static) -> Self {
        Self::start_with(say, |_| Vec::new()).await
    }

    /// As [`Dns::start`]; over UDP, `noise` comes before each answer.
    pub(crate) async fn start_with(
        say: impl Fn(&Asked) -> Say + Send + Sync + 'static,
        noise: impl Fn(&Asked) -> Vec<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        let (udp, tcp) = loop {
            let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
            // The same port must be free for both.
            if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await {
                break (udp, tcp);
            }
        };
        let address = udp.local_addr().unwrap();
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let say = Arc::new(say);
        let mut tasks = JoinSet::new();
        tasks.spawn(over_udp(udp, asked.clone(), say.clone(), noise));
        tasks.spawn(over_tcp(tcp, asked.clone(), say));
        Self { address, asked, _tasks: tasks }
    }

    /// A resolver that asks this server and knows no names by itself.
    pub(crate) fn resolver(&self) -> Arc<Resolver> {
        resolver(vec![self.address])
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// How often an IPv4 address was asked for.
    pub(crate) fn times(&self) -> usize {
        self.asked().iter().filter(|asked| asked.kind == A && !asked.over_tcp).count()
    }
}

pub(crate) fn resolver(servers: Vec<SocketAddr>) -> Arc<Resolver> {
    Arc::new(Resolver::new(Servers::Fixed(Setup::of(servers))))
}

fn heard(bytes: &[u8], over_tcp: bool, all: &Mutex<Vec<Asked>>) -> Asked {
    let asked = Asked::read(bytes, over_tcp);
    all.lock().unwrap().push(asked.clone());
    asked
}

async fn over_udp(
    socket: UdpSocket,
    all: Arc<Mutex<Vec<Asked>>>,
    say: Arc<impl Fn(&Asked) -> Say>,
    noise: impl Fn(&Asked) -> Vec<Vec<u8>>,
) {
    let mut packet = vec![0; 4096];
    loop {
        let Ok((length, peer)) = socket.recv_from(&mut packet).await else { continue };
        let asked = heard(&packet[..length], false, &all);
        // A client that has gone refuses what comes late.
        for bytes in noise(&asked) {
            let _ = socket.send_to(&bytes, peer).await;
        }
        if let Some(answer) = say(&asked) {
            let _ = socket.send_to(&answer.bytes(), peer).await;
        }
    }
}

async fn over_tcp(listener: TcpListener, all: Arc<Mutex<Vec<Asked>>>, say: Arc<impl Fn(&Asked) -> Say>) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let Ok(length) = stream.read_u16().await else { continue };
        let mut question = vec![0; length.into()];
        if stream.read_exact(&mut question).await.is_err() {
            continue;
        }
        if let Some(answer) = say(&heard(&question, true, &all)) {
            let bytes = answer.bytes();
            let length = u16::try_from(bytes.len()).unwrap();
            let _ = stream.write_all(&[&length.to_be_bytes()[..], &bytes].concat()).await;
        }
    }
}
