//! A model in this process, ready to compute.

use super::{LocalAnswer, onnx, value};
use crate::{Error, Kind, Port, Signature, Tensor};
use rten::{Model, NodeId, RunErrorKind, RunOptions, ThreadPool};
use std::sync::Arc;
use std::time::Instant;

pub(super) struct Loaded {
    model: Model,
    signature: Signature,
    inputs: Vec<NodeId>,
    outputs: Vec<NodeId>,
}

/// One input, where it lies.
pub(super) struct Input<'t> {
    /// Which of the signature's it is.
    pub(super) index: usize,
    pub(super) shape: &'t [u64],
    pub(super) bytes: &'t [u8],
}

/// What the ONNX model in `file` says that it takes and gives.
///
/// # Errors
/// It is no ONNX model, or has types that the engine does not compute with.
pub fn signature(file: &[u8]) -> Result<Signature, Error> {
    let signature = onnx::signature(file)?;
    signature.inputs.iter().chain(&signature.outputs).try_for_each(value::check)?;
    Ok(signature)
}

impl Loaded {
    pub(super) fn of(file: Vec<u8>) -> Result<Self, Error> {
        let signature = signature(&file)?;
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
        Ok(Self { model, signature, inputs, outputs })
    }

    pub(super) fn signature(&self) -> &Signature {
        &self.signature
    }

    /// Computes the outputs that `wants` names.
    pub(super) fn run(
        &self,
        tensors: &[Input<'_>],
        wants: &[bool],
        pool: &Arc<ThreadPool>,
    ) -> Result<LocalAnswer, Error> {
        let start = Instant::now();
        let mut inputs = Vec::with_capacity(tensors.len());
        for tensor in tensors {
            inputs.push((
                self.inputs[tensor.index],
                value::input(&self.signature.inputs[tensor.index], tensor)?,
            ));
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
        let outputs: Vec<Tensor> =
            ports.zip(values).map(|(port, value)| value::output(port, value)).collect::<Result<_, _>>()?;
        Ok(LocalAnswer { outputs, ran })
    }
}
