//! What a function may return, and what can be asked of an answer besides `http`'s own methods.

use serde::de::DeserializeOwned;

use crate::call::{self, CallError, Fallback};
use crate::json::with_type;
use crate::{Body, BodyError, Bytes, Error, Response, StatusCode};

/// What a function may return: a [`Response`], text, bytes, a [`Body`], [`Json`](crate::Json), a [`StatusCode`] alone
/// or with any of these as `(StatusCode, _)`, nothing (204), and a `Result` of these with any error.
#[diagnostic::on_unimplemented(
    message = "a function cannot return `{Self}`",
    note = "it returns a `Response`, text, bytes, `Json(value)`, a `StatusCode`, or a `Result` of these"
)]
pub trait IntoResponse {
    /// Makes the reply.
    fn into_response(self) -> Response;
}

impl<B: Into<Body>> IntoResponse for Response<B> {
    fn into_response(self) -> Response {
        self.map(Into::into)
    }
}

impl<T: IntoResponse, E: Into<Error>> IntoResponse for Result<T, E> {
    fn into_response(self) -> Response {
        match self {
            Ok(reply) => reply.into_response(),
            Err(error) => error.into().into_response(),
        }
    }
}

impl<T: IntoResponse> IntoResponse for (StatusCode, T) {
    fn into_response(self) -> Response {
        let (status, reply) = self;
        let mut response = reply.into_response();
        *response.status_mut() = status;
        response
    }
}

impl IntoResponse for StatusCode {
    fn into_response(self) -> Response {
        (self, Response::new(Body::empty())).into_response()
    }
}

impl IntoResponse for () {
    fn into_response(self) -> Response {
        StatusCode::NO_CONTENT.into_response()
    }
}

impl IntoResponse for &'static str {
    fn into_response(self) -> Response {
        with_type(self.into(), "text/plain; charset=utf-8")
    }
}

impl IntoResponse for String {
    fn into_response(self) -> Response {
        with_type(self.into(), "text/plain; charset=utf-8")
    }
}

impl IntoResponse for Bytes {
    fn into_response(self) -> Response {
        with_type(self.into(), "application/octet-stream")
    }
}

impl IntoResponse for Vec<u8> {
    fn into_response(self) -> Response {
        with_type(self.into(), "application/octet-stream")
    }
}

impl IntoResponse for Body {
    fn into_response(self) -> Response {
        Response::new(self)
    }
}

/// More to ask of the answer to a call.
#[expect(async_fn_in_trait, reason = "one thread runs a function; its futures need not be `Send`")]
pub trait ResponseExt: Sized {
    /// The answer if its status is below 400, else [`CallError::Status`], which becomes a 502 reply.
    fn error_for_status(self) -> Result<Self, CallError>;

    /// How often the upstream was tried for it; 0 where it was not asked at all.
    ///
    /// ```
    /// use rimward_sdk::call::{FallbackReason, upstream};
    /// use rimward_sdk::{ResponseExt, Result};
    ///
    /// async fn label() -> Result<String> {
    ///     let answer = upstream("vision").get("/label").send().await?;
    ///     let source = match answer.fallback() {
    ///         Some(fallback) if fallback.reason == FallbackReason::CircuitOpen => "from here, as the link is down",
    ///         Some(_) => "from here",
    ///         None if answer.from_cache() => "kept",
    ///         None if answer.tries() > 1 => "at last",
    ///         None => "fresh",
    ///     };
    ///     Ok(format!("{} ({source})", answer.text().await?))
    /// }
    ///
    /// // In a test, the upstream of the test says what a node would say.
    /// use rimward_sdk::test::{Host, get};
    /// use rimward_sdk::Response;
    /// let told = async || -> Response {
    ///     let told = Response::builder().header("rimward-upstream", "fallback=static, reason=circuit-open");
    ///     told.body("cat".into()).unwrap()
    /// };
    /// let reply = Host::new().upstream("vision", told).run(label, get("/"));
    /// assert_eq!(reply.text(), "cat (from here, as the link is down)");
    /// ```
    fn tries(&self) -> u32;

    /// Whether a second try was sent beside a slow one.
    fn hedged(&self) -> bool;

    /// Whether the node had it already: an answer from the upstream's cache on the node.
    #[expect(clippy::wrong_self_convention, reason = "it is where the answer is from")]
    fn from_cache(&self) -> bool;

    /// What answered in the upstream's place, and why; none where the upstream did.
    fn fallback(&self) -> Option<Fallback>;

    /// The whole body, bounded as [`Body::bytes`] is.
    async fn bytes(self) -> Result<Bytes, BodyError>;

    /// The whole body as text.
    async fn text(self) -> Result<String, BodyError>;

    /// The whole body, parsed as JSON.
    async fn json<T: DeserializeOwned>(self) -> Result<T, BodyError>;
}

impl ResponseExt for Response {
    fn error_for_status(self) -> Result<Self, CallError> {
        let status = self.status();
        if status.is_client_error() || status.is_server_error() {
            return Err(CallError::Status(status));
        }
        Ok(self)
    }

    fn tries(&self) -> u32 {
        call::tries(self.headers())
    }

    fn hedged(&self) -> bool {
        call::is_hedged(self.headers())
    }

    fn from_cache(&self) -> bool {
        call::is_from_cache(self.headers())
    }

    fn fallback(&self) -> Option<Fallback> {
        call::fallback(self.headers())
    }

    async fn bytes(self) -> Result<Bytes, BodyError> {
        self.into_body().bytes().await
    }

    async fn text(self) -> Result<String, BodyError> {
        self.into_body().text().await
    }

    async fn json<T: DeserializeOwned>(self) -> Result<T, BodyError> {
        self.into_body().read_json().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Json;
    use crate::test::{get, run};

    fn check(reply: impl IntoResponse + Clone, status: u16, content_type: Option<&str>, body: &str) {
        let reply = run(async || reply.clone(), get("/"));
        assert_eq!(reply.status(), status);
        assert_eq!(reply.header("content-type"), content_type);
        assert_eq!(reply.text(), body);
    }

    #[test]
    fn what_a_function_returns_becomes_a_reply() {
        check("hi", 200, Some("text/plain; charset=utf-8"), "hi");
        check(String::from("hi"), 200, Some("text/plain; charset=utf-8"), "hi");
        check(vec![104, 105], 200, Some("application/octet-stream"), "hi");
        check(Bytes::from("hi"), 200, Some("application/octet-stream"), "hi");
        check(Json("hi"), 200, Some("application/json"), "\"hi\"");
        check(StatusCode::ACCEPTED, 202, None, "");
        check((), 204, None, "");
        check((StatusCode::CREATED, "made"), 201, Some("text/plain; charset=utf-8"), "made");
        check(Ok::<_, std::fmt::Error>("fine"), 200, Some("text/plain; charset=utf-8"), "fine");
    }

    #[test]
    fn a_status_from_400_on_is_an_error_when_asked() {
        for (status, is_error) in [(200, false), (302, false), (400, true), (599, true)] {
            let answer = http::Response::builder().status(status).body(Body::empty()).unwrap();
            assert_eq!(answer.error_for_status().is_err(), is_error, "{status}");
        }
    }
}
