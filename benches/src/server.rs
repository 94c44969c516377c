//! A server as a child process: started, asked where it listens, and killed when it is dropped. Any server fits that
//! prints a line with `http://ADDRESS` once it listens; the first such address is taken.

use crate::limits::{QUOTED_LINES, READY_WAIT, REPLY_BYTES};
use crate::reply::parse;
use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, PipeReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A running server. Dropping it kills it.
pub struct Server {
    program: String,
    process: Process,
    output: Output,
    address: SocketAddr,
    started: Instant,
}

/// Why a server cannot be measured.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The program is not there, or may not be run.
    #[error("cannot start `{program}`")]
    Start {
        /// The program.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// It did not say where it listens.
    #[error("`{program}` did not say where it listens; it said:\n{said}")]
    NotReady {
        /// The program.
        program: String,
        /// The last lines of its output.
        said: String,
    },
    /// Its first reply is missing or no success.
    #[error("`{program}` did not answer its first request; it said:\n{said}")]
    FirstReply {
        /// The program.
        program: String,
        /// The last lines of its output.
        said: String,
        /// What came instead.
        source: io::Error,
    },
}

impl Server {
    /// Starts a server and waits until it listens.
    pub fn start(command: &mut Command) -> Result<Self, ServerError> {
        let program = command.get_program().to_string_lossy().into_owned();
        let started = Instant::now();
        let (process, output) = match spawn(command) {
            Ok(spawned) => spawned,
            Err(source) => return Err(ServerError::Start { program, source }),
        };
        match output.address() {
            Some(address) => Ok(Self { program, process, output, address, started }),
            None => Err(ServerError::NotReady { program, said: output.last_lines() }),
        }
    }

    /// Asks for its first reply, and returns the time from the start of the process to the reply's end.
    pub fn first_reply(&self, path: &str) -> Result<Duration, ServerError> {
        match OneByOne::connect(self.address).and_then(|mut connection| connection.get(path)) {
            Ok(()) => Ok(self.started.elapsed()),
            Err(source) => {
                let (program, said) = (self.program.clone(), self.output.last_lines());
                Err(ServerError::FirstReply { program, said, source })
            }
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.process.0.id()
    }
}

/// A process that ends with us.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may be gone already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn spawn(command: &mut Command) -> io::Result<(Process, Output)> {
    let (reader, writer) = io::pipe()?;
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let process = Process(command.spawn()?);
    // Ours are closed, so that the pipe ends with the server.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    Ok((process, Output::read(reader)))
}

/// What a server prints: read to its end, so that it never waits for us.
struct Output {
    address: Receiver<SocketAddr>,
    last: Arc<Mutex<VecDeque<String>>>,
}

impl Output {
    fn read(reader: PipeReader) -> Self {
        let (found, address) = mpsc::channel();
        let last = Arc::<Mutex<VecDeque<String>>>::default();
        let kept = last.clone();
        std::thread::spawn(move || keep_last(reader, &found, &kept));
        Self { address, last }
    }

    fn address(&self) -> Option<SocketAddr> {
        self.address.recv_timeout(READY_WAIT).ok()
    }

    fn last_lines(&self) -> String {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.iter().map(|line| format!("    {line}")).collect::<Vec<_>>().join("\n")
    }
}

fn keep_last(reader: impl Read, found: &Sender<SocketAddr>, last: &Mutex<VecDeque<String>>) {
    for line in BufReader::new(reader).lines().map_while(Result::ok) {
        if let Some(address) = address_in(&line) {
            // Nobody waits for a second one.
            let _ = found.send(address);
        }
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        last.push_back(line);
        if last.len() > QUOTED_LINES {
            last.pop_front();
        }
    }
}

fn address_in(line: &str) -> Option<SocketAddr> {
    let (_, rest) = line.split_once("http://")?;
    let end = rest.find(|c: char| !c.is_ascii_hexdigit() && !matches!(c, '.' | ':' | '[' | ']'));
    rest[..end.unwrap_or(rest.len())].parse().ok()
}

/// A keep-alive connection for one request after the other, without a runtime.
pub struct OneByOne {
    address: SocketAddr,
    stream: TcpStream,
    received: Vec<u8>,
}

impl OneByOne {
    /// Connects.
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(READY_WAIT))?;
        Ok(Self { address, stream, received: Vec::new() })
    }

    /// One request, answered with 2xx.
    pub fn get(&mut self, path: &str) -> io::Result<()> {
        let request = format!("GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", self.address);
        self.stream.write_all(request.as_bytes())?;
        self.received.clear();
        let mut chunk = [0; 4096];
        while self.received.len() <= REPLY_BYTES {
            let read = self.stream.read(&mut chunk)?;
            self.received.extend_from_slice(&chunk[..read]);
            match parse(&self.received).map_err(io::Error::other)? {
                Some(reply) if (200..300).contains(&reply.status) => return Ok(()),
                Some(reply) => return Err(io::Error::other(format!("the status is {}", reply.status))),
                None if read == 0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                None => {}
            }
        }
        Err(io::Error::other("the reply is too large"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bare_hyper::Bare;

    #[test]
    fn an_address_is_found_in_what_servers_print() {
        let check = |line, wanted: Option<&str>| {
            assert_eq!(address_in(line), wanted.map(|address| address.parse().unwrap()), "{line}");
        };
        check("Serving HTTP on http://127.0.0.1:8080/", Some("127.0.0.1:8080"));
        check("serves hello on http://127.0.0.1:80 http://127.0.0.1:81; metrics", Some("127.0.0.1:80"));
        check("http://[::1]:80, and more", Some("[::1]:80"));
        check("on port 8080", None);
        check("see http://example.com/", None);
    }

    #[test]
    fn the_last_lines_of_a_server_are_kept_for_its_error() {
        let lines = |count: usize| (1..=count).map(|n| format!("{n}\n")).collect::<String>();
        let check = |count, first: &str| {
            let (found, _) = mpsc::channel();
            let last = Mutex::default();
            keep_last(lines(count).as_bytes(), &found, &last);
            assert_eq!(last.lock().unwrap().front().unwrap(), first);
        };
        check(QUOTED_LINES, "1");
        check(QUOTED_LINES + 1, "2");
    }

    #[test]
    fn a_server_that_ends_is_an_error_with_what_it_said() {
        let started = Server::start(Command::new("sh").args(["-c", "echo no such port; exit 1"]));
        let Err(error) = started else { panic!("it started") };
        assert!(error.to_string().ends_with("it said:\n    no such port"), "{error}");
    }

    #[test]
    fn a_connection_is_used_for_one_request_after_the_other() {
        let server = Bare::start(1).unwrap();
        let mut connection = OneByOne::connect(server.address()).unwrap();
        assert!(connection.get("/").is_ok());
        assert!(connection.get("/again").is_ok());
    }
}
