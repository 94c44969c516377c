//! What a model takes and what it gives, and whether tensors are that.

use crate::{Datatype, Error, Tensor};
use std::fmt;

/// The size of each dimension; `None` where any will do.
pub type Shape = Vec<Option<u64>>;

/// The inputs and outputs of a model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Signature {
    /// What it takes. All of them are needed.
    pub inputs: Vec<Port>,
    /// What it gives.
    pub outputs: Vec<Port>,
}

/// One input or output.
#[derive(Clone, Debug, PartialEq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// Its type.
    pub datatype: Datatype,
    /// Its shape; without one every shape will do.
    pub shape: Option<Shape>,
}

impl Signature {
    /// Whether `inputs` are what the model takes. A model that says nothing of its inputs takes all.
    ///
    /// # Errors
    /// One is missing, unknown, given twice, or of another type or shape.
    pub fn check_inputs(&self, inputs: &[Tensor]) -> Result<(), Error> {
        check("input", &self.inputs, inputs, true)
    }

    /// In what `other`, which is to be a model for the same task, takes or gives something else. What it says nothing of is
    /// no difference.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let inputs = differences("input", &self.inputs, &other.inputs);
        inputs.into_iter().chain(differences("output", &self.outputs, &other.outputs)).collect()
    }

    /// Whether `outputs` are what the model gives: some of what it has, or all of it.
    ///
    /// # Errors
    /// One is unknown, given twice, or of another type or shape: [`Kind::Protocol`](crate::Kind::Protocol).
    pub fn check_outputs(&self, outputs: &[Tensor]) -> Result<(), Error> {
        check("output", &self.outputs, outputs, false).map_err(Error::of_server)
    }
}

fn differences(what: &str, ours: &[Port], theirs: &[Port]) -> Vec<String> {
    if ours.is_empty() || theirs.is_empty() {
        return Vec::new();
    }
    let differs = |port: &Port| {
        let name = &port.name;
        let Some(other) = theirs.iter().find(|other| other.name == *name) else {
            return Some(format!("the {what} `{name}` is here only"));
        };
        (!port.is_alike(other)).then(|| format!("the {what} `{name}` is {port} here and {other} there"))
    };
    let is_theirs_only = |other: &&Port| !ours.iter().any(|port| port.name == other.name);
    let theirs_only = theirs.iter().filter(is_theirs_only);
    let theirs_only = theirs_only.map(|other| format!("the {what} `{}` is there only", other.name));
    ours.iter().filter_map(differs).chain(theirs_only).collect()
}

fn check(what: &str, ports: &[Port], tensors: &[Tensor], needs_all: bool) -> Result<(), Error> {
    for (index, tensor) in tensors.iter().enumerate() {
        if tensors[..index].iter().any(|before| before.name() == tensor.name()) {
            return Err(Error::invalid(format!("the {what} `{}` is there twice", tensor.name())));
        }
    }
    if ports.is_empty() {
        return Ok(());
    }
    let names = || ports.iter().map(|port| format!("`{}`", port.name)).collect::<Vec<_>>().join(", ");
    for tensor in tensors {
        let port = ports.iter().find(|port| port.name == tensor.name());
        let port = port.ok_or_else(|| {
            Error::invalid(format!("the model has no {what} `{}`: it has {}", tensor.name(), names()))
        })?;
        port.check(tensor).map_err(|error| error.about(format_args!("the {what} `{}`", tensor.name())))?;
    }
    let missing = ports.iter().find(|port| !tensors.iter().any(|tensor| tensor.name() == port.name));
    match missing.filter(|_| needs_all) {
        Some(port) => {
            Err(Error::invalid(format!("the {what} `{}` is missing: it needs {}", port.name, names())))
        }
        None => Ok(()),
    }
}

/// Its type and shape.
impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(shape) = &self.shape else { return write!(f, "{}", self.datatype) };
        let sizes = shape.iter().map(|size| size.map_or("any".to_owned(), |size| size.to_string()));
        write!(f, "{} [{}]", self.datatype, sizes.collect::<Vec<_>>().join(", "))
    }
}

impl Port {
    /// Whether a tensor may be both.
    fn is_alike(&self, other: &Self) -> bool {
        let fits =
            |(one, other): (&Option<u64>, &Option<u64>)| one.is_none() || other.is_none() || one == other;
        let has_room = match (&self.shape, &other.shape) {
            (Some(one), Some(other)) => one.len() == other.len() && one.iter().zip(other).all(fits),
            _ => true,
        };
        self.datatype == other.datatype && has_room
    }

    fn check(&self, tensor: &Tensor) -> Result<(), Error> {
        if self.datatype != tensor.datatype() {
            return Err(Error::invalid(format!(
                "it is {}, and this is {}",
                self.datatype,
                tensor.datatype()
            )));
        }
        let Some(shape) = &self.shape else { return Ok(()) };
        let fits = shape.len() == tensor.shape().len()
            && shape
                .iter()
                .zip(tensor.shape())
                .all(|(wanted, size)| wanted.is_none_or(|wanted| wanted == *size));
        if fits {
            return Ok(());
        }
        let shape: Vec<_> =
            shape.iter().map(|size| size.map_or("any".to_owned(), |size| size.to_string())).collect();
        Err(Error::invalid(format!("its shape is [{}], and this is {:?}", shape.join(", "), tensor.shape())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Kind;
    use bytes::Bytes;

    fn tensor(name: &str, datatype: Datatype, shape: &[u64]) -> Tensor {
        let bytes = shape.iter().product::<u64>() as usize * datatype.element_bytes().unwrap();
        Tensor::new(name, datatype, shape.to_vec(), Bytes::from(vec![0; bytes])).unwrap()
    }

    fn port(name: &str, shape: Option<&[Option<u64>]>) -> Port {
        Port { name: name.to_owned(), datatype: Datatype::Fp32, shape: shape.map(<[_]>::to_vec) }
    }

    /// C19, G31: inputs that a model does not take are refused, with what it takes.
    #[test]
    fn inputs_are_what_the_model_takes() {
        let model = Signature {
            inputs: vec![port("x", Some(&[None, Some(3)])), port("scale", None)],
            outputs: Vec::new(),
        };
        let x = || tensor("x", Datatype::Fp32, &[5, 3]);
        let scale = || tensor("scale", Datatype::Fp32, &[]);
        model.check_inputs(&[scale(), x()]).unwrap();
        for (inputs, why) in [
            (vec![x()], "`scale` is missing: it needs `x`, `scale`"),
            (vec![x(), scale(), x()], "`x` is there twice"),
            (vec![x(), scale(), tensor("y", Datatype::Fp32, &[])], "no input `y`: it has `x`, `scale`"),
            (vec![tensor("x", Datatype::Fp64, &[5, 3]), scale()], "it is FP32, and this is FP64"),
            (
                vec![tensor("x", Datatype::Fp32, &[5, 4]), scale()],
                "its shape is [any, 3], and this is [5, 4]",
            ),
            (vec![tensor("x", Datatype::Fp32, &[3]), scale()], "its shape is [any, 3], and this is [3]"),
        ] {
            let error = model.check_inputs(&inputs).unwrap_err();
            assert_eq!(error.kind(), Kind::InvalidArgument);
            assert!(error.to_string().contains(why), "{error}");
        }
        Signature::default().check_inputs(&[x()]).unwrap();
    }

    /// C19: a server that answers with something else than it said is found out.
    #[test]
    fn outputs_are_what_the_model_gives() {
        let model =
            Signature { inputs: Vec::new(), outputs: vec![port("y", Some(&[Some(2)])), port("z", None)] };
        model.check_outputs(&[tensor("y", Datatype::Fp32, &[2])]).unwrap();
        let error = model.check_outputs(&[tensor("y", Datatype::Fp32, &[3])]).unwrap_err();
        assert_eq!(error.kind(), Kind::Protocol);
    }

    #[test]
    fn two_models_are_alike_where_a_tensor_may_be_of_both() {
        let model = |inputs: &[(&str, Option<&[Option<u64>]>)]| Signature {
            inputs: inputs.iter().map(|(name, shape)| port(name, *shape)).collect(),
            outputs: Vec::new(),
        };
        let ours = model(&[("x", Some(&[None, Some(3)]))]);
        let check =
            |theirs: &Signature, differences: &[&str]| assert_eq!(ours.differences(theirs), differences);
        check(&ours, &[]);
        check(&model(&[("x", Some(&[Some(1), None]))]), &[]);
        check(&model(&[("x", None)]), &[]);
        check(&Signature::default(), &[]);
        check(
            &model(&[("x", Some(&[None, Some(4)]))]),
            &["the input `x` is FP32 [any, 3] here and FP32 [any, 4] there"],
        );
        check(
            &model(&[("x", Some(&[Some(3)]))]),
            &["the input `x` is FP32 [any, 3] here and FP32 [3] there"],
        );
        check(&model(&[("y", None)]), &["the input `x` is here only", "the input `y` is there only"]);
        let mut wide = ours.clone();
        wide.inputs[0].datatype = Datatype::Fp64;
        check(&wide, &["the input `x` is FP32 [any, 3] here and FP64 [any, 3] there"]);
    }
}
