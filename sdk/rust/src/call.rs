//! Calls out of a function: to an upstream by its name, to another function of the app by its name, or to any origin
//! the function's `hosts` allow. Names become the virtual hosts that every Rimward guest can use; timeouts, retries,
//! breaker and credentials are the node's, by rimward.toml, and a call can only ask for less. The answer comes as soon as
//! its head is there; the rest of a streamed request body goes out meanwhile. What became of a call besides its answer is
//! in [`ResponseExt`](crate::ResponseExt); a call that may wait is [`Deferred`].

mod deferred;
mod error;
mod outcome;

use std::marker::PhantomData;
use std::time::Duration;

use http::request::Builder;
use serde::Serialize;

use crate::{Body, HeaderName, HeaderValue, Method, Request, Response, header, host};

pub use deferred::{Answer, Deferred, Sent, State, Status};
pub use error::{CallError, TimedOut};
pub use outcome::{Fallback, FallbackBy, FallbackReason};

#[cfg(not(target_family = "wasm"))]
pub(crate) use deferred::{AnswerText, StatusText};
pub(crate) use outcome::{fallback, is_from_cache, is_hedged, tries};

/// RFC 7240: the call may wait.
pub(crate) const PREFER: HeaderName = HeaderName::from_static("prefer");
pub(crate) const RESPOND_ASYNC: HeaderValue = HeaderValue::from_static("respond-async");
pub(crate) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
pub(crate) const ORDER_KEY: HeaderName = HeaderName::from_static("rimward-order-key");
/// RFC 9218.
const PRIORITY: HeaderName = HeaderName::from_static("priority");
/// The header by which upstreams hear how much time is left, as the node itself sends it.
const EXPECTED: HeaderName = HeaderName::from_static("x-envoy-expected-rq-timeout-ms");

/// The upstream that rimward.toml declares under this name and grants with the function's `upstreams`.
///
/// ```
/// use rimward_sdk::{Result, ResponseExt, call};
///
/// async fn labels(photo: rimward_sdk::Bytes) -> Result<String> {
///     let answer = call::upstream("vision").post("/labels").body(photo).send().await?;
///     Ok(answer.error_for_status()?.text().await?)
/// }
///
/// // In a test, an upstream is just another function.
/// use rimward_sdk::test::{Host, post};
/// let host = Host::new().upstream("vision", async || "cat");
/// assert_eq!(host.run(labels, post("/", "a photo")).text(), "cat");
/// ```
pub fn upstream(name: &str) -> Target {
    Target::virtual_host(name, "upstream.internal")
}

/// Another function of the same app. It runs in the same process, under its own limits; no socket is opened.
pub fn function(name: &str) -> Target {
    Target::virtual_host(name, "function.internal")
}

/// A model of the app, which answers at a host of its own.
pub(crate) fn model_host(name: &str) -> Target {
    Target::virtual_host(name, "model.internal")
}

/// Sends any request. Its URI is absolute.
///
/// ```
/// use rimward_sdk::{Body, Request, Response, Result, call};
///
/// async fn forward(mut request: Request) -> Result<Response> {
///     *request.uri_mut() = "https://api.example.com/v1".parse()?;
///     Ok(call::send(request).await?)
/// }
/// # use rimward_sdk::test::{Host, get};
/// # let host = Host::new().origin("api.example.com", async || "there");
/// # assert_eq!(host.run(forward, get("/")).text(), "there");
/// ```
pub async fn send<B: Into<Body>>(request: Request<B>) -> Result<Response, CallError> {
    let request = request.map(Into::into);
    if request.uri().authority().is_none() {
        return Err(CallError::Name(request.uri().to_string()));
    }
    host::send(request, None).await
}

/// Whom to call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    name: String,
    zone: &'static str,
}

impl Target {
    fn virtual_host(name: &str, zone: &'static str) -> Self {
        Self { name: name.to_owned(), zone }
    }

    /// A `GET` of a path, with its query.
    pub fn get(&self, path: &str) -> Call {
        self.request(Method::GET, path)
    }

    /// A `POST` to a path.
    pub fn post(&self, path: &str) -> Call {
        self.request(Method::POST, path)
    }

    /// A `PUT` to a path.
    pub fn put(&self, path: &str) -> Call {
        self.request(Method::PUT, path)
    }

    /// A `DELETE` of a path.
    pub fn delete(&self, path: &str) -> Call {
        self.request(Method::DELETE, path)
    }

    /// A request of any method.
    pub fn request(&self, method: Method, path: &str) -> Call {
        let slash = if path.starts_with('/') { "" } else { "/" };
        let uri = format!("http://{}.{}{slash}{path}", self.name, self.zone);
        let head = Request::builder().method(method).uri(uri);
        let body =
            if is_label(&self.name) { Ok(Body::empty()) } else { Err(CallError::Name(self.name.clone())) };
        Call { head, body, timeout: None, mode: PhantomData }
    }
}

/// Names are DNS labels, so that none of them can turn a call to another host.
fn is_label(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// A request on its way to be sent. Mistakes surface in `send`. A call is sent [`Now`], or [`Later`] where it was
/// [`deferred`](Call::deferred).
#[derive(Debug)]
#[must_use = "a call does nothing until it is sent"]
pub struct Call<Mode = Now> {
    head: Builder,
    body: Result<Body, CallError>,
    timeout: Option<Duration>,
    mode: PhantomData<Mode>,
}

/// A call whose answer the function waits for.
#[derive(Debug)]
pub enum Now {}

/// A call that the node may keep in the upstream's outbox.
#[derive(Debug)]
pub enum Later {}

impl<Mode> Call<Mode> {
    /// Adds a header.
    pub fn header<N, V>(self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName, Error: Into<http::Error>>,
        V: TryInto<HeaderValue, Error: Into<http::Error>>,
    {
        Self { head: self.head.header(name, value), ..self }
    }

    /// Sets the body: text, bytes, or a stream, as [`Body`] is made.
    pub fn body(self, body: impl Into<Body>) -> Self {
        Self { body: self.body.map(|_| body.into()), ..self }
    }

    /// Sets the body to a value as JSON, with its content type.
    pub fn json<T: Serialize + ?Sized>(self, value: &T) -> Self {
        let call = self.header(header::CONTENT_TYPE, "application/json");
        let body = call.body.and_then(|_| Body::json(value).map_err(CallError::Json));
        Self { body, ..call }
    }

    /// Names the call for the upstream, so that it may be sent more than once: it is tried again and hedged even with a
    /// method such as `POST`. In an outbox, a second call with the same key within `outbox.dedupe` is the first one. The
    /// upstream must know the header `idempotency-key` for this to be true.
    ///
    /// ```
    /// # use rimward_sdk::{Result, Response, call};
    /// async fn pay(order: String) -> Result<Response> {
    ///     let call = call::upstream("bank").post("/payments").body(order).idempotency_key("order-4711");
    ///     Ok(call.send().await?)
    /// }
    /// # use rimward_sdk::test::{Host, post};
    /// # let bank = async |request: rimward_sdk::Request| {
    /// #     request.headers()["idempotency-key"].to_str().unwrap().to_owned()
    /// # };
    /// # assert_eq!(Host::new().upstream("bank", bank).run(pay, post("/", "1 EUR")).text(), "order-4711");
    /// ```
    pub fn idempotency_key(self, key: &str) -> Self {
        self.header(IDEMPOTENCY_KEY, key)
    }

    /// How long the function waits: until the head of the answer, all tries together. Then the call is given up, with
    /// [`TimedOut::Given`]. It can only be shorter than what the upstream's `timeout` and the function's `wall` leave.
    /// The upstream hears of it. No fallback answers a call that was given up: one that is to answer after a time has
    /// that time as the upstream's `timeout`.
    pub fn timeout(self, time: Duration) -> Self {
        Self { timeout: Some(time), ..self }
    }

    fn request(self) -> Result<(Request, Option<Duration>), CallError> {
        let body = self.body?;
        let request = self.head.body(body).map_err(|error| CallError::Request(error.into()))?;
        Ok((request, self.timeout))
    }
}

impl Call<Now> {
    /// Lets the call wait: it is written to the upstream's outbox and delivered when the upstream can be reached. What
    /// `send` gives is then [`Sent`].
    ///
    /// ```
    /// # use rimward_sdk::{Result, call};
    /// async fn alarm(reading: String) -> Result<String> {
    ///     let call = call::upstream("cloud").post("/alarms").body(reading).deferred().priority(0);
    ///     Ok(call.send().await?.deferred()?.id().to_owned())
    /// }
    /// # use rimward_sdk::test::{Host, post};
    /// # let host = Host::new().upstream("cloud", async || ()).outbox("cloud");
    /// # assert_eq!(host.run(alarm, post("/", "too hot")).text(), "00000000-1");
    /// ```
    pub fn deferred(self) -> Call<Later> {
        let Self { head, body, timeout, mode: _ } = self.header(PREFER, RESPOND_ASYNC);
        Call { head, body, timeout, mode: PhantomData }
    }

    /// Sends it and waits for the head of the answer, whatever its status. Dropping the future gives the call up.
    pub async fn send(self) -> Result<Response, CallError> {
        let (mut request, timeout) = self.request()?;
        if let Some(timeout) = timeout {
            let ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
            request.headers_mut().entry(EXPECTED).or_insert(ms.into());
        }
        host::send(request, timeout).await
    }
}

impl Call<Later> {
    /// Calls with the same key are delivered one after the other, in the order in which they were accepted.
    pub fn ordering_key(self, key: &str) -> Self {
        self.header(ORDER_KEY, key)
    }

    /// How urgent it is: 0 first, 7 last, 3 by default. Within an ordering key the order comes first.
    pub fn priority(self, urgency: u8) -> Self {
        self.header(PRIORITY, format!("u={}", urgency.min(7)))
    }

    /// Hands it over. When this returns [`Sent::Deferred`], the call is on disk: neither a crash nor a power cut loses
    /// it.
    pub async fn send(self) -> Result<Sent, CallError> {
        let (request, timeout) = self.request()?;
        Ok(Sent::of(host::send(request, timeout).await?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::{Host, Reply, get};
    use crate::{IntoResponse, ResponseExt, Result, StatusCode};

    /// Sends a call to an upstream that answers with what it got.
    fn sent(call: impl Fn() -> Call + 'static) -> Reply {
        let got = async |request: Request| {
            let line = format!("{} {}", request.method(), request.uri());
            let sort = request.headers().get("content-type").cloned();
            let body = request.into_body().text().await.unwrap();
            format!("{line} {sort:?} {body}")
        };
        let host = Host::new().upstream("u", got).function("f", got);
        host.run(async || -> Result<Response> { Ok(call().send().await?) }, get("/"))
    }

    #[test]
    fn a_name_becomes_a_virtual_host() {
        let check = |call: fn() -> Call, line: &str| assert_eq!(sent(call).text(), line);
        check(|| upstream("u").get("/a?b=c"), "GET http://u.upstream.internal/a?b=c None ");
        check(|| function("f").get("a"), "GET http://f.function.internal/a None ");
        check(|| upstream("u").put("").body("x"), "PUT http://u.upstream.internal/ None x");
        check(|| upstream("u").delete("/a"), "DELETE http://u.upstream.internal/a None ");
        check(
            || upstream("u").post("/a").json(&[1]),
            "POST http://u.upstream.internal/a Some(\"application/json\") [1]",
        );
    }

    #[test]
    fn a_name_cannot_turn_a_call_to_another_host() {
        for name in ["", "evil.example/", "u@evil", "a.b", "u:1"] {
            let error = futures_lite::future::block_on(upstream(name).get("/").send()).unwrap_err();
            assert!(matches!(error, CallError::Name(_)), "{name}");
        }
    }

    #[test]
    fn a_mistake_in_a_call_surfaces_when_it_is_sent() {
        let wrong = futures_lite::future::block_on(upstream("u").get("/").header("a b", "c").send());
        assert!(matches!(wrong, Err(CallError::Request(_))));
        let relative = futures_lite::future::block_on(send(Request::new("")));
        assert!(matches!(relative, Err(CallError::Name(_))));
    }

    #[test]
    fn what_was_not_granted_is_refused() {
        let asks = async || -> Result<Response> { Ok(upstream("other").get("/").send().await?) };
        assert_eq!(Host::new().run(asks, get("/")).status(), 500);
    }

    #[test]
    fn the_answer_comes_with_its_status_and_is_an_error_only_when_asked() {
        let host = Host::new().upstream("u", async || (StatusCode::NOT_FOUND, "no such thing"));
        let asks = async || upstream("u").get("/").send().await.unwrap();
        assert_eq!(host.run(asks, get("/")).status(), 404);
        let insists = async || match upstream("u").get("/").send().await.unwrap().error_for_status() {
            Ok(answer) => answer,
            Err(error) => error.to_string().into_response(),
        };
        assert_eq!(host.run(insists, get("/")).text(), "the answer was `404 Not Found`");
    }
}
