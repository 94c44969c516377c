//! The link between the edge and the cloud: connections of loopback that are passed on, later, or not at all.
//!
//! A link that is cut says nothing: what is sent is lost, and nobody is told. What is on its way when the state changes
//! arrives as it would have.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::sleep_until;

/// What becomes of bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum State {
    /// They are passed on.
    Up,
    /// They are passed on so much later, in each direction.
    Slow(Duration),
    /// They are lost, with the rest of their connection.
    Cut,
}

/// A link to a port of loopback. It ends with the program.
pub(super) struct Link {
    port: u16,
    state: Arc<Mutex<State>>,
}

impl Link {
    pub(super) fn start(cloud: u16) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot listen for the link")?;
        let link = Self { port: listener.local_addr()?.port(), state: Arc::new(Mutex::new(State::Up)) };
        let state = link.state.clone();
        thread::spawn(move || {
            for edge in listener.incoming().map_while(Result::ok) {
                // What cannot be reached is a connection that ends.
                if let Ok(cloud) = TcpStream::connect((Ipv4Addr::LOCALHOST, cloud)) {
                    let _ = join(edge, cloud, &state);
                }
            }
        });
        Ok(link)
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn set(&self, state: State) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

/// Passes bytes on in both directions.
fn join(edge: TcpStream, cloud: TcpStream, state: &Arc<Mutex<State>>) -> std::io::Result<()> {
    edge.set_nodelay(true)?;
    cloud.set_nodelay(true)?;
    pass_on(edge.try_clone()?, cloud.try_clone()?, state.clone());
    pass_on(cloud, edge, state.clone());
    Ok(())
}

/// Passes bytes on in one direction, in order, until an end of it ends.
fn pass_on(mut from: TcpStream, to: TcpStream, state: Arc<Mutex<State>>) {
    let (later, due) = channel();
    thread::spawn(move || deliver(to, &due));
    thread::spawn(move || {
        let mut buffer = vec![0; 64 * 1024];
        let mut is_lost = false;
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            let state = *state.lock().unwrap_or_else(PoisonError::into_inner);
            let delay = match state {
                State::Up => Duration::ZERO,
                State::Slow(delay) => delay,
                State::Cut => {
                    is_lost = true;
                    continue;
                }
            };
            // Bytes behind others that are lost never arrive, as TCP would have it.
            if is_lost || later.send((Instant::now() + delay, buffer[..length].to_vec())).is_err() {
                break;
            }
        }
    });
}

fn deliver(mut to: TcpStream, due: &Receiver<(Instant, Vec<u8>)>) {
    for (moment, bytes) in due {
        sleep_until(moment);
        if to.write_all(&bytes).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A link to a server that says back what it hears, and a connection over it.
    fn echo() -> (Link, TcpStream) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let link = Link::start(listener.local_addr().unwrap().port()).unwrap();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                thread::spawn(move || {
                    let (mut reader, mut writer) = (stream.try_clone().unwrap(), stream);
                    let _ = std::io::copy(&mut reader, &mut writer);
                });
            }
        });
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, link.port())).unwrap();
        (link, stream)
    }

    /// How long an answer takes, if it comes within so many milliseconds.
    fn ask(stream: &mut TcpStream, within_ms: u64) -> Option<Duration> {
        let started = Instant::now();
        stream.set_read_timeout(Some(Duration::from_millis(within_ms))).unwrap();
        stream.write_all(b"?").unwrap();
        stream.read_exact(&mut [0]).ok().map(|()| started.elapsed())
    }

    #[test]
    fn a_link_is_slow_in_both_directions_and_says_nothing_when_it_is_cut() {
        let (link, mut stream) = echo();
        assert!(ask(&mut stream, 10_000).is_some());
        link.set(State::Slow(Duration::from_millis(60)));
        assert!(ask(&mut stream, 10_000).unwrap() >= Duration::from_millis(120));
        link.set(State::Cut);
        assert_eq!(ask(&mut stream, 300), None);
        link.set(State::Up);
        let mut new = TcpStream::connect((Ipv4Addr::LOCALHOST, link.port())).unwrap();
        assert!(ask(&mut new, 10_000).is_some());
    }
}
