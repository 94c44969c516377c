//! What the node's engine answers, beside what ONNX Runtime answers: real models out of packages, asked the same.
//!
//! The packages come from PyPI into a virtual environment in the cache folder, which `python3` makes.

#![cfg(feature = "local")]

mod slow {
    use rimward_inference::Tensor;
    use rimward_inference::local::Engine;
    use rimward_inference::oip::http::{read_request, read_response};
    use serde_json::Value;
    use std::path::{Path, PathBuf};
    use std::process::Command;
    use std::time::Duration;
    use tokio::time::Instant;

    /// A number may differ by this, or by this part of itself.
    const ABSOLUTE: f64 = 1e-5;
    const RELATIVE: f64 = 1e-3;

    fn succeeds(command: &mut Command) -> String {
        let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let (said, wrong) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{command:?} failed\n{said}\n{wrong}");
        said.into_owned()
    }

    /// The interpreter of an environment that has the packages.
    fn python(here: &Path) -> PathBuf {
        let requirements = here.join("requirements.txt");
        let wanted = std::fs::read_to_string(&requirements).expect("it is part of the tests");
        let cache =
            std::env::var_os("HOME").map_or_else(std::env::temp_dir, PathBuf::from).join(".cache/rimward");
        let environment = cache.join("onnxruntime");
        let (python, installed) = (environment.join("bin/python"), environment.join("installed"));
        if std::fs::read_to_string(&installed).is_ok_and(|installed| installed == wanted) {
            return python;
        }
        std::fs::create_dir_all(&cache).expect("the cache folder can be made");
        succeeds(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment));
        let pip = ["-m", "pip", "install", "--no-deps", "--no-input", "--disable-pip-version-check", "-r"];
        succeeds(Command::new(&python).args(pip).arg(&requirements));
        std::fs::write(installed, wanted).expect("the cache folder can be written");
        python
    }

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
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/onnxruntime");
        let folder = tempfile::tempdir().expect("there is room");
        let said = succeeds(Command::new(python(&here)).arg(here.join("reference.py")).arg(folder.path()));
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
