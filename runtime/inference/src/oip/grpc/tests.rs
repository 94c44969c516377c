use super::*;
use crate::limits::RANK_MAX;

fn tensor(name: &str, datatype: Datatype, shape: &[u64], bytes: &[u8]) -> Tensor {
    Tensor::new(name, datatype, shape.to_vec(), Bytes::copy_from_slice(bytes)).unwrap()
}

fn whole(parts: &[Bytes]) -> Bytes {
    parts.concat().into()
}

#[test]
fn a_call_is_read_as_it_is_written() {
    let large = vec![7; COPIED_BYTES_MAX + 1];
    let request = InferRequest {
        id: Some("7".to_owned()),
        inputs: vec![
            tensor("x", Datatype::Fp32, &[1, 2], &[0, 0, 128, 63, 0, 0, 0, 64]),
            tensor("large", Datatype::Uint8, &[large.len() as u64], &large),
            tensor("s", Datatype::Bytes, &[1], b"\x02\0\0\0ab"),
            tensor("scalar", Datatype::Fp16, &[], &[0, 60]),
        ],
        outputs: vec![Wanted { name: "y".to_owned(), wants_binary: None }],
        wants_binary: false,
    };
    let target = Target { model: "m".to_owned(), version: Some("3".to_owned()) };
    let parts = write_request(&target, &request, request.id.as_deref());
    assert_eq!(parts.len(), 3, "a large tensor is a part of its own, small ones are not");
    assert_eq!(parts[1].as_ptr(), request.inputs[1].bytes().as_ptr(), "and is not copied");
    let message = message(whole(&parts)).unwrap();
    assert_eq!(read_request(&message).unwrap(), (target, request));
}

#[test]
fn an_answer_is_read_as_it_is_written() {
    let response = InferResponse {
        model: "m".to_owned(),
        version: Some("1".to_owned()),
        id: None,
        outputs: vec![tensor("y", Datatype::Int64, &[2], &[1; 16])],
    };
    let message = message(whole(&write_response(&response))).unwrap();
    assert_eq!(read_response(&message).unwrap(), response);
}

#[test]
fn what_a_model_takes_is_read_as_it_is_written() {
    let port = |name: &str, shape| crate::Port { name: name.to_owned(), datatype: Datatype::Fp32, shape };
    let metadata = ModelMetadata {
        name: "m".to_owned(),
        versions: vec!["1".to_owned()],
        platform: "p".to_owned(),
        signature: crate::Signature {
            inputs: vec![port("x", Some(vec![None, Some(3)]))],
            outputs: vec![port("y", Some(vec![]))],
        },
    };
    assert_eq!(read_metadata(&message(whole(&write_metadata(&metadata))).unwrap()).unwrap(), metadata);
    assert!(read_flag(&message(whole(&write_flag(true))).unwrap()).unwrap());
    assert!(!read_flag(&message(whole(&write_flag(false))).unwrap()).unwrap());
    let target = Target { model: "m".to_owned(), version: None };
    assert_eq!(read_target(&message(whole(&write_target(&target))).unwrap()).unwrap(), target);
}

/// A message with one input, from its declaration and its contents.
fn with_contents(datatype: &str, shape: &[u64], contents: &[u8]) -> Bytes {
    let (mut head, mut input, mut sizes) = (Vec::new(), Vec::new(), Vec::new());
    put_text(&mut input, 1, "x");
    put_text(&mut input, 2, datatype);
    shape.iter().for_each(|size| put_varint(&mut sizes, *size));
    put_bytes(&mut input, 3, &sizes);
    put_bytes(&mut input, 5, contents);
    put_text(&mut head, 1, "m");
    put_bytes(&mut head, 5, &input);
    head.into()
}

#[test]
fn elements_that_are_numbers_of_the_encoding_become_those_of_the_tensor() {
    let minus_one = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
    let packed = |field: u8, bytes: &[u8]| [&[field << 3 | 2, bytes.len() as u8], bytes].concat();
    for (datatype, shape, contents, wanted) in [
        ("BOOL", &[2][..], packed(1, &[1, 0]), vec![1, 0]),
        ("BOOL", &[2], vec![1 << 3, 1, 1 << 3, 0], vec![1, 0]),
        ("INT8", &[2], packed(2, &[&[5][..], &minus_one].concat()), vec![5, 0xff]),
        ("INT16", &[1], packed(2, &minus_one), vec![0xff; 2]),
        ("INT32", &[1], packed(2, &minus_one), vec![0xff; 4]),
        ("INT64", &[1], packed(3, &minus_one), vec![0xff; 8]),
        ("UINT8", &[2], packed(4, &[7, 8]), vec![7, 8]),
        ("UINT16", &[1], packed(4, &[0x80, 2]), vec![0, 1]),
        ("UINT32", &[1], packed(4, &[1]), vec![1, 0, 0, 0]),
        ("UINT64", &[1], packed(5, &[1]), vec![1, 0, 0, 0, 0, 0, 0, 0]),
        ("FP32", &[2], packed(6, &[1, 2, 3, 4, 5, 6, 7, 8]), vec![1, 2, 3, 4, 5, 6, 7, 8]),
        ("FP32", &[1], vec![6 << 3 | 5, 1, 2, 3, 4], vec![1, 2, 3, 4]),
        ("FP64", &[1], packed(7, &[8; 8]), vec![8; 8]),
        ("BYTES", &[2], [packed(8, b"ab"), packed(8, b"")].concat(), b"\x02\0\0\0ab\0\0\0\0".to_vec()),
        ("FP32", &[0], vec![], vec![]),
    ] {
        let (_, request) = read_request(&with_contents(datatype, shape, &contents)).unwrap();
        assert_eq!(request.inputs[0].bytes(), &wanted[..], "{datatype} {contents:?}");
    }
}

/// G31: messages of callers.
#[test]
fn messages_that_are_wrong_are_told_so() {
    let check = |message: Bytes, why: &str| {
        let error = read_request(&message).unwrap_err();
        assert!(error.to_string().contains(why), "{error}, and not {why}");
    };
    let huge = [u64::MAX >> 2];
    check(with_contents("INT8", &[1], &[2 << 3, 0x80, 1]), "an element is no INT8");
    check(with_contents("UINT8", &[1], &[4 << 3, 0x80, 2]), "an element is no UINT8");
    check(with_contents("FP32", &[1], &[6 << 3 | 2, 3, 1, 2, 3]), "an element is no FP32");
    check(with_contents("FP32", &[2], &[6 << 3 | 5, 1, 2, 3, 4]), "has 2 elements, and its contents 1");
    check(with_contents("FP32", &[0], &[6 << 3 | 5, 1, 2, 3, 4]), "more elements than its shape");
    check(with_contents("FP32", &[1], &[7 << 3 | 2, 8, 0, 0, 0, 0, 0, 0, 0, 0]), "of another type than FP32");
    check(with_contents("FP16", &[1], &[]), "`raw_input_contents` only");
    check(with_contents("FP64", &huge, &[]), "more bytes than a call may have");
    check(with_contents("FLOAT", &[1], &[]), "no data type `FLOAT`");
    check(with_contents("FP32", &[u64::MAX], &[]), "is negative");
    check(with_contents("FP32", &[1; RANK_MAX + 1], &[]), "more than 8 dimensions");
    check(Bytes::from_static(&[10, 200]), "cut off");

    let one = |raw: usize| {
        let mut message = with_contents("UINT8", &[1], &[]).to_vec();
        (0..raw).for_each(|_| put_bytes(&mut message, 7, &[1]));
        Bytes::from(message)
    };
    check(one(1), "raw contents and others");
    check(one(2), "there are 1 tensors, and the raw contents of 2");
    let tensors = |count: usize| {
        let mut message = Vec::new();
        (0..count).for_each(|_| put_bytes(&mut message, 5, &[]));
        Bytes::from(message)
    };
    check(tensors(TENSORS_MAX), "no data type");
    check(tensors(TENSORS_MAX + 1), "more than 256 tensors");
    for (key, why) in [("shared_memory_region", "no memory is shared"), ("classification", "not done here")] {
        let (mut entry, mut input, mut message) = (Vec::new(), Vec::new(), Vec::new());
        put_text(&mut entry, 1, key);
        put_bytes(&mut input, 4, &entry);
        put_bytes(&mut message, 5, &input);
        check(message.into(), why);
    }
}

#[test]
fn a_body_has_one_message_and_it_is_not_compressed() {
    assert_eq!(message(Bytes::from_static(&[0, 0, 0, 0, 1, 9])).unwrap(), &[9][..]);
    for (body, why) in [
        (&[0, 0, 0, 0][..], "no message"),
        (&[1, 0, 0, 0, 0], "compressed"),
        (&[0, 0, 0, 0, 2, 9], "has 2 bytes by its own word, and 1 came"),
        (&[0, 0, 0, 0, 0, 9], "has 0 bytes by its own word, and 1 came"),
        (&[0, 0xff, 0, 0, 0], "are the most"),
    ] {
        let error = message(Bytes::from_static(body)).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }
}
