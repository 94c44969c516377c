//! Messages as clients and servers send them, and as nobody should.

use super::*;
use crate::Datatype;
use crate::limits::{CALL_BYTES_MAX, HEADER_BYTES_MAX, RANK_MAX};

fn tensor(name: &str, datatype: Datatype, shape: &[u64], bytes: impl AsRef<[u8]>) -> Tensor {
    Tensor::new(name, datatype, shape.to_vec(), Bytes::copy_from_slice(bytes.as_ref())).unwrap()
}

fn floats(name: &str, values: &[f32]) -> Tensor {
    let bytes: Vec<_> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    tensor(name, Datatype::Fp32, &[values.len() as u64], bytes)
}

fn body(encoded: &Encoded) -> Bytes {
    Bytes::from(encoded.parts.concat())
}

fn length(encoded: &Encoded) -> Option<String> {
    encoded.header_length.map(|length| length.to_string())
}

/// One of each type.
fn all() -> Vec<Tensor> {
    vec![
        tensor("bool", Datatype::Bool, &[2], [0, 1]),
        tensor("u8", Datatype::Uint8, &[2], [0, 255]),
        tensor("u16", Datatype::Uint16, &[1], u16::MAX.to_le_bytes()),
        tensor("u32", Datatype::Uint32, &[1], u32::MAX.to_le_bytes()),
        tensor("u64", Datatype::Uint64, &[1], u64::MAX.to_le_bytes()),
        tensor("i8", Datatype::Int8, &[1], i8::MIN.to_le_bytes()),
        tensor("i16", Datatype::Int16, &[1], i16::MIN.to_le_bytes()),
        tensor("i32", Datatype::Int32, &[1], i32::MIN.to_le_bytes()),
        tensor("i64", Datatype::Int64, &[1], i64::MIN.to_le_bytes()),
        tensor(
            "f32",
            Datatype::Fp32,
            &[1, 3],
            [0.1_f32, f32::MIN_POSITIVE, f32::MAX].map(f32::to_le_bytes).concat(),
        ),
        tensor("f64", Datatype::Fp64, &[], 0.1_f64.to_le_bytes()),
        tensor("bytes", Datatype::Bytes, &[2], b"\x03\0\0\0a\"b\0\0\0\0"),
        tensor("none", Datatype::Fp32, &[0, 4], []),
    ]
}

#[test]
fn what_is_written_is_read_again_in_both_forms() {
    let request = InferRequest {
        id: Some("17".to_owned()),
        inputs: all(),
        outputs: vec![Wanted { name: "y".to_owned(), wants_binary: None }],
        wants_binary: true,
    };
    for is_binary in [true, false] {
        let encoded = write_request(&request, request.id.as_deref(), is_binary).unwrap();
        assert_eq!(encoded.header_length.is_some(), is_binary);
        let read = read_request(body(&encoded), length(&encoded).as_deref()).unwrap();
        assert_eq!(read, InferRequest { wants_binary: is_binary, ..request.clone() });
    }
    let response = InferResponse {
        model: "classifier".to_owned(),
        version: Some("2".to_owned()),
        id: Some("17".to_owned()),
        outputs: all(),
    };
    for binary in ["", "f32", "all"] {
        let encoded = write_response(&response, |name| binary == "all" || binary == name).unwrap();
        assert_eq!(read_response(body(&encoded), length(&encoded).as_deref()).unwrap(), response);
    }
    let half = vec![tensor("half", Datatype::Fp16, &[1], [0, 0x3c])];
    let response = InferResponse { outputs: half, ..response };
    write_response(&response, |_| true).unwrap();
    let error = write_response(&response, |_| false).unwrap_err();
    assert!(error.to_string().contains("ask for it as binary"), "{error}");
}

#[test]
fn binary_tensors_are_not_copied() {
    let input = floats("x", &[1.0; 1024]);
    let request = InferRequest { inputs: vec![input.clone()], ..InferRequest::default() };
    let encoded = write_request(&request, None, true).unwrap();
    assert_eq!(encoded.parts[1].as_ptr(), input.bytes().as_ptr());
    assert_eq!(encoded.len(), encoded.header_length.unwrap() + 4096);
    let body = body(&encoded);
    let start = body.as_ptr() as usize;
    let read = read_request(body.clone(), length(&encoded).as_deref()).unwrap();
    assert_eq!(read.inputs[0].bytes().as_ptr() as usize, start + encoded.header_length.unwrap());
}

/// As the protocol's own examples, `tritonclient` and KServe write them.
#[test]
fn messages_of_others_are_read() {
    let request = r#"{ "id": "42", "inputs": [ { "name": "input0", "shape": [2, 2], "datatype": "UINT32",
        "data": [[1, 2], [3, 4]] }, { "name": "input1", "shape": [3], "datatype": "BOOL", "data": [true, false, true] } ],
        "outputs": [ { "name": "output0", "parameters": {"binary_data": false} } ], "unknown": {"x": []} }"#;
    let read = read_request(Bytes::from(request), None).unwrap();
    assert_eq!(
        read.inputs[0],
        tensor("input0", Datatype::Uint32, &[2, 2], [1_u32, 2, 3, 4].map(u32::to_le_bytes).concat())
    );
    assert!(read.wants("output0") && !read.wants("output1") && !read.wants_binary("output0"));
    let kserve = r#"{"model_name":"m","model_version":null,"id":"","parameters":null,"outputs":[
        {"name":"y","shape":[2],"datatype":"FP32","parameters":null,"data":[1,2.5]}]}"#;
    let read = read_response(Bytes::from(kserve), None).unwrap();
    assert_eq!(read.outputs, [floats("y", &[1.0, 2.5])]);
    assert_eq!((read.id, read.version), (None, None));
    assert_eq!(read_error(br#"{"error":"no such model"}"#).as_deref(), Some("no such model"));
    assert_eq!(read_error(br#"{"detail":"Not Found"}"#).as_deref(), Some("Not Found"));
    assert_eq!(read_error(b"<html>"), None);
}

fn refused(json: &str, header_length: Option<&str>) -> Error {
    read_request(Bytes::from(json.to_owned()), header_length).unwrap_err()
}

fn input(rest: &str) -> String {
    format!(r#"{{"inputs":[{{"name":"x",{rest}}}]}}"#)
}

/// C19, G31: whatever is wrong with a message has a text that names it.
#[test]
fn wrong_messages_are_refused_by_what_is_wrong() {
    let deep = format!("{}1{}", "[".repeat(RANK_MAX + 1), "]".repeat(RANK_MAX + 1));
    let deeper = "[".repeat(100_000);
    for (message, why) in [
        (String::new(), "cannot be read"),
        ("{".to_owned(), "cannot be read"),
        ("[]".to_owned(), "cannot be read"),
        (input(r#""shape":[1],"datatype":"FP32""#), "neither `data` nor"),
        (input(r#""shape":[1],"datatype":"FLOAT","data":[1]"#), "no data type `FLOAT`"),
        (input(r#""shape":[2],"datatype":"FP32","data":[1]"#), "2 elements, and its data 1"),
        (input(r#""shape":[1],"datatype":"FP32","data":[1,2]"#), "more than the 1 elements"),
        (input(r#""shape":[-1],"datatype":"FP32","data":[1]"#), "cannot be read"),
        (input(r#""shape":[1],"datatype":"UINT8","data":[256]"#), "256 is no UINT8"),
        (input(r#""shape":[1],"datatype":"UINT8","data":[-1]"#), "-1 is no UINT8"),
        (input(r#""shape":[1],"datatype":"INT32","data":[1.5]"#), "1.5 is no INT32"),
        (input(r#""shape":[1],"datatype":"FP32","data":[1e39]"#), "is no FP32"),
        (input(r#""shape":[1],"datatype":"FP32","data":[NaN]"#), "cannot be read"),
        (input(r#""shape":[1],"datatype":"FP32","data":["1"]"#), "a string is no FP32"),
        (input(r#""shape":[1],"datatype":"FP32","data":[null]"#), "cannot be read"),
        (input(r#""shape":[1],"datatype":"FP16","data":[1]"#), "send it as binary data"),
        (input(&format!(r#""shape":[1],"datatype":"FP32","data":{deep}"#)), "nested more than 8"),
        (input(&format!(r#""shape":[1],"datatype":"FP32","data":{deeper}"#)), "cannot be read"),
        (
            input(r#""shape":[18446744073709551615,9],"datatype":"FP32","data":[]"#),
            "more elements than can be counted",
        ),
        (input(r#""shape":[1099511627776],"datatype":"FP64","data":[]"#), "and its data 0"),
        (
            input(r#""shape":[1],"datatype":"FP32","data":[1],"parameters":{"binary_data_size":4}"#),
            "one of both counts",
        ),
        (input(r#""shape":[1],"datatype":"FP32","parameters":{"binary_data_size":4}"#), "0 bytes are left"),
        (
            input(r#""shape":[1],"datatype":"FP32","parameters":{"shared_memory_region":"r"}"#),
            "no memory is shared",
        ),
    ] {
        let error = refused(&message, None);
        assert!(error.to_string().contains(why), "{error}\n{}", &message[..message.len().min(200)]);
    }
    let classified = r#"{"inputs":[],"outputs":[{"name":"y","parameters":{"classification":3}}]}"#;
    assert_eq!(refused(classified, None).kind(), Kind::Unsupported);
    let binary = input(r#""shape":[1],"datatype":"FP32","parameters":{"binary_data_size":4}"#);
    let length = binary.len().to_string();
    read_request(Bytes::from(format!("{binary}abcd")), Some(&length)).unwrap();
    for (behind, length, why) in [
        ("abc", &*length, "3 bytes are left"),
        ("abcde", &length, "1 bytes are left behind the last"),
        ("abcd", "x", "not a length within"),
        ("abcd", "999999", "not a length within"),
        ("abcd", "-1", "not a length within"),
        ("abcd", "18446744073709551616", "not a length within"),
    ] {
        let error = refused(&format!("{binary}{behind}"), Some(length));
        assert!(error.to_string().contains(why), "{error}");
    }
}

/// G31: the bounds hold at the limit and not above it.
#[test]
fn messages_have_bounds() {
    let json = br#"{"inputs":[]}"#;
    let filled = |bytes: usize| {
        let mut body = json.to_vec();
        body.resize(bytes, b' ');
        Bytes::from(body)
    };
    read_request(filled(CALL_BYTES_MAX), None).unwrap();
    assert_eq!(read_request(filled(CALL_BYTES_MAX + 1), None).unwrap_err().kind(), Kind::TooLarge);
    let one_behind = |header: usize| {
        let json = input(r#""shape":[1],"datatype":"BOOL","parameters":{"binary_data_size":1}"#);
        let mut body = json.into_bytes();
        body.resize(header, b' ');
        body.push(1);
        read_request(Bytes::from(body), Some(&header.to_string()))
    };
    one_behind(HEADER_BYTES_MAX).unwrap();
    assert_eq!(one_behind(HEADER_BYTES_MAX + 1).unwrap_err().kind(), Kind::TooLarge);
    let many = |tensors: usize| {
        let one = r#"{"name":"x","shape":[0],"datatype":"FP32","data":[]}"#;
        let message = format!(r#"{{"inputs":[{}]}}"#, vec![one; tensors].join(","));
        read_request(Bytes::from(message), None)
    };
    assert_eq!(many(TENSORS_MAX).unwrap().inputs.len(), TENSORS_MAX);
    assert_eq!(many(TENSORS_MAX + 1).unwrap_err().kind(), Kind::TooLarge);
}

/// G31: no prefix of a message, and no message with a byte changed, does more than be refused.
#[test]
fn broken_messages_are_refused_and_nothing_else() {
    let request = InferRequest { inputs: all(), ..InferRequest::default() };
    for is_binary in [true, false] {
        let encoded = write_request(&request, request.id.as_deref(), is_binary).unwrap();
        let (body, length) = (body(&encoded), length(&encoded));
        for end in 0..body.len() {
            assert!(read_request(body.slice(..end), length.as_deref()).is_err(), "{end}");
        }
        for at in 0..body.len() {
            let mut changed = body.to_vec();
            changed[at] ^= 0x15;
            // It may mean something else now.
            let _ = read_request(Bytes::from(changed), length.as_deref());
        }
    }
}

/// C19: what a server gets wrong is its fault and not the caller's.
#[test]
fn a_servers_mistakes_are_its_own() {
    for answer in ["", "[]", r#"{"outputs":[{"name":"y","shape":[2],"datatype":"FP32","data":[1]}]}"#] {
        assert_eq!(read_response(Bytes::from(answer), None).unwrap_err().kind(), Kind::Protocol, "{answer}");
    }
}
