//! What `#[function]` accepts: an async function of one argument or none. The host side calls [`Function::call`] once
//! per request and gets a reply in every case; what fails on the way in becomes a reply here.

use std::future::Future;

use crate::{FromRequest, IntoResponse, Request, Response};

/// An async function that answers a request. Implemented for functions and closures with no argument, or with one that
/// is [`FromRequest`], that return what is [`IntoResponse`]. Not to be implemented by hand.
///
/// ```compile_fail,E0277
/// #[rimward_sdk::function]
/// async fn number() -> u32 { 42 } // a function cannot return `u32`
/// ```
///
/// ```compile_fail,E0277
/// #[rimward_sdk::function]
/// async fn number(number: u32) {} // a function cannot take `u32`
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not answer requests",
    label = "takes something that is not `FromRequest`, or returns something that is not `IntoResponse`",
    note = "the usual shape is `async fn(Request) -> Result<Response>`"
)]
pub trait Function<Input> {
    /// Answers a request.
    fn call(&self, request: Request) -> impl Future<Output = Response>;
}

impl<F, Answer> Function<()> for F
where
    F: Fn() -> Answer,
    Answer: Future<Output: IntoResponse>,
{
    async fn call(&self, _request: Request) -> Response {
        self().await.into_response()
    }
}

impl<F, Input, Answer> Function<(Input,)> for F
where
    F: Fn(Input) -> Answer,
    Input: FromRequest,
    Answer: Future<Output: IntoResponse>,
{
    async fn call(&self, request: Request) -> Response {
        match Input::from_request(request).await {
            Ok(input) => self(input).await.into_response(),
            Err(error) => error.into_response(),
        }
    }
}

/// Compiles for what a function may take.
pub fn takes<Input: FromRequest>() {}

/// Compiles for what a function may return.
pub fn returns<Reply: IntoResponse>() {}

#[cfg(test)]
mod tests {
    use crate::test::{get, post, run};
    use crate::{Error, Json, Request, Response, Result, StatusCode};

    #[test]
    fn a_function_may_take_nothing() {
        assert_eq!(run(async || "hello", get("/")).text(), "hello");
    }

    #[test]
    fn a_function_may_take_the_request() {
        let path = async |request: Request| request.uri().path().to_owned();
        assert_eq!(run(path, get("/a/b")).text(), "/a/b");
    }

    #[test]
    fn a_function_may_take_what_a_request_is_made_into() {
        let double = async |Json(number): Json<u32>| Json(number * 2);
        assert_eq!(run(double, post("/", "21")).json::<u32>(), 42);
    }

    #[test]
    fn an_argument_that_cannot_be_made_is_answered_without_calling_the_function() {
        let never = async |_: Json<u32>| -> &str { panic!("called") };
        assert_eq!(run(never, post("/", "not json")).status(), 400);
    }

    #[test]
    fn an_error_is_a_reply() {
        let fails = async || -> Result<Response> { Err(Error::status(StatusCode::CONFLICT, "taken")) };
        assert_eq!(run(fails, get("/")).status(), 409);
    }
}
