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
use crate::host::{self, State};
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
        self.origin(&format!("{name}.upstream.internal"), answer)
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
    use crate::{Response, call};

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
