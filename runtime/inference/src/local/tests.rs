//! Small models, made here, and files that are none.

use super::*;
use crate::Datatype;
use crate::limits::{GRAPH_DEPTH_MAX, LOCAL_QUEUE_MAX};
use bytes::Bytes;

/// A message of protocol buffers under construction.
#[derive(Clone, Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.0.push(number as u8 | 0x80);
            number >>= 7;
        }
        self.0.push(number as u8);
    }

    fn number(mut self, field: u64, number: u64) -> Self {
        self.varint(field << 3);
        self.varint(number);
        self
    }

    fn bytes(mut self, field: u64, bytes: impl AsRef<[u8]>) -> Self {
        self.varint(field << 3 | 2);
        self.varint(bytes.as_ref().len() as u64);
        self.0.extend_from_slice(bytes.as_ref());
        self
    }

    fn message(self, field: u64, message: Message) -> Self {
        self.bytes(field, message.0)
    }
}

fn node(operator: &str, inputs: &[&str], output: &str) -> Message {
    let node = inputs.iter().fold(Message::default(), |node, input| node.bytes(1, input));
    node.bytes(2, output).bytes(4, operator)
}

/// A tensor with a name and a type; a dimension of 0 is one that is not known.
fn info(name: &str, element: u64, shape: &[u64]) -> Message {
    let dimension = |size: &u64| match size {
        0 => Message::default().bytes(2, "n"),
        size => Message::default().number(1, *size),
    };
    let shape = shape.iter().fold(Message::default(), |shape, size| shape.message(1, dimension(size)));
    let tensor = Message::default().number(1, element).message(2, shape);
    Message::default().bytes(1, name).message(2, Message::default().message(1, tensor))
}

fn weights(name: &str, shape: &[u64], values: &[f32]) -> Message {
    let constant = shape.iter().fold(Message::default(), |constant, size| constant.number(1, *size));
    let values: Vec<_> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    constant.number(2, 1).bytes(8, name).bytes(9, values)
}

fn model(graph: Message) -> Vec<u8> {
    let operators = Message::default().bytes(1, "").number(2, 17);
    Message::default().number(1, 8).message(7, graph.bytes(2, "g")).message(8, operators).0
}

/// `y = softmax(x · w)`, three numbers to two.
pub(crate) fn classifier() -> Vec<u8> {
    model(
        Message::default()
            .message(1, node("MatMul", &["x", "w"], "h"))
            .message(1, node("Softmax", &["h"], "y"))
            .message(5, weights("w", &[3, 2], &[1.0, 0.0, 0.0, 1.0, 1.0, 1.0]))
            .message(11, info("x", 1, &[0, 3]))
            .message(12, info("y", 1, &[0, 2])),
    )
}

fn one(operator: &str, element: u64, result: u64) -> Vec<u8> {
    model(
        Message::default()
            .message(1, node(operator, &["x", "x"], "y"))
            .message(11, info("x", element, &[2]))
            .message(12, info("y", result, &[2])),
    )
}

fn engine() -> Engine {
    Engine::start(2).unwrap()
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

fn floats(shape: &[u64], values: &[f32]) -> Tensor {
    let bytes: Vec<_> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Tensor::new("x", Datatype::Fp32, shape.to_vec(), Bytes::from(bytes)).unwrap()
}

#[tokio::test]
async fn a_model_says_what_it_takes_and_answers() {
    let model = engine().load(classifier()).await.unwrap();
    assert_eq!(model.signature().inputs[0].shape.as_deref(), Some(&[None, Some(3)][..]));
    assert_eq!(model.signature().inputs.len(), 1);
    let answer =
        model.infer(vec![floats(&[2, 3], &[1.0, 0.0, 0.0, 0.0, 2.0, 0.0])], &[], soon()).await.unwrap();
    let [y] = &answer.outputs[..] else { panic!("{answer:?}") };
    assert_eq!((y.name(), y.shape()), ("y", &[2, 2][..]));
    let values: Vec<f32> = y.bytes().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    let sigmoid = |x: f32| 1.0 / (1.0 + (-x).exp());
    for (value, wanted) in values.iter().zip([sigmoid(1.0), sigmoid(-1.0), sigmoid(-2.0), sigmoid(2.0)]) {
        assert!((value - wanted).abs() < 1e-6, "{values:?}");
    }
    let wrong = model.infer(vec![floats(&[1, 4], &[0.0; 4])], &[], soon()).await.unwrap_err();
    assert_eq!(wrong.kind(), Kind::InvalidArgument);
    let wrong = model.infer(vec![floats(&[1, 3], &[0.0; 3])], &["z"], soon()).await.unwrap_err();
    assert!(wrong.to_string().contains("no output `z`"), "{wrong}");
}

#[tokio::test]
async fn wide_integers_and_truth_values_go_in_and_come_out_as_they_are_declared() {
    let engine = engine();
    let sums = engine.load(one("Add", 7, 7)).await.unwrap();
    let input = |values: [i64; 2]| {
        let bytes = Bytes::from(values.map(i64::to_le_bytes).concat());
        vec![Tensor::new("x", Datatype::Int64, vec![2], bytes).unwrap()]
    };
    let answer = sums.infer(input([-3, 1 << 29]), &[], soon()).await.unwrap();
    assert_eq!(answer.outputs[0].bytes(), &[-6_i64, 1 << 30].map(i64::to_le_bytes).concat());
    let wide = sums.infer(input([1 << 40, 0]), &[], soon()).await.unwrap_err();
    assert!(wide.to_string().contains("more than 32 bits"), "{wide}");
    let equal = engine.load(one("Equal", 1, 9)).await.unwrap();
    let answer = equal.infer(vec![floats(&[2], &[1.0, f32::NAN])], &["y"], soon()).await.unwrap();
    assert_eq!((answer.outputs[0].datatype(), &answer.outputs[0].bytes()[..]), (Datatype::Bool, &[1, 0][..]));
}

#[tokio::test]
async fn a_tensor_that_does_not_begin_where_a_number_may_is_read_all_the_same() {
    let model = engine().load(one("Add", 1, 1)).await.unwrap();
    let bytes = Bytes::from([&[0][..], &1.5_f32.to_le_bytes(), &2.5_f32.to_le_bytes()].concat());
    for start in 0..4 {
        let mut shifted = vec![0; start];
        shifted.extend_from_slice(&bytes[1..]);
        let x = Tensor::new("x", Datatype::Fp32, vec![2], Bytes::from(shifted).slice(start..)).unwrap();
        let answer = model.infer(vec![x], &[], soon()).await.unwrap();
        assert_eq!(answer.outputs[0].bytes(), &[3.0_f32, 5.0].map(f32::to_le_bytes).concat());
    }
}

/// G31: what the engine does not have is named when the model is loaded.
#[tokio::test]
async fn operators_and_types_that_are_not_there_are_named() {
    let engine = engine();
    let error = engine.load(one("ArrayFeatureExtractor", 1, 1)).await.unwrap_err();
    assert!(error.to_string().contains("ArrayFeatureExtractor"), "{error}");
    assert_eq!(error.kind(), Kind::Unsupported);
    let error = engine.load(one("Add", 11, 11)).await.unwrap_err();
    assert!(error.to_string().contains("`x` is FP64"), "{error}");
}

/// G31: files that are no models, are cut off, or are made to break their reader.
#[tokio::test]
async fn files_that_are_no_models_are_refused() {
    let engine = engine();
    let good = classifier();
    for file in [Vec::new(), b"\x7fELF".to_vec(), vec![0xff; 4096], Message::default().number(1, 8).0] {
        assert!(engine.load(file).await.is_err());
    }
    for end in 0..good.len() {
        // A shorter file may be a smaller model.
        if let Ok(model) = engine.load(good[..end].to_vec()).await {
            let _ = model.infer(vec![floats(&[1, 3], &[0.0; 3])], &[], soon()).await;
        }
    }
    for at in 0..good.len() {
        let mut changed = good.clone();
        changed[at] ^= 0x2d;
        if let Ok(model) = engine.load(changed).await {
            let _ = model.infer(vec![floats(&[1, 3], &[0.0; 3])], &[], soon()).await;
        }
    }
    // Others are answered as before.
    let model = engine.load(good).await.unwrap();
    model.infer(vec![floats(&[1, 3], &[0.0; 3])], &[], soon()).await.unwrap();
}

fn nested(depth: usize) -> Message {
    let inner = |graph: Message| {
        let attribute = Message::default().bytes(1, "then_branch").message(6, graph).number(20, 5);
        Message::default().message(1, node("If", &["c"], "y").message(5, attribute))
    };
    (0..depth).fold(Message::default(), |graph, _| inner(graph))
}

/// G31: a file that is nested without end is refused before anything follows it down.
#[tokio::test]
async fn graphs_are_nested_as_deep_as_the_bound_and_not_deeper() {
    let engine = engine();
    let said = |error: Error| error.to_string();
    let at_bound = engine.load(model(nested(GRAPH_DEPTH_MAX))).await.map_err(said).unwrap_err();
    assert!(!at_bound.contains("nested"), "{at_bound}");
    for depth in [GRAPH_DEPTH_MAX + 1, 3_000] {
        let error = engine.load(model(nested(depth))).await.map_err(said).unwrap_err();
        assert!(error.contains("nested more than 16"), "{error}");
    }
}

#[tokio::test]
async fn calls_wait_for_a_thread_up_to_a_bound_and_no_longer_than_their_deadline() {
    let engine = Engine::start(1).unwrap();
    let model = engine.load(classifier()).await.unwrap();
    let (go, wait) = std::sync::mpsc::channel::<()>();
    engine.threads.queue(move |_| wait.recv().unwrap());
    let x = || vec![floats(&[1, 3], &[0.0; 3])];
    let late = model.infer(x(), &[], Instant::now() + Duration::from_millis(20)).await.unwrap_err();
    assert_eq!(late.kind(), Kind::Timeout);
    let waiting: Vec<_> = (0..LOCAL_QUEUE_MAX)
        .map(|_| {
            let (model, x) = (model.clone(), x());
            tokio::spawn(async move { model.infer(x, &[], soon()).await })
        })
        .collect();
    while model.shared.room.available_permits() > 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(model.infer(x(), &[], soon()).await.unwrap_err().kind(), Kind::Unavailable);
    go.send(()).unwrap();
    for call in waiting {
        call.await.unwrap().unwrap();
    }
    model.infer(x(), &[], soon()).await.unwrap();
}

#[tokio::test]
async fn a_model_that_makes_the_engine_panic_costs_its_own_call() {
    let engine = engine();
    let model = engine.load(classifier()).await.unwrap();
    engine.threads.queue(|_| panic!("as a bug in the engine would"));
    engine.threads.queue(|_| panic!("on each of its threads"));
    model.infer(vec![floats(&[1, 3], &[0.0; 3])], &[], soon()).await.unwrap();
}

/// The mean of rows of any length.
fn mean() -> Vec<u8> {
    model(
        Message::default()
            .message(1, node("ReduceMean", &["x"], "y"))
            .message(11, info("x", 1, &[0, 0]))
            .message(12, info("y", 1, &[0, 0])),
    )
}

/// As many numbers as its input says.
fn greedy() -> Vec<u8> {
    model(
        Message::default()
            .message(1, node("ConstantOfShape", &["x"], "y"))
            .message(11, info("x", 7, &[1]))
            .message(12, info("y", 1, &[0])),
    )
}

/// It computes for longer than anybody waits.
fn endless() -> Vec<u8> {
    let scalar = |name: &str, element| info(name, element, &[]);
    let body = Message::default()
        .message(1, node("Identity", &["go"], "on"))
        .message(1, node("Mul", &["v", "v"], "w"))
        .message(11, scalar("i", 7))
        .message(11, scalar("go", 9))
        .message(11, info("v", 1, &[1]))
        .message(12, scalar("on", 9))
        .message(12, info("w", 1, &[1]))
        .bytes(2, "b");
    let attribute = Message::default().bytes(1, "body").message(6, body).number(20, 5);
    let rounds = Message::default().number(2, 7).bytes(8, "m").bytes(9, i64::from(i32::MAX).to_le_bytes());
    model(
        Message::default()
            .message(1, node("Loop", &["m", "", "x"], "y").message(5, attribute))
            .message(5, rounds)
            .message(11, info("x", 1, &[1]))
            .message(12, info("y", 1, &[1])),
    )
}

/// The node's own tests serve these models.
#[test]
fn the_models_of_the_nodes_tests_are_those_that_are_made_here() {
    let files = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/files");
    let all = [("classifier", classifier()), ("mean", mean()), ("greedy", greedy()), ("endless", endless())];
    for (name, made) in all {
        let file = files.join(name).with_extension("onnx");
        if std::env::var_os("RIMWARD_BLESS").is_some() {
            std::fs::write(&file, &made).unwrap();
        }
        assert!(
            std::fs::read(&file).unwrap() == made,
            "if the change is meant, run this with RIMWARD_BLESS=1"
        );
    }
}

#[tokio::test]
async fn models_that_are_a_trap_can_be_loaded_and_computed_with_care() {
    let engine = engine();
    let greedy = engine.load(greedy()).await.unwrap();
    let size = |size: i64| {
        let bytes = Bytes::copy_from_slice(&size.to_le_bytes());
        vec![Tensor::new("x", Datatype::Int64, vec![1], bytes).unwrap()]
    };
    assert_eq!(greedy.infer(size(3), &[], soon()).await.unwrap().outputs[0].bytes().len(), 12);
    engine.load(endless()).await.unwrap();
}
