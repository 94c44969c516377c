//! As much of an HTTP client as the demo needs: one request per connection, on loopback. HTTP/1.0, so that the body
//! of the reply ends with the connection. Replies are bounded in size and time.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};

use anyhow::{Context, Result, ensure};

use super::limits::{REPLY_BYTES_MAX, REPLY_MAX};

/// A reply: its status, and its body as text.
#[derive(Debug, PartialEq)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: String,
}

pub(super) fn get(port: u16, path: &str) -> Result<Reply> {
    exchange(port, format!("GET {path} HTTP/1.0\r\nhost: localhost\r\n\r\n").as_bytes(), &[])
}

pub(super) fn post(port: u16, path: &str, body: &[u8]) -> Result<Reply> {
    let head = format!(
        "POST {path} HTTP/1.0\r\nhost: localhost\r\n\
         content-type: application/octet-stream\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    exchange(port, head.as_bytes(), body)
}

fn exchange(port: u16, head: &[u8], body: &[u8]) -> Result<Reply> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).context("cannot connect")?;
    stream.set_read_timeout(Some(REPLY_MAX))?;
    stream.set_write_timeout(Some(REPLY_MAX))?;
    stream.write_all(head)?;
    stream.write_all(body)?;
    let mut reply = Vec::new();
    stream.take(REPLY_BYTES_MAX + 1).read_to_end(&mut reply).context("the reply did not come")?;
    ensure!(reply.len() as u64 <= REPLY_BYTES_MAX, "the reply has more than {REPLY_BYTES_MAX} bytes");
    parse(&reply).context("the reply is no HTTP")
}

fn parse(reply: &[u8]) -> Option<Reply> {
    let text = String::from_utf8_lossy(reply);
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok()?;
    Some(Reply { status, body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;

    /// What comes of a server that reads the request and says `reply`.
    fn answered(reply: Vec<u8>) -> Result<Reply> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 512];
            let _ = stream.read(&mut request).unwrap();
            let _ = stream.write_all(&reply);
        });
        let result = get(port, "/");
        server.join().unwrap();
        result
    }

    #[test]
    fn a_reply_is_a_status_and_a_body() {
        let reply = answered(b"HTTP/1.1 404 Not Found\r\na: b\r\n\r\ngone\r\n\r\n.".to_vec()).unwrap();
        assert_eq!(reply, Reply { status: 404, body: "gone\r\n\r\n.".into() });
    }

    #[test]
    fn what_is_no_http_is_an_error() {
        for wrong in ["", "HTTP/1.1 200 OK\r\n", "SSH-2.0\r\n\r\n", "HTTP/1.1 ok\r\n\r\n"] {
            assert_eq!(answered(wrong.into()).unwrap_err().to_string(), "the reply is no HTTP", "{wrong}");
        }
    }

    #[test]
    fn a_reply_may_be_just_as_long_as_the_limit() {
        let mut reply = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
        reply.resize(REPLY_BYTES_MAX as usize, b'x');
        assert_eq!(answered(reply.clone()).unwrap().status, 200);
        reply.push(b'x');
        assert!(answered(reply).unwrap_err().to_string().contains("more than 4194304 bytes"));
    }
}
