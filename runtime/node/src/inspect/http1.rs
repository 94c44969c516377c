//! Where one HTTP/1.1 request ends and the next begins, read strictly. hyper reads the same bytes, and where a request
//! could be read in two ways it picks one and goes on: of `content-length` and `transfer-encoding` it drops the first,
//! equal lengths it merges, codings before `chunked` it ignores, lines may end with a bare LF. A proxy in front may pick
//! the other, and what is the end of a body for one is a request for the other (RFC 9112, section 11.2). So whatever
//! leaves a choice is refused here. What hyper refuses itself is left to it.
//!
//! Bounded: one line of [`HEAD_BYTES`], kept only while it comes in parts. Nothing is allocated for a request that comes
//! in one part.

use crate::limits::HEAD_BYTES;

/// The requests of one connection, as far as they came.
#[derive(Debug, Default)]
pub(crate) struct Http1 {
    expects: Expects,
    /// The beginning of a line whose end has not come.
    line: Vec<u8>,
}

/// What comes next.
#[derive(Debug)]
enum Expects {
    Request(EmptyLine),
    Field(Head),
    Content(u64),
    ChunkSize,
    Chunk(u64),
    ChunkEnd,
    Trailer,
    /// A head that is longer than any that hyper takes: it answers 431 and ends the connection.
    End,
}

/// One may come before a request (RFC 9112, section 2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EmptyLine {
    Allowed,
    Seen,
}

/// What a head says about the request's end.
#[derive(Debug, Clone, Copy)]
struct Head {
    version: Version,
    length: Option<u64>,
    chunked: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Version {
    Http10,
    Http11,
}

/// A line that no request may have.
struct Bad;

impl Default for Expects {
    fn default() -> Self {
        Self::Request(EmptyLine::Allowed)
    }
}

impl Http1 {
    /// Looks at what came next. An error is the place of the end of a line that must not be: whatever is before it may be
    /// read, nothing after it.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<(), usize> {
        let mut at = 0;
        while at < bytes.len() {
            let rest = &bytes[at..];
            if let Expects::End = self.expects {
                return Ok(());
            }
            if let Some(skipped) = self.expects.skip(rest.len()) {
                at += skipped;
                continue;
            }
            let Some(end) = memchr::memchr(b'\n', rest) else { return self.keep(rest).map_err(|Bad| at) };
            let good = if self.line.is_empty() {
                self.expects.line(&rest[..end])
            } else {
                self.line.extend_from_slice(&rest[..end]);
                // Given back: most requests come in one part.
                self.expects.line(&std::mem::take(&mut self.line))
            };
            at += end;
            good.map_err(|Bad| at)?;
            at += 1;
        }
        Ok(())
    }

    /// Whether every request so far has come whole.
    pub(super) fn is_between_requests(&self) -> bool {
        matches!(self.expects, Expects::Request(_)) && self.line.is_empty()
    }

    fn keep(&mut self, part: &[u8]) -> Result<(), Bad> {
        if self.line.len() + part.len() <= HEAD_BYTES {
            self.line.extend_from_slice(part);
            return Ok(());
        }
        self.line = Vec::new();
        match self.expects {
            Expects::Request(_) | Expects::Field(_) => {
                self.expects = Expects::End;
                Ok(())
            }
            _ => Err(Bad),
        }
    }
}

impl Expects {
    /// How many of the next bytes are content; none where a line comes.
    fn skip(&mut self, bytes: usize) -> Option<usize> {
        let (Self::Content(left) | Self::Chunk(left)) = self else { return None };
        let skipped = bytes.min(usize::try_from(*left).unwrap_or(usize::MAX));
        *left -= skipped as u64;
        if *left == 0 {
            *self = match self {
                Self::Content(_) => Self::default(),
                _ => Self::ChunkEnd,
            };
        }
        Some(skipped)
    }

    /// A line, without its LF.
    fn line(&mut self, line: &[u8]) -> Result<(), Bad> {
        let line = line.strip_suffix(b"\r").ok_or(Bad)?;
        if memchr::memchr2(b'\r', 0, line).is_some() {
            return Err(Bad);
        }
        *self = match self {
            Self::Request(EmptyLine::Allowed) if line.is_empty() => Self::Request(EmptyLine::Seen),
            Self::Request(_) => Self::Field(Head::of(line)?),
            Self::Field(head) if line.is_empty() => head.end()?,
            Self::Field(head) => return head.field(line),
            Self::ChunkSize => match chunk_size(line).ok_or(Bad)? {
                0 => Self::Trailer,
                size => Self::Chunk(size),
            },
            Self::ChunkEnd if line.is_empty() => Self::ChunkSize,
            Self::Trailer if line.is_empty() => Self::default(),
            Self::Trailer => return trailer(line),
            _ => return Err(Bad),
        };
        Ok(())
    }
}

impl Head {
    fn of(request_line: &[u8]) -> Result<Self, Bad> {
        let (rest, version) = match request_line.split_last_chunk::<9>() {
            Some((rest, b" HTTP/1.1")) => (rest, Version::Http11),
            Some((rest, b" HTTP/1.0")) => (rest, Version::Http10),
            _ => return Err(Bad),
        };
        // A tunnel's content would have no end that this side could see, and there is nothing to connect to. A target has
        // no fragment and nothing but ASCII (RFC 9112, section 3.2; RFC 3986, section 2).
        let odd = |bad, byte: &u8| bad | (*byte == b'#') | (*byte < b' ') | (*byte > b'~');
        if rest.starts_with(b"CONNECT ") || rest.iter().fold(false, odd) {
            return Err(Bad);
        }
        Ok(Self { version, length: None, chunked: false })
    }

    fn field(&mut self, line: &[u8]) -> Result<(), Bad> {
        match line.first() {
            Some(b'c' | b'C') => match value(line, b"content-length") {
                Some(length) if self.length.is_none() => self.length = Some(decimal(length).ok_or(Bad)?),
                Some(_) => return Err(Bad),
                None => {}
            },
            Some(b't' | b'T') => match value(line, b"transfer-encoding") {
                Some(coding) if !self.chunked && coding.eq_ignore_ascii_case(b"chunked") => {
                    self.chunked = true;
                }
                Some(_) => return Err(Bad),
                None => {}
            },
            // A line that goes on the one before (RFC 9112, section 5.2).
            Some(b' ' | b'\t') => return Err(Bad),
            _ => {}
        }
        Ok(())
    }

    fn end(self) -> Result<Expects, Bad> {
        match (self.length, self.chunked, self.version) {
            (None, true, Version::Http11) => Ok(Expects::ChunkSize),
            (_, true, _) => Err(Bad),
            (None | Some(0), false, _) => Ok(Expects::default()),
            (Some(length), false, _) => Ok(Expects::Content(length)),
        }
    }
}

/// The value of a field of that name, without the whitespace around it.
fn value<'l>(line: &'l [u8], name: &[u8]) -> Option<&'l [u8]> {
    let (found, rest) = line.split_at_checked(name.len())?;
    let value = rest.strip_prefix(b":")?;
    found.eq_ignore_ascii_case(name).then(|| trim(value))
}

fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// Digits and nothing else; what does not fit is no length either.
fn decimal(digits: &[u8]) -> Option<u64> {
    let number = |sum: u64, digit: &u8| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        sum.checked_mul(10)?.checked_add(digit).filter(|sum| i64::try_from(*sum).is_ok())
    };
    if digits.is_empty() { None } else { digits.iter().try_fold(0, number) }
}

/// A chunk's size and its extensions (RFC 9112, section 7.1).
fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (digits, extensions) = line.split_at(digits);
    // Sixteen digits are a u64. More would only be zeros in front.
    if !(1..=16).contains(&digits.len()) {
        return None;
    }
    let size = u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    (are_extensions(extensions) && i64::try_from(size).is_ok()).then_some(size)
}

/// `*( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )`
fn are_extensions(mut rest: &[u8]) -> bool {
    while !rest.is_empty() {
        let Some(after) = whitespace(rest).strip_prefix(b";") else { return false };
        let Some(after) = token(whitespace(after)) else { return false };
        rest = match whitespace(after).strip_prefix(b"=").map(whitespace) {
            None => after,
            Some(value) => match value.strip_prefix(b"\"").map_or_else(|| token(value), quoted) {
                Some(after) => after,
                None => return false,
            },
        };
    }
    true
}

fn whitespace(text: &[u8]) -> &[u8] {
    &text[text.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count()..]
}

/// What comes after a token.
fn token(text: &[u8]) -> Option<&[u8]> {
    let len = text.iter().take_while(|byte| is_token(**byte)).count();
    (len > 0).then(|| &text[len..])
}

/// What comes after the end of a quoted string.
fn quoted(mut text: &[u8]) -> Option<&[u8]> {
    loop {
        text = match text {
            [b'"', rest @ ..] => return Some(rest),
            [b'\\', b'\t' | b' '..=b'~' | 0x80.., rest @ ..] => rest,
            [b'\\', ..] => return None,
            [b'\t' | b' '..=b'~' | 0x80.., rest @ ..] => rest,
            _ => return None,
        }
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// A field that comes after the content must not say anything about where it ended, or for whom it was.
fn trailer(line: &[u8]) -> Result<(), Bad> {
    let after = token(line).ok_or(Bad)?;
    let name = &line[..line.len() - after.len()];
    let decides = [&b"content-length"[..], b"transfer-encoding", b"host"];
    if !after.starts_with(b":") || decides.iter().any(|decides| name.eq_ignore_ascii_case(decides)) {
        return Err(Bad);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether these are whole requests, however they are cut.
    fn accepted(text: &[u8]) -> bool {
        let mut whole = Http1::default();
        let good = whole.take(text).is_ok();
        for step in [1, 2, 3, 7] {
            let mut parts = Http1::default();
            let cut = text.chunks(step).all(|part| parts.take(part).is_ok());
            assert_eq!(
                (cut, cut && parts.is_between_requests()),
                (good, good && whole.is_between_requests())
            );
        }
        good && whole.is_between_requests()
    }

    fn head(fields: &str) -> String {
        format!("POST / HTTP/1.1\r\nhost: a\r\n{fields}\r\n")
    }

    /// H7: the ways to say where a request ends that leave no choice.
    #[test]
    fn what_can_be_read_in_one_way_is_accepted() {
        for fields in ["", "content-length: 0\r\n", "x: y\r\nConnection: close\r\nte: trailers\r\n"] {
            assert!(accepted(head(fields).as_bytes()), "{fields:?}");
        }
        let body = [
            ("content-length: 5\r\n", "hello"),
            ("Content-Length:\t 005 \r\n", "hello"),
            ("transfer-encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n"),
            ("Transfer-Encoding: \tChunked \r\n", "A\r\n0123456789\r\n00\r\n\r\n"),
            ("transfer-encoding: chunked\r\n", "5;a=1 ; b=\"c;\\\"\\\\ d\";e\r\nhello\r\n0;x\r\n\r\n"),
            ("transfer-encoding: chunked\r\n", "0\r\nx-sum: 1\r\ny:\r\n\r\n"),
        ];
        for (fields, content) in body {
            let text = head(fields) + content;
            assert!(accepted(text.as_bytes()), "{text:?}");
            let twice = format!("{text}{text}\r\n{}", head(""));
            assert!(accepted(twice.as_bytes()), "{twice:?}");
        }
    }

    /// H7: whatever leaves a choice.
    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        for fields in [
            "content-length: 5\r\ntransfer-encoding: chunked\r\n",
            "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
            "content-length: 5\r\ncontent-length: 5\r\n",
            "content-length: 5, 5\r\n",
            "content-length: +5\r\n",
            "content-length: 0x5\r\n",
            "content-length:\r\n",
            "content-length: 9223372036854775808\r\n",
            "content-length: 18446744073709551621\r\n",
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
            "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
            "transfer-encoding: gzip, chunked\r\n",
            "transfer-encoding: chunked, identity\r\n",
            "transfer-encoding: \x0bchunked\r\n",
            "transfer-encoding: chunked;q=1\r\n",
            "transfer-encoding: \"chunked\"\r\n",
            "transfer-encoding: identity\r\n",
            "transfer-encoding:\r\n",
            "x: 1\n",
            "x: 1\r2\r\n",
            "x: \0\r\n",
            "x: 1\r\n y: 2\r\n",
        ] {
            assert!(!accepted(head(fields).as_bytes()), "{fields:?}");
        }
    }

    /// H7: chunks, their extensions and what comes after the last.
    #[test]
    fn a_chunk_is_exactly_as_long_as_it_says() {
        for content in [
            "5 \r\nhello\r\n0\r\n\r\n",
            " 5\r\nhello\r\n0\r\n\r\n",
            "0x5\r\nhello\r\n0\r\n\r\n",
            "+5\r\nhello\r\n0\r\n\r\n",
            "\r\nhello\r\n0\r\n\r\n",
            "5\nhello\r\n0\r\n\r\n",
            "5\r\nhello\n0\r\n\r\n",
            "5\r\nhello!\r\n0\r\n\r\n",
            "5\r\nhell\r\n0\r\n\r\n",
            "5;\r\nhello\r\n0\r\n\r\n",
            "5;a=\r\nhello\r\n0\r\n\r\n",
            "5;a=\"b\r\nhello\r\n0\r\n\r\n",
            "5;a\rb\r\nhello\r\n0\r\n\r\n",
            "5,a\r\nhello\r\n0\r\n\r\n",
            "8000000000000000\r\n",
            "00000000000000005\r\nhello\r\n0\r\n\r\n",
            "0\r\nContent-Length: 5\r\n\r\n",
            "0\r\ntransfer-encoding: chunked\r\n\r\n",
            "0\r\nhost: b\r\n\r\n",
            "0\r\nx : 1\r\n\r\n",
            "0\r\n: 1\r\n\r\n",
            "0\r\n x: 1\r\n\r\n",
            "0\r\nx: 1\n\r\n",
        ] {
            let text = head("transfer-encoding: chunked\r\n") + content;
            assert!(!accepted(text.as_bytes()), "{content:?}");
        }
    }

    /// H7: request lines whose target or version another reader would read differently.
    #[test]
    fn a_request_line_has_a_target_and_a_version() {
        for line in [
            "CONNECT a:443 HTTP/1.1\r\n",
            "GET /\r\n",
            "GET / HTTP/1.2\r\n",
            "GET / HTTP/2.0\r\n",
            "GET / http/1.1\r\n",
            "GET / HTTP/1.1 \r\n",
            "GET /#a HTTP/1.1\r\n",
            "GET /\u{e4} HTTP/1.1\r\n",
            "GET /\t HTTP/1.1\r\n",
            "GET / HTTP/1.1\n",
            "\r\n\r\nGET / HTTP/1.1\r\n",
        ] {
            assert!(!accepted(format!("{line}host: a\r\n\r\n").as_bytes()), "{line:?}");
        }
        assert!(accepted(b"\r\nGET /?a=b&c HTTP/1.0\r\nhost: a\r\n\r\n"));
        assert!(!accepted(b"POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n"));
    }

    /// H4: a line that never ends is kept up to the size of a head.
    #[test]
    fn a_line_that_comes_in_parts_is_kept_up_to_its_limit() {
        let mut long = Http1::default();
        long.take(b"GET /").unwrap();
        for _ in 0..2 * HEAD_BYTES / 1024 {
            long.take(&[b'x'; 1024]).unwrap();
            assert!(long.line.len() <= HEAD_BYTES);
        }
        assert!(!long.is_between_requests(), "hyper refuses it");
        let mut chunk = Http1::default();
        chunk.take(head("transfer-encoding: chunked\r\n").as_bytes()).unwrap();
        chunk.take(b"5;").unwrap();
        chunk.take(&vec![b'x'; HEAD_BYTES - 2]).unwrap();
        assert_eq!(chunk.take(b"x"), Err(0));
    }
}
