//! The messages of the Open Inference Protocol over HTTP with the binary tensor extension: a head of JSON, then the bytes of
//! its tensors one after the other. Pure: bytes in, bytes out.

use http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{Datatype, NamedTensor, head_bytes, split};
use crate::Bytes;

/// The header that says how long the head is, in bytes.
pub(crate) const HEAD_BYTES: &str = "inference-header-content-length";

/// A call of a model: the length of its head, and its body. Without names of outputs all of them are asked for.
pub(super) fn request(inputs: &[NamedTensor], outputs: &[String]) -> (usize, Vec<u8>) {
    let head = match outputs {
        [] => json!({ "inputs": heads(inputs), "parameters": { "binary_data_output": true } }),
        names => {
            let wanted = |name| json!({ "name": name, "parameters": { "binary_data": true } });
            json!({ "inputs": heads(inputs), "outputs": names.iter().map(wanted).collect::<Vec<_>>() })
        }
    };
    whole(&head, inputs)
}

fn whole(head: &serde_json::Value, tensors: &[NamedTensor]) -> (usize, Vec<u8>) {
    let head = head.to_string();
    let bytes: usize = tensors.iter().map(|tensor| tensor.bytes().len()).sum();
    let mut body = Vec::with_capacity(head.len() + bytes);
    body.extend_from_slice(head.as_bytes());
    tensors.iter().for_each(|tensor| body.extend_from_slice(tensor.bytes()));
    (head.len(), body)
}

fn heads(tensors: &[NamedTensor]) -> Vec<Head> {
    let head = |tensor: &NamedTensor| Head {
        name: tensor.name().to_owned(),
        datatype: tensor.datatype().to_string(),
        shape: tensor.shape().to_vec(),
        parameters: Some(Parameters { binary_data_size: Some(tensor.bytes().len()) }),
    };
    tensors.iter().map(head).collect()
}

#[derive(Serialize, Deserialize)]
struct Head {
    name: String,
    datatype: String,
    shape: Vec<usize>,
    #[serde(default)]
    parameters: Option<Parameters>,
}

#[derive(Serialize, Deserialize)]
struct Parameters {
    #[serde(default)]
    binary_data_size: Option<usize>,
}

/// The outputs of an answer, or what is wrong with it.
pub(super) fn answer(headers: &HeaderMap, mut body: Bytes) -> Result<Vec<NamedTensor>, String> {
    #[derive(Deserialize)]
    struct Outputs {
        outputs: Vec<Head>,
    }
    let head = head(headers, &mut body)?;
    let Outputs { outputs } = serde_json::from_slice(&head).map_err(|error| format!("its head: {error}"))?;
    tensors(outputs, body)
}

fn head(headers: &HeaderMap, body: &mut Bytes) -> Result<Bytes, String> {
    let head = head_bytes(headers).and_then(|length| split(body, length));
    head.ok_or_else(|| format!("it has no binary tensors: `{HEAD_BYTES}` is missing or longer than it"))
}

fn tensors(heads: Vec<Head>, mut body: Bytes) -> Result<Vec<NamedTensor>, String> {
    let mut tensor = |head: Head| {
        let size = head.parameters.and_then(|parameters| parameters.binary_data_size)?;
        let bytes = split(&mut body, size)?;
        NamedTensor::from_bytes(&head.name, Datatype::parse(&head.datatype)?, head.shape, bytes)
    };
    let wrong =
        |name: &str| format!("the tensor `{name}` does not have the bytes that its type and shape need");
    let mut tensors = Vec::new();
    for head in heads {
        let name = head.name.clone();
        tensors.push(tensor(head).ok_or_else(|| wrong(&name))?);
    }
    if body.is_empty() { Ok(tensors) } else { Err("there are bytes behind its tensors".to_owned()) }
}

/// A call as a model of a test gets it.
#[cfg(not(target_family = "wasm"))]
pub(crate) struct Asked {
    pub(crate) inputs: Vec<NamedTensor>,
    /// None for all of them.
    outputs: Vec<String>,
}

#[cfg(not(target_family = "wasm"))]
impl Asked {
    pub(crate) fn read(headers: &HeaderMap, mut body: Bytes) -> Result<Self, String> {
        #[derive(Deserialize)]
        struct Name {
            name: String,
        }
        #[derive(Deserialize)]
        struct Inputs {
            inputs: Vec<Head>,
            #[serde(default)]
            outputs: Vec<Name>,
        }
        let head = head(headers, &mut body)?;
        let head: Inputs = serde_json::from_slice(&head).map_err(|error| error.to_string())?;
        let outputs = head.outputs.into_iter().map(|output| output.name).collect();
        Ok(Self { inputs: tensors(head.inputs, body)?, outputs })
    }

    /// An answer to it: the length of its head, and its body.
    pub(crate) fn answer(&self, outputs: Vec<NamedTensor>) -> (usize, Vec<u8>) {
        let is_wanted = |output: &NamedTensor| {
            self.outputs.is_empty() || self.outputs.iter().any(|name| name == output.name())
        };
        let outputs: Vec<_> = outputs.into_iter().filter(is_wanted).collect();
        whole(&json!({ "model_name": "of a test", "outputs": heads(&outputs) }), &outputs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::HeaderValue;
    use crate::model::Tensor;

    fn read(outputs: &str, tensors: &[u8]) -> Result<Vec<NamedTensor>, String> {
        let head = format!(r#"{{"model_name":"m","outputs":[{outputs}]}}"#);
        let mut headers = HeaderMap::new();
        headers.insert(HEAD_BYTES, HeaderValue::from(head.len()));
        answer(&headers, [head.as_bytes(), tensors].concat().into())
    }

    fn output(name: &str, datatype: &str, shape: &str, size: usize) -> String {
        format!(
            r#"{{"name":"{name}","datatype":"{datatype}","shape":{shape},"parameters":{{"binary_data_size":{size}}}}}"#
        )
    }

    #[test]
    fn a_call_is_a_head_and_the_bytes_of_its_tensors() {
        let inputs = [
            Tensor::from_shape([1, 2], vec![7_u8, 8]).unwrap().named("a"),
            Tensor::from_shape([1], vec![true]).unwrap().named("b"),
        ];
        let (head_bytes, body) = request(&inputs, &["c".to_owned()]);
        assert_eq!(body[head_bytes..], [7, 8, 1]);
        let head: serde_json::Value = serde_json::from_slice(&body[..head_bytes]).unwrap();
        let parameters = |size| json!({ "binary_data_size": size });
        assert_eq!(
            head,
            json!({
                "inputs": [
                    { "name": "a", "datatype": "UINT8", "shape": [1, 2], "parameters": parameters(2) },
                    { "name": "b", "datatype": "BOOL", "shape": [1], "parameters": parameters(1) },
                ],
                "outputs": [{ "name": "c", "parameters": { "binary_data": true } }],
            })
        );
        let (_, body) = request(&[], &[]);
        assert_eq!(body, br#"{"inputs":[],"parameters":{"binary_data_output":true}}"#);
    }

    #[test]
    fn tensors_are_taken_from_where_their_sizes_put_them() {
        let outputs = [output("n", "INT32", "[2,1]", 8), output("f", "FP32", "[]", 4)];
        let tensors = [&[1, 0, 0, 0, 255, 255, 255, 255][..], &1.5_f32.to_le_bytes()].concat();
        let read = read(&outputs.join(","), &tensors).unwrap();
        assert_eq!(read[0].tensor::<i32>().unwrap().values(), [1, -1]);
        assert_eq!(read[1].tensor::<f32>().unwrap().values(), [1.5]);
    }

    #[test]
    fn an_answer_that_lies_about_its_tensors_is_refused() {
        let check = |datatype: &str, shape: &str, size: usize, bytes: usize| {
            let wrong = read(&output("x", datatype, shape, size), &vec![0; bytes]).unwrap_err();
            assert!(wrong.contains("tensor"), "{datatype} {shape} {size} {bytes}: {wrong}");
        };
        check("INT32", "[1,2]", 8, 7);
        check("INT32", "[1,2]", 7, 8);
        check("INT32", "[1,2]", 8, 9);
        check("INT32", "[1,3]", 8, 8);
        check("FP8", "[8]", 8, 8);
        check("INT32", "[4294967295,4294967295,4294967295]", 8, 8);
        assert!(read(r#"{"name":"x","datatype":"FP32","shape":[1],"data":[1]}"#, &[]).is_err());
        assert!(answer(&HeaderMap::new(), Bytes::from_static(b"{}")).is_err());
    }
}
