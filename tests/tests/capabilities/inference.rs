//! The listener for models, end to end: what it answers over HTTP and over gRPC, to whom, and one node as the cloud of
//! another.

use crate::models::{HALF, INFER, LOCAL, app, ask, check, x};
use bytes::Bytes;
use http::{HeaderValue, Response};
use rimward_inference::oip::grpc::{self, SERVICE, Target};
use rimward_inference::oip::{InferRequest, InferResponse};
use rimward_inference::{Datatype, Tensor};
use rimward_tests::{Answer, Call, Fake, Over, Seen, TestNode, declared, fake, node, replies};

async fn offering() -> TestNode {
    node().app(app(LOCAL, "['classifier']", None)).offers_models(None).start().await
}

fn method(node: &TestNode, method: &str, message: Vec<Bytes>) -> Call {
    let call = node.ask(Over::Http2, "POST", &format!("{SERVICE}{method}"));
    call.header("content-type", "application/grpc").header("te", "trailers").body(message.concat())
}

fn target(model: &str) -> Target {
    Target { model: model.to_owned(), version: None }
}

fn request(values: [f32; 3]) -> InferRequest {
    let bytes = Bytes::from(values.map(f32::to_le_bytes).concat());
    let x = Tensor::new("x", Datatype::Fp32, vec![1, 3], bytes).expect("it is a tensor");
    InferRequest { inputs: vec![x], ..InferRequest::default() }
}

async fn infer(node: &TestNode, model: &str) -> Answer {
    let message = grpc::write_request(&target(model), &request([0.0; 3]), Some("7"));
    method(node, "ModelInfer", message).await
}

fn message(answer: &Answer) -> Bytes {
    answer.is(200).has("content-type", "application/grpc");
    let code = answer.trailers().get("grpc-status").expect("there are trailers");
    assert_eq!(code, "0", "{answer:?}");
    grpc::message(answer.bytes().clone()).expect("it is a message")
}

fn response(answer: &Answer) -> InferResponse {
    grpc::read_response(&message(answer)).expect("it is a response")
}

/// The whole answer is its head then.
fn fails(answer: &Answer, code: &str, why: &str) {
    answer.is(200).has("grpc-status", code);
    let told = answer.header("grpc-message").expect("it says why");
    assert!(told.contains(why), "{told}");
    assert!(answer.bytes().is_empty());
}

#[tokio::test]
async fn models_are_asked_over_http_and_over_grpc_on_one_address() {
    let node = offering().await;
    for over in [Over::Http1, Over::Http2] {
        let get = |path: &str| node.ask(over.clone(), "GET", path);
        get("/v2").await.is(200).mentions("binary_tensor_data");
        get("/v2/health/live").await.is(200);
        get("/v2/health/ready").await.is(200);
        get("/v2/models/classifier").await.is(200).mentions("onnx_rten");
        for name in ["classifier", "shop.classifier"] {
            let call = node.ask(over.clone(), "POST", &format!("/v2/models/{name}/infer"));
            let answer = call.body(x([0.0; 3]).to_string()).await;
            check(&answer, HALF);
            answer.has("rimward-model", "local");
        }
        get("/v2/models/other").await.is(404).mentions("there is no model `other` here");
        get("/v2/models/other/ready").await.is(404);
        get("/else").await.is(404);
    }
    for name in ["classifier", "shop.classifier"] {
        let answer = infer(&node, name).await;
        answer.has("rimward-model", "local");
        let said = response(&answer);
        assert_eq!((&*said.model, said.id.as_deref()), ("classifier", Some("7")));
        assert_eq!(said.outputs[0].bytes(), &[0.5_f32; 2].map(f32::to_le_bytes).concat());
    }
    for live in ["ServerLive", "ServerReady"] {
        assert!(grpc::read_flag(&message(&method(&node, live, empty()).await)).expect("it is a flag"));
    }
    let ready = method(&node, "ModelReady", grpc::write_target(&target("classifier"))).await;
    assert!(grpc::read_flag(&message(&ready)).expect("it is a flag"));
    let metadata = method(&node, "ModelMetadata", grpc::write_target(&target("classifier"))).await;
    let metadata = grpc::read_metadata(&message(&metadata)).expect("it is metadata");
    assert_eq!((&*metadata.name, metadata.signature.inputs.len()), ("classifier", 1));
}

/// A message without fields.
fn empty() -> Vec<Bytes> {
    vec![Bytes::from_static(&[0; 5])]
}

/// C19, G31.
#[tokio::test]
async fn wrong_calls_over_grpc_are_answered_with_what_is_wrong() {
    let node = offering().await;
    fails(&infer(&node, "other").await, "5", "there is no model `other` here");
    fails(&method(&node, "ModelStreamInfer", empty()).await, "12", "there is no method");
    fails(&method(&node, "ModelInfer", empty()).await, "5", "there is no model `` here");
    fails(&method(&node, "ModelInfer", vec![]).await, "3", "there is no message");
    let cut = vec![Bytes::from_static(&[0, 0, 0, 0, 9, 1])];
    fails(&method(&node, "ModelInfer", cut).await, "3", "9 bytes by its own word");
    let packed = vec![Bytes::from_static(&[1, 0, 0, 0, 0])];
    fails(&method(&node, "ModelInfer", packed).await, "12", "compressed");
    let claims = vec![Bytes::from_static(&[0, 0x40, 0, 0, 0])];
    fails(&method(&node, "ModelInfer", claims).await, "8", "1073741824 bytes");
    let rubbish = vec![Bytes::from_static(&[0, 0, 0, 0, 3, 0xff, 0xff, 0xff])];
    fails(&method(&node, "ModelInfer", rubbish).await, "3", "cut off");
    let none = grpc::write_request(&target("classifier"), &InferRequest::default(), None);
    fails(&method(&node, "ModelInfer", none).await, "3", "the input `x` is missing");
    let nan = grpc::write_request(&target("classifier"), &request([f32::NAN; 3]), None);
    fails(&method(&node, "ModelInfer", nan).await, "3", "is not finite");
    let late = grpc::write_request(&target("classifier"), &request([0.0; 3]), None);
    let late = method(&node, "ModelInfer", late).header("grpc-timeout", "1n").await;
    fails(&late, "4", "time");
    let second = Target { version: Some("2".to_owned()), ..target("classifier") };
    let second = method(&node, "ModelReady", grpc::write_target(&second)).await;
    fails(&second, "5", "the version 1 only");
    response(&infer(&node, "classifier").await);
}

/// Two nodes, and every way between them.
#[tokio::test]
async fn one_node_is_the_cloud_of_another() {
    let cloud = offering().await;
    let url = format!("http://{}", cloud.models());
    for protocol in ["protocol = 'oip-grpc'", "protocol = 'oip-http'", "binary = true"] {
        let remote = format!("[model.classifier]\nremote = {{ upstream = 'cloud', {protocol} }}");
        let edge = node().app(app(&remote, "['classifier']", Some(&url))).offers_models(None).start().await;
        for _ in 0..2 {
            let answer = ask(&edge, [0.0; 3]).await;
            check(&answer, HALF);
            answer.has("rimward-model", "remote");
        }
        edge.get("/v2/models/classifier").await.is(200).mentions(r#""shape":[-1,3]"#).mentions("remote");
        edge.get("/v2/models/classifier/ready").await.is(200);
        let wrong = InferRequest { inputs: vec![], ..InferRequest::default() };
        let wrong = grpc::write_request(&target("classifier"), &wrong, None);
        let wrong = method(&edge, "ModelInfer", wrong).await;
        fails(&wrong, "3", "the input `x` is missing");
        assert_eq!(response(&infer(&edge, "classifier").await).outputs.len(), 1);
        let missing = remote.replace("upstream", "model = 'other', upstream");
        let missing = node().app(app(&missing, "['classifier']", Some(&url))).start().await;
        ask(&missing, [0.0; 3]).await.is(404).mentions("there is no model `other` here");
        missing.get("/v2/models/classifier/ready").await.is(503);
    }
}

/// A failure that gRPC tells counts like one that HTTP tells.
#[tokio::test]
async fn a_cloud_that_fails_over_grpc_opens_the_breaker() {
    let cloud = fake(replies(|_| async {
        let mut response = Response::new(Bytes::new());
        response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
        response.headers_mut().insert("grpc-status", HeaderValue::from_static("14"));
        response.headers_mut().insert("grpc-message", HeaderValue::from_static("no%20room"));
        response
    }));
    let remote = "[model.classifier]\nremote = { upstream = 'cloud', protocol = 'oip-grpc' }";
    let text = format!(
        "[app]\nname = 'shop'\n[function.asks]\ncomponent = 'model'\nmodels = ['classifier']\n\
         [[trigger.http]]\nroute = '/*rest'\nfunction = 'asks'\n{remote}\n"
    );
    let app = declared(&text).upstream_at("cloud", &cloud.url(), "retry = { attempts = 2 }");
    let node = node().app(app).start().await;
    ask(&node, [0.0; 3]).await.is(503).mentions("gRPC status 14: no room");
    let seen = inferred(&cloud);
    assert_eq!(seen.len(), 2, "it is tried again");
    assert_eq!(seen[0].headers["idempotency-key"], seen[1].headers["idempotency-key"]);
    assert!(
        seen.iter().all(|seen| seen.headers["te"] == "trailers" && seen.headers.contains_key("grpc-timeout"))
    );
    for _ in 0..30 {
        ask(&node, [0.0; 3]).await.is(503);
    }
    assert!(inferred(&cloud).len() < 62, "the breaker let all of them through");
}

/// The calls of a model that a cloud has seen: when the app was loaded it was asked what its model takes, too.
fn inferred(cloud: &Fake) -> Vec<Seen> {
    cloud.seen().into_iter().filter(|seen| seen.uri.path().ends_with("nfer")).collect()
}

#[tokio::test]
async fn callers_show_the_token_where_one_is_asked_for() {
    let app = app(LOCAL, "['classifier']", None);
    let node = node().app(app).secret("models", "s3cr3t").offers_models(Some("models")).start().await;
    let get = |path: &str| node.ask(Over::Http1, "GET", path);
    get("/v2/health/live").await.is(401).has("www-authenticate", "Bearer").mentions("asks for a token");
    for wrong in ["Bearer s3cr3", "Bearer s3cr3tt", "Basic s3cr3t", "s3cr3t", "Bearer"] {
        get("/v2").header("authorization", wrong).await.is(401);
    }
    for right in ["Bearer s3cr3t", "bearer s3cr3t"] {
        get("/v2").header("authorization", right).await.is(200);
    }
    fails(&infer(&node, "classifier").await, "16", "asks for a token");
    let message = grpc::write_request(&target("classifier"), &request([0.0; 3]), None);
    response(&method(&node, "ModelInfer", message).header("authorization", "Bearer s3cr3t").await);
}

/// What two apps call the same has to be asked for by both names.
#[tokio::test]
async fn a_name_that_two_apps_use_is_told_apart() {
    let second = format!(
        "[app]\nname = 'other'\n[function.asks]\ncomponent = 'model'\nmodels = ['classifier']\n{LOCAL}\n"
    );
    let node = node().app(app(LOCAL, "['classifier']", None)).offers_models(None).start().await;
    node.install(declared(&second)).await;
    let answer = node.ask(Over::Http1, "GET", "/v2/models/classifier").await;
    answer.is(404).mentions("ask for `other.classifier` or `shop.classifier`");
    node.ask(Over::Http1, "GET", "/v2/models/other.classifier").await.is(200);
}

/// Calls that wait for a slow cloud take their places; there are as many as the operator says.
#[tokio::test]
async fn as_many_calls_are_under_way_as_may_be_and_no_more() {
    let slow = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let waits = slow.clone();
    let cloud = fake(replies(move |_| {
        let waits = waits.clone();
        async move {
            let _permit = waits.acquire().await;
            Response::new(Bytes::from_static(b"{\"outputs\":[]}"))
        }
    }));
    let remote = "[model.classifier]\nremote = { upstream = 'cloud', binary = false }";
    let app = app(remote, "['classifier']", Some(&cloud.url()));
    let node = node().app(app).offers_models(None);
    let node = node.file(|file| {
        if let Some(inference) = &mut file.trigger.inference {
            inference.concurrency = 2.try_into().expect("it is not zero");
        }
    });
    let node = node.start().await;
    let call = || node.ask(Over::Http1, "POST", INFER).body(x([0.0; 3]).to_string());
    let waiting = call().at_once(2);
    let third = async {
        rimward_tests::eventually("both are under way", || (inferred(&cloud).len() == 2).then_some(())).await;
        call().await.is(503).has("retry-after", "1").mentions("as many calls are under way as may be");
        slow.add_permits(10);
    };
    let (answers, ()) = tokio::join!(waiting, third);
    answers.iter().for_each(|answer| {
        answer.is(200);
    });
    call().await.is(200);
}

/// The bytes of calls have a bound for the node together.
#[tokio::test]
async fn calls_take_the_memory_that_they_may_together_and_no_more() {
    let node = node().app(app(LOCAL, "['classifier']", None)).offers_models(None);
    let node = node.file(|file| file.models.call_memory = "64KiB".parse().expect("it is a size"));
    let node = node.start().await;
    let call = |bytes: usize| {
        let mut body = x([0.0; 3]).to_string();
        body.extend(std::iter::repeat_n(' ', bytes - body.len()));
        body
    };
    for over in [Over::Http1, Over::Http2] {
        let ask = |bytes| node.ask(over.clone(), "POST", INFER).body(call(bytes));
        check(&ask(64 << 10).await, HALF);
        ask((64 << 10) + 1).await.is(503).mentions("65536 bytes");
        check(&ask(64 << 10).await, HALF);
    }
    let through_a_function = node.post(INFER).body(call((64 << 10) + 1)).await;
    through_a_function.is(503).mentions("65536 bytes");
}

#[tokio::test]
async fn a_listener_for_models_has_no_functions_and_functions_have_no_models() {
    let node = offering().await;
    node.ask(Over::Http1, "GET", "/").await.is(404).mentions("the protocol begins with /v2");
    node.ask(Over::Http1, "GET", "/v2").header("host", "a b").await.is(400);
    let text = "[app]\nname = 'none'\n[function.asks]\ncomponent = 'model'\n";
    node.install(declared(text)).await;
    node.ask(Over::Http1, "GET", "/v2/models/none.classifier").await.is(404);
}
