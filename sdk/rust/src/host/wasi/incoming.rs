//! The body of a request, or of the answer to a call, read as it arrives. It is taken from the host when it is first
//! read, so that a function that ignores it pays nothing. Memory: one chunk. A body that breaks off yields one error and
//! then its end.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body::{Frame, SizeHint};
use wasip2::http::types::{
    ErrorCode, FutureTrailers, IncomingBody, IncomingRequest, IncomingResponse, http_error_code,
};
use wasip2::io::error::Error as IoError;
use wasip2::io::streams::{InputStream, StreamError};

use super::executor::ready;
use super::headers;
use crate::body::{Body, BodyFault, Origin};
use crate::limits::CHUNK_BYTES_MAX;

pub(super) fn request_body(request: IncomingRequest, headers: &HeaderMap) -> Body {
    Body::streamed(Incoming::new(State::Request(request), headers), Origin::Caller)
}

pub(super) fn answer_body(answer: IncomingResponse, headers: &HeaderMap) -> Body {
    Body::streamed(Incoming::new(State::Answer(answer), headers), Origin::Upstream)
}

type Item = Result<Frame<Bytes>, BodyFault>;
type Step = Pin<Box<dyn Future<Output = Option<(Item, State)>> + Send>>;

struct Incoming {
    /// None once the body has ended.
    step: Option<Step>,
    bytes: Option<u64>,
}

/// Each state holds the resource that the next one is made from.
enum State {
    Request(IncomingRequest),
    Answer(IncomingResponse),
    Reading(Reading),
    Ending(FutureTrailers),
    Ended,
}

/// A stream is a child of its body and must be dropped first, which the order of the fields sees to.
struct Reading {
    stream: InputStream,
    body: IncomingBody,
}

impl Incoming {
    fn new(state: State, headers: &HeaderMap) -> Self {
        let length = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok());
        let bytes = length.and_then(|length| length.parse().ok());
        Self { step: Some(Box::pin(step(state))), bytes }
    }
}

impl http_body::Body for Incoming {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Item>> {
        let Some(running) = &mut self.step else { return Poll::Ready(None) };
        running.as_mut().poll(context).map(|next| {
            let (item, state) = next.unzip();
            self.step = state.map(|state| -> Step { Box::pin(step(state)) });
            item
        })
    }

    fn is_end_stream(&self) -> bool {
        self.step.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        self.bytes.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

/// The next frame, and the state after it. Dropping the future drops the body.
async fn step(mut state: State) -> Option<(Item, State)> {
    loop {
        state = match state {
            State::Request(request) => open(request.consume()),
            State::Answer(answer) => open(answer.consume()),
            State::Reading(reading) => match read_chunk(&reading.stream).await {
                Some(Ok(chunk)) => return Some((Ok(Frame::data(chunk)), State::Reading(reading))),
                Some(Err(fault)) => return Some((Err(fault), State::Ended)),
                None => {
                    drop(reading.stream);
                    State::Ending(IncomingBody::finish(reading.body))
                }
            },
            State::Ending(trailers) => {
                let frame = read_trailers(&trailers).await?;
                return Some((frame, State::Ended));
            }
            State::Ended => return None,
        }
    }
}

fn open(body: Result<IncomingBody, ()>) -> State {
    let body = body.expect("a body is taken from its message once");
    let stream = body.stream().expect("a stream is taken from its body once");
    State::Reading(Reading { stream, body })
}

async fn read_chunk(stream: &InputStream) -> Option<Result<Bytes, BodyFault>> {
    loop {
        match stream.read(CHUNK_BYTES_MAX as u64) {
            Ok(chunk) if chunk.is_empty() => ready(stream.subscribe()).await,
            Ok(chunk) => return Some(Ok(Bytes::from(chunk))),
            Err(StreamError::Closed) => return None,
            Err(StreamError::LastOperationFailed(error)) => return Some(Err(read_fault(&error))),
        }
    }
}

async fn read_trailers(trailers: &FutureTrailers) -> Option<Item> {
    loop {
        let Some(result) = trailers.get() else {
            ready(trailers.subscribe()).await;
            continue;
        };
        return match result.expect("trailers are taken once") {
            Ok(fields) => Some(Ok(Frame::trailers(headers::from_fields(fields?)))),
            Err(code) => Some(Err(code_fault(code))),
        };
    }
}

fn read_fault(error: &IoError) -> BodyFault {
    match http_error_code(error) {
        Some(code) => code_fault(code),
        None => BodyFault::Broken(first_line(error.to_debug_string())),
    }
}

/// Some hosts add a backtrace.
fn first_line(text: String) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

fn code_fault(code: ErrorCode) -> BodyFault {
    match code {
        ErrorCode::HttpRequestBodySize(_) | ErrorCode::HttpResponseBodySize(_) => BodyFault::TooLarge,
        ErrorCode::ConnectionReadTimeout | ErrorCode::HttpResponseTimeout => BodyFault::Timeout,
        other => BodyFault::Broken(name(&other)),
    }
}

/// The bindings print `ErrorCode::ConnectionRefused`.
pub(super) fn name(code: &ErrorCode) -> String {
    let text = code.to_string();
    text.strip_prefix("ErrorCode::").unwrap_or(&text).to_owned()
}
