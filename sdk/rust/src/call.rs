//! Calls out of a function: to an upstream by its name, to another function of the app by its name, or to any origin
//! the function's `hosts` allow. Names become the virtual hosts that every Rimward guest can use; timeouts and
//! credentials are the node's, by rimward.toml, so nothing here sets them. The answer comes as soon as its head is there;
//! the rest of a streamed request body goes out meanwhile.

use std::error::Error as StdError;

use http::request::Builder;
use serde::Serialize;
use thiserror::Error;

use crate::{Body, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header, host};

type Cause = Box<dyn StdError + Send + Sync>;

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
    host::send(request).await
}

/// Why a call has no answer. As an error of a function, [`CallError::Timeout`] becomes a 504 reply, a failure on the
/// other side 502, and a mistake on ours 500.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CallError {
    /// No upstream, function or origin can have this name.
    #[error("`{0}` names nothing that can be called")]
    Name(String),
    /// The request could not be built: a path or header that HTTP does not allow.
    #[error("the request cannot be built")]
    Request(#[source] Cause),
    /// The request's body could not be made.
    #[error("the request's body cannot be written as JSON")]
    Json(#[source] serde_json::Error),
    /// rimward.toml does not grant it, or the node refuses the address.
    #[error("the call was refused: it is not granted")]
    Denied,
    /// No answer came in time.
    #[error("no answer came in time")]
    Timeout,
    /// Nobody could be reached: name, address, TLS.
    #[error("no connection: {0}")]
    Connect(String),
    /// The connection or the protocol broke off before the answer.
    #[error("the exchange broke off: {0}")]
    Broken(String),
    /// The answer says that it is an error
    /// ([`error_for_status`](crate::ResponseExt::error_for_status)).
    #[error("the answer was `{0}`")]
    Status(StatusCode),
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
        Call { head, body }
    }
}

/// Names are DNS labels, so that none of them can turn a call to another host.
fn is_label(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// A request on its way to be sent. Mistakes surface in [`Call::send`].
#[derive(Debug)]
#[must_use = "a call does nothing until it is sent"]
pub struct Call {
    head: Builder,
    body: Result<Body, CallError>,
}

impl Call {
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

    /// Sends it and waits for the head of the answer, whatever its status. Dropping the future gives the call up.
    pub async fn send(self) -> Result<Response, CallError> {
        let body = self.body?;
        send(self.head.body(body).map_err(|error| CallError::Request(error.into()))?).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::{Host, Reply, get};
    use crate::{IntoResponse, ResponseExt, Result};

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
