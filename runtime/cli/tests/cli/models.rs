//! The process that runs models (`rimward run-models`): what it computes, what ends it, and that nothing else is hurt by that.

use bytes::Bytes;
use rimward_confine::Mode;
use rimward_inference::local::{Engine, Launcher, LocalAnswer, LocalModel};
use rimward_inference::{Datatype, Error, Kind, Tensor};
use std::path::Path;
use std::time::Duration;
use tokio::time::Instant;

fn file(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/files").join(name)).unwrap()
}

fn engine(memory_bytes: u64) -> Engine {
    let launcher = Launcher {
        program: env!("CARGO_BIN_EXE_rimward").into(),
        arguments: vec!["run-models".into()],
        memory_bytes,
        confine: Mode::Required,
    };
    Engine::launch(2, launcher).unwrap()
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

fn tensor(datatype: Datatype, shape: &[u64], bytes: impl Into<Vec<u8>>) -> Vec<Tensor> {
    vec![Tensor::new("x", datatype, shape.to_vec(), Bytes::from(bytes.into())).unwrap()]
}

fn rows(rows: u64) -> Vec<Tensor> {
    let numbers = (0..rows * 3).flat_map(|index| ((index % 7) as f32).to_le_bytes()).collect::<Vec<_>>();
    tensor(Datatype::Fp32, &[rows, 3], numbers)
}

/// As many numbers as `count` says.
async fn numbers(greedy: &LocalModel, count: i64) -> Result<LocalAnswer, Error> {
    greedy.infer(tensor(Datatype::Int64, &[1], count.to_le_bytes()), &[], soon()).await
}

/// The processes that were started with so much memory: each test that looks has a number of its own.
fn processes(memory_bytes: u64) -> Vec<u32> {
    let argument = memory_bytes.to_string();
    let pid = |entry: std::fs::DirEntry| {
        let line = std::fs::read(entry.path().join("cmdline")).ok()?;
        let has_it = line.split(|byte| *byte == 0).any(|one| one == argument.as_bytes());
        entry.file_name().to_str()?.parse().ok().filter(|_| has_it)
    };
    std::fs::read_dir("/proc").unwrap().filter_map(|entry| pid(entry.ok()?)).collect()
}

#[tokio::test]
async fn a_process_computes_what_this_one_would() {
    let (there, here) = (engine(1 << 30), Engine::start(2).unwrap());
    let (there, here) = (
        there.load(file("classifier.onnx")).await.unwrap(),
        here.load(file("classifier.onnx")).await.unwrap(),
    );
    assert_eq!(there.signature(), here.signature());
    for count in [1, 2, 50_000, 400_000, 3] {
        let (one, other) =
            tokio::join!(there.infer(rows(count), &[], soon()), here.infer(rows(count), &["y"], soon()));
        assert_eq!(one.unwrap().outputs, other.unwrap().outputs, "{count} rows");
    }
    let refused = there.infer(tensor(Datatype::Fp32, &[1, 2], [0; 8]), &[], soon()).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::InvalidArgument);
    let calls: Vec<_> = (1..40)
        .map(|count| {
            let there = there.clone();
            tokio::spawn(async move { there.infer(rows(count), &[], soon()).await.unwrap().outputs })
        })
        .collect();
    for (call, count) in calls.into_iter().zip(1..) {
        let wanted = here.infer(rows(count), &[], soon()).await.unwrap().outputs;
        assert_eq!(call.await.unwrap(), wanted);
    }
}

/// C19, G31: a model that takes more memory than it may ends its process. Its call fails and says why; the next one starts
/// another process, and the model has to wait its turn.
#[tokio::test]
async fn a_model_that_takes_all_memory_costs_its_own_call() {
    const MEMORY: u64 = (256 << 20) + 1;
    let engine = engine(MEMORY);
    let greedy = engine.load(file("greedy.onnx")).await.unwrap();
    let good = engine.load(file("classifier.onnx")).await.unwrap();
    let wanted = good.infer(rows(1), &[], soon()).await.unwrap().outputs;
    assert_eq!(numbers(&greedy, 1000).await.unwrap().outputs[0].bytes().len(), 4000);
    let before = processes(MEMORY);
    let error = numbers(&greedy, i64::from(i32::MAX)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Failed);
    let text = error.to_string();
    assert!(
        text.contains("memory allocation of 8589934588 bytes failed") && text.contains("256 MiB"),
        "{text}"
    );
    let waits = numbers(&greedy, 3).await.unwrap_err();
    assert_eq!(waits.kind(), Kind::Unavailable);
    assert!(waits.to_string().contains("it is asked again in"), "{waits}");
    assert_eq!(good.infer(rows(1), &[], soon()).await.unwrap().outputs, wanted);
    assert_ne!(processes(MEMORY), before, "it is another process");
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(numbers(&greedy, 3).await.unwrap().outputs[0].bytes().len(), 12);
    drop((greedy, good));
    assert_eq!(processes(MEMORY), Vec::<u32>::new(), "the last model takes its process with it");
    drop(engine);
}

/// A file that is no model, and one whose operator is unknown, are told as they are in this process.
#[tokio::test]
async fn what_cannot_be_loaded_is_told_with_the_reason() {
    let engine = engine(1 << 30);
    let broken = engine.load(file("no-model.onnx")).await.unwrap_err();
    assert!(broken.to_string().contains("no ONNX model"), "{broken}");
    let mut unknown = file("classifier.onnx");
    let at = unknown.windows(7).position(|window| window == b"Softmax").unwrap();
    unknown[at..at + 7].copy_from_slice(b"Hardmax");
    let unknown = engine.load(unknown).await.unwrap_err();
    assert_eq!(unknown.kind(), Kind::Unsupported);
    assert!(unknown.to_string().contains("Hardmax"), "{unknown}");
    engine.load(file("classifier.onnx")).await.unwrap();
}

#[tokio::test]
async fn a_program_that_runs_no_models_is_told() {
    let launcher = Launcher {
        program: "/bin/false".into(),
        arguments: Vec::new(),
        memory_bytes: 1 << 30,
        confine: Mode::Auto,
    };
    let error = Engine::launch(1, launcher).unwrap().load(file("classifier.onnx")).await.unwrap_err();
    assert!(error.to_string().contains("exit status: 1"), "{error}");
    let launcher = Launcher {
        program: "/nowhere/rimward".into(),
        arguments: Vec::new(),
        memory_bytes: 1 << 30,
        confine: Mode::Auto,
    };
    let error = Engine::launch(1, launcher).unwrap().load(file("classifier.onnx")).await.unwrap_err();
    assert!(error.to_string().contains("cannot be started"), "{error}");
}

mod slow {
    use super::*;

    /// A call that computes when nobody waits for it any more is given its overtime, and then its process is ended.
    #[tokio::test]
    async fn a_model_that_computes_for_ever_is_stopped() {
        const MEMORY: u64 = (1 << 30) + 1;
        let engine = engine(MEMORY);
        let endless = engine.load(file("endless.onnx")).await.unwrap();
        let good = engine.load(file("classifier.onnx")).await.unwrap();
        let in_time = Instant::now() + Duration::from_millis(100);
        let late = endless.infer(tensor(Datatype::Fp32, &[1], [0; 4]), &[], in_time).await.unwrap_err();
        assert_eq!(late.kind(), Kind::Timeout);
        good.infer(rows(1), &[], soon()).await.unwrap();
        let before = processes(MEMORY);
        tokio::time::sleep(Duration::from_secs(13)).await;
        good.infer(rows(1), &[], soon()).await.unwrap();
        assert_ne!(processes(MEMORY), before, "the one that computed for ever is gone");
    }
}
