//! Calls of a model with two sides, under a paused clock where no thread computes.

use super::*;
use crate::Datatype;
use crate::local::{Engine, tests as files};
use crate::remote::{Access, Exchange, Protocol, Received, Sent};
use bytes::Bytes;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// A server that answers 0.25 and 0.75 after a while, or with a status.
struct Cloud {
    after: Duration,
    status: u16,
    access: Access,
    asked: AtomicU32,
}

impl Server for Cloud {
    fn exchange(&self, _: Sent, deadline: Instant) -> Exchange<'_> {
        self.asked.fetch_add(1, Relaxed);
        Box::pin(async move {
            let answer = r#"{"model_version":"7","outputs":[{"name":"y","shape":[1,2],"datatype":"FP32","data":[0.25,0.75]}]}"#;
            match timeout_at(deadline, tokio::time::sleep(self.after)).await {
                Ok(()) => {
                    Ok(Received { status: self.status, body: Bytes::from(answer), ..Received::default() })
                }
                Err(_) => Err(Error::new(Kind::Timeout, "late")),
            }
        })
    }

    fn probe(&self, sent: Sent, deadline: Instant) -> Exchange<'_> {
        self.exchange(sent, deadline)
    }

    fn access(&self) -> Access {
        self.access
    }
}

fn cloud(after_ms: u64, status: u16) -> Cloud {
    Cloud { after: Duration::from_millis(after_ms), status, access: Access::Free, asked: AtomicU32::new(0) }
}

async fn model(mode: Mode, confidence: Option<f64>) -> Model {
    let local = Engine::start(1).expect("threads").load(files::classifier()).await.expect("a model");
    Model {
        name: "classifier".to_owned(),
        deadline: Some(Duration::from_millis(300)),
        mode,
        confidence: confidence.map(|least| Confidence { rule: Rule::Maximum, output: None, least }),
        allows_non_finite: false,
        local: Some(local),
        remote: Some(RemoteModel::new("large", None, Protocol::Http { is_binary: Some(false) })),
        judge: Mutex::default(),
        tally: Arc::default(),
    }
}

fn request(values: [f32; 3]) -> InferRequest {
    let bytes = Bytes::from(values.map(f32::to_le_bytes).concat());
    let x = Tensor::new("x", Datatype::Fp32, vec![1, 3], bytes).expect("a tensor");
    InferRequest { id: Some("1".to_owned()), inputs: vec![x], ..InferRequest::default() }
}

async fn ask(model: &Model, cloud: &Cloud) -> Result<Answer, Error> {
    model.infer(&request([0.0; 3]), Some(cloud), None).await
}

#[tokio::test]
async fn the_cloud_answers_where_it_is_in_time() {
    let (model, cloud) = (model(Mode::Hedge, None).await, cloud(1, 200));
    let answer = ask(&model, &cloud).await.unwrap();
    assert_eq!((answer.side, answer.reason), (Side::Remote, Some(Reason::Unknown)));
    assert_eq!((answer.response.id.as_deref(), answer.response.version.as_deref()), (Some("1"), Some("7")));
    assert_eq!(&answer.response.model, "classifier");
}

mod heavy {
    use super::*;

    #[tokio::test]
    async fn the_node_answers_in_time_where_the_cloud_does_not() {
        let model = model(Mode::Hedge, None).await;
        for _ in 0..crate::limits::LATE_RUN {
            let start = Instant::now();
            let answer = ask(&model, &cloud(60_000, 200)).await.unwrap();
            assert_eq!(answer.side, Side::Local);
            assert_eq!(answer.instead_of.unwrap().kind(), Kind::Timeout);
            assert!(start.elapsed() < Duration::from_secs(20), "it did not wait for the cloud");
        }
        let late = cloud(60_000, 200);
        let answer = ask(&model, &late).await.unwrap();
        assert_eq!(
            (answer.side, answer.reason, late.asked.load(Relaxed)),
            (Side::Local, Some(Reason::Late), 0)
        );
    }
}

#[tokio::test]
async fn the_node_answers_at_once_where_the_cloud_fails() {
    for mode in [Mode::Hedge, Mode::Fallback] {
        let model = model(mode, None).await;
        let answer = ask(&model, &cloud(1, 503)).await.unwrap();
        assert_eq!((answer.side, answer.instead_of.unwrap().kind()), (Side::Local, Kind::Unavailable));
        let closed = Cloud { access: Access::Barred, ..cloud(1, 200) };
        let answer = ask(&model, &closed).await.unwrap();
        assert_eq!((answer.side, answer.reason), (Side::Local, Some(Reason::Open)));
        assert_eq!(closed.asked.load(Relaxed), 0);
    }
}

#[tokio::test]
async fn what_the_node_is_not_sure_of_is_escalated() {
    let (model, cloud) = (model(Mode::Escalate, Some(0.8)).await, cloud(1, 200));
    let sure = model.infer(&request([9.0, 0.0, 0.0]), Some(&cloud), None).await.unwrap();
    assert_eq!((sure.side, cloud.asked.load(Relaxed)), (Side::Local, 0));
    assert!(sure.confidence.unwrap() > 0.99);
    let unsure = ask(&model, &cloud).await.unwrap();
    assert_eq!((unsure.side, unsure.confidence), (Side::Remote, Some(0.5)));
    let alone = ask(&model, &self::cloud(1, 500)).await.unwrap();
    assert_eq!((alone.side, alone.confidence), (Side::Local, Some(0.5)));
    assert_eq!(alone.instead_of.unwrap().kind(), Kind::Failed);
}

#[tokio::test]
async fn an_output_that_only_the_rule_needs_is_not_given_out() {
    let model = model(Mode::Escalate, Some(0.0)).await;
    let named = |name: &str| crate::oip::Wanted { name: name.to_owned(), wants_binary: None };
    let wants = InferRequest { outputs: vec![named("y")], ..request([0.0; 3]) };
    let answer = model.infer(&wants, None, None).await.unwrap();
    assert_eq!(answer.response.outputs.len(), 1);
}

/// G31: what is wrong with a call is wrong on both sides, and nobody else is asked.
#[tokio::test]
async fn a_wrong_call_is_refused_and_not_asked_elsewhere() {
    for mode in [Mode::Hedge, Mode::Fallback, Mode::Escalate] {
        let (model, cloud) = (model(mode, Some(0.5)).await, cloud(1, 400));
        let error = model.infer(&request([f32::NAN, 0.0, 0.0]), Some(&cloud), None).await.unwrap_err();
        assert!(error.to_string().contains("`x` is not finite"), "{error}");
        assert_eq!(cloud.asked.load(Relaxed), 0);
        if mode != Mode::Escalate {
            assert_eq!(ask(&model, &cloud).await.unwrap_err().kind(), Kind::InvalidArgument);
        }
    }
}
