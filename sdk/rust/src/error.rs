//! The error of a function, which becomes an RFC 9457 reply (`application/problem+json`). The caller reads the status,
//! its name and what the function chose to say; causes go to the function's log only. Which status an error of the SDK
//! itself stands for is decided here, in [`blame`].

use std::error::Error as StdError;
use std::fmt;

use serde::Serialize;

use crate::body::Origin;
use crate::call::CallError;
use crate::json::with_type;
use crate::model::ModelError;
use crate::{Body, BodyError, BodyFault, IntoResponse, Response, StatusCode, host};

type Cause = Box<dyn StdError + Send + Sync>;

/// What a function fails with.
///
/// Any error turns into one with `?`. An error that the function knows nothing about is answered with a bare 500, and
/// its text reaches the log, never the caller. To answer something else, say it: [`Error::status`] or [`OrStatus`].
///
/// The SDK's own errors know better than 500: a request body that is not the JSON that was asked for is 400, one that
/// is too large 413, a call whose upstream did not answer in time 504, one that the node did not let through (the
/// breaker is open, too many calls are under way) 503, one that failed otherwise 502; a model's errors likewise. A call that
/// was not granted stays 500.
///
/// ```
/// use rimward_sdk::{Error, OrStatus, Request, RequestExt, Result};
///
/// async fn half(request: Request) -> Result<String> {
///     let number = request.query("of").or_status(400, "say what: ?of=42")?;
///     let number: i64 = number.parse().or_status(400, "that is no number")?;
///     if number % 2 != 0 {
///         return Err(Error::status(422, "odd numbers have no half"));
///     }
///     Ok((number / 2).to_string())
/// }
///
/// use rimward_sdk::test::{get, run};
/// assert_eq!(run(half, get("/?of=42")).text(), "21");
/// let reply = run(half, get("/?of=x"));
/// assert_eq!(reply.status(), 400);
/// assert_eq!(reply.text(), r#"{"title":"Bad Request","status":400,"detail":"that is no number"}"#);
/// ```
#[derive(Debug)]
pub struct Error {
    status: StatusCode,
    detail: Option<String>,
    cause: Option<Cause>,
}

impl Error {
    /// An error that the caller sees with this status and text. A number that is no status counts as 500.
    pub fn status(status: impl TryInto<StatusCode>, detail: impl Into<String>) -> Self {
        let status = status.try_into().unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, detail: Some(detail.into()), cause: None }
    }

    /// Adds what caused it, for the log.
    #[must_use]
    pub fn because(self, cause: impl Into<Cause>) -> Self {
        Self { cause: Some(cause.into()), ..self }
    }

    /// The status of the reply.
    pub fn status_code(&self) -> StatusCode {
        self.status
    }
}

/// An error and its causes in one line, outermost first.
pub(crate) fn line(error: &(dyn StdError + 'static)) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        self.detail.iter().try_for_each(|detail| write!(f, ": {detail}"))
    }
}

/// [`Error`] is no [`StdError`] itself, so that every other error can turn into one.
impl<E: StdError + Send + Sync + 'static> From<E> for Error {
    fn from(error: E) -> Self {
        let (status, detail) = blame(&error);
        Self { status, detail, cause: Some(Box::new(error)) }
    }
}

/// The status that an error stands for, and what the caller may read of it.
fn blame(error: &(dyn StdError + 'static)) -> (StatusCode, Option<String>) {
    if let Some(error) = error.downcast_ref::<BodyError>() {
        return blame_body(error);
    }
    if let Some(error) = error.downcast_ref::<ModelError>() {
        return (blame_model(error), None);
    }
    let status = error.downcast_ref::<CallError>().map_or(StatusCode::INTERNAL_SERVER_ERROR, blame_call);
    (status, None)
}

fn blame_model(error: &ModelError) -> StatusCode {
    match error {
        ModelError::Call(error) => blame_call(error),
        ModelError::Body(error) => blame_body(error).0,
        ModelError::Refused(_) => StatusCode::INTERNAL_SERVER_ERROR,
        ModelError::Busy(_) => StatusCode::SERVICE_UNAVAILABLE,
        ModelError::Late(_) => StatusCode::GATEWAY_TIMEOUT,
        ModelError::Failed(_) | ModelError::Answer(_) => StatusCode::BAD_GATEWAY,
    }
}

fn blame_call(error: &CallError) -> StatusCode {
    match error {
        CallError::Timeout(_) => StatusCode::GATEWAY_TIMEOUT,
        CallError::CircuitOpen | CallError::TooMany | CallError::NotAccepted(_) => {
            StatusCode::SERVICE_UNAVAILABLE
        }
        CallError::Unreachable(_) | CallError::Broken(_) | CallError::Status(_) => StatusCode::BAD_GATEWAY,
        CallError::Name(_)
        | CallError::Request(_)
        | CallError::Json(_)
        | CallError::TooLarge { .. }
        | CallError::Denied => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

fn blame_body(error: &BodyError) -> (StatusCode, Option<String>) {
    let status = match (error.origin, error.fault()) {
        (Origin::Function, _) => StatusCode::INTERNAL_SERVER_ERROR,
        (Origin::Upstream, BodyFault::Timeout) => StatusCode::GATEWAY_TIMEOUT,
        (Origin::Upstream, _) => StatusCode::BAD_GATEWAY,
        (Origin::Caller, BodyFault::TooLarge) => StatusCode::PAYLOAD_TOO_LARGE,
        (Origin::Caller, BodyFault::Timeout) => StatusCode::REQUEST_TIMEOUT,
        (Origin::Caller, _) => StatusCode::BAD_REQUEST,
    };
    let detail = match (error.origin, error.fault()) {
        (Origin::Caller, BodyFault::NotJson(wrong)) => Some(format!("{error}: {wrong}")),
        (Origin::Caller, BodyFault::NotUtf8(_) | BodyFault::TooLarge | BodyFault::Timeout) => {
            Some(error.to_string())
        }
        _ => None,
    };
    (status, detail)
}

/// RFC 9457, section 3. The `type` is left out: it is `about:blank`, and the title the status's own name.
#[derive(Serialize)]
struct Problem<'a> {
    title: &'a str,
    status: u16,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        if let Some(cause) = &self.cause {
            host::report(&format!("answered {}: {}", self.status.as_u16(), line(&**cause)));
        }
        let problem = Problem {
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: self.detail.as_deref(),
        };
        let body = Body::json(&problem).expect("two strings and a number are JSON");
        (self.status, with_type(body, "application/problem+json")).into_response()
    }
}

/// Turns what is missing or failed into an error that the caller sees.
pub trait OrStatus<T> {
    /// The value, or an [`Error`] of this status and text. What failed becomes its cause, for the log.
    fn or_status(self, status: impl TryInto<StatusCode>, detail: impl Into<String>) -> Result<T, Error>;
}

impl<T> OrStatus<T> for Option<T> {
    fn or_status(self, status: impl TryInto<StatusCode>, detail: impl Into<String>) -> Result<T, Error> {
        self.ok_or_else(|| Error::status(status, detail))
    }
}

impl<T, E: Into<Cause>> OrStatus<T> for Result<T, E> {
    fn or_status(self, status: impl TryInto<StatusCode>, detail: impl Into<String>) -> Result<T, Error> {
        self.map_err(|cause| Error::status(status, detail).because(cause))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::{Host, get, post};
    use crate::{Json, Result, call};
    use std::io;

    #[test]
    fn an_unknown_error_is_a_bare_500_and_its_text_goes_to_the_log() {
        let host = Host::new();
        let fails = async || -> Result<()> { Err(io::Error::other("password is hunter2"))? };
        let reply = host.run(fails, get("/"));
        assert_eq!(reply.status(), 500);
        assert_eq!(reply.header("content-type"), Some("application/problem+json"));
        assert_eq!(reply.text(), r#"{"title":"Internal Server Error","status":500}"#);
        assert_eq!(host.log(), ["answered 500: password is hunter2"]);
    }

    #[test]
    fn the_caller_reads_the_detail_and_the_log_the_causes() {
        let host = Host::new();
        let fails =
            async || -> Result<()> { Err(io::Error::other("disk")).or_status(503, "come back later") };
        let reply = host.run(fails, get("/"));
        assert_eq!(reply.status(), 503);
        assert!(reply.text().contains("come back later"));
        assert_eq!(host.log(), ["answered 503: disk"]);
    }

    #[test]
    fn a_number_that_is_no_status_counts_as_500() {
        assert_eq!(Error::status(42, "").status_code(), 500);
        assert_eq!(Error::status(404, "").status_code(), 404);
    }

    #[test]
    fn a_wrong_body_tells_the_caller_what_is_wrong() {
        let takes = async |_: Json<Vec<u8>>| {};
        let reply = Host::new().run(takes, post("/", "[1, true]"));
        assert_eq!(reply.status(), 400);
        assert!(reply.text().contains("expected u8 at line 1 column 8"), "{}", reply.text());
    }

    #[test]
    fn a_call_that_fails_is_a_gateway_error_and_a_mistake_in_it_our_own() {
        let check = |error: CallError, status: u16| {
            assert_eq!(Error::from(error).status_code(), status);
        };
        check(CallError::Timeout(call::TimedOut::Answer), 504);
        check(CallError::CircuitOpen, 503);
        check(CallError::TooMany, 503);
        check(CallError::NotAccepted("the outbox is full".into()), 503);
        check(CallError::Unreachable("refused".into()), 502);
        check(CallError::Broken("reset".into()), 502);
        check(CallError::Status(StatusCode::NOT_FOUND), 502);
        check(CallError::TooLarge { bytes_max: None }, 500);
        check(CallError::Denied, 500);
        check(CallError::Name("no.name".into()), 500);
    }

    #[test]
    fn a_wrong_answer_is_not_the_callers_fault() {
        let host = Host::new().upstream("prices", async || "not json");
        let asks = async || -> Result<Json<u8>> {
            let answer = call::upstream("prices").get("/").send().await?;
            Ok(Json(answer.into_body().read_json().await?))
        };
        assert_eq!(host.run(asks, get("/")).status(), 502);
    }
}
