//! Models that run on the node: ONNX files, loaded once and shared by all calls.
//!
//! [`Engine`] has threads of its own, so that a model never runs on one that serves requests, and where it is told how, a
//! process of its own for what they compute ([`Launcher`]). A call that is given up goes on to its end on its thread; its
//! answer is dropped.

mod loaded;
mod onnx;
mod threads;
mod value;
mod worker;

pub use self::loaded::signature;
pub use self::worker::{Launcher, serve};

use self::loaded::{Input, Loaded};
use self::threads::{Runner, Threads};
use self::worker::{Held, Workers};
use crate::limits::{LOCAL_QUEUE_MAX, MODEL_BYTES_MAX};
use crate::{Error, Kind, Signature, Tensor};
use bytes::Bytes;
use std::fmt;
use std::io;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, timeout_at};

/// What runs models on the node.
#[derive(Clone)]
pub struct Engine {
    threads: Arc<Threads>,
    cores: usize,
}

/// A loaded model. Clones are the same one.
#[derive(Clone)]
pub struct LocalModel {
    engine: Engine,
    shared: Arc<Shared>,
}

/// A model that is forgotten with its last user.
#[derive(Clone)]
pub struct WeakModel {
    engine: Engine,
    shared: Weak<Shared>,
}

struct Shared {
    /// Calls that run or wait.
    room: Arc<Semaphore>,
    place: Place,
}

/// Where it is computed.
enum Place {
    Here(Box<Loaded>),
    There(Held, Signature),
}

/// What a local model answered.
#[derive(Debug, Default)]
pub struct LocalAnswer {
    /// What was asked for.
    pub outputs: Vec<Tensor>,
    /// For how long it computed, without the time that it waited for a thread.
    pub ran: Duration,
}

impl Engine {
    /// Of as many threads as `cores`, in this process: for models that are trusted with its memory.
    ///
    /// # Errors
    /// They could not be started.
    pub fn start(cores: usize) -> io::Result<Self> {
        let cores = cores.max(1);
        Ok(Self { threads: Arc::new(Threads::start(cores)?), cores })
    }

    /// Of as many threads as `cores`, in a process of their own, which is started with the first model.
    ///
    /// # Errors
    /// The threads that wait for it could not be started.
    pub fn launch(cores: usize, launcher: Launcher) -> io::Result<Self> {
        let workers = Arc::new(Workers::new(launcher, cores.max(1)));
        Ok(Self { threads: Arc::new(Threads::start_for(&workers)?), cores: workers.seats() })
    }

    /// Loads the ONNX model in `file`, on a thread for models: it may take seconds.
    ///
    /// # Errors
    /// It is no ONNX model, it is too large, or it has an operator or a type that the engine does not have.
    pub async fn load(&self, file: impl Into<Bytes>) -> Result<LocalModel, Error> {
        let file = file.into();
        let bytes = file.len() as u64;
        if bytes > MODEL_BYTES_MAX {
            return Err(Error::too_large(format!(
                "the model has {bytes} bytes, and {MODEL_BYTES_MAX} are the most"
            )));
        }
        let (told, loaded) = oneshot::channel();
        // Who asked may have gone away.
        self.threads.queue(move |runner| drop(told.send(Place::load(runner, file))));
        let place = loaded.await.map_err(|_| panicked())??;
        let room = Arc::new(Semaphore::new(self.cores + LOCAL_QUEUE_MAX));
        Ok(LocalModel { engine: self.clone(), shared: Arc::new(Shared { room, place }) })
    }
}

impl Place {
    fn load(runner: &Runner, file: Bytes) -> Result<Self, Error> {
        match runner {
            Runner::Here(_) => Ok(Self::Here(Box::new(Loaded::of(file.into())?))),
            Runner::There(workers, seat) => {
                let signature = loaded::signature(&file)?;
                Ok(Self::There(workers.load(*seat, file)?, signature))
            }
        }
    }

    fn signature(&self) -> &Signature {
        match self {
            Self::Here(loaded) => loaded.signature(),
            Self::There(_, signature) => signature,
        }
    }

    /// Whether it is to be asked now.
    fn check(&self) -> Result<(), Error> {
        match self {
            Self::Here(_) => Ok(()),
            Self::There(held, _) => held.check(),
        }
    }

    /// Computes the outputs that `wants` names.
    fn run(
        &self,
        tensors: &[Tensor],
        wants: &[bool],
        runner: &Runner,
        deadline: Instant,
    ) -> Result<LocalAnswer, Error> {
        let input = |(index, port): (usize, &crate::Port)| {
            let found = tensors.iter().find(|tensor| tensor.name() == port.name);
            let tensor = found.expect("the inputs were checked");
            Input { index, shape: tensor.shape(), bytes: tensor.bytes() }
        };
        let inputs: Vec<_> = self.signature().inputs.iter().enumerate().map(input).collect();
        match (self, runner) {
            (Self::Here(loaded), Runner::Here(pool)) => loaded.run(&inputs, wants, pool),
            (Self::There(held, signature), Runner::There(workers, seat)) => {
                workers.run(*seat, held, signature, &inputs, wants, deadline.into())
            }
            _ => Err(Error::new(Kind::Failed, "the model is another engine's")),
        }
    }
}

impl WeakModel {
    /// The model, if somebody has it still.
    #[must_use]
    pub fn upgrade(&self) -> Option<LocalModel> {
        Some(LocalModel { engine: self.engine.clone(), shared: self.shared.upgrade()? })
    }
}

impl LocalModel {
    /// The same, without keeping it.
    #[must_use]
    pub fn downgrade(&self) -> WeakModel {
        WeakModel { engine: self.engine.clone(), shared: Arc::downgrade(&self.shared) }
    }

    /// What it takes and gives.
    #[must_use]
    pub fn signature(&self) -> &Signature {
        self.shared.place.signature()
    }

    /// Asks it for the outputs named by `wanted`, or for all where none is.
    ///
    /// # Errors
    /// The inputs are not what it takes, too many calls wait, it has not answered by `deadline`, or it failed.
    pub async fn infer(
        &self,
        inputs: Vec<Tensor>,
        wanted: &[&str],
        deadline: Instant,
    ) -> Result<LocalAnswer, Error> {
        let signature = self.signature();
        signature.check_inputs(&inputs)?;
        for name in wanted {
            if !signature.outputs.iter().any(|output| output.name == *name) {
                return Err(Error::invalid(format!("the model has no output `{name}`")));
            }
        }
        let wants: Vec<_> = signature
            .outputs
            .iter()
            .map(|output| wanted.is_empty() || wanted.contains(&&*output.name))
            .collect();
        self.shared.place.check()?;
        let place = self.shared.room.clone().try_acquire_owned();
        let place = place.map_err(|_| Error::new(Kind::Unavailable, "too many calls wait for this model"))?;
        let (told, answer) = oneshot::channel();
        let shared = self.shared.clone();
        self.engine.threads.queue(move |runner| {
            let _place = place;
            // Nobody waits any more, or in time.
            if told.is_closed() || Instant::now() >= deadline {
                return;
            }
            let _ = told.send(shared.place.run(&inputs, &wants, runner, deadline));
        });
        match timeout_at(deadline, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) if Instant::now() < deadline => Err(panicked()),
            Ok(Err(_)) | Err(_) => Err(Error::new(Kind::Timeout, "the model did not answer in time")),
        }
    }
}

fn panicked() -> Error {
    Error::new(Kind::Failed, "the engine failed over this model")
}

impl fmt::Debug for LocalModel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalModel").field("signature", self.signature()).finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(crate) mod tests;
