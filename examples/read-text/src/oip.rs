//! The Open Inference Protocol v2 over HTTP with the binary tensor extension: a head of JSON, then the bytes of its
//! tensors one after the other, little endian. Pure: bytes in, bytes out; the call itself is in [`ocr`](crate::ocr).
//! The protocol: "Open Inference Protocol", required API; the extension: "Binary tensor data extension" of the same.

use rimward_sdk::Bytes;
use serde::Deserialize;
use serde_json::json;
use thiserror::Error;

/// The header that says how long the head is, in bytes.
pub(crate) const HEAD_BYTES: &str = "inference-header-content-length";

/// Why an answer cannot be understood.
#[derive(Debug, Error)]
pub(crate) enum AnswerError {
    #[error(
        "the answer has no binary tensors: its header `{HEAD_BYTES}` is missing or longer than the answer"
    )]
    NotBinary,
    #[error("the head of the answer is not what the protocol asks for")]
    Head(#[from] serde_json::Error),
    #[error("the answer has no output `{0}` of type `{1}`")]
    Missing(&'static str, &'static str),
    #[error("the output `{0}` does not have the bytes that its shape needs")]
    Length(String),
}

/// A tensor to send.
pub(crate) struct Input {
    pub(crate) name: &'static str,
    pub(crate) datatype: &'static str,
    pub(crate) shape: Vec<usize>,
    pub(crate) bytes: Vec<u8>,
}

/// A request to infer, for tensors by name: its body, and the length of the head in it.
pub(crate) fn request(inputs: &[Input], outputs: &[&str]) -> (usize, Vec<u8>) {
    let head = json!({
        "inputs": inputs.iter().map(|input| json!({
            "name": input.name,
            "datatype": input.datatype,
            "shape": input.shape,
            "parameters": { "binary_data_size": input.bytes.len() },
        })).collect::<Vec<_>>(),
        "outputs": outputs.iter().map(|name| json!({
            "name": name,
            "parameters": { "binary_data": true },
        })).collect::<Vec<_>>(),
    });
    let mut body = head.to_string().into_bytes();
    let head_bytes = body.len();
    inputs.iter().for_each(|input| body.extend_from_slice(&input.bytes));
    (head_bytes, body)
}

/// An answer, with its tensors.
pub(crate) struct Answer {
    pub(crate) model_version: String,
    outputs: Vec<(Output, Bytes)>,
}

#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    model_version: Option<String>,
    outputs: Vec<Output>,
}

#[derive(Deserialize)]
struct Output {
    name: String,
    datatype: String,
    shape: Vec<usize>,
    parameters: Parameters,
}

#[derive(Deserialize)]
struct Parameters {
    binary_data_size: usize,
}

impl Answer {
    /// Takes an answer apart. `head_bytes` is what the header [`HEAD_BYTES`] says.
    pub(crate) fn parse(head_bytes: Option<usize>, mut body: Bytes) -> Result<Self, AnswerError> {
        let head_bytes = head_bytes.filter(|&head_bytes| head_bytes <= body.len());
        let head = body.split_to(head_bytes.ok_or(AnswerError::NotBinary)?);
        let head: Head = serde_json::from_slice(&head)?;
        let mut outputs = Vec::new();
        for output in head.outputs {
            let size = output.parameters.binary_data_size;
            if size > body.len() {
                return Err(AnswerError::Length(output.name));
            }
            outputs.push((output, body.split_to(size)));
        }
        Ok(Self { model_version: head.model_version.unwrap_or_default(), outputs })
    }

    /// The rows of a two-dimensional tensor of 32-bit integers.
    pub(crate) fn int32_rows(&self, name: &'static str) -> Result<Vec<Vec<i32>>, AnswerError> {
        self.rows(name, "INT32", i32::from_le_bytes)
    }

    /// The rows of a two-dimensional tensor of 32-bit floats.
    pub(crate) fn fp32_rows(&self, name: &'static str) -> Result<Vec<Vec<f32>>, AnswerError> {
        self.rows(name, "FP32", f32::from_le_bytes)
    }

    /// The texts of a one-dimensional tensor: each is its length in four bytes, then UTF-8.
    pub(crate) fn texts(&self, name: &'static str) -> Result<Vec<String>, AnswerError> {
        let (output, mut bytes) = self.output(name, "BYTES")?;
        let wrong = || AnswerError::Length(output.name.clone());
        let mut texts = Vec::new();
        while let Some((length, rest)) = bytes.split_first_chunk() {
            let length = u32::from_le_bytes(*length) as usize;
            let (text, rest) = rest.split_at_checked(length).ok_or_else(wrong)?;
            texts.push(String::from_utf8_lossy(text).into_owned());
            bytes = rest;
        }
        if output.shape == [texts.len()] && bytes.is_empty() { Ok(texts) } else { Err(wrong()) }
    }

    fn rows<T>(
        &self,
        name: &'static str,
        datatype: &'static str,
        number: fn([u8; 4]) -> T,
    ) -> Result<Vec<Vec<T>>, AnswerError> {
        let (output, bytes) = self.output(name, datatype)?;
        let (numbers, rest) = bytes.as_chunks::<4>();
        match output.shape[..] {
            [rows, columns]
                if columns > 0 && rows.checked_mul(columns) == Some(numbers.len()) && rest.is_empty() =>
            {
                let row = |row: &[[u8; 4]]| row.iter().copied().map(number).collect();
                Ok(numbers.chunks(columns).map(row).collect())
            }
            _ => Err(AnswerError::Length(output.name.clone())),
        }
    }

    fn output(&self, name: &'static str, datatype: &'static str) -> Result<(&Output, &[u8]), AnswerError> {
        let found =
            self.outputs.iter().find(|(output, _)| output.name == name && output.datatype == datatype);
        let (output, bytes) = found.ok_or(AnswerError::Missing(name, datatype))?;
        Ok((output, bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(outputs: &str, tensors: &[u8]) -> Result<Answer, AnswerError> {
        let head = format!(r#"{{"model_name":"m","model_version":"7","outputs":[{outputs}]}}"#);
        Answer::parse(Some(head.len()), [head.as_bytes(), tensors].concat().into())
    }

    fn output(name: &str, datatype: &str, shape: &str, size: usize) -> String {
        format!(
            r#"{{"name":"{name}","datatype":"{datatype}","shape":{shape},"parameters":{{"binary_data_size":{size}}}}}"#
        )
    }

    #[test]
    fn a_request_is_a_head_and_the_bytes_of_its_tensors() {
        let inputs = [
            Input { name: "a", datatype: "UINT8", shape: vec![1, 2], bytes: vec![7, 8] },
            Input { name: "b", datatype: "UINT8", shape: vec![1], bytes: vec![9] },
        ];
        let (head_bytes, body) = request(&inputs, &["c"]);
        assert_eq!(body[head_bytes..], [7, 8, 9]);
        let head: serde_json::Value = serde_json::from_slice(&body[..head_bytes]).unwrap();
        let tensor = |name, shape, size| {
            let parameters = json!({"binary_data_size": size});
            json!({"name": name, "datatype": "UINT8", "shape": shape, "parameters": parameters})
        };
        assert_eq!(
            head,
            json!({
                "inputs": [tensor("a", vec![1, 2], 2), tensor("b", vec![1], 1)],
                "outputs": [{"name": "c", "parameters": {"binary_data": true}}],
            })
        );
    }

    #[test]
    fn tensors_are_taken_by_name_from_where_their_sizes_put_them() {
        let outputs = [
            output("n", "INT32", "[2,1]", 8),
            output("f", "FP32", "[1,1]", 4),
            output("t", "BYTES", "[2]", 10),
        ];
        let tensors =
            [&[1, 0, 0, 0, 255, 255, 255, 255][..], &1.5f32.to_le_bytes(), b"\x02\0\0\0\xc3\xb6\0\0\0\0"];
        let answer = answer(&outputs.join(","), &tensors.concat()).unwrap();
        assert_eq!(answer.model_version, "7");
        assert_eq!(answer.int32_rows("n").unwrap(), [[1], [-1]]);
        assert_eq!(answer.fp32_rows("f").unwrap(), [[1.5]]);
        assert_eq!(answer.texts("t").unwrap(), ["ö", ""]);
    }

    #[test]
    fn an_answer_that_lies_about_its_tensors_is_refused() {
        let check = |shape: &str, size: usize, bytes: usize| {
            let answer = answer(&output("x", "INT32", shape, size), &vec![0; bytes]);
            let rows = answer.and_then(|answer| answer.int32_rows("x"));
            assert!(matches!(rows, Err(AnswerError::Length(name)) if name == "x"), "{shape} {size} {bytes}");
        };
        check("[1,2]", 8, 7);
        check("[1,2]", 7, 8);
        check("[1,3]", 8, 8);
        check("[2]", 8, 8);
        check("[0,0]", 0, 0);
        check("[4294967295,4294967295]", 8, 8);
        let text = answer(&output("t", "BYTES", "[1]", 5), b"\x02\0\0\0a").unwrap();
        assert!(matches!(text.texts("t"), Err(AnswerError::Length(_))));
    }

    #[test]
    fn an_answer_without_binary_tensors_is_refused() {
        let parse = |head_bytes| Answer::parse(head_bytes, Bytes::from_static(b"{}"));
        assert!(matches!(parse(None), Err(AnswerError::NotBinary)));
        assert!(matches!(parse(Some(3)), Err(AnswerError::NotBinary)));
        assert!(matches!(parse(Some(2)), Err(AnswerError::Head(_))));
    }

    #[test]
    fn an_output_that_is_missing_or_of_another_type_is_named() {
        let answer = answer(&output("x", "INT32", "[1,1]", 4), &[0; 4]).unwrap();
        let error = answer.fp32_rows("x").unwrap_err();
        assert_eq!(error.to_string(), "the answer has no output `x` of type `FP32`");
    }
}
