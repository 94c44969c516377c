//! The process that runs models: it reads tensors, computes, and does nothing else. It ends with the node that it belongs to.

use super::message::{Head, Packed, Unpacked, What, error_text};
use super::region::Region;
use super::{DESCRIPTORS, OUT_OF_SCORE};
use crate::limits::{CALL_BYTES_MAX, MODEL_BYTES_MAX, NICENESS};
use crate::local::LocalAnswer;
use crate::local::loaded::{Input, Loaded};
use crate::{Error, Kind};
use rimward_confine::Mode;
use rten::ThreadPool;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::process::{Resource, Rlimit, setrlimit};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Runs models for the node at the other end of standard input, on as many threads as `seats`, until that is gone.
///
/// # Errors
/// It was not started by a node, or cannot be confined as it has to be.
pub fn serve(seats: usize, memory_bytes: u64, confine: Mode) -> io::Result<()> {
    let control = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    let seats = (0..seats).map(|_| seat(&control)).collect::<io::Result<Vec<_>>>()?;
    // When memory is short, this process is the one to end. Where that cannot be said, the kernel chooses.
    let _ = std::fs::write("/proc/self/oom_score_adj", OUT_OF_SCORE);
    let at_most = |value| Rlimit { current: Some(value), maximum: Some(value) };
    setrlimit(Resource::Data, at_most(memory_bytes))?;
    rustix::process::nice(NICENESS)?;
    rimward_confine::worker(confine).map_err(io::Error::other)?;
    let pool = Arc::new(ThreadPool::with_num_threads(seats.len()));
    let models = Arc::new(Models::default());
    for (index, (socket, region)) in seats.into_iter().enumerate() {
        let (pool, models) = (pool.clone(), models.clone());
        let thread = std::thread::Builder::new().name(format!("models-{index}"));
        thread.spawn(move || {
            // The node is gone, or says what no node says: so is this.
            let _ = Seat { socket, region, pool, models }.work();
            std::process::exit(0);
        })?;
    }
    // Nothing comes over it: it ends with the node.
    File::from(OwnedFd::from(control)).read_exact(&mut [0])
}

/// A socket and the memory that goes with it. The socket is read like a file: a confined process has no calls for sockets.
fn seat(control: &UnixStream) -> io::Result<(File, Region)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut came = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    recvmsg(control, &mut [IoSliceMut::new(&mut byte)], &mut came, RecvFlags::CMSG_CLOEXEC)?;
    let mut descriptors: Vec<OwnedFd> = Vec::with_capacity(DESCRIPTORS);
    for message in came.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    match <[OwnedFd; DESCRIPTORS]>::try_from(descriptors) {
        Ok([socket, region]) => Ok((socket.into(), Region::of(region)?)),
        Err(_) => Err(io::Error::other("this command is started by a node")),
    }
}

/// What is loaded, and what is on its way.
#[derive(Default)]
struct Models {
    loaded: Mutex<BTreeMap<u64, Arc<Loaded>>>,
    pieces: Mutex<BTreeMap<u64, Vec<u8>>>,
}

struct Seat {
    socket: File,
    region: Region,
    pool: Arc<ThreadPool>,
    models: Arc<Models>,
}

impl Seat {
    fn work(&self) -> io::Result<()> {
        loop {
            let head = Head::receive(&self.socket)?;
            let done = catch_unwind(AssertUnwindSafe(|| self.answer(head)));
            let done =
                done.unwrap_or_else(|_| Err(Error::new(Kind::Failed, "the engine failed over this model")));
            let (what, number, length) = match done.and_then(|answer| self.write(&answer)) {
                Ok((ran, length)) => (What::Done, ran, length),
                Err(error) => {
                    let text = error_text(&error);
                    self.region.write(CALL_BYTES_MAX, &text).map_err(io::Error::other)?;
                    (What::Failed, 0, text.len())
                }
            };
            Head { what, number, length: length as u64 }.send(&self.socket)?;
        }
    }

    fn answer(&self, head: Head) -> Result<LocalAnswer, Error> {
        let id = head.number;
        let message = self.region.slice(0, usize::try_from(head.length).unwrap_or(usize::MAX))?;
        match head.what {
            What::Piece => {
                let mut pieces = lock(&self.models.pieces);
                let file = pieces.entry(id).or_default();
                if (file.len() + message.len()) as u64 > MODEL_BYTES_MAX {
                    return Err(Error::too_large("the model is larger than it may be"));
                }
                file.extend_from_slice(message);
            }
            What::Load => {
                let file = lock(&self.models.pieces).remove(&id).unwrap_or_default();
                let model = Arc::new(Loaded::of(file)?);
                lock(&self.models.loaded).insert(id, model);
            }
            What::Forget => drop(lock(&self.models.loaded).remove(&id)),
            What::Run => return self.run(id, message),
            What::Done | What::Failed => return Err(Error::invalid("this is an answer")),
        }
        Ok(LocalAnswer::default())
    }

    fn run(&self, id: u64, message: &[u8]) -> Result<LocalAnswer, Error> {
        let model = lock(&self.models.loaded).get(&id).cloned();
        let model = model.ok_or_else(|| Error::new(Kind::NotFound, "the model is not loaded"))?;
        let wrong = || Error::invalid("the message cannot be read");
        let unpacked = Unpacked::of(message).ok_or_else(wrong)?;
        let (inputs, outputs) = (&model.signature().inputs, &model.signature().outputs);
        let is_known = unpacked.tensors.iter().all(|place| place.index < inputs.len());
        if !is_known || unpacked.wants.len() != outputs.len() {
            return Err(wrong());
        }
        let inputs: Vec<_> = unpacked
            .tensors
            .iter()
            .map(|place| Input {
                index: place.index,
                shape: &place.shape,
                bytes: &message[place.bytes.clone()],
            })
            .collect();
        model.run(&inputs, &unpacked.wants, &self.pool)
    }

    /// Writes an answer behind the request, and says for how long it ran and how many bytes it has.
    fn write(&self, answer: &LocalAnswer) -> Result<(u64, usize), Error> {
        let outputs = answer.outputs.iter().enumerate();
        let packed =
            Packed::of(&[], outputs.map(|(index, output)| (index, output.shape(), &**output.bytes())));
        if packed.len() > CALL_BYTES_MAX {
            return Err(Error::too_large(format!(
                "the model's answer has {} bytes, and {CALL_BYTES_MAX} are the most",
                packed.len()
            )));
        }
        for (at, bytes) in packed.parts() {
            self.region.write(CALL_BYTES_MAX + at, bytes)?;
        }
        Ok((u64::try_from(answer.ran.as_nanos()).unwrap_or(u64::MAX), packed.len()))
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}
