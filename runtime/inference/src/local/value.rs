//! Tensors as the engine has them. It computes with 32 bits: wider integers are narrowed on the way in, where they fit, and
//! widened again on the way out.

use super::loaded::Input;
use crate::{Datatype, Error, Kind, Port, Tensor};
use bytemuck::{AnyBitPattern, NoUninit};
use bytes::Bytes;
use rten::{Value, ValueOrView, ValueView};
use rten_tensor::prelude::*;
use rten_tensor::{Tensor as Owned, TensorView};

/// Whether the engine takes tensors of that type.
pub(super) fn check(port: &Port) -> Result<(), Error> {
    match port.datatype {
        Datatype::Fp32
        | Datatype::Int32
        | Datatype::Int64
        | Datatype::Bool
        | Datatype::Int8
        | Datatype::Uint8 => Ok(()),
        other => Err(Error::new(
            Kind::Unsupported,
            format!("`{}` is {other}, which the local engine does not compute with", port.name),
        )),
    }
}

/// The input `port` as the engine takes it: where it lies in memory, if it lies well there.
pub(super) fn input<'t>(port: &Port, input: &Input<'t>) -> Result<ValueOrView<'t>, Error> {
    let shape: Vec<_> = input.shape.iter().map(|size| *size as usize).collect();
    let bytes = input.bytes;
    let elements: Option<usize> = shape.iter().try_fold(1, |all: usize, size| all.checked_mul(*size));
    if elements.and_then(|elements| elements.checked_mul(port.datatype.element_bytes()?)) != Some(bytes.len())
    {
        return Err(Error::invalid(format!("`{}` has other bytes than its shape says", port.name)));
    }
    Ok(match port.datatype {
        Datatype::Fp32 => view::<f32>(&shape, bytes),
        Datatype::Int32 => view::<i32>(&shape, bytes),
        Datatype::Int8 => view::<i8>(&shape, bytes),
        Datatype::Uint8 => view::<u8>(&shape, bytes),
        Datatype::Bool => owned(&shape, bytes.iter().map(|byte| i32::from(*byte)).collect()),
        Datatype::Int64 => {
            let (elements, _) = bytes.as_chunks::<8>();
            let narrow = |element: &[u8; 8]| i32::try_from(i64::from_le_bytes(*element));
            let elements: Result<Vec<i32>, _> = elements.iter().map(narrow).collect();
            let outside = |_| {
                let name = &port.name;
                Error::invalid(format!(
                    "a number in `{name}` takes more than 32 bits, which the local engine computes with"
                ))
            };
            owned(&shape, elements.map_err(outside)?)
        }
        other => return Err(Error::invalid(format!("`{}` is {other}", port.name))),
    })
}

fn view<'t, T>(shape: &[usize], bytes: &'t [u8]) -> ValueOrView<'t>
where
    T: AnyBitPattern,
    ValueView<'t>: From<TensorView<'t, T>>,
    Value: From<Owned<T>>,
{
    match bytemuck::try_cast_slice::<u8, T>(bytes) {
        Ok(elements) => ValueView::from(TensorView::from_data(shape, elements)).into(),
        // It does not begin where a number may.
        Err(_) => {
            owned(shape, bytes.chunks_exact(size_of::<T>()).map(bytemuck::pod_read_unaligned).collect())
        }
    }
}

fn owned<T>(shape: &[usize], elements: Vec<T>) -> ValueOrView<'static>
where
    Value: From<Owned<T>>,
{
    Value::from(Owned::from_data(shape, elements)).into()
}

/// An output as `port` declares it.
pub(super) fn output(port: &Port, value: Value) -> Result<Tensor, Error> {
    let shape: Vec<_> = value.shape().iter().map(|size| *size as u64).collect();
    let bytes = match (value, port.datatype) {
        (Value::FloatTensor(tensor), Datatype::Fp32) => bytes(tensor),
        (Value::Int32Tensor(tensor), Datatype::Int32) => bytes(tensor),
        (Value::Int8Tensor(tensor), Datatype::Int8) => bytes(tensor),
        (Value::UInt8Tensor(tensor), Datatype::Uint8) => bytes(tensor),
        (Value::Int32Tensor(tensor), Datatype::Bool) => {
            tensor.to_vec().into_iter().map(|element| u8::from(element != 0)).collect::<Vec<_>>().into()
        }
        (Value::Int32Tensor(tensor), Datatype::Int64) => tensor
            .to_vec()
            .into_iter()
            .flat_map(|element| i64::from(element).to_le_bytes())
            .collect::<Vec<_>>()
            .into(),
        (value, declared) => {
            let message =
                format!("the output `{}` is {declared}, and the model gave {}", port.name, value.dtype());
            return Err(Error::new(Kind::Failed, message));
        }
    };
    Tensor::new(port.name.clone(), port.datatype, shape, bytes)
}

/// The elements, where they are.
fn bytes<T: NoUninit + Send>(tensor: Owned<T>) -> Bytes {
    struct Elements<T>(Vec<T>);
    impl<T: NoUninit> AsRef<[u8]> for Elements<T> {
        fn as_ref(&self) -> &[u8] {
            bytemuck::cast_slice(&self.0)
        }
    }
    Bytes::from_owner(Elements(tensor.into_data()))
}
