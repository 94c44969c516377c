//! A client that writes and reads bytes, for requests that no library would send. [`http2`] is the same for frames.

pub mod http2;

use crate::harness::within;
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A plain connection to a node.
pub struct Raw {
    stream: TcpStream,
    read: Vec<u8>,
}

/// A reply as it came over the wire.
#[derive(Debug)]
pub struct RawReply {
    /// The status line and the header fields.
    pub head: String,
    /// What the connection carried after the head, as far as `content-length` or the final chunk say.
    pub body: Vec<u8>,
}

impl Raw {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = within("a connection", TcpStream::connect(address)).await.expect("the node listens");
        Self { stream, read: Vec::new() }
    }

    /// Sends these bytes.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.stream.write_all(bytes.as_ref()).await.expect("the node reads");
        self
    }

    /// Sends these bytes, if the node still takes them.
    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref()).await
    }

    /// Closes the connection as a process does that is killed: the other side is told at once.
    pub fn reset(self) {
        let linger = Some(std::time::Duration::ZERO);
        socket2::SockRef::from(&self.stream).set_linger(linger).expect("the connection is open");
    }

    /// Ends what this side sends; the other side may still answer.
    pub async fn half_close(&mut self) {
        self.stream.shutdown().await.expect("the connection is open");
    }

    /// The head of the next reply, whose body is left unread.
    pub async fn head(&mut self) -> String {
        let end = within("a head", self.find(b"\r\n\r\n", 0)).await.expect("the node answers");
        String::from_utf8_lossy(&self.read[..end]).into_owned()
    }

    /// Whether the node has closed the connection, as far as it was noticed.
    pub fn is_closed(&mut self) -> bool {
        let mut byte = [0; 1];
        !matches!(self.stream.try_read(&mut byte), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// The next reply; a panic where the connection ends without one.
    pub async fn reply(&mut self) -> RawReply {
        let reply = within("a reply", self.try_reply()).await;
        reply.unwrap_or_else(|error| panic!("{error} after {:?}", String::from_utf8_lossy(&self.read)))
    }

    /// Everything until the node closes the connection.
    pub async fn rest(mut self) -> Vec<u8> {
        let read = within("the end of the connection", self.stream.read_to_end(&mut self.read)).await;
        match read {
            Err(error) if error.kind() != io::ErrorKind::ConnectionReset => panic!("{error}"),
            _ => self.read,
        }
    }

    /// The same where the node may have closed already.
    pub async fn try_half_close(&mut self) {
        // Then both sides are at their end.
        let _ = self.stream.shutdown().await;
    }

    /// The replies that these bytes are, if they are nothing else.
    pub fn parse(bytes: &[u8]) -> Option<Vec<RawReply>> {
        replies(bytes)
    }

    /// Every reply until the node closes the connection; a panic where the last is not whole.
    pub async fn replies(self) -> Vec<RawReply> {
        let rest = self.rest().await;
        replies(&rest).unwrap_or_else(|| panic!("no replies: {:?}", String::from_utf8_lossy(&rest)))
    }

    async fn try_reply(&mut self) -> io::Result<RawReply> {
        let end = self.find(b"\r\n\r\n", 0).await?;
        let head: Vec<u8> = self.read.drain(..end + 4).collect();
        let head = String::from_utf8(head).expect("heads are plain");
        let body = match content_length(&head) {
            Some(len) => {
                while self.read.len() < len {
                    self.more().await?;
                }
                self.read.drain(..len).collect()
            }
            None if head.to_lowercase().contains("transfer-encoding: chunked") => {
                let end = self.find(b"0\r\n\r\n", 0).await?;
                self.read.drain(..end + 5).collect()
            }
            None => Vec::new(),
        };
        Ok(RawReply { head, body })
    }

    async fn find(&mut self, what: &[u8], from: usize) -> io::Result<usize> {
        loop {
            let found = self.read[from..].windows(what.len()).position(|window| window == what);
            match found {
                Some(at) => return Ok(from + at),
                None => self.more().await?,
            }
        }
    }

    async fn more(&mut self) -> io::Result<()> {
        match self.stream.read_buf(&mut self.read).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

impl RawReply {
    /// The body without the frames of its chunks.
    pub fn content(&self) -> Vec<u8> {
        if !self.head.to_lowercase().contains("transfer-encoding: chunked") {
            return self.body.clone();
        }
        let (mut rest, mut content) = (&self.body[..], Vec::new());
        loop {
            let end = rest.windows(2).position(|window| window == b"\r\n").expect("a chunk has a size");
            let size = std::str::from_utf8(&rest[..end]).expect("it is plain");
            let size = usize::from_str_radix(size, 16).expect("it is a number");
            if size == 0 {
                return content;
            }
            content.extend_from_slice(&rest[end + 2..][..size]);
            rest = &rest[end + 2 + size + 2..];
        }
    }

    /// The status.
    pub fn status(&self) -> u16 {
        let status = self.head.split(' ').nth(1).and_then(|status| status.parse().ok());
        status.unwrap_or_else(|| panic!("no status in {:?}", self.head))
    }
}

/// The replies that these bytes are, if they are nothing else.
fn replies(mut bytes: &[u8]) -> Option<Vec<RawReply>> {
    let mut replies = Vec::new();
    while !bytes.is_empty() {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
        let head = std::str::from_utf8(&bytes[..end]).ok()?.to_owned();
        head.starts_with("HTTP/1.").then_some(())?;
        bytes = &bytes[end..];
        let chunked = head.to_lowercase().contains("transfer-encoding: chunked");
        let len = match content_length(&head) {
            Some(len) => len,
            None if chunked => bytes.windows(5).position(|window| window == b"0\r\n\r\n")? + 5,
            // Up to the end of the connection, which HTTP/1.0 has no other way to say.
            None if head.starts_with("HTTP/1.0") => bytes.len(),
            None => 0,
        };
        let body = bytes.get(..len)?.to_vec();
        bytes = &bytes[len..];
        replies.push(RawReply { head, body });
    }
    Some(replies)
}

fn content_length(head: &str) -> Option<usize> {
    head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().expect("a number"))
    })
}
