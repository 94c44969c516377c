//! Tests of functions with plain `cargo test`: no wasm, no node, no network, no async runtime.
//!
//! A [`Host`] is what a function would find on a node, as far as the test describes it. [`Host::run`] hands a request to
//! the function and gives the whole [`Reply`]:
//!
//! ```
//! use rimward_sdk::keyvalue::Store;
//! use rimward_sdk::test::{Host, get};
//! use rimward_sdk::{Result, call, config};
//!
//! // The function.
//! async fn greet() -> Result<String> {
//!     let times = Store::open("visits")?.increment("all", 1)?;
//!     let weather = call::upstream("weather").get("/today").send().await?;
//!     let weather = weather.into_body().text().await?;
//!     Ok(format!("{}, visitor {times}! It is {weather}.", config::require::<String>("greeting")?))
//! }
//!
//! // The test.
//! let host = Host::new()
//!     .config("greeting", "Hello")
//!     .store("visits")
//!     .upstream("weather", async || "sunny");
//! assert_eq!(host.run(greet, get("/")).text(), "Hello, visitor 1! It is sunny.");
//! assert_eq!(host.run(greet, get("/")).text(), "Hello, visitor 2! It is sunny.");
//! ```
//!
//! What the test does not grant is denied, as on a node. What a function logs, and the causes of the errors it
//! answers with, are in [`Host::log`] and in the test's output.

use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use serde::de::DeserializeOwned;

use crate::body::Origin;
use crate::call::CallError;
use crate::host::{self, State};
use crate::model::{ModelError, NamedTensor, Side};
use crate::{Body, Bytes, Function, HeaderMap, Method, Request, StatusCode};

/// A `GET` request of a path. The host of its URI is `localhost`.
///
/// # Panics
///
/// If the path is none.
pub fn get(path: &str) -> Request {
    request(Method::GET, path, Body::empty())
}

/// A `POST` request to a path.
///
/// # Panics
///
/// If the path is none.
pub fn post(path: &str, body: impl Into<Body>) -> Request {
    request(Method::POST, path, body.into())
}

fn request(method: Method, path: &str, body: Body) -> Request {
    let uri = format!("http://localhost{path}");
    let request = Request::builder().method(method).uri(uri).body(body);
    request.unwrap_or_else(|error| panic!("`{path}` is no path: {error}"))
}

/// Runs a function that needs nothing of its host.
pub fn run<Input>(function: impl Function<Input>, request: Request<impl Into<Body>>) -> Reply {
    Host::new().run(function, request)
}

/// What a function under test finds around it.
#[derive(Default)]
pub struct Host(Rc<State>);

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").finish_non_exhaustive()
    }
}

impl Host {
    /// A host that grants nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a value of the configuration, or a secret.
    #[must_use]
    pub fn config(self, key: &str, value: &str) -> Self {
        self.with(|state| state.config.insert(key.to_owned(), value.to_owned()))
    }

    /// Grants a store, which is empty.
    #[must_use]
    pub fn store(self, name: &str) -> Self {
        self.with(|state| state.stores.insert(name.to_owned(), Rc::default()))
    }

    /// Grants an upstream, which is an async function of the test.
    #[must_use]
    pub fn upstream<I: 'static>(self, name: &str, answer: impl Function<I> + 'static) -> Self {
        self.origin(&upstream_authority(name), answer)
    }

    /// Grants an upstream of which every call fails like this: an open breaker, a time that ran out, a full outbox.
    ///
    /// ```
    /// use rimward_sdk::call::{CallError, TimedOut, upstream};
    /// use rimward_sdk::test::{Host, get};
    ///
    /// let asks = async || upstream("vision").get("/").send().await;
    /// let host = Host::new().failing_upstream("vision", || CallError::Timeout(TimedOut::Connect));
    /// assert_eq!(host.run(asks, get("/")).status(), 504);
    /// ```
    #[must_use]
    pub fn failing_upstream(self, name: &str, error: impl Fn() -> CallError + 'static) -> Self {
        let authority = upstream_authority(name);
        self.with(|state| state.peers.insert(authority, host::failing(error)))
    }

    /// Grants a model, which is a closure of the test: tensors in, tensors out. It answers as the node's own model would.
    #[must_use]
    pub fn model(
        self,
        name: &str,
        answer: impl Fn(&[NamedTensor]) -> Result<Vec<NamedTensor>, ModelError> + 'static,
    ) -> Self {
        self.model_of(name, Side::Local, answer)
    }

    /// Grants a model that answers as this side of it would.
    #[must_use]
    pub fn model_of(
        self,
        name: &str,
        side: Side,
        answer: impl Fn(&[NamedTensor]) -> Result<Vec<NamedTensor>, ModelError> + 'static,
    ) -> Self {
        let authority = format!("{name}.model.internal");
        self.with(|state| state.peers.insert(authority, host::model(answer, side.name())))
    }

    /// Gives an upstream of this host an outbox: calls to it that ask to be deferred are accepted, and wait until
    /// [`Host::deliver`].
    #[must_use]
    pub fn outbox(self, upstream: &str) -> Self {
        self.with(|state| state.outbox.grant(upstream_authority(upstream)))
    }

    /// The calls that wait for an upstream, in the order in which they were accepted, as they will be sent.
    pub fn waiting(&self, upstream: &str) -> Vec<Request<Bytes>> {
        self.0.outbox.waiting(&upstream_authority(upstream))
    }

    /// The link is back: offers each waiting call to its upstream once, and says how many were taken. A call that its
    /// upstream fails (500 and above, 408, 425, 429, or no answer) waits on, and so do those behind it with the same
    /// ordering key; one that is refused is dead.
    pub fn deliver(&self) -> usize {
        self.within(|| block_on(host::deliver(&self.0)))
    }

    /// Puts another function of the app beside the one under test: the real one, or one of the test.
    #[must_use]
    pub fn function<I: 'static>(self, name: &str, answer: impl Function<I> + 'static) -> Self {
        self.origin(&format!("{name}.function.internal"), answer)
    }

    /// Grants calls to an origin on the network, `api.example.com` or `api.example.com:8443`.
    #[must_use]
    pub fn origin<I: 'static>(self, authority: &str, answer: impl Function<I> + 'static) -> Self {
        self.with(|state| state.peers.insert(authority.to_owned(), host::peer(answer)))
    }

    fn with<T>(mut self, describe: impl FnOnce(&mut State) -> T) -> Self {
        describe(Rc::get_mut(&mut self.0).expect("a host is shared only while it runs something"));
        self
    }

    /// Runs a function to the end of its reply.
    ///
    /// # Panics
    ///
    /// If the function panics, or the body of its reply breaks off.
    pub fn run<I>(&self, function: impl Function<I>, request: Request<impl Into<Body>>) -> Reply {
        let request = request.map(|body| body.into().arriving_from(Origin::Caller));
        self.within(|| {
            block_on(async {
                let (head, body) = function.call(request).await.into_parts();
                let body = body.bytes_up_to(usize::MAX).await.expect("the body of the reply broke off");
                Reply { status: head.status, headers: head.headers, body }
            })
        })
    }

    /// Runs the test's own code as if it were in a function, to fill a store or to look into one.
    pub fn within<T>(&self, work: impl FnOnce() -> T) -> T {
        self.0.enter(work)
    }

    /// What was logged so far: one line per `tracing` event (with the feature `logging`), and one per error that was
    /// answered.
    pub fn log(&self) -> Vec<String> {
        self.0.log.borrow().clone()
    }
}

fn upstream_authority(name: &str) -> String {
    format!("{name}.upstream.internal")
}

/// A reply, received whole.
#[derive(Debug, Clone)]
pub struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Reply {
    /// The status; it compares with numbers.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The headers that the function set.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The first value of a header, if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The body.
    pub fn bytes(&self) -> &Bytes {
        &self.body
    }

    /// The body as text.
    ///
    /// # Panics
    ///
    /// If it is none.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("the body of the reply is not UTF-8")
    }

    /// The body as JSON.
    ///
    /// # Panics
    ///
    /// If it is none, or of another shape.
    pub fn json<T: DeserializeOwned>(&self) -> T {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("not the JSON expected: {error} in `{}`", self.text()))
    }
}

/// Runs a future on this thread.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);

    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }

    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keyvalue::Store;
    use crate::{Response, Result, call};

    #[test]
    fn stores_keep_what_a_test_put_there_between_runs() {
        let host = Host::new().store("s");
        host.within(|| Store::open("s").unwrap().set("k", "before").unwrap());
        let reads = async || Store::open("s").unwrap().get("k").unwrap().unwrap();
        assert_eq!(host.run(reads, get("/")).text(), "before");
    }

    #[test]
    fn functions_call_each_other() {
        async fn inner(name: String) -> String {
            format!("<{name}>")
        }
        async fn outer(name: String) -> crate::Result {
            Ok(call::function("inner").post("/").body(name).send().await?)
        }
        let host = Host::new().function("inner", inner);
        assert_eq!(host.run(outer, post("/", "a")).text(), "<a>");
    }

    /// Defers a call with this body and, where it is not empty, this ordering key.
    fn defers(body: &'static str, key: &'static str) -> impl AsyncFn() -> Result<String> {
        async move || {
            let call = call::upstream("cloud").post("/r").body(body).deferred();
            let call = if key.is_empty() { call } else { call.ordering_key(key) };
            Ok(call.send().await?.deferred()?.id().to_owned())
        }
    }

    fn status(host: &Host, id: &str) -> Option<call::Status> {
        host.within(|| block_on(call::Deferred::from_id(id).status()).unwrap())
    }

    #[test]
    fn deferred_calls_wait_in_order_and_a_failure_holds_back_its_own_sequence_only() {
        use std::cell::RefCell;
        let (seen, is_up) = (Rc::new(RefCell::new(Vec::new())), Rc::new(RefCell::new(false)));
        let (sees, up) = (seen.clone(), is_up.clone());
        let cloud = move |request: Request| {
            let (sees, up) = (sees.clone(), up.clone());
            async move {
                let key = request.headers()["idempotency-key"].to_str().unwrap().to_owned();
                let body = request.into_body().text().await.unwrap();
                if body.starts_with('a') && !*up.borrow() {
                    return StatusCode::SERVICE_UNAVAILABLE;
                }
                sees.borrow_mut().push(format!("{body} {key}"));
                StatusCode::CREATED
            }
        };
        let host = Host::new().upstream("cloud", cloud).outbox("cloud");
        let ids: Vec<String> = [("a1", "a"), ("b1", "b"), ("a2", "a"), ("c1", "")]
            .map(|(body, key)| host.run(async || defers(body, key)().await, get("/")).text().to_owned())
            .into();
        assert_eq!(host.waiting("cloud").len(), 4);
        assert_eq!(host.waiting("cloud")[0].body(), "a1");
        assert_eq!(host.deliver(), 2);
        assert_eq!(*seen.borrow(), ["b1 key-2", "c1 key-4"]);
        let first = status(&host, &ids[0]).unwrap();
        assert_eq!((first.state, first.attempts), (call::State::Waiting, 1));
        assert_eq!(first.reason.unwrap(), "the upstream answered 503 Service Unavailable");
        assert_eq!(status(&host, &ids[2]).unwrap().attempts, 0, "it has not overtaken the one before it");
        *is_up.borrow_mut() = true;
        assert_eq!(host.deliver(), 2);
        assert_eq!(seen.borrow()[2..], ["a1 key-1", "a2 key-3"]);
        let last = status(&host, &ids[2]).unwrap();
        assert_eq!(
            (last.state, last.answer.unwrap().response.status()),
            (call::State::Delivered, StatusCode::CREATED)
        );
        assert_eq!(host.deliver(), 0);
    }

    #[test]
    fn a_deferred_call_may_be_taken_back_while_it_waits_and_is_dead_when_it_is_refused() {
        let host = Host::new().upstream("cloud", async || StatusCode::UNPROCESSABLE_ENTITY).outbox("cloud");
        let defer = || host.run(async || defers("x", "")().await, get("/")).text().to_owned();
        let (first, second) = (defer(), defer());
        let take_back = || host.within(|| block_on(call::Deferred::from_id(&first).take_back()).unwrap());
        assert!(take_back());
        assert!(!take_back());
        assert_eq!(host.deliver(), 0);
        assert!(status(&host, &first).is_none());
        let refused = status(&host, &second).unwrap();
        assert_eq!(refused.state, call::State::Dead);
        assert_eq!(refused.reason.unwrap(), "the upstream answered 422 Unprocessable Entity");
    }

    #[test]
    fn a_call_with_the_same_idempotency_key_is_the_first_one() {
        let host = Host::new().upstream("cloud", async || ()).outbox("cloud");
        let defer = || {
            let sends = async || -> Result<String> {
                let call = call::upstream("cloud").post("/r").body("x").deferred().idempotency_key("order-1");
                Ok(call.send().await?.deferred()?.id().to_owned())
            };
            host.run(sends, get("/")).text().to_owned()
        };
        assert_eq!(defer(), defer());
        assert_eq!(host.deliver(), 1);
    }

    #[test]
    fn without_an_outbox_a_deferred_call_is_answered_at_once() {
        let host = Host::new().upstream("cloud", async || "now");
        let sends = async || match call::upstream("cloud").get("/").deferred().send().await.unwrap() {
            call::Sent::Answered(answer) => answer,
            call::Sent::Deferred(_) => panic!("there is no outbox"),
        };
        assert_eq!(host.run(sends, get("/")).text(), "now");
        let insists = async || defers("x", "")().await;
        assert_eq!(host.run(insists, get("/")).status(), 503);
    }

    #[test]
    fn a_failing_upstream_leaves_its_calls_waiting() {
        let host = Host::new().failing_upstream("cloud", || CallError::CircuitOpen).outbox("cloud");
        let id = host.run(async || defers("x", "")().await, get("/")).text().to_owned();
        assert_eq!(host.deliver(), 0);
        let waits = status(&host, &id).unwrap();
        assert_eq!((waits.state, waits.attempts), (call::State::Waiting, 0));
        assert_eq!(waits.reason.unwrap(), "the circuit breaker is open");
    }

    #[test]
    fn a_function_may_wait_for_other_threads() {
        let waits = async || {
            let mut asked = false;
            std::future::poll_fn(|context| {
                if std::mem::replace(&mut asked, true) {
                    return Poll::Ready(());
                }
                let waker = context.waker().clone();
                thread::spawn(move || waker.wake());
                Poll::Pending
            })
            .await;
            "woken"
        };
        assert_eq!(run(waits, get("/")).text(), "woken");
    }

    #[test]
    fn a_streamed_body_passes_through() {
        let echo = async |request: Request| Response::new(request.into_body());
        let body = Body::from_stream(futures_lite::stream::iter(["a", "b"].map(Ok::<_, std::io::Error>)));
        assert_eq!(run(echo, post("/", body)).text(), "ab");
    }

    #[test]
    #[should_panic(expected = "inside `rimward_sdk::test::Host::run`")]
    fn a_host_call_outside_of_a_host_says_what_to_do() {
        let _ = crate::config::get("key");
    }
}
