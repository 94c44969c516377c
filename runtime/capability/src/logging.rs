//! What a function logs: `wasi:logging`, standard output and standard error, as lines. One function cannot flood the
//! log: its lines are cut at a length and dropped over a rate, which is counted; control characters are escaped by
//! whoever writes them out.

use crate::State;
use crate::http::Invocation;
use crate::limits::{LOG_BURST_SECONDS, LOG_BYTES_PER_SECOND, LOG_LINE_BYTES, LOG_LINE_OVERHEAD_BYTES};
use bytes::Bytes;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Instant;
use tokio::io::AsyncWrite;
use wasmtime::component::{HasSelf, Linker};
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

mod bindings {
    wasmtime::component::bindgen!({ path: "../../sdk/wit/logging-0.1.0-draft", world: "imports" });
}

use bindings::wasi::logging::logging as wit;

/// Where the lines of a function go. Called on the request path: it must not block.
pub trait Logs: Send + Sync + 'static {
    /// One line.
    fn line(&self, line: Line<'_>);
}

/// One line that a function logged.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// How important the function says it is; `Info` for standard output, `Warn` for standard error.
    pub level: Level,
    /// `stdout`, `stderr`, `calls` for the host's word on an outgoing call, or the context that the function gave.
    pub context: &'a str,
    /// The text, without a line end, as the function wrote it.
    pub text: &'a str,
    /// The request that the function was working on.
    pub request_id: &'a str,
}

/// The levels of `wasi:logging`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Level {
    Trace,
    Debug,
    Info,
    Warn,
    Error,
    Critical,
}

/// Where a function's lines go and how many there may be.
#[derive(Clone)]
pub struct Grant {
    logs: Arc<dyn Logs>,
    rate: Arc<Rate>,
    shared: Option<SharedRate>,
}

/// How many lines there may be from all functions of one owner.
#[derive(Clone)]
pub struct SharedRate(Arc<Rate>);

impl SharedRate {
    /// A rate that several functions draw from.
    pub fn new(bytes_per_second: u64) -> Self {
        Self(Arc::new(Rate::new(bytes_per_second)))
    }
}

/// The log of one instance.
pub(crate) struct Logging {
    stdout: Pipe,
    stderr: Pipe,
    current: Arc<Current>,
}

/// What the pipes and the interface of one instance share.
struct Current {
    grant: Grant,
    request_id: Mutex<Arc<str>>,
}

/// One of the two standard streams, cut into lines.
#[derive(Clone)]
struct Pipe {
    name: &'static str,
    level: Level,
    partial: Arc<Mutex<Vec<u8>>>,
    current: Arc<Current>,
}

pub(crate) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wit::add_to_linker::<_, HasSelf<_>>(linker, |state: &mut State| &mut state.logging)
}

/// Grants a function `bytes_per_second` to `logs`, within what its owner may log; the rate is shared by all its instances.
pub fn grant(logs: Arc<dyn Logs>, bytes_per_second: Option<u64>, shared: Option<SharedRate>) -> Grant {
    Grant { logs, rate: Arc::new(Rate::new(bytes_per_second.unwrap_or(LOG_BYTES_PER_SECOND))), shared }
}

pub(crate) fn open(grant: &Grant, invocation: &Invocation) -> Logging {
    let current =
        Arc::new(Current { grant: grant.clone(), request_id: Mutex::new(invocation.request_id.clone()) });
    let pipe = |name, level| Pipe { name, level, partial: Arc::default(), current: current.clone() };
    Logging { stdout: pipe("stdout", Level::Info), stderr: pipe("stderr", Level::Warn), current }
}

impl Grant {
    /// One line, cut at its length; dropped and counted over the rate.
    pub(crate) fn line(&self, level: Level, context: &str, bytes: &[u8], request_id: &str) {
        let bytes = &bytes[..bytes.len().min(LOG_LINE_BYTES)];
        if self.takes(bytes.len() + LOG_LINE_OVERHEAD_BYTES) {
            let text = String::from_utf8_lossy(bytes);
            self.logs.line(Line { level, context, text: &text, request_id });
        }
    }

    /// Whether there is room for a line of this many bytes. What the owner has no room for is the function's loss.
    fn takes(&self, bytes: usize) -> bool {
        if !self.rate.take(bytes) {
            return false;
        }
        let room = self.shared.as_ref().is_none_or(|shared| shared.0.take(bytes));
        if !room {
            self.rate.dropped.fetch_add(1, Relaxed);
        }
        room
    }

    /// Lines that were dropped because there were too many, since it was last asked.
    pub fn take_dropped(&self) -> u64 {
        // Nothing is written where nothing was dropped: all cores read this after each invocation.
        match self.rate.dropped.load(Relaxed) {
            0 => 0,
            _ => self.rate.dropped.swap(0, Relaxed),
        }
    }
}

impl Logging {
    pub(crate) fn stdout(&self) -> impl StdoutStream + 'static {
        self.stdout.clone()
    }

    pub(crate) fn stderr(&self) -> impl StdoutStream + 'static {
        self.stderr.clone()
    }

    pub(crate) fn reopen(&self, invocation: &Invocation) {
        *self.current.request_id.lock().unwrap_or_else(PoisonError::into_inner) =
            invocation.request_id.clone();
    }

    /// A last line without an end is a line too.
    pub(crate) fn close(&self) {
        self.stdout.finish();
        self.stderr.finish();
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        self.close();
    }
}

impl wit::Host for Logging {
    fn log(&mut self, level: wit::Level, context: String, message: String) {
        let level = match level {
            wit::Level::Trace => Level::Trace,
            wit::Level::Debug => Level::Debug,
            wit::Level::Info => Level::Info,
            wit::Level::Warn => Level::Warn,
            wit::Level::Error => Level::Error,
            wit::Level::Critical => Level::Critical,
        };
        self.current.line(level, &context, message.as_bytes());
    }
}

impl Current {
    fn line(&self, level: Level, context: &str, bytes: &[u8]) {
        let request_id = self.request_id.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.grant.line(level, context, bytes, &request_id);
    }
}

impl Pipe {
    fn write(&self, bytes: &[u8]) {
        let mut partial = self.partial.lock().unwrap_or_else(PoisonError::into_inner);
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (piece, ends) = piece.strip_suffix(b"\n").map_or((piece, false), |line| (line, true));
            // What is over the length of a line is cut; the line still ends where the guest ends it.
            let room = LOG_LINE_BYTES.saturating_sub(partial.len());
            partial.extend_from_slice(&piece[..piece.len().min(room)]);
            if ends {
                self.current.line(self.level, self.name, &partial);
                partial.clear();
            }
        }
    }

    fn finish(&self) {
        let mut partial = self.partial.lock().unwrap_or_else(PoisonError::into_inner);
        if !partial.is_empty() {
            self.current.line(self.level, self.name, &partial);
            partial.clear();
        }
    }
}

impl IsTerminal for Pipe {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Pipe {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for Pipe {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        Pipe::write(self, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(LOG_LINE_BYTES)
    }
}

#[wasmtime_wasi::async_trait]
impl Pollable for Pipe {
    async fn ready(&mut self) {}
}

impl AsyncWrite for Pipe {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pipe::write(&self, bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// A token bucket of bytes: a line takes what it costs, the rate puts them back, up to the burst.
struct Rate {
    per_second: f64,
    bucket: Mutex<(f64, Instant)>,
    dropped: AtomicU64,
}

impl Rate {
    #[expect(clippy::cast_precision_loss, reason = "rates are far below 2^52 bytes")]
    fn new(per_second: u64) -> Self {
        let per_second = per_second as f64;
        let full = per_second * f64::from(LOG_BURST_SECONDS);
        Self { per_second, bucket: Mutex::new((full, Instant::now())), dropped: AtomicU64::new(0) }
    }

    fn take(&self, bytes: usize) -> bool {
        self.take_at(bytes, Instant::now())
    }

    #[expect(clippy::cast_precision_loss, reason = "a line is far shorter than 2^52 bytes")]
    fn take_at(&self, bytes: usize, now: Instant) -> bool {
        let mut bucket = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = now.saturating_duration_since(bucket.1).as_secs_f64();
        let full = self.per_second * f64::from(LOG_BURST_SECONDS);
        *bucket = ((bucket.0 + elapsed * self.per_second).min(full), now);
        if bucket.0 < bytes as f64 {
            self.dropped.fetch_add(1, Relaxed);
            return false;
        }
        bucket.0 -= bytes as f64;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[derive(Default)]
    struct Kept(Mutex<Vec<String>>);

    impl Logs for Kept {
        fn line(&self, line: Line<'_>) {
            self.0.lock().unwrap().push(format!("{} {}", line.context, line.text));
        }
    }

    fn check(writes: &[&[u8]], lines: &[&str]) {
        let kept = Arc::new(Kept::default());
        let current =
            Arc::new(Current { grant: grant(kept.clone(), None, None), request_id: Mutex::new("r".into()) });
        let pipe = Pipe { name: "stdout", level: Level::Info, partial: Arc::default(), current };
        writes.iter().for_each(|bytes| pipe.write(bytes));
        pipe.finish();
        assert_eq!(*kept.0.lock().unwrap(), lines);
    }

    #[test]
    fn output_is_cut_into_lines_wherever_the_writes_end() {
        check(&[b"a\nb\n"], &["stdout a", "stdout b"]);
        check(&[b"a", b"b\nc", b"\n"], &["stdout ab", "stdout c"]);
        check(&[b"no end"], &["stdout no end"]);
        check(&[b"\n"], &["stdout "]);
        check(&[b"\xff\n"], &["stdout \u{fffd}"]);
    }

    #[test]
    fn a_line_is_kept_up_to_its_length_and_cut_there() {
        let line = |bytes: usize| "x".repeat(bytes);
        let kept = format!("stdout {}", line(LOG_LINE_BYTES));
        check(&[line(LOG_LINE_BYTES).as_bytes()], &[&kept]);
        check(&[line(LOG_LINE_BYTES + 1).as_bytes(), b"\nnext"], &[&kept, "stdout next"]);
    }

    #[test]
    fn lines_over_the_rate_are_dropped_and_counted_until_time_passes() {
        let rate = Rate::new(100);
        let start = Instant::now();
        assert!(rate.take_at(100 * LOG_BURST_SECONDS as usize, start));
        assert!(!rate.take_at(1, start));
        assert_eq!(rate.dropped.load(Relaxed), 1);
        let later = start + Duration::from_millis(500);
        assert!(rate.take_at(50, later));
        assert!(!rate.take_at(1, later));
    }
}
