//! Models that run on the node: ONNX files, loaded once and shared by all calls.
//!
//! [`Engine`] is made once at the start of a node. It has threads of its own, so that a model never runs on one that serves
//! requests. A call that is given up goes on to its end on its thread; its answer is dropped.

mod onnx;
mod threads;
mod value;

use self::threads::Threads;
use crate::limits::{LOCAL_QUEUE_MAX, MODEL_BYTES_MAX};
use crate::{Error, Kind, Port, Signature, Tensor};
use rten::{Model, NodeId, RunErrorKind, RunOptions, ThreadPool};
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
    loaded: Arc<Loaded>,
}

/// A model that is forgotten with its last user.
#[derive(Clone)]
pub struct WeakModel {
    engine: Engine,
    loaded: Weak<Loaded>,
}

struct Loaded {
    /// Calls that run or wait.
    room: Arc<Semaphore>,
    model: Model,
    signature: Signature,
    inputs: Vec<NodeId>,
    outputs: Vec<NodeId>,
}

/// What a local model answered.
#[derive(Debug)]
pub struct LocalAnswer {
    /// What was asked for.
    pub outputs: Vec<Tensor>,
    /// For how long it computed, without the time that it waited for a thread.
    pub ran: Duration,
}

impl Engine {
    /// Of as many threads as `cores`.
    ///
    /// # Errors
    /// They could not be started.
    pub fn start(cores: usize) -> io::Result<Self> {
        let cores = cores.max(1);
        Ok(Self { threads: Arc::new(Threads::start(cores)?), cores })
    }

    /// Loads the ONNX model in `file`, on a thread for models: it may take seconds.
    ///
    /// # Errors
    /// It is no ONNX model, it is too large, or it has an operator or a type that the engine does not have.
    pub async fn load(&self, file: Vec<u8>) -> Result<LocalModel, Error> {
        let bytes = file.len() as u64;
        if bytes > MODEL_BYTES_MAX {
            return Err(Error::too_large(format!(
                "the model has {bytes} bytes, and {MODEL_BYTES_MAX} are the most"
            )));
        }
        let (told, loaded) = oneshot::channel();
        // Who asked may have gone away.
        let room = Arc::new(Semaphore::new(self.cores + LOCAL_QUEUE_MAX));
        self.threads.queue(move |_| drop(told.send(Loaded::of(file, room))));
        let loaded = loaded.await.map_err(|_| panicked())??;
        Ok(LocalModel { engine: self.clone(), loaded: Arc::new(loaded) })
    }
}

impl Loaded {
    fn of(file: Vec<u8>, room: Arc<Semaphore>) -> Result<Self, Error> {
        let signature = onnx::signature(&file)?;
        signature.inputs.iter().chain(&signature.outputs).try_for_each(value::check)?;
        let model = Model::load(file).map_err(|error| {
            Error::new(Kind::Unsupported, format!("the model cannot be loaded: {error}")).because(error)
        })?;
        let nodes = |ports: &[Port]| -> Result<Vec<NodeId>, Error> {
            let node = |port: &Port| {
                let node = model.find_node(&port.name);
                node.ok_or_else(|| Error::invalid(format!("the model's graph has no `{}`", port.name)))
            };
            ports.iter().map(node).collect()
        };
        let (inputs, outputs) = (nodes(&signature.inputs)?, nodes(&signature.outputs)?);
        Ok(Self { room, model, signature, inputs, outputs })
    }

    /// Computes the outputs that `wants` names.
    fn run(&self, tensors: &[Tensor], wants: &[bool], pool: &Arc<ThreadPool>) -> Result<LocalAnswer, Error> {
        let start = Instant::now();
        let mut inputs = Vec::with_capacity(tensors.len());
        for (port, node) in self.signature.inputs.iter().zip(&self.inputs) {
            let tensor =
                tensors.iter().find(|tensor| tensor.name() == port.name).expect("the inputs were checked");
            inputs.push((*node, value::input(tensor)?));
        }
        let wanted = |index: &usize| wants[*index];
        let indices: Vec<usize> = (0..self.outputs.len()).filter(wanted).collect();
        let nodes: Vec<_> = indices.iter().map(|index| self.outputs[*index]).collect();
        let options = RunOptions::default().with_thread_pool(Some(pool.clone()));
        let values = self.model.run(inputs, &nodes, Some(options)).map_err(|error| {
            let kind = match error.kind() {
                RunErrorKind::InvalidInput => Kind::InvalidArgument,
                _ => Kind::Failed,
            };
            Error::new(kind, format!("the model failed: {error}")).because(error)
        })?;
        let ran = start.elapsed();
        let ports = indices.iter().map(|index| &self.signature.outputs[*index]);
        let outputs =
            ports.zip(values).map(|(port, value)| value::output(port, value)).collect::<Result<_, _>>()?;
        Ok(LocalAnswer { outputs, ran })
    }
}

impl WeakModel {
    /// The model, if somebody has it still.
    #[must_use]
    pub fn upgrade(&self) -> Option<LocalModel> {
        Some(LocalModel { engine: self.engine.clone(), loaded: self.loaded.upgrade()? })
    }
}

impl LocalModel {
    /// The same, without keeping it.
    #[must_use]
    pub fn downgrade(&self) -> WeakModel {
        WeakModel { engine: self.engine.clone(), loaded: Arc::downgrade(&self.loaded) }
    }

    /// What it takes and gives.
    #[must_use]
    pub fn signature(&self) -> &Signature {
        &self.loaded.signature
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
        let place = self.loaded.room.clone().try_acquire_owned();
        let place = place.map_err(|_| Error::new(Kind::Unavailable, "too many calls wait for this model"))?;
        let (told, answer) = oneshot::channel();
        let loaded = self.loaded.clone();
        self.engine.threads.queue(move |pool| {
            let _place = place;
            // Nobody waits any more, or in time.
            if told.is_closed() || Instant::now() >= deadline {
                return;
            }
            let _ = told.send(loaded.run(&inputs, &wants, pool));
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
