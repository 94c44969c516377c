//! Asking the DNS servers for the addresses of one name: both families, all search domains, server after server.
//!
//! Called by `cache` when it knows no answer that still holds; the whole is bounded by
//! [`LOOKUP_MAX`](limits::LOOKUP_MAX) there. Each question goes over a UDP socket of its own, so from a port that the kernel
//! picks at random, connected, so that only the server's packets arrive; what does not fit or looks odd goes over TCP.
//! Dropping the future closes the sockets.

use super::LookupError;
use super::message::{Answer, Family, Question, Verdict};
use super::setup::Known;
use crate::limits;
use futures_util::future::{Either, select};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::timeout;

/// What the servers say of a name, both families by turns.
pub(super) async fn ask(known: &Known, favourite: &AtomicUsize, name: &str) -> Answer {
    let mut last = Answer { found: Err(LookupError::NoSuchName), ttl: None };
    for candidate in known.setup.candidates(name) {
        let answer = both(known, favourite, &candidate).await;
        let is_next = match &answer.found {
            Ok(addresses) => addresses.is_empty(),
            Err(error) => error.is_final(),
        };
        if !is_next {
            return answer;
        }
        // "Exists without an address" says more than "does not exist".
        if last.found.is_err() {
            last = answer;
        }
    }
    last
}

/// Both families at once. When one is there the other has a little while left (RFC 8305, section 3).
async fn both(known: &Known, favourite: &AtomicUsize, name: &str) -> Answer {
    let v6 = pin!(one(known, favourite, name, Family::V6));
    let v4 = pin!(one(known, favourite, name, Family::V4));
    let (v6, v4) = match select(v6, v4).await {
        Either::Left((v6, v4)) => {
            let v4 = second(&v6, v4).await;
            (Some(v6), v4)
        }
        Either::Right((v4, v6)) => {
            let v6 = second(&v4, v6).await;
            (v6, Some(v4))
        }
    };
    merged(v6, v4)
}

async fn second(first: &Answer, other: impl Future<Output = Answer>) -> Option<Answer> {
    let has_addresses = first.found.as_ref().is_ok_and(|addresses| !addresses.is_empty());
    match has_addresses {
        true => timeout(limits::RESOLUTION_DELAY, other).await.ok(),
        false => Some(other.await),
    }
}

/// One answer of two: what either found; else the failure, for a failed question may have had an answer.
fn merged(v6: Option<Answer>, v4: Option<Answer>) -> Answer {
    let mut is_whole = v6.is_some() && v4.is_some();
    let mut ttl = None;
    let mut failure = None;
    let mut families = [Vec::new(), Vec::new()];
    for (family, answer) in families.iter_mut().zip([v6, v4]) {
        let Some(answer) = answer else { continue };
        match answer.found {
            Ok(addresses) => {
                let each = answer.ttl.unwrap_or(limits::TTL_NEGATIVE_DEFAULT);
                ttl = Some(ttl.map_or(each, |least: Duration| least.min(each)));
                *family = addresses;
            }
            Err(error) => {
                is_whole = false;
                failure = Some(Answer { found: Err(error), ttl: answer.ttl });
            }
        }
    }
    let [v6, v4] = families;
    match failure {
        Some(failure) if v6.is_empty() && v4.is_empty() => failure,
        // Half an answer is used and not kept for long.
        _ => Answer { found: Ok(by_turns(v6, v4)), ttl: if is_whole { ttl } else { Some(Duration::ZERO) } },
    }
}

/// IPv6 first (RFC 8305, section 4), as many as are used.
fn by_turns(v6: Vec<IpAddr>, v4: Vec<IpAddr>) -> Vec<IpAddr> {
    let turns = v6.len().max(v4.len());
    let each = (0..turns).flat_map(|turn| [v6.get(turn), v4.get(turn)]).flatten();
    each.copied().take(limits::ADDRESSES_MAX).collect()
}

/// One family: server after server, beginning with the one that answered last.
async fn one(known: &Known, favourite: &AtomicUsize, name: &str, family: Family) -> Answer {
    let servers = &known.setup.servers;
    let mut failure = LookupError::TimedOut;
    for turn in 0..servers.len() * known.setup.attempts {
        let index = (favourite.load(Relaxed) + turn) % servers.len();
        let answer = match timeout(limits::SERVER_MAX, exchange(servers[index], name, family)).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                failure = error;
                continue;
            }
            Err(_) => {
                failure = LookupError::TimedOut;
                continue;
            }
        };
        match answer.found {
            Err(error @ LookupError::Failed(_)) => failure = error,
            found => {
                favourite.store(index, Relaxed);
                return Answer { found, ttl: answer.ttl };
            }
        }
    }
    Answer { found: Err(failure), ttl: None }
}

/// One question to one server.
async fn exchange(server: SocketAddr, name: &str, family: Family) -> Result<Answer, LookupError> {
    let question = Question::new(name, family, true)?;
    match over_udp(server, &question).await? {
        Verdict::Answer(answer) => Ok(answer),
        Verdict::TooOld => match over_udp(server, &Question::new(name, family, false)?).await? {
            Verdict::Answer(answer) => Ok(answer),
            _ => over_tcp(server, &Question::new(name, family, false)?).await,
        },
        Verdict::Truncated | Verdict::OtherCase | Verdict::Strange => {
            over_tcp(server, &Question::new(name, family, true)?).await
        }
    }
}

/// The first packet that has to do with the question; `Strange` after too many that do not.
async fn over_udp(server: SocketAddr, question: &Question) -> Result<Verdict, LookupError> {
    let here: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(here).await?;
    socket.connect(server).await?;
    socket.send(&question.bytes()).await?;
    let mut packet = vec![0; limits::DNS_PACKET_BYTES.into()];
    for _ in 0..limits::STRANGE_PACKETS_MAX {
        let length = socket.recv(&mut packet).await?;
        match question.judge(&packet[..length]) {
            Verdict::Strange => {}
            verdict => return Ok(verdict),
        }
    }
    Ok(Verdict::Strange)
}

/// RFC 7766. Nobody who does not see the connection can answer in the server's place, so the letters' case may differ.
async fn over_tcp(server: SocketAddr, question: &Question) -> Result<Answer, LookupError> {
    let mut stream = TcpStream::connect(server).await?;
    let bytes = question.bytes();
    let length = u16::try_from(bytes.len()).map_err(|_| LookupError::Unusable("the question is too long"))?;
    stream.write_all(&[&length.to_be_bytes()[..], &bytes].concat()).await?;
    let mut answer = vec![0; stream.read_u16().await?.into()];
    stream.read_exact(&mut answer).await?;
    match question.judge_whatever_case(&answer) {
        Verdict::Answer(answer) => Ok(answer),
        _ => Err(io::Error::new(io::ErrorKind::InvalidData, "the server answers something else").into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(found: Result<&[&str], LookupError>, ttl: Option<u64>) -> Option<Answer> {
        let found = found.map(|each| each.iter().map(|text| text.parse().unwrap()).collect());
        Some(Answer { found, ttl: ttl.map(Duration::from_secs) })
    }

    fn check(v6: Option<Answer>, v4: Option<Answer>, expected: &str) {
        let answer = merged(v6, v4);
        let found = match &answer.found {
            Ok(found) => found.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
            Err(error) => error.to_string(),
        };
        let ttl = answer.ttl.map_or("-".into(), |ttl| ttl.as_secs().to_string());
        assert_eq!(format!("{found} for {ttl}"), expected);
    }

    /// C11: a name with addresses of one family, and one whose other half is broken.
    #[test]
    fn two_answers_are_one() {
        check(
            answer(Ok(&["::1", "::2"]), Some(9)),
            answer(Ok(&["1.1.1.1"]), Some(7)),
            "::1 1.1.1.1 ::2 for 7",
        );
        check(answer(Ok(&["::1"]), Some(9)), answer(Ok(&[]), Some(60)), "::1 for 9");
        check(answer(Ok(&[]), None), answer(Ok(&["1.1.1.1"]), Some(7)), "1.1.1.1 for 5");
        check(answer(Err(LookupError::Failed(2)), None), answer(Ok(&["1.1.1.1"]), Some(7)), "1.1.1.1 for 0");
        check(None, answer(Ok(&["1.1.1.1"]), Some(7)), "1.1.1.1 for 0");
        check(
            answer(Ok(&[]), None),
            answer(Err(LookupError::TimedOut), None),
            "no DNS server answered in time for -",
        );
        let gone = || answer(Err(LookupError::NoSuchName), Some(30));
        check(gone(), gone(), "no such name for 30");
    }
}
