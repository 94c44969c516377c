//! Models, end to end: a function asks one by its name over plain HTTP, and the node answers from its own file, or from a
//! server of the Open Inference Protocol, or from whichever is in time.
//!
//! `files/classifier.onnx` is `softmax(x · w)` of three numbers to two; a test of `runtime/inference` makes it.

use crate::support::nobody;
use bytes::Bytes;
use http::Response;
use rimward_inference::local::Engine;
use rimward_inference::{Datatype, Tensor};
use rimward_tests::{Answer, App, Behaviour, TestNode, always, declared, fake, node, replies};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;
use tokio::time::Instant;

/// An app whose function forwards requests to the model that they name, and which has the models of `tables`.
pub(crate) fn app(tables: &str, models: &str, upstream: Option<&str>) -> App {
    let text = format!(
        "[app]\nname = 'shop'\n[function.asks]\ncomponent = 'model'\nmodels = {models}\n\
         [[trigger.http]]\nroute = '/*rest'\nfunction = 'asks'\n{tables}\n"
    );
    let app = declared(&text);
    match upstream {
        Some(url) => app.upstream_at("cloud", url, "retry = { attempts = 1 }"),
        None => app,
    }
}

pub(crate) const LOCAL: &str = "[model.classifier]\nlocal = { file = 'classifier.onnx' }";
pub(crate) const INFER: &str = "/v2/models/classifier/infer";

pub(crate) fn x(values: [f32; 3]) -> Value {
    json!({ "id": "7", "inputs": [{ "name": "x", "shape": [1, 3], "datatype": "FP32", "data": values }] })
}

pub(crate) async fn ask(node: &TestNode, values: [f32; 3]) -> Answer {
    node.post(INFER).body(x(values).to_string()).await
}

fn scores(answer: &Answer) -> Vec<f64> {
    let reply: Value = serde_json::from_str(&answer.text()).expect("it is JSON");
    let [output] = reply["outputs"].as_array().expect("it has outputs").as_slice() else { panic!("{reply}") };
    assert_eq!((&reply["model_name"], &reply["id"]), (&json!("classifier"), &json!("7")));
    assert_eq!((&output["name"], &output["shape"]), (&json!("y"), &json!([1, 2])));
    output["data"].as_array().expect("they are in it").iter().filter_map(Value::as_f64).collect()
}

pub(crate) fn check(answer: &Answer, wanted: [f64; 2]) {
    answer.is(200);
    let scores = scores(answer);
    assert!(scores.iter().zip(wanted).all(|(score, wanted)| (score - wanted).abs() < 1e-6), "{scores:?}");
}

pub(crate) const HALF: [f64; 2] = [0.5, 0.5];

#[tokio::test]
async fn a_model_on_the_node_is_asked_by_its_name() {
    let node = node().app(app(LOCAL, "['classifier']", None)).start().await;
    let answer = ask(&node, [1.0, 0.0, 0.0]).await;
    check(&answer, [0.731_058_578_630_004_9, 0.268_941_421_369_995_1]);
    answer.has("content-type", "application/json").has("rimward-model", "local");
    node.get("/v2").await.is(200).mentions("binary_tensor_data");
    node.get("/v2/health/ready").await.is(200);
    node.get("/v2/models/classifier/ready").await.is(200);
    let metadata = node.get("/v2/models/classifier").await;
    metadata.is(200).mentions(r#"{"name":"x","datatype":"FP32","shape":[-1,3]}"#).mentions("onnx_rten");
}

/// Tensors behind the JSON come back behind the JSON, bit by bit.
#[tokio::test]
async fn tensors_may_be_sent_as_they_are() {
    let node = node().app(app(LOCAL, "['classifier']", None)).start().await;
    let json = json!({
        "parameters": { "binary_data_output": true },
        "inputs": [{ "name": "x", "shape": [2, 3], "datatype": "FP32", "parameters": { "binary_data_size": 24 } }],
    });
    let json = json.to_string();
    let body = [json.as_bytes(), &[0; 24]].concat();
    let call = node.post(INFER).header("inference-header-content-length", &json.len().to_string());
    let answer = call.body(body).await;
    answer.is(200).has("content-type", "application/octet-stream");
    let length: usize =
        answer.header("inference-header-content-length").expect("it has one").parse().expect("a number");
    assert_eq!(answer.bytes()[length..], [0.5_f32; 4].map(f32::to_le_bytes).concat());
}

/// C19, G31: what is wrong with a call is told to the function, and nothing else comes of it.
#[tokio::test]
async fn wrong_calls_are_answered_with_what_is_wrong() {
    let node = node().app(app(LOCAL, "['classifier']", None)).start().await;
    let infer = async |body: Value| node.post(INFER).body(body.to_string()).await;
    let input = |name: &str, shape: Value, datatype: &str, data: Value| json!({ "inputs": [{ "name": name, "shape": shape, "datatype": datatype, "data": data }] });
    for (body, why) in [
        (json!({}), "the input `x` is missing"),
        (input("z", json!([1, 3]), "FP32", json!([0, 0, 0])), "no input `z`: it has `x`"),
        (input("x", json!([1, 4]), "FP32", json!([0, 0, 0, 0])), "its shape is [any, 3]"),
        (input("x", json!([1, 3]), "FP64", json!([0, 0, 0])), "it is FP32, and this is FP64"),
        (input("x", json!([1, 3]), "FP32", json!([0, 0])), "3 elements, and its data 2"),
        (input("x", json!([1, 3]), "FP32", json!([0, 0, 1e39])), "is no FP32"),
        (input("x", json!([1_u64 << 40, 1 << 24]), "FP32", json!([])), "more elements than can be counted"),
    ] {
        infer(body.clone()).await.is(400).mentions(why);
    }
    let claims = input("x", json!([268_435_456, 3]), "FP32", json!([0]));
    infer(claims).await.is(400).mentions("its data 1");
    node.post(INFER).body("{").await.is(400).mentions("cannot be read");
    let json = json!({ "inputs": [{ "name": "x", "shape": [1, 3], "datatype": "FP32", "parameters": { "binary_data_size": 12 } }] });
    let json = json.to_string();
    let body = [json.as_bytes(), &[f32::NAN; 3].map(f32::to_le_bytes).concat()].concat();
    let call = node.post(INFER).header("inference-header-content-length", &json.len().to_string());
    call.body(body).await.is(400).mentions("a number in the input `x` is not finite");
    node.get("/v2/models/other").await.is(404);
    node.get(INFER).await.is(405);
    node.get("/v1").await.is(404);
    ask(&node, [0.0; 3]).await.is(200);
}

#[tokio::test]
async fn a_model_that_was_not_granted_is_denied() {
    let node = node().app(app(LOCAL, "[]", None)).start().await;
    ask(&node, [0.0; 3]).await.is(500);
    let logged = node.heard().logged();
    assert!(
        logged.iter().any(|line| format!("{line:?}").contains("name it in the function's `models`")),
        "{logged:?}"
    );
}

#[tokio::test]
async fn an_app_whose_model_cannot_be_run_is_refused_with_the_reason() {
    let node = node().start().await;
    let why = node
        .refuses(app("[model.classifier]\nlocal = { file = 'no-model.onnx' }", "['classifier']", None))
        .await;
    assert!(
        why.contains("the model `classifier` cannot be loaded") && why.contains("no ONNX model"),
        "{why}"
    );
}

/// One node is the cloud of another.
#[tokio::test]
async fn a_model_in_the_cloud_is_asked_through_its_upstream() {
    let cloud = node().app(app(LOCAL, "['classifier']", None)).start().await;
    let url = format!("http://{}", cloud.address());
    for binary in ["", ", binary = true", ", binary = false"] {
        let remote = format!("[model.classifier]\nremote = {{ upstream = 'cloud'{binary} }}");
        let edge = node().app(app(&remote, "['classifier']", Some(&url))).start().await;
        let answer = ask(&edge, [0.0; 3]).await;
        check(&answer, HALF);
        answer.has("rimward-model", "remote");
        edge.get("/v2/models/classifier").await.is(200).mentions(r#""shape":[-1,3]"#).mentions("remote");
        edge.get("/v2/health/ready").await.is(200);
        let wrong = json!({ "inputs": [] }).to_string();
        edge.post(INFER).body(wrong).await.is(400).mentions("the input `x` is missing");
    }
}

const BOTH: &str = "[model.classifier]\nlocal = { file = 'classifier.onnx' }\n\
                    remote = { upstream = 'cloud', binary = false }\n";
fn says(answer: &'static str) -> Behaviour {
    replies(move |_| async move { Response::new(Bytes::from(answer)) })
}

const CLOUDS: &str =
    r#"{"model_name":"large","outputs":[{"name":"y","shape":[1,2],"datatype":"FP32","data":[0.25,0.75]}]}"#;

/// C8: the node's model answers where the cloud is not there, fails, or lies.
#[tokio::test]
async fn the_nodes_model_answers_for_a_cloud_that_does_not() {
    let liar = fake(says(r#"{"outputs":[{"name":"y","shape":[9],"datatype":"FP32","data":[1]}]}"#));
    let failing = fake(always(500));
    for url in [nobody(), failing.url(), liar.url()] {
        for mode in ["hedge", "fallback"] {
            let both = format!("{BOTH}mode = '{mode}'");
            let node = node().app(app(&both, "['classifier']", Some(&url))).start().await;
            let answer = ask(&node, [0.0; 3]).await;
            check(&answer, HALF);
            answer.has("rimward-model", "local; reason=unknown; instead-of=remote");
        }
    }
}

#[tokio::test]
async fn the_cloud_answers_where_it_is_there_and_where_the_node_is_not_sure() {
    let cloud = fake(says(CLOUDS));
    let hedged = node().app(app(BOTH, "['classifier']", Some(&cloud.url()))).start().await;
    let answer = ask(&hedged, [0.0; 3]).await;
    check(&answer, [0.25, 0.75]);
    answer.has("rimward-model", "remote; reason=unknown");
    let escalating = format!("{BOTH}min-confidence = 0.8\n");
    let node = node().app(app(&escalating, "['classifier']", Some(&cloud.url()))).start().await;
    let answer = ask(&node, [0.0; 3]).await;
    check(&answer, [0.25, 0.75]);
    answer.has("rimward-model", "remote; reason=unknown; confidence=0.500");
    ask(&node, [0.0, 0.0, 9.0])
        .await
        .is(200)
        .has("rimward-model", "remote; reason=unknown; confidence=0.500");
    ask(&node, [9.0, 0.0, 0.0]).await.is(200).has("rimward-model", "local; confidence=1.000");
}

/// What each side did is counted, and a new revision goes on with the counts.
#[tokio::test]
async fn what_became_of_calls_is_in_the_metrics() {
    let cloud = fake(says(CLOUDS));
    let both = app(BOTH, "['classifier']", Some(&cloud.url()));
    let node = node().app(both).start().await;
    ask(&node, [0.0; 3]).await.is(200);
    node.post(INFER).body(json!({ "inputs": [] }).to_string()).await.is(400);
    let of = |rest: &str| format!("tenant=default,app=shop,model=classifier,{rest}");
    let remote = of("side=remote,reason=unknown");
    node.metric("rimward_model_answers_total", &remote).is(1.0).await;
    node.metric("rimward_model_errors_total", &of("kind=invalid-argument")).is(1.0).await;
    let latency = of("side=remote,quantile=0.5");
    assert!(node.metric("rimward_model_latency_seconds", &latency).value() > 0.0);
    let next = format!("{BOTH}[model.other]\nlocal = {{ file = 'classifier.onnx' }}");
    node.install(app(&next, "['classifier']", Some(&cloud.url()))).await;
    ask(&node, [0.0; 3]).await.is(200);
    node.metric("rimward_model_answers_total", &remote).is(2.0).await;
    node.metric("rimward_model_call_memory_used_bytes", "").is(0.0).await;
}

/// A model on the node is for tenants who are trusted with its memory and time.
#[tokio::test]
async fn on_a_node_of_several_tenants_a_local_model_needs_the_operators_word() {
    let tenants = |local: &str| {
        format!("[tenant.default]\nhosts = ['a.example']\n{local}\n[tenant.other]\nhosts = ['b.example']\n")
    };
    let app = || {
        let text = "[app]\nname = 'shop'\n[function.asks]\ncomponent = 'model'\nmodels = ['classifier']\n\
                    [model.classifier]\nlocal = { file = 'classifier.onnx' }\n";
        declared(text)
    };
    let why = node().tenants(&tenants("")).start().await.refuses(app()).await;
    assert!(why.contains("`local-models = true`"), "{why}");
    node().tenants(&tenants("local-models = true")).app(app()).start().await;
}

/// An app whose function asks through `wasi:nn`.
fn asks_nn(tables: &str, models: &str) -> App {
    declared(&format!(
        "[app]\nname = 'shop'\n[function.asks]\ncomponent = 'nn'\nmodels = {models}\n\
         [[trigger.http]]\nroute = '/*rest'\nfunction = 'asks'\n{tables}\n"
    ))
}

const NN: &str =
    "[model.classifier]\nlocal = { file = 'classifier.onnx' }\n[model.mean]\nlocal = { file = 'mean.onnx' }";

#[tokio::test]
async fn a_function_asks_models_through_wasi_nn() {
    let node = node().app(asks_nn(NN, "['classifier', 'mean']")).start().await;
    node.get("/mean?4").await.is(200).says("y [1, 1] TensorType::Fp32: 1.5");
    node.get("/mean?150000").await.is(200).mentions("y [1, 1] TensorType::Fp32: 74999.5");
    node.get("/classifier").await.is(200).mentions("y [1, 2] TensorType::Fp32: 0.26894");
    let answers = node.get("/mean?1000").at_once(8).await;
    answers.iter().for_each(|answer| {
        answer.is(200).says("y [1, 1] TensorType::Fp32: 499.5");
    });
}

/// C19, G31.
#[tokio::test]
async fn what_is_wrong_is_told_as_an_error_of_wasi_nn() {
    let node = node().app(asks_nn(NN, "['classifier']")).start().await;
    for (path, error) in [
        ("/load", "ErrorCode::UnsupportedOperation: models are declared in rimward.toml"),
        ("/mean", "ErrorCode::NotFound: the model `mean` was not granted"),
        ("/none", "ErrorCode::NotFound: the model `none` was not granted"),
        ("/wrong-size", "ErrorCode::InvalidArgument: tensor `x`"),
        ("/wrong-name", "ErrorCode::InvalidArgument: the model has no input `z`"),
        ("/wrong-type", "ErrorCode::InvalidArgument: the input `x`: it is FP32, and this is UINT8"),
        ("/not-finite", "ErrorCode::InvalidArgument: a number in the input `x` is not finite"),
        ("/classifier?4", "ErrorCode::InvalidArgument: the input `x`: its shape is [any, 3]"),
    ] {
        node.get(path).await.is(400).mentions(error);
    }
    node.get("/classifier").await.is(200);
    let nobody = nobody();
    let remote = "[model.classifier]\nremote = { upstream = 'cloud' }";
    let app = asks_nn(remote, "['classifier']").upstream_at("cloud", &nobody, "retry = { attempts = 1 }");
    let node = rimward_tests::node().app(app).start().await;
    node.get("/classifier")
        .await
        .is(400)
        .mentions("ErrorCode::RuntimeError: the model's server was not reached");
    let text = node.refuses(asks_nn("", "[]")).await;
    assert!(text.contains("wasi:nn/") && text.contains("models = [\"NAME\"]"), "{text}");
}

#[tokio::test]
async fn tensors_of_wasi_nn_take_the_memory_that_calls_may_and_no_more() {
    let node = node().app(asks_nn(NN, "['mean']"));
    let node = node.file(|file| file.models.call_memory = "64KiB".parse().expect("it is a size"));
    let node = node.start().await;
    node.get("/mean?16384").await.is(200);
    node.get("/mean?16385").await.is(500);
    node.get("/mean?16384").await.is(200);
}

/// What a model of an example answers to one row of numbers.
async fn of_example(file: &str, input: &str, row: &[f32]) -> Vec<f32> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(file);
    let model =
        Engine::start(1).expect("threads").load(Bytes::from(std::fs::read(file).expect("it is there"))).await;
    let bytes: Vec<u8> = row.iter().flat_map(|number| number.to_le_bytes()).collect();
    let row = Tensor::new(input, Datatype::Fp32, vec![1, row.len() as u64], bytes.into()).expect("a tensor");
    let deadline = Instant::now() + Duration::from_secs(10);
    let answer = model.expect("it is a model").infer(vec![row], &[], deadline).await.expect("it answers");
    let (numbers, _) = answer.outputs[0].bytes().as_chunks();
    numbers.iter().copied().map(f32::from_le_bytes).collect()
}

/// The models that the examples come with say what they should: a stroke is a 1, a spike is unusual.
#[tokio::test]
async fn the_models_of_the_examples_are_right() {
    let stroke: Vec<f32> = (0..64).map(|cell| if matches!(cell % 8, 3 | 4) { 0.9 } else { 0.0 }).collect();
    for file in ["camera/models/small.onnx", "camera/cloud/large.onnx"] {
        let digits = of_example(file, "pixels", &stroke).await;
        assert!(digits.len() == 10 && digits[1] > 0.5, "{file}: {digits:?}");
    }
    let usual: Vec<f32> = (0..26).map(|week| (week as f32 / 52.0 * std::f32::consts::TAU).sin()).collect();
    let mean = usual.iter().sum::<f32>() / 26.0;
    let usual: Vec<f32> = usual.iter().map(|number| number - mean).collect();
    let mut spike = usual.clone();
    spike[13] += 2.0;
    let file = "sensor-anomaly/models/usual.onnx";
    let (usual, spike) = (of_example(file, "window", &usual).await, of_example(file, "window", &spike).await);
    assert!(usual[0] < 0.08 && spike[0] > 0.08, "{usual:?} {spike:?}");
}
