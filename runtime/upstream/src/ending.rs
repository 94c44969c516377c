//! The body of an answer, as the stack hands it on: its call holds its place until the body has ended, and a body
//! that the upstream breaks off counts against it.

use crate::bulkhead::Place;
use crate::state::State;
use crate::{Body, Error};
use bytes::Bytes;
use http::Response;
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::time::Instant;

struct Ending {
    body: Body,
    held: Option<(Place, Arc<State>)>,
}

/// `response` with its place held until its body has ended or was dropped.
pub(crate) fn holding(response: Response<Body>, place: Place, state: &Arc<State>) -> Response<Body> {
    if response.body().is_end_stream() {
        return response;
    }
    response.map(|body| Ending { body, held: Some((place, state.clone())) }.boxed_unsync())
}

impl http_body::Body for Ending {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let next = ready!(Pin::new(&mut self.body).poll_frame(cx));
        match &next {
            Some(Ok(_)) if !self.body.is_end_stream() => {}
            Some(Err(error)) => {
                if let Some((_place, state)) = self.held.take().filter(|_| error.is_upstreams()) {
                    state.breaker().broke_off(Instant::now());
                }
            }
            Some(Ok(_)) | None => self.held = None,
        }
        Poll::Ready(next)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
