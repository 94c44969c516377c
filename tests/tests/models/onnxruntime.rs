//! What the node's engine answers, beside what ONNX Runtime answers: real models out of packages, asked the same.

mod slow {
    use crate::python::{python, script, succeeds};
    use rimward_inference::Tensor;
    use rimward_inference::local::Engine;
    use rimward_inference::oip::http::{read_request, read_response};
    use serde_json::Value;
    use std::process::Command;
    use std::time::Duration;
    use tokio::time::Instant;

    /// A number may differ by this, or by this part of itself.
    const ABSOLUTE: f64 = 1e-5;
    const RELATIVE: f64 = 1e-3;

    fn message(said: &Value) -> (Vec<u8>, String) {
        let file = said["file"].as_str().expect("it is a path");
        (std::fs::read(file).expect("it was written"), said["header"].to_string())
    }

    fn numbers(tensor: &Tensor) -> Vec<f64> {
        let bytes = tensor.bytes();
        match tensor.datatype().name() {
            "FP32" => bytes.as_chunks().0.iter().map(|bytes| f64::from(f32::from_le_bytes(*bytes))).collect(),
            "INT64" => bytes.as_chunks().0.iter().map(|bytes| i64::from_le_bytes(*bytes) as f64).collect(),
            other => panic!("`{}` is {other}", tensor.name()),
        }
    }

    #[tokio::test]
    async fn models_out_of_packages_are_answered_as_onnx_runtime_answers_them() {
        let folder = tempfile::tempdir().expect("there is room");
        let said = succeeds(Command::new(python()).arg(script("reference.py")).arg(folder.path()));
        let engine = Engine::start(2).expect("threads can be started");
        let cases: Vec<Value> =
            said.lines().map(|line| serde_json::from_str(line).expect("a line is JSON")).collect();
        assert!(cases.len() >= 5, "{said}");
        for case in cases {
            let file = case["model"].as_str().expect("it is a path");
            let model = engine.load(std::fs::read(file).expect("it is there")).await;
            let model = model.unwrap_or_else(|error| panic!("{file}: {error}"));
            let (asked, header) = message(&case["asked"]);
            let request = read_request(asked.into(), Some(&header)).expect("it is a request");
            let (answered, header) = message(&case["answered"]);
            let wanted = read_response(answered.into(), Some(&header)).expect("it is a response").outputs;
            let soon = Instant::now() + Duration::from_secs(60);
            let answer = model.infer(request.inputs, &[], soon).await;
            let found = answer.unwrap_or_else(|error| panic!("{file}: {error}")).outputs;
            assert_eq!(found.len(), wanted.len(), "{file}");
            for (found, wanted) in found.iter().zip(&wanted) {
                assert_eq!((found.name(), found.shape()), (wanted.name(), wanted.shape()), "{file}");
                for (found, wanted) in numbers(found).into_iter().zip(numbers(wanted)) {
                    let most = ABSOLUTE.max(RELATIVE * wanted.abs());
                    assert!((found - wanted).abs() <= most, "{file}: {found} and not {wanted}");
                }
            }
        }
    }
}
