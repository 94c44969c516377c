//! The host that a test describes: configuration and stores in memory, upstreams and functions that are async functions
//! of the test. [`State::enter`] makes it the current thread's while a closure runs, so that tests run beside each other.
//! It behaves as the node does where a function can tell; time, limits and durability it has not.

mod outbox;
mod store;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

pub(crate) use outbox::{Outbox, deliver};
pub(crate) use store::{Bucket, Cas, Store};

use crate::body::Origin;
use crate::call::CallError;
use crate::config::ConfigError;
use crate::keyvalue::StoreError;
use crate::model::{Asked, HEAD_BYTES, ModelError, NamedTensor, TOLD};
use crate::{Bytes, Function, HeaderValue, IntoResponse, Json, Method, Request, Response, StatusCode};

thread_local! {
    static CURRENT: RefCell<Option<Rc<State>>> = const { RefCell::new(None) };
}

type Answer = Pin<Box<dyn Future<Output = Result<Response, CallError>>>>;
type Peer = Rc<dyn Fn(Request) -> Answer>;

/// What a test has described, and what its functions have done to it.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) config: BTreeMap<String, String>,
    pub(crate) stores: BTreeMap<String, Rc<RefCell<Store>>>,
    /// By authority, as it stands in the URI of a call.
    pub(crate) peers: BTreeMap<String, Peer>,
    pub(crate) outbox: Outbox,
    pub(crate) log: RefCell<Vec<String>>,
}

impl State {
    /// Runs a closure with this as the host of the thread.
    pub(crate) fn enter<T>(self: &Rc<Self>, work: impl FnOnce() -> T) -> T {
        let _outer = Outer(CURRENT.replace(Some(self.clone())));
        #[cfg(feature = "logging")]
        return tracing::subscriber::with_default(crate::log::Log::default(), work);
        #[cfg(not(feature = "logging"))]
        work()
    }
}

/// Puts back the host that was the thread's before, also when a test panics.
struct Outer(Option<Rc<State>>);

impl Drop for Outer {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

/// A function that answers calls.
pub(crate) fn peer<Input: 'static>(function: impl Function<Input> + 'static) -> Peer {
    let function = Rc::new(function);
    Rc::new(move |request| {
        let function = function.clone();
        Box::pin(async move { Ok(function.call(request).await) })
    })
}

/// A model: a closure that answers in the node's place.
pub(crate) fn model(
    answer: impl Fn(&[NamedTensor]) -> Result<Vec<NamedTensor>, ModelError> + 'static,
    told: &'static str,
) -> Peer {
    let answer = Rc::new(answer);
    Rc::new(move |request| {
        let answer = answer.clone();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            if head.method == Method::GET {
                return Ok(StatusCode::OK.into_response());
            }
            let body = body_of(Response::new(body)).await.into_body();
            let asked = Asked::read(&head.headers, body).map_err(ModelError::Refused);
            let answered = asked.and_then(|asked| Ok(asked.answer(answer(&asked.inputs)?)));
            Ok(match answered {
                Ok((head_bytes, body)) => {
                    let mut response = body.into_response();
                    response.headers_mut().insert(TOLD, HeaderValue::from_static(told));
                    response.headers_mut().insert(HEAD_BYTES, head_bytes.into());
                    response
                }
                Err(error) => {
                    let (status, text) = error.into_status()?;
                    (status, Json(serde_json::json!({ "error": text }))).into_response()
                }
            })
        })
    })
}

/// One that never answers.
pub(crate) fn failing(error: impl Fn() -> CallError + 'static) -> Peer {
    Rc::new(move |_| Box::pin(std::future::ready(Err(error()))))
}

fn current() -> Rc<State> {
    CURRENT.with_borrow(Option::clone).expect(
        "outside of wasm this works only in a test: inside `rimward_sdk::test::Host::run` or `Host::within`",
    )
}

pub(crate) fn config_get(key: &str) -> Result<Option<String>, ConfigError> {
    Ok(current().config.get(key).cloned())
}

pub(crate) fn config_all() -> Result<Vec<(String, String)>, ConfigError> {
    Ok(current().config.clone().into_iter().collect())
}

/// A body that crosses between functions belongs, for its reader, to the other side. Nothing here takes time, so that no
/// call is given up.
pub(crate) async fn send(request: Request, _timeout: Option<Duration>) -> Result<Response, CallError> {
    let state = current();
    let authority = request.uri().authority().map(ToString::to_string).unwrap_or_default();
    if authority == "outbox.internal" && state.outbox.is_granted() {
        return Ok(state.outbox.status(&request));
    }
    let Some(peer) = state.peers.get(&authority).cloned() else {
        return Err(CallError::Denied);
    };
    if state.outbox.takes(&authority, request.headers()) {
        return Ok(state.outbox.accept(authority, request).await);
    }
    let request = request.map(|body| body.arriving_from(Origin::Caller));
    Ok(peer(request).await?.map(|body| body.arriving_from(Origin::Upstream)))
}

/// An answer, received whole. One that breaks off counts as a failure of whoever made it.
async fn body_of(answer: Response) -> Response<Bytes> {
    let (head, body) = answer.into_parts();
    match body.bytes_up_to(usize::MAX).await {
        Ok(body) => Response::from_parts(head, body),
        Err(error) => {
            let mut broken = Response::new(error.to_string().into());
            *broken.status_mut() = StatusCode::BAD_GATEWAY;
            broken
        }
    }
}

fn store(name: &str) -> Result<Rc<RefCell<Store>>, StoreError> {
    current().stores.get(name).cloned().ok_or(StoreError::AccessDenied)
}

/// Keeps the line, and shows it with the test's own output.
pub(crate) fn report(line: &str) {
    eprintln!("{line}");
    if let Some(state) = CURRENT.with_borrow(Option::clone) {
        state.log.borrow_mut().push(line.to_owned());
    }
}

#[cfg(feature = "logging")]
pub(crate) fn log(level: tracing::Level, _target: &str, line: &str) {
    report(&format!("{level} {line}"));
}
