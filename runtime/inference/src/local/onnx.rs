//! What an ONNX file says of itself: the inputs, the outputs and the operators of its graph.
//!
//! Read before the engine reads the file, and never the weights: the engine keeps no types that it does not compute with,
//! and recurses as deep as a file is nested. The fields are those of
//! [onnx.proto](https://github.com/onnx/onnx/blob/main/onnx/onnx.proto), the encoding that of
//! [protocol buffers](https://protobuf.dev/programming-guides/encoding/).

use crate::limits::{GRAPH_DEPTH_MAX, NAME_BYTES_MAX, OPERATORS_MAX, RANK_MAX, TENSORS_MAX};
use crate::wire::{Fields, Value};
use crate::{Datatype, Error, Port, Shape, Signature};
use std::collections::BTreeSet;

/// What the graph of a file takes and gives.
pub(super) fn signature(file: &[u8]) -> Result<Signature, Error> {
    let mut signature = None;
    for field in Fields::of(file) {
        // ModelProto: graph = 7.
        let field = field.map_err(|error| error.about("it is no ONNX model"))?;
        if let (7, Value::Bytes(graph)) = field {
            signature = Some(Walk::default().outermost(graph)?);
        }
    }
    signature.ok_or_else(|| Error::invalid("it is no ONNX model: it has no graph"))
}

#[derive(Default)]
struct Walk {
    operators: usize,
}

impl Walk {
    fn outermost(&mut self, graph: &[u8]) -> Result<Signature, Error> {
        let (mut signature, mut constants) = (Signature::default(), BTreeSet::new());
        for field in Fields::of(graph) {
            // GraphProto: node = 1, initializer = 5, input = 11, output = 12, sparse_initializer = 15.
            match field? {
                (1, Value::Bytes(node)) => self.node(node, 0)?,
                (5, Value::Bytes(constant)) => drop(constants.insert(name(constant, 8)?)),
                (11, Value::Bytes(input)) => signature.inputs.push(port(input)?),
                (12, Value::Bytes(output)) => signature.outputs.push(port(output)?),
                (15, _) => return Err(Error::invalid("it has sparse weights, which are not read here")),
                _ => {}
            }
        }
        // Older files list their constants as inputs too, as defaults.
        signature.inputs.retain(|input| !constants.contains(&*input.name));
        for (what, ports) in [("inputs", &signature.inputs), ("outputs", &signature.outputs)] {
            if ports.len() > TENSORS_MAX {
                return Err(Error::too_large(format!(
                    "it has {} {what}, and {TENSORS_MAX} are the most",
                    ports.len()
                )));
            }
        }
        Ok(signature)
    }

    fn node(&mut self, node: &[u8], depth: usize) -> Result<(), Error> {
        self.operators += 1;
        if self.operators > OPERATORS_MAX {
            return Err(Error::too_large(format!("it has more than {OPERATORS_MAX} operators")));
        }
        for field in Fields::of(node) {
            // NodeProto: attribute = 5.
            let (5, Value::Bytes(attribute)) = field? else { continue };
            for field in Fields::of(attribute) {
                // AttributeProto: g = 6, graphs = 11.
                if let (6 | 11, Value::Bytes(graph)) = field? {
                    self.inner(graph, depth + 1)?;
                }
            }
        }
        Ok(())
    }

    fn inner(&mut self, graph: &[u8], depth: usize) -> Result<(), Error> {
        if depth > GRAPH_DEPTH_MAX {
            return Err(Error::too_large(format!("its graphs are nested more than {GRAPH_DEPTH_MAX} deep")));
        }
        for field in Fields::of(graph) {
            if let (1, Value::Bytes(node)) = field? {
                self.node(node, depth)?;
            }
        }
        Ok(())
    }
}

/// The field `number` of a message as a name.
fn name(message: &[u8], number: u64) -> Result<&str, Error> {
    let mut found = "";
    for field in Fields::of(message) {
        match field? {
            (of, Value::Bytes(bytes)) if of == number => {
                found = std::str::from_utf8(bytes).map_err(|_| Error::invalid("a name in it is no text"))?;
            }
            _ => {}
        }
    }
    match found.len() {
        ..=NAME_BYTES_MAX => Ok(found),
        more => {
            Err(Error::too_large(format!("a name in it has {more} bytes, and {NAME_BYTES_MAX} are the most")))
        }
    }
}

/// A `ValueInfoProto`: name = 1, type = 2.
fn port(info: &[u8]) -> Result<Port, Error> {
    let name = name(info, 1)?;
    let about = |error: Error| error.about(format_args!("`{name}`"));
    let mut tensor = None;
    for field in Fields::of(info) {
        let (2, Value::Bytes(of)) = field? else { continue };
        for field in Fields::of(of) {
            // TypeProto: tensor_type = 1, sequence_type = 4, and others that are no tensors.
            match field.map_err(about)? {
                (1, Value::Bytes(of)) => tensor = Some(of),
                (4 | 5 | 7 | 8 | 9, _) => return Err(about(Error::invalid("it is no tensor"))),
                _ => {}
            }
        }
    }
    let (datatype, shape) = tensor_type(tensor.unwrap_or_default()).map_err(about)?;
    Ok(Port { name: name.to_owned(), datatype, shape })
}

/// A `TypeProto.Tensor`: elem_type = 1, shape = 2.
fn tensor_type(of: &[u8]) -> Result<(Datatype, Option<Shape>), Error> {
    let (mut datatype, mut shape) = (0, None);
    for field in Fields::of(of) {
        match field? {
            (1, Value::Number(found)) => datatype = found,
            (2, Value::Bytes(dimensions)) => shape = Some(sizes(dimensions)?),
            _ => {}
        }
    }
    Ok((element(datatype)?, shape))
}

/// A `TensorShapeProto`: dim = 1, and of each dim_value = 1 where its size is known.
fn sizes(shape: &[u8]) -> Result<Shape, Error> {
    let mut sizes = Vec::new();
    for field in Fields::of(shape) {
        let (1, Value::Bytes(dimension)) = field? else { continue };
        let mut size = None;
        for field in Fields::of(dimension) {
            if let (1, Value::Number(found)) = field? {
                // Some exporters write 0 or -1 for a size that they do not know.
                size = Some(found).filter(|size| *size > 0 && i64::try_from(*size).is_ok());
            }
        }
        sizes.push(size);
        if sizes.len() > RANK_MAX {
            return Err(Error::too_large(format!("it has more than {RANK_MAX} dimensions")));
        }
    }
    Ok(sizes)
}

/// A `TensorProto.DataType`.
fn element(number: u64) -> Result<Datatype, Error> {
    Ok(match number {
        1 => Datatype::Fp32,
        2 => Datatype::Uint8,
        3 => Datatype::Int8,
        4 => Datatype::Uint16,
        5 => Datatype::Int16,
        6 => Datatype::Int32,
        7 => Datatype::Int64,
        8 => Datatype::Bytes,
        9 => Datatype::Bool,
        10 => Datatype::Fp16,
        11 => Datatype::Fp64,
        12 => Datatype::Uint32,
        13 => Datatype::Uint64,
        16 => Datatype::Bf16,
        0 => return Err(Error::invalid("it does not say what its elements are")),
        other => {
            return Err(Error::invalid(format!(
                "its elements are of the ONNX type {other}, which is not known here"
            )));
        }
    })
}
