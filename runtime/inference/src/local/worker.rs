//! Models in a process of their own: what one takes of memory and time is bounded there, and what it breaks is not the node.
//!
//! [`Workers`] is the node's side. The process is started with the first call, and anew after it ended; models are loaded
//! into it when they are asked. Each thread for models has a [`Seat`] of its own in it, so that nobody waits for anybody.
//! [`serve`] is the other side.

mod child;
mod message;
mod region;

pub use child::serve;

use self::message::{Head, Packed, Unpacked, What, error_of};
use self::region::Region;
use super::LocalAnswer;
use super::loaded::Input;
use crate::limits::{
    CALL_BYTES_MAX, LOAD_TIME, LOST_CALL_WAIT, LOST_CALL_WAIT_MAX, OVERTIME, SEATS_MAX, SHARED_BYTES_KEPT,
};
use crate::{Error, Kind, Signature, Tensor};
use bytes::Bytes;
use rimward_confine::Mode;
use rustix::fs::MemfdFlags;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, IoSlice, Read, Seek, SeekFrom};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Descriptors of a seat: its socket and its memory.
const DESCRIPTORS: usize = 2;
/// From -1000 to 1000: how gladly the kernel ends a process where memory is short.
const OUT_OF_SCORE: &str = "500";
/// Bytes of what a process said at its end that are told.
const LAST_WORDS_MAX: usize = 500;

/// How the process is started, and what it may take.
#[derive(Clone, Debug)]
pub struct Launcher {
    /// The program: called with `arguments`, and then SEATS MEMORY_BYTES CONFINE, with which it is to call [`serve`].
    pub program: PathBuf,
    /// Its first arguments.
    pub arguments: Vec<OsString>,
    /// Memory of its own, with everything that is in it, bytes.
    pub memory_bytes: u64,
    /// What happens where the kernel cannot confine it.
    pub confine: Mode,
}

/// The process, or the one that will be started.
pub(super) struct Workers {
    launcher: Launcher,
    seats: usize,
    running: Mutex<Option<Arc<Running>>>,
    /// Models that nobody has any more, and that it has.
    forgotten: Mutex<Vec<u64>>,
}

struct Running {
    child: Mutex<Child>,
    seats: Vec<Mutex<Seat>>,
    loaded: Mutex<BTreeSet<u64>>,
    /// One file at a time.
    loading: Mutex<()>,
    /// Where its standard error goes.
    said: Mutex<File>,
    /// It ends when this does.
    _control: UnixStream,
}

struct Seat {
    socket: UnixStream,
    region: Region,
}

/// A model that the process has, or gets when it is asked.
pub(super) struct Held {
    id: u64,
    file: Bytes,
    workers: Arc<Workers>,
    lost: Mutex<Lost>,
}

/// Calls of a model in a row during which the process ended.
#[derive(Default)]
struct Lost {
    calls: u32,
    /// Until then it is not asked.
    until: Option<Instant>,
}

impl Workers {
    pub(super) fn new(launcher: Launcher, threads: usize) -> Self {
        let seats = threads.min(SEATS_MAX);
        Self { launcher, seats, running: Mutex::default(), forgotten: Mutex::default() }
    }

    /// How many threads it has something to do for.
    pub(super) fn seats(&self) -> usize {
        self.seats
    }

    /// Has the model in `file` loaded, by the thread `seat`.
    pub(super) fn load(self: &Arc<Self>, seat: usize, file: Bytes) -> Result<Held, Error> {
        static IDS: AtomicU64 = AtomicU64::new(1);
        let held =
            Held { id: IDS.fetch_add(1, Relaxed), file, workers: self.clone(), lost: Mutex::default() };
        let running = self.running()?;
        self.load_into(&running, seat, &held)?;
        Ok(held)
    }

    /// Computes what `wants` says of `signature`, by the thread `seat`.
    pub(super) fn run(
        &self,
        seat: usize,
        held: &Held,
        signature: &Signature,
        inputs: &[Input<'_>],
        wants: &[bool],
        deadline: Instant,
    ) -> Result<LocalAnswer, Error> {
        let running = self.running()?;
        self.load_into(&running, seat, held)?;
        let tensors = inputs.iter().map(|input| (input.index, input.shape, input.bytes));
        let packed = Packed::of(wants, tensors);
        if packed.len() > CALL_BYTES_MAX {
            return Err(Error::too_large(format!("a call has {CALL_BYTES_MAX} bytes at the most")));
        }
        let place = lock(&running.seats[seat]);
        let told = self.tell_forgotten(&running, &place);
        for (at, bytes) in packed.parts() {
            place.region.write(at, bytes)?;
        }
        let time = deadline.saturating_duration_since(Instant::now()) + OVERTIME;
        let head = Head { what: What::Run, number: held.id, length: packed.len() as u64 };
        let answer = match told.and_then(|()| place.exchange(head, time)) {
            Ok(answer) => answer,
            Err(lost) => {
                drop(place);
                held.lost();
                return Err(self.ended(&running, &lost));
            }
        };
        held.answered();
        let (ran, answer) = answer?;
        place.release(packed.len(), answer.len());
        drop(place);
        outputs(signature, wants, ran, answer)
    }

    /// Nobody has the model any more. With the last one the process ends; until then it is told with the next call.
    fn forget(&self, id: u64) {
        let mut running = lock(&self.running);
        let mut forgotten = lock(&self.forgotten);
        forgotten.push(id);
        let is_idle = |running: &Arc<Running>| lock(&running.loaded).iter().all(|id| forgotten.contains(id));
        if running.as_ref().is_some_and(is_idle) {
            *running = None;
            forgotten.clear();
        }
    }

    fn tell_forgotten(&self, running: &Running, place: &Seat) -> io::Result<()> {
        let forgotten = std::mem::take(&mut *lock(&self.forgotten));
        let known = forgotten.into_iter().filter(|id| lock(&running.loaded).remove(id));
        let known: Vec<_> = known.collect();
        let forget = |id| (Head { what: What::Forget, number: id, length: 0 }, &[][..]);
        // Nothing of it can be refused.
        place.tell(known.into_iter().map(forget)).map(drop)
    }

    fn load_into(&self, running: &Arc<Running>, seat: usize, held: &Held) -> Result<(), Error> {
        if lock(&running.loaded).contains(&held.id) {
            return Ok(());
        }
        let _alone = lock(&running.loading);
        if lock(&running.loaded).contains(&held.id) {
            return Ok(());
        }
        let loaded = {
            let place = lock(&running.seats[seat]);
            let piece = |bytes| (Head { what: What::Piece, number: held.id, length: 0 }, bytes);
            let load = (Head { what: What::Load, number: held.id, length: 0 }, &[][..]);
            let pieces = held.file.chunks(SHARED_BYTES_KEPT).map(piece);
            self.tell_forgotten(running, &place).and_then(|()| place.tell(pieces.chain([load])))
        };
        match loaded {
            Ok(Ok(())) => {
                lock(&running.loaded).insert(held.id);
                Ok(())
            }
            Ok(Err(refused)) => Err(refused),
            Err(lost) => {
                held.lost();
                Err(self.ended(running, &lost))
            }
        }
    }

    fn running(&self) -> Result<Arc<Running>, Error> {
        let mut running = lock(&self.running);
        if let Some(running) = &*running {
            return Ok(running.clone());
        }
        let started = Running::start(&self.launcher, self.seats).map_err(|error| {
            Error::new(Kind::Failed, format!("the process for models cannot be started: {error}"))
                .because(error)
        })?;
        Ok(running.insert(Arc::new(started)).clone())
    }

    /// The process is no use any more. Ends it, and says what there is to say.
    fn ended(&self, running: &Arc<Running>, lost: &io::Error) -> Error {
        let mut current = lock(&self.running);
        if current.as_ref().is_some_and(|current| Arc::ptr_eq(current, running)) {
            *current = None;
        }
        drop(current);
        let how = match lost.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                let over = OVERTIME.as_secs();
                format!("it computed for more than {over} s beyond its time, and was stopped")
            }
            _ => running.last_words(),
        };
        running.end();
        let memory = self.launcher.memory_bytes >> 20;
        let error = Error::new(
            Kind::Failed,
            format!(
                "the process for models ended during the call: {how}; it may have {memory} MiB of memory"
            ),
        );
        tracing::warn!(%error, "a process for models ended; the next call starts another");
        error
    }
}

impl Running {
    fn start(launcher: &Launcher, seats: usize) -> io::Result<Self> {
        let (control, theirs) = UnixStream::pair()?;
        let said = File::from(rustix::fs::memfd_create("said", MemfdFlags::CLOEXEC)?);
        let mut command = Command::new(&launcher.program);
        command.args(&launcher.arguments).arg(seats.to_string());
        command.arg(launcher.memory_bytes.to_string()).arg(launcher.confine.name());
        // Arenas of many threads would take the memory that it may have, and give none back.
        command.env_clear().env("MALLOC_ARENA_MAX", "2");
        // A confined node cannot open `/dev/null`.
        command.stdin(Stdio::from(OwnedFd::from(theirs))).stdout(Stdio::from(said.try_clone()?));
        let child = command.stderr(Stdio::from(said.try_clone()?)).spawn()?;
        let mut running = Self {
            child: Mutex::new(child),
            seats: Vec::with_capacity(seats),
            loaded: Mutex::default(),
            loading: Mutex::default(),
            said: Mutex::new(said),
            _control: control,
        };
        for _ in 0..seats {
            let (socket, theirs) = UnixStream::pair()?;
            let seat = Seat { socket, region: Region::new(2 * CALL_BYTES_MAX)? };
            let rights = [theirs.as_fd(), seat.region.file()];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
            let mut given = SendAncillaryBuffer::new(&mut space);
            given.push(SendAncillaryMessage::ScmRights(&rights));
            sendmsg(&running._control, &[IoSlice::new(&[0])], &mut given, SendFlags::NOSIGNAL)?;
            running.seats.push(Mutex::new(seat));
        }
        Ok(running)
    }

    fn end(&self) {
        let mut child = lock(&self.child);
        // It may have ended by itself.
        let _ = child.kill();
        let _ = child.wait();
    }

    /// How it ended, and what it said.
    fn last_words(&self) -> String {
        let status = {
            let mut child = lock(&self.child);
            let _ = child.kill();
            child.wait().map_or_else(|error| error.to_string(), |status| status.to_string())
        };
        let mut said = lock(&self.said);
        let mut text = Vec::new();
        // What cannot be read is not told.
        let _ = said.seek(SeekFrom::Start(0)).and_then(|_| (&mut *said).take(1 << 20).read_to_end(&mut text));
        let text = String::from_utf8_lossy(&text[text.len().saturating_sub(LAST_WORDS_MAX)..]);
        // Notes are for who debugs the program.
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("note:"));
        let words = lines.collect::<Vec<_>>().join(" ");
        if words.is_empty() { status } else { format!("{status}: {words}") }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

impl Seat {
    /// Sends a message, and waits for what it came to: how long it was computed, and a copy of the answer.
    ///
    /// # Errors
    /// The process is gone, or did not answer within `time`.
    fn exchange(&self, head: Head, time: Duration) -> io::Result<Result<(Duration, Vec<u8>), Error>> {
        head.send(&self.socket)?;
        self.socket.set_read_timeout(Some(time))?;
        let answer = Head::receive(&self.socket)?;
        let length = usize::try_from(answer.length).unwrap_or(usize::MAX);
        let bytes = self.region.copy(CALL_BYTES_MAX, length).map_err(io::Error::other)?;
        match answer.what {
            What::Done => Ok(Ok((Duration::from_nanos(answer.number), bytes))),
            What::Failed => Ok(Err(error_of(&bytes))),
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "it answers with no answer")),
        }
    }

    /// One message after the other, each with its bytes, until one is refused.
    fn tell<'b>(&self, messages: impl Iterator<Item = (Head, &'b [u8])>) -> io::Result<Result<(), Error>> {
        for (head, bytes) in messages {
            if let Err(error) = self.region.write(0, bytes) {
                return Ok(Err(error));
            }
            if let Err(error) = self.exchange(Head { length: bytes.len() as u64, ..head }, LOAD_TIME)? {
                return Ok(Err(error));
            }
        }
        Ok(Ok(()))
    }

    /// Gives back what a large call took.
    fn release(&self, request: usize, answer: usize) {
        for (from, length) in [(0, request), (CALL_BYTES_MAX, answer)] {
            if length > SHARED_BYTES_KEPT
                && let Err(error) = self.region.release(from + SHARED_BYTES_KEPT, from + CALL_BYTES_MAX)
            {
                tracing::warn!(%error, "memory of a large call of a model is not given back");
            }
        }
    }
}

impl Held {
    /// Whether it is to be asked now.
    pub(super) fn check(&self) -> Result<(), Error> {
        let until = lock(&self.lost).until;
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        match left {
            Some(left) if !left.is_zero() => Err(Error::new(
                Kind::Unavailable,
                format!(
                    "the process for models ended during this model's last call: it is asked again in {} s",
                    left.as_secs() + 1
                ),
            )),
            _ => Ok(()),
        }
    }

    fn lost(&self) {
        let mut lost = lock(&self.lost);
        let wait = LOST_CALL_WAIT.saturating_mul(1 << lost.calls.min(16)).min(LOST_CALL_WAIT_MAX);
        lost.calls += 1;
        lost.until = Some(Instant::now() + wait);
    }

    fn answered(&self) {
        *lock(&self.lost) = Lost::default();
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.workers.forget(self.id);
    }
}

/// The tensors of an answer, none of which has to be what the process says.
fn outputs(
    signature: &Signature,
    wants: &[bool],
    ran: Duration,
    answer: Vec<u8>,
) -> Result<LocalAnswer, Error> {
    let wrong = || Error::new(Kind::Failed, "the process for models answered with something else");
    let unpacked = Unpacked::of(&answer).ok_or_else(wrong)?;
    let ports: Vec<_> =
        signature.outputs.iter().zip(wants).filter(|(_, wanted)| **wanted).map(|(port, _)| port).collect();
    if unpacked.tensors.len() != ports.len() {
        return Err(wrong());
    }
    let answer = Bytes::from(answer);
    let outputs = ports.into_iter().zip(unpacked.tensors).map(|(port, place)| {
        Tensor::new(port.name.clone(), port.datatype, place.shape, answer.slice(place.bytes))
    });
    Ok(LocalAnswer { outputs: outputs.collect::<Result<_, _>>()?, ran })
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
