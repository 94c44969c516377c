//! HTTP/2 in frames, for clients that no library would be. Header blocks are written as literals that nobody remembers,
//! and of a reply only the status is read.

use crate::harness::within;
use std::io;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What every connection begins with.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Kinds of frames (RFC 9113, section 6).
#[expect(missing_docs, reason = "the names of the specification")]
pub mod kind {
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const PRIORITY: u8 = 2;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PUSH_PROMISE: u8 = 5;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

/// Flags of frames.
#[expect(missing_docs, reason = "the names of the specification")]
pub mod flag {
    pub const ACK: u8 = 1;
    pub const END_STREAM: u8 = 1;
    pub const END_HEADERS: u8 = 4;
    pub const PADDED: u8 = 8;
}

/// The error code of a flood.
pub const ENHANCE_YOUR_CALM: u32 = 11;

/// The error code of what is not allowed.
pub const PROTOCOL_ERROR: u32 = 1;

/// A frame.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the fields of the specification")]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

/// What became of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It has a reply. Zero is a status that has no byte of its own.
    Status(u16),
    /// It was reset, with this error code.
    Reset(u32),
    /// The connection is over, with this error code.
    GoAway(u32),
    /// The connection was closed without a word.
    Closed,
}

/// A frame as it is sent.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let len = u32::try_from(payload.len()).expect("tests send small frames");
    let mut frame = len.to_be_bytes()[1..].to_vec();
    frame.extend_from_slice(&[kind, flags]);
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

/// A header block of these fields.
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        // A literal without indexing, its name as text (RFC 7541, section 6.2.2).
        block.push(0);
        for text in [name, value] {
            string(&mut block, text.as_bytes());
        }
    }
    block
}

fn string(block: &mut Vec<u8>, text: &[u8]) {
    // An integer with a prefix of seven bits, and no Huffman code (RFC 7541, sections 5.1 and 5.2).
    let mut left = text.len();
    if left < 0x7f {
        block.push(u8::try_from(left).expect("it is less than 127"));
    } else {
        block.push(0x7f);
        left -= 0x7f;
        while left >= 0x80 {
            block.push(0x80 | u8::try_from(left & 0x7f).expect("seven bits"));
            left >>= 7;
        }
        block.push(u8::try_from(left).expect("seven bits"));
    }
    block.extend_from_slice(text);
}

/// The fields of a GET of that path.
pub fn get(path: &str) -> Vec<(&str, &str)> {
    vec![(":method", "GET"), (":scheme", "http"), (":path", path), (":authority", "a")]
}

/// A complete GET of that path.
pub fn request(stream: u32, path: &str) -> Vec<u8> {
    frame(kind::HEADERS, flag::END_STREAM | flag::END_HEADERS, stream, &block(&get(path)))
}

/// A connection to a node.
pub struct RawHttp2 {
    stream: TcpStream,
    read: Vec<u8>,
}

impl RawHttp2 {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = within("a connection", TcpStream::connect(address)).await.expect("the node listens");
        let mut raw = Self { stream, read: Vec::new() };
        raw.send(PREFACE).await.send(frame(kind::SETTINGS, 0, 0, &[])).await;
        raw
    }

    /// Sends these bytes.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        within("the node reads", self.stream.write_all(bytes.as_ref())).await.expect("the node reads");
        self
    }

    /// Sends these bytes, if the node still takes them.
    pub async fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        within("the node reads or closes", self.stream.write_all(bytes.as_ref())).await
    }

    /// Ends what this side sends.
    pub async fn half_close(&mut self) {
        // Where the node has closed already, that is the end too.
        let _ = self.stream.shutdown().await;
    }

    /// The next frame; none where the connection ends.
    pub async fn next(&mut self) -> Option<Frame> {
        within("a frame", self.try_next()).await
    }

    async fn try_next(&mut self) -> Option<Frame> {
        const HEAD: usize = 9;
        loop {
            if let Some([a, b, c, kind, flags, stream @ ..]) = self.read.first_chunk::<HEAD>() {
                let len = usize::from(*a) << 16 | usize::from(*b) << 8 | usize::from(*c);
                if self.read.len() >= HEAD + len {
                    let (kind, flags) = (*kind, *flags);
                    let stream = u32::from_be_bytes(*stream) & 0x7fff_ffff;
                    let payload = self.read[HEAD..HEAD + len].to_vec();
                    self.read.drain(..HEAD + len);
                    return Some(Frame { kind, flags, stream, payload });
                }
            }
            match self.stream.read_buf(&mut self.read).await {
                Ok(0) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// What becomes of this stream, or of the connection.
    pub async fn outcome(&mut self, stream: u32) -> Outcome {
        loop {
            let Some(frame) = self.next().await else { return Outcome::Closed };
            if let Some(outcome) = frame.outcome(stream) {
                return outcome;
            }
        }
    }

    /// How the connection ends: the error code of the last GOAWAY, or none.
    pub async fn end(&mut self) -> Option<u32> {
        let mut code = None;
        while let Some(frame) = self.next().await {
            if let Some(Outcome::GoAway(told)) = frame.outcome(0) {
                code = Some(told);
            }
        }
        code
    }
}

impl Frame {
    /// What it says about the end of this stream.
    pub fn outcome(&self, stream: u32) -> Option<Outcome> {
        let code = |at: usize| self.payload.get(at..at + 4).and_then(|code| code.try_into().ok());
        match self.kind {
            kind::HEADERS if self.stream == stream => Some(Outcome::Status(self.status())),
            kind::RST_STREAM if self.stream == stream => Some(Outcome::Reset(u32::from_be_bytes(code(0)?))),
            kind::GOAWAY => Some(Outcome::GoAway(u32::from_be_bytes(code(4)?))),
            _ => None,
        }
    }

    /// The status of a header block that begins with one of those in the static table (RFC 7541, appendix A).
    fn status(&self) -> u16 {
        match self.payload.first() {
            Some(0x88) => 200,
            Some(0x89) => 204,
            Some(0x8a) => 206,
            Some(0x8b) => 304,
            Some(0x8c) => 400,
            Some(0x8d) => 404,
            Some(0x8e) => 500,
            _ => 0,
        }
    }
}
