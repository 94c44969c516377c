//! `rimward models`: what a node tells of its models, and how their two sides compare.

use crate::harness::{Folder, PATIENCE, Running, guest};
use serde_json::{Value, json};
use std::path::Path;
use std::time::{Duration, Instant};

fn file(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/files").join(name)).unwrap()
}

/// A node that has a model for others and nothing else, and where it is asked.
fn cloud(folder: &Folder, model: &str) -> (Running, String) {
    folder.write(
        "cloud/rimward.toml",
        "[app]\nname = 'far'\n[model.classifier]\nlocal = { file = 'large.onnx' }\n",
    );
    folder.write("cloud/large.onnx", file(model));
    let node = "[node]\nstate = 'cloud-state'\ncache = 'cloud-cache'\nlisten = ['127.0.0.1:0']\n[ops]\nlisten = 'off'\n\
                [trigger.inference]\nlisten = ['127.0.0.1:0']\n[[app]]\npath = 'cloud'\n";
    folder.write("cloud.toml", node);
    let mut running = folder.start(&["serve", "--config", "cloud.toml", "--json"]);
    let address = running.event("ready")["addresses"]["models"][0].as_str().unwrap().to_owned();
    (running, address)
}

fn edge(cloud: &str, mode: &str) -> (Folder, Running) {
    let folder = Folder::new();
    let app = format!(
        "[app]\nname = 'edge'\n[function.asks]\ncomponent = 'model.wasm'\nmodels = ['classifier']\n\
         [model.classifier]\ndeadline = '2s'\n{mode}\nlocal = {{ file = 'small.onnx' }}\n\
         remote = {{ upstream = 'cloud', binary = true }}\n[upstream.cloud]\nurl = 'http://{cloud}'\n"
    );
    folder
        .write("rimward.toml", app)
        .write("model.wasm", guest("model"))
        .write("small.onnx", file("classifier.onnx"));
    let mut dev = folder.start(&["dev", "--listen", "127.0.0.1:0", "--json"]);
    dev.event("serving");
    (folder, dev)
}

fn bench(folder: &Folder) -> Value {
    folder.run(&["models", "bench", "classifier", "--calls", "5", "--json"]).succeeds().json()
}

#[test]
fn both_sides_of_a_model_are_compared_and_what_would_be_done_is_told() {
    let far = Folder::new();
    let (cloud, address) = cloud(&far, "classifier.onnx");
    let (folder, dev) = edge(&address, "");
    let listed = folder.run(&["models", "--json"]).succeeds().json();
    let model = &listed["models"][0];
    assert_eq!((&model["id"], &model["mode"]), (&json!("default/edge/classifier"), &json!("hedge")));
    assert_eq!(model["local"]["inputs"], json!(["x: FP32 [-1, 3]"]));
    assert_eq!(
        model["remote"],
        json!({ "upstream": "cloud", "model": "classifier", "protocol": "oip-http" })
    );
    let compared = bench(&folder);
    for side in ["local", "remote"] {
        assert_eq!(
            (&compared[side]["answered"], &compared[side]["failed"]),
            (&json!(5), &json!(0)),
            "{compared}"
        );
        assert!(compared[side]["latency"]["p50-ms"].as_f64() > Some(0.0), "{compared}");
    }
    assert_eq!((&compared["bytes"], &compared["deadline-ms"]), (&json!(12), &json!(2000)));
    assert_eq!(
        (&compared["decision"]["first"], &compared["decision"]["reason"]),
        (&json!("remote"), &json!("in-time"))
    );
    let text = folder.run(&["models", "bench", "edge/classifier", "--calls", "5"]).succeeds().stdout;
    assert!(text.contains("`auto` asks the cloud, and the node too after 1"), "{text}");
    let shown = folder.run(&["models", "show", "classifier"]).succeeds().stdout;
    assert!(shown.contains("takes x: FP32 [-1, 3]") && shown.contains("the cloud is asked first"), "{shown}");
    assert!(shown.contains("answers: none"), "what was measured is no call of the model: {shown}");
    let table = folder.run(&["models"]).succeeds().stdout;
    assert!(table.contains("default/edge/classifier  hedge     remote"), "{table}");
    let one_side = far.run(&["models", "show", "classifier", "--config", "cloud.toml"]).succeeds().stdout;
    assert!(one_side.contains("default/far/classifier  local") && !one_side.contains("cloud:"), "{one_side}");
    let unknown = folder.run(&["models", "show", "other"]);
    assert!(
        unknown.stderr.contains("no model `other`: it has default/edge/classifier"),
        "{}",
        unknown.stderr
    );
    for calls in ["0", "1001"] {
        assert_eq!(folder.run(&["models", "bench", "classifier", "--calls", calls]).status, Some(2));
    }
    assert_eq!((dev.stop(), cloud.stop()), (Some(0), Some(0)));
}

#[test]
fn a_cloud_that_is_not_there_is_told_with_what_the_node_would_do() {
    let (folder, dev) = edge("127.0.0.1:9", "min-confidence = 0.9");
    let compared = bench(&folder);
    assert_eq!((&compared["mode"], &compared["local"]["answered"]), (&json!("escalate"), &json!(5)));
    assert_eq!((&compared["remote"]["answered"], &compared["remote"]["failed"]), (&json!(0), &json!(5)));
    assert!(compared["remote"]["error"].as_str().unwrap().contains("was not reached"), "{compared}");
    let text = folder.run(&["models", "bench", "classifier"]).succeeds().stdout;
    assert!(text.contains("none answered") && text.contains("has the node answer alone"), "{text}");
    assert_eq!(dev.stop(), Some(0));
}

#[test]
fn an_operator_hears_of_two_sides_that_are_not_alike_when_the_app_is_loaded() {
    let far = Folder::new();
    let (cloud, address) = cloud(&far, "greedy.onnx");
    let folder = Folder::new();
    let app = format!(
        "[app]\nname = 'edge'\n[model.classifier]\nlocal = {{ file = 'small.onnx' }}\n\
         remote = {{ upstream = 'cloud', binary = true }}\n[upstream.cloud]\nurl = 'http://{address}'\n"
    );
    folder.write("app/rimward.toml", app).write("app/small.onnx", file("classifier.onnx"));
    let node = format!(
        "[node]\nstate = 'state'\ncache = 'cache'\nlisten = ['127.0.0.1:0']\n[ops]\nlisten = 'off'\n\
         [[app]]\npath = 'app'\n[app.bind.upstream.cloud]\nallow = ['127.0.0.1/32:{}']\n",
        address.rsplit(':').next().unwrap_or_default()
    );
    folder.write("node.toml", node);
    let mut edge = folder.start(&["serve", "--config", "node.toml", "--json"]);
    edge.event("ready");
    let start = Instant::now();
    while !folder.log().contains("the two sides of a model are not alike") {
        assert!(start.elapsed() < PATIENCE, "{}", folder.log());
        std::thread::sleep(Duration::from_millis(20));
    }
    let log = folder.log();
    assert!(
        log.contains("model=\"classifier\"")
            && log.contains("the input `x` is FP32 [any, 3] here and INT64 [1] there"),
        "{log}"
    );
    assert_eq!((edge.stop(), cloud.stop()), (Some(0), Some(0)));
}
