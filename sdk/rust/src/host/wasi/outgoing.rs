//! Writes a body to the host, chunk by chunk as the host takes it. Whether anyone still wants it is the host's to say: a
//! stream that the host closed ends the writing without an error, because the other side has gone.

use std::future::poll_fn;
use std::pin::Pin;

use http_body::Body as HttpBody;
use wasip2::http::types::{Fields, OutgoingBody};
use wasip2::io::streams::{OutputStream, StreamError};

use super::executor::ready;
use super::headers;
use crate::{Body, BodyError};

/// The other side does not read on.
struct Gone;

/// Why a body was not written to its end.
enum Stop {
    Gone,
    Source(BodyError),
}

impl From<StreamError> for Gone {
    fn from(_: StreamError) -> Self {
        Self
    }
}

impl From<Gone> for Stop {
    fn from(_: Gone) -> Self {
        Self::Gone
    }
}

/// Writes all of a body. If its source fails, the body is left unfinished, which the other side sees as broken off; the
/// source's error is returned for the log.
pub(super) async fn write(body: Body, to: OutgoingBody) -> Result<(), BodyError> {
    match write_frames(body, &to).await {
        Ok(trailers) => {
            // Fails where the length announced was not the length written; the host breaks the message off itself.
            let _ = OutgoingBody::finish(to, trailers);
            Ok(())
        }
        Err(Stop::Gone) => Ok(()),
        Err(Stop::Source(error)) => Err(error),
    }
}

async fn write_frames(mut body: Body, to: &OutgoingBody) -> Result<Option<Fields>, Stop> {
    let stream = to.write().expect("a stream is taken from its body once");
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        match frame.map_err(Stop::Source)?.into_data() {
            Ok(chunk) => write_chunk(&stream, &chunk, body.is_end_stream()).await?,
            Err(frame) => {
                return Ok(frame
                    .into_trailers()
                    .ok()
                    .and_then(|trailers| headers::to_fields(&trailers).ok()));
            }
        }
    }
    Ok(None)
}

async fn write_chunk(stream: &OutputStream, mut chunk: &[u8], is_last: bool) -> Result<(), Gone> {
    while !chunk.is_empty() {
        let permitted = usize::try_from(stream.check_write()?).unwrap_or(usize::MAX);
        if permitted == 0 {
            ready(stream.subscribe()).await;
            continue;
        }
        let (now, later) = chunk.split_at(permitted.min(chunk.len()));
        stream.write(now)?;
        chunk = later;
    }
    if !is_last {
        stream.flush()?;
    }
    Ok(())
}
