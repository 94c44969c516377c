//! One request and its response head over one connection.
//!
//! Called by [`Client::send`](crate::Client::send) with a leased connection. Says of a failure whether the same request
//! may go out again. Dropping the future closes an HTTP/1.1 connection or resets an HTTP/2 stream, and ends the upload.

use crate::download::Download;
use crate::head;
use crate::pool::{Key, Lease};
use crate::timeouts::{Clock, Limit};
use crate::upload::{Hold, Upload};
use crate::{Body, Error};
use http::{Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use std::future::{Future, poll_fn};
use std::pin::pin;
use tokio::time::{Instant, timeout_at};

/// A failed exchange, and the request where it may be sent again: it was provably not sent, or sending it
/// twice is the same as sending it once and the server closed the idle connection under it.
pub(crate) struct Lost {
    pub(crate) error: Error,
    pub(crate) again: Option<Box<Request<Upload>>>,
}

impl From<Error> for Lost {
    fn from(error: Error) -> Self {
        Self { error, again: None }
    }
}

/// Who sends a request again that may have been lost with an idle connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resend {
    /// The client itself, once, where sending it twice is the same as sending it once.
    Client,
    /// Whoever called it, and has a budget for that: the failure is [`Error::IdleClosed`].
    Caller,
}

/// Sends `request` at once. The future waits for the response head, and returns it with its streaming body.
pub(crate) fn exchange(
    mut lease: Lease,
    mut request: Request<Upload>,
    key: &Key,
    clock: Clock,
    resend: Resend,
) -> impl Future<Output = Result<Response<Body>, Lost>> + use<> {
    lease.connection.address(&mut request, key.origin());
    let hold = request.body().hold();
    let is_spared = lease.is_reused && resend == Resend::Client;
    let spare = if is_spared { repeatable(&request) } else { None };
    // Not inside of the future, which would move the whole request again at each of its layers.
    let answer = lease.connection.send(request);
    answered(answer, lease, spare, hold, clock, resend)
}

async fn answered(
    answer: impl Future<Output = Result<Response<Incoming>, TrySendError<Request<Upload>>>>,
    lease: Lease,
    spare: Option<Box<Request<Upload>>>,
    hold: Hold,
    clock: Clock,
    resend: Resend,
) -> Result<Response<Body>, Lost> {
    match in_time(answer, &hold, clock).await? {
        Ok(response) => Ok(received(response, lease, hold, clock)?),
        Err(failed) => match lost(&lease, failed, spare, hold) {
            Lost { error: Error::ConnectionTerminated(cause), again: None }
                if lease.is_reused && resend == Resend::Caller =>
            {
                Err(Error::IdleClosed(cause).into())
            }
            lost => Err(lost),
        },
    }
}

/// A copy of a request that may be repeated: idempotent, without a body (RFC 9112, section 9.3.1).
fn repeatable(request: &Request<Upload>) -> Option<Box<Request<Upload>>> {
    if !request.method().is_idempotent() || !request.body().is_empty() {
        return None;
    }
    let mut copy = Request::new(Upload::default());
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    Some(Box::new(copy))
}

/// The answer, the failure of the request's body, or the end of the time for it, whichever comes first; an answer
/// that is there beats a body that failed.
async fn in_time<T>(answer: impl Future<Output = T>, hold: &Hold, clock: Clock) -> Result<T, Error> {
    let mut answer = pin!(answer);
    let start = Instant::now();
    let mut limit = clock.first_byte(start);
    loop {
        let next = poll_fn(|cx| match answer.as_mut().poll(cx) {
            std::task::Poll::Ready(answer) => std::task::Poll::Ready(Ok(answer)),
            std::task::Poll::Pending => hold.poll_failure(cx).map(Err),
        });
        match timeout_at(limit.at, next).await {
            Ok(outcome) => return outcome,
            Err(_) => limit = later(limit, clock.first_byte(hold.sent_at(start)))?,
        }
    }
}

/// The `next` limit where the request was still on its way when the time ran out at `passed`.
fn later(passed: Limit, next: Limit) -> Result<Limit, Error> {
    if next.at > passed.at { Ok(next) } else { Err(passed.expired) }
}

fn received(
    response: Response<Incoming>,
    lease: Lease,
    hold: Hold,
    clock: Clock,
) -> Result<Response<Body>, Error> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return Err(Error::ResponseUpgrade);
    }
    let (mut parts, incoming) = response.into_parts();
    head::strip_hop_by_hop(&mut parts.headers);
    parts.extensions.clear();
    Ok(Response::from_parts(parts, Download::body(incoming, lease, hold, clock)))
}

fn lost(
    lease: &Lease,
    mut failed: TrySendError<Request<Upload>>,
    spare: Option<Box<Request<Upload>>>,
    hold: Hold,
) -> Lost {
    let unsent = failed.take_message();
    let error = lease.connection.failure(failed.into_error());
    if let Some(unsent) = unsent {
        hold.forget();
        let error = match error {
            Error::ConnectionTerminated(cause) => Error::Unsent(cause),
            other => other,
        };
        return Lost { error, again: Some(Box::new(unsent)) };
    }
    let again = spare.filter(|_| matches!(error, Error::ConnectionTerminated(_)));
    Lost { error, again }
}
