//! The far side of the demos of deferred calls: a small server on loopback that takes what comes, remembers it in that order,
//! and can be switched off and on. It honours `idempotency-key`, as a service must that is called at least once: what comes
//! again is answered and not counted again. Some answers get lost on the way, so that some does.

use std::collections::HashSet;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, ensure};

use super::limits::{CLOUD_HEAD_BYTES_MAX, POLL};

/// The answer to every so many new bodies gets lost.
const LOST_EVERY: usize = 40;

/// What arrived.
#[derive(Debug, Default, Clone)]
pub(super) struct Got {
    /// Bodies, each once, in the order in which they came.
    pub(super) bodies: Vec<Vec<u8>>,
    /// Requests, repeated ones too.
    pub(super) requests: usize,
    /// Answers that were lost.
    pub(super) lost: usize,
    keys: HashSet<String>,
}

/// A cloud that is there. Dropping it takes it away: the port is closed, and so are its connections.
pub(super) struct Cloud {
    end: Arc<AtomicBool>,
    accepting: Option<JoinHandle<()>>,
}

/// What is remembered while the cloud comes and goes.
pub(super) type Memory = Arc<Mutex<Got>>;

pub(super) fn look(memory: &Memory) -> Got {
    memory.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

impl Cloud {
    pub(super) fn start(port: u16, memory: &Memory) -> Result<Self> {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, port)).context("cannot listen for the cloud")?;
        listener.set_nonblocking(true)?;
        let end = Arc::<AtomicBool>::default();
        let (ends, memory) = (end.clone(), memory.clone());
        let accepting = thread::spawn(move || {
            while !ends.load(Relaxed) {
                match listener.accept() {
                    Ok((stream, _)) => drop(serve_on_a_thread(stream, &memory, &ends)),
                    Err(_) => thread::sleep(POLL),
                }
            }
        });
        Ok(Self { end, accepting: Some(accepting) })
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        self.end.store(true, Relaxed);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

fn serve_on_a_thread(stream: TcpStream, memory: &Memory, end: &Arc<AtomicBool>) -> JoinHandle<()> {
    let (memory, end) = (memory.clone(), end.clone());
    thread::spawn(move || {
        // A connection that breaks is what this is about.
        let _ = serve(stream, &memory, &end);
    })
}

fn serve(stream: TcpStream, memory: &Memory, end: &AtomicBool) -> Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(POLL))?;
    let mut reader = BufReader::new(stream);
    while !end.load(Relaxed) {
        match reader.fill_buf() {
            Ok([]) => return Ok(()),
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
            Err(error) => return Err(error.into()),
        }
        let (key, body) = read(&mut reader)?;
        if take(&mut memory.lock().unwrap_or_else(PoisonError::into_inner), key, body) {
            return Ok(());
        }
        reader.get_mut().write_all(b"HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n")?;
    }
    Ok(())
}

/// Remembers a body, and says whether its answer gets lost.
fn take(got: &mut Got, key: String, body: Vec<u8>) -> bool {
    got.requests += 1;
    if !got.keys.insert(key) {
        return false;
    }
    got.bodies.push(body);
    let is_lost = got.bodies.len().is_multiple_of(LOST_EVERY);
    got.lost += usize::from(is_lost);
    is_lost
}

/// One request: its idempotency key, and its body.
fn read(reader: &mut impl BufRead) -> Result<(String, Vec<u8>)> {
    let (mut head, mut line) = (Vec::new(), Vec::new());
    loop {
        line.clear();
        reader.by_ref().take(CLOUD_HEAD_BYTES_MAX as u64).read_until(b'\n', &mut line)?;
        ensure!(line.ends_with(b"\n"), "the head ended early");
        if line == b"\r\n" {
            break;
        }
        head.extend_from_slice(&line);
        ensure!(head.len() <= CLOUD_HEAD_BYTES_MAX, "the head is too large");
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let field = |name: &str| {
        let mut fields = head.lines().filter_map(|line| line.split_once(':'));
        fields.find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim().to_owned())
    };
    let length: u64 = field("content-length").context("a request without a length")?.parse()?;
    let key = field("idempotency-key").context("a request without a key")?;
    let mut body = Vec::new();
    reader.take(length).read_to_end(&mut body)?;
    ensure!(body.len() as u64 == length, "the body ended early");
    Ok((key, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_to_its_end() {
        let mut bytes: &[u8] =
            b"POST /readings HTTP/1.1\r\nIdempotency-Key: roof-7\r\ncontent-length: 2\r\n\r\nokPOST";
        assert_eq!(read(&mut bytes).unwrap(), ("roof-7".to_owned(), b"ok".to_vec()));
        assert_eq!(bytes, b"POST");
        assert!(
            read(&mut &b"POST / HTTP/1.1\r\nidempotency-key: a\r\ncontent-length: 9\r\n\r\nshort"[..])
                .is_err()
        );
        assert!(read(&mut &b"POST / HTTP/1.1\r\ncontent-length: 0\r\n\r\n"[..]).is_err());
    }

    #[test]
    fn what_comes_again_is_counted_once() {
        let mut got = Got::default();
        for key in ["a", "b", "a"] {
            take(&mut got, key.to_owned(), key.into());
        }
        assert_eq!((got.bodies.as_slice(), got.requests), (&[b"a".to_vec(), b"b".to_vec()][..], 3));
    }
}
