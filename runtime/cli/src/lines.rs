//! Lines on their way to a terminal or a pipe. Requests hand theirs over without waiting, a thread writes them: output
//! that nobody reads must not stop a node. At most [`LINES_WAITING`] wait; what comes then is dropped and counted, and
//! the count is written when there is room again.

use crate::limits::LINES_WAITING;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Where lines are handed over. Cloning shares the queue; the thread that writes ends with the last clone.
#[derive(Clone)]
pub(crate) struct Lines {
    queue: SyncSender<Entry>,
    dropped: Arc<AtomicU64>,
}

enum Entry {
    Lines(String),
    /// Everything before it is written: say so.
    Flush(SyncSender<()>),
}

impl Lines {
    /// Starts to write to `out`.
    pub(crate) fn start(out: impl Write + Send + 'static) -> io::Result<Self> {
        let (queue, waiting) = sync_channel(LINES_WAITING);
        let dropped = Arc::new(AtomicU64::new(0));
        let lines = Self { queue, dropped: dropped.clone() };
        std::thread::Builder::new()
            .name("rimward-lines".into())
            .spawn(move || write_all(&waiting, &dropped, out))?;
        Ok(lines)
    }

    /// Hands over one or several lines, each with its line end. Never waits.
    pub(crate) fn push(&self, lines: String) {
        if self.queue.try_send(Entry::Lines(lines)).is_err() {
            self.dropped.fetch_add(1, Relaxed);
        }
    }

    /// Waits until everything that was pushed before is written: at the end of a command.
    pub(crate) fn flush(&self) {
        let (written, told) = sync_channel(1);
        if self.queue.send(Entry::Flush(written)).is_ok() {
            // An error means that the writer is gone, and with it what it had.
            let _ = told.recv();
        }
    }
}

/// A closed terminal is no reason to stop serving, so what cannot be written is lost.
fn write_all(waiting: &Receiver<Entry>, dropped: &AtomicU64, mut out: impl Write) {
    while let Ok(entry) = waiting.recv() {
        match entry {
            Entry::Lines(lines) => {
                let _ = out.write_all(lines.as_bytes());
            }
            Entry::Flush(written) => {
                let _ = written.send(());
            }
        }
        let lost = dropped.swap(0, Relaxed);
        if lost > 0 {
            let _ = writeln!(out, "({lost} lines were dropped because output was read too slowly)");
        }
        let _ = out.flush();
    }
}

/// One event of the node's own log: `tracing` writes it in one piece.
impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(String::from_utf8_lossy(line).into_owned());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Mutex, mpsc};

    /// Takes the first write only when it is told to.
    struct Slow {
        go: mpsc::Receiver<()>,
        entered: mpsc::Sender<()>,
        first: bool,
        written: Arc<Mutex<Vec<u8>>>,
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if std::mem::take(&mut self.first) {
                self.entered.send(()).unwrap();
                self.go.recv().unwrap();
            }
            self.written.lock().unwrap().extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn check(pushed_while_stuck: usize, dropped: &str) {
        let (go, wait) = mpsc::channel();
        let (entered, stuck) = mpsc::channel();
        let written = Arc::new(Mutex::default());
        let slow = Slow { go: wait, entered, first: true, written: Arc::clone(&written) };
        let lines = Lines::start(slow).unwrap();
        lines.push("first\n".into());
        stuck.recv().unwrap();
        (0..pushed_while_stuck).for_each(|_| lines.push("x\n".into()));
        go.send(()).unwrap();
        lines.flush();
        let written = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        assert_eq!(written.matches("x\n").count(), pushed_while_stuck.min(LINES_WAITING));
        assert!(written.contains(dropped), "{written}");
        assert_eq!(written.contains("dropped"), !dropped.is_empty());
    }

    #[test]
    fn lines_wait_up_to_the_limit_and_further_ones_are_dropped_and_counted() {
        check(LINES_WAITING, "");
        check(LINES_WAITING + 3, "(3 lines were dropped");
    }
}
