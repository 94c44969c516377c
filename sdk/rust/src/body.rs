//! The body of a request or of a reply: bytes in memory, or a stream of chunks that is read as it arrives. Both sides of
//! the SDK make and read it; it does not know where chunks come from, only whose fault it is when they stop
//! ([`Origin`]). Collecting is bounded by [`limits::BODY_BYTES_MAX`]; streaming holds one chunk.

use std::error::Error as StdError;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use futures_core::Stream;
use http_body::{Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyDataStream, BodyExt, StreamBody};
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::limits;

type Cause = Box<dyn StdError + Send + Sync>;

/// A body: whole in memory, or a stream.
///
/// It is made from text, bytes, JSON ([`Body::json`]) or a stream ([`Body::from_stream`]), and read whole
/// ([`Body::bytes`], [`Body::text`], [`Body::read_json`]) or chunk by chunk ([`Body::chunk`]). It is an
/// [`http_body::Body`] too, so that the combinators of `http-body-util` work on it.
///
/// Passing on a request's body streams it, with its trailers, without holding more than a chunk:
///
/// ```
/// use rimward_sdk::{Request, Response};
///
/// async fn echo(request: Request) -> Response {
///     Response::new(request.into_body())
/// }
/// # let reply = rimward_sdk::test::run(echo, rimward_sdk::test::post("/", "hi"));
/// # assert_eq!(reply.text(), "hi");
/// ```
#[derive(Debug)]
pub struct Body {
    content: Content,
    origin: Origin,
}

#[derive(Debug)]
enum Content {
    Bytes(Bytes),
    Stream(UnsyncBoxBody<Bytes, BodyFault>),
}

/// Who made a body, and so whose fault it is when it breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Caller,
    Upstream,
    Function,
}

/// Why a body could not be read. As an error of a function it becomes a 4xx reply for a request's body, a 502 or 504
/// for the body of an answer to a call, and a 500 for the function's own.
#[derive(Debug)]
pub struct BodyError {
    fault: BodyFault,
    pub(crate) origin: Origin,
}

/// What went wrong with a body.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BodyFault {
    /// More bytes than the node, or the reader of the body, allows.
    #[error("the body is too large")]
    TooLarge,
    /// No bytes came for too long.
    #[error("the body did not arrive in time")]
    Timeout,
    /// The body ended before it was whole.
    #[error("the body broke off: {0}")]
    Broken(String),
    /// Text was asked for.
    #[error("the body is not UTF-8")]
    NotUtf8(#[source] std::string::FromUtf8Error),
    /// JSON was asked for, or JSON of another shape.
    #[error("the body is not the JSON that was expected")]
    NotJson(#[source] serde_json::Error),
    /// The stream that the function made the body from failed.
    #[error("the source of the body failed")]
    Source(#[source] Cause),
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fault.fmt(f)
    }
}

impl StdError for BodyError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.fault.source()
    }
}

impl BodyError {
    /// What went wrong.
    pub fn fault(&self) -> &BodyFault {
        &self.fault
    }
}

impl Body {
    /// A body of no bytes.
    pub fn empty() -> Self {
        Self::from(Bytes::new())
    }

    /// A value as JSON. Fails where `serde_json` does: a map with keys that are no strings, or the value's own
    /// `Serialize`. The content type is the caller's to set; [`Json`](crate::Json) sets it.
    pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<Self, serde_json::Error> {
        Ok(Self::from(serde_json::to_vec(value)?))
    }

    /// A body of chunks that are sent as the stream gives them. An error ends the body before it is whole, which its
    /// reader sees.
    ///
    /// ```
    /// use futures_lite::stream;
    /// use rimward_sdk::Body;
    ///
    /// let body = Body::from_stream(stream::iter(["one ", "two"]).map(Ok::<_, std::io::Error>));
    /// # use futures_lite::StreamExt;
    /// # let text = futures_lite::future::block_on(body.text());
    /// # assert_eq!(text.unwrap(), "one two");
    /// ```
    pub fn from_stream<S, Chunk, E>(stream: S) -> Self
    where
        S: Stream<Item = Result<Chunk, E>> + Send + 'static,
        Chunk: Into<Bytes> + 'static,
        E: Into<Cause> + 'static,
    {
        Self::new(StreamBody::new(Frames(Box::pin(stream))))
    }

    /// Wraps any other body, for example one of `http-body-util`; the way to send trailers.
    pub fn new<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Cause>,
    {
        Self::streamed(body.map_err(|error| BodyFault::Source(error.into())), Origin::Function)
    }

    pub(crate) fn streamed(
        body: impl http_body::Body<Data = Bytes, Error = BodyFault> + Send + 'static,
        origin: Origin,
    ) -> Self {
        Self { content: Content::Stream(body.boxed_unsync()), origin }
    }

    /// The next chunk of at least one byte, or `None` at the end. Trailers are skipped. Dropping the future loses
    /// nothing.
    ///
    /// ```
    /// # use rimward_sdk::{Request, Result};
    /// async fn count(request: Request) -> Result<String> {
    ///     let mut body = request.into_body();
    ///     let mut bytes = 0;
    ///     while let Some(chunk) = body.chunk().await? {
    ///         bytes += chunk.len();
    ///     }
    ///     Ok(format!("{bytes} bytes"))
    /// }
    /// # assert_eq!(rimward_sdk::test::run(count, rimward_sdk::test::post("/", "four")).text(), "4 bytes");
    /// ```
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, BodyError> {
        while let Some(frame) = self.frame().await {
            match frame?.into_data() {
                Ok(chunk) if !chunk.is_empty() => return Ok(Some(chunk)),
                _ => continue,
            }
        }
        Ok(None)
    }

    /// The chunks as a stream.
    pub fn into_stream(self) -> BodyDataStream<Self> {
        BodyDataStream::new(self)
    }

    /// The whole body, at most [`limits::BODY_BYTES_MAX`] bytes of it.
    pub async fn bytes(self) -> Result<Bytes, BodyError> {
        self.bytes_up_to(limits::BODY_BYTES_MAX).await
    }

    /// The whole body, if it is not larger than `bytes_max`. Reading stops with the first byte too many.
    pub async fn bytes_up_to(mut self, bytes_max: usize) -> Result<Bytes, BodyError> {
        if self.least_bytes() > bytes_max as u64 {
            return Err(self.error(BodyFault::TooLarge));
        }
        let Some(first) = self.chunk().await? else { return Ok(Bytes::new()) };
        let Some(second) = self.chunk().await? else { return self.within(first, bytes_max) };
        let mut whole = BytesMut::from(first);
        let mut next = Some(second);
        while let Some(chunk) = next {
            if whole.len() + chunk.len() > bytes_max {
                return Err(self.error(BodyFault::TooLarge));
            }
            whole.extend_from_slice(&chunk);
            next = self.chunk().await?;
        }
        Ok(whole.freeze())
    }

    fn within(&self, bytes: Bytes, bytes_max: usize) -> Result<Bytes, BodyError> {
        if bytes.len() > bytes_max { Err(self.error(BodyFault::TooLarge)) } else { Ok(bytes) }
    }

    /// The whole body as text, bounded as [`Body::bytes`] is.
    pub async fn text(self) -> Result<String, BodyError> {
        let origin = self.origin;
        let bytes = self.bytes().await?;
        String::from_utf8(bytes.into())
            .map_err(|error| BodyError { fault: BodyFault::NotUtf8(error), origin })
    }

    /// The whole body, parsed as JSON, bounded as [`Body::bytes`] is.
    pub async fn read_json<T: DeserializeOwned>(self) -> Result<T, BodyError> {
        let origin = self.origin;
        let bytes = self.bytes().await?;
        serde_json::from_slice(&bytes).map_err(|error| BodyError { fault: BodyFault::NotJson(error), origin })
    }

    /// The exact length in bytes, where it is known before reading.
    pub fn length(&self) -> Option<u64> {
        http_body::Body::size_hint(self).exact()
    }

    fn least_bytes(&self) -> u64 {
        http_body::Body::size_hint(self).lower()
    }

    /// The same body as seen by who receives it from elsewhere.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn arriving_from(self, origin: Origin) -> Self {
        Self { origin, ..self }
    }

    fn error(&self, fault: BodyFault) -> BodyError {
        BodyError { fault, origin: self.origin }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let origin = self.origin;
        match &mut self.content {
            Content::Bytes(bytes) if bytes.is_empty() => Poll::Ready(None),
            Content::Bytes(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Content::Stream(stream) => {
                Pin::new(stream).poll_frame(context).map_err(|fault| BodyError { fault, origin })
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Bytes(bytes) => bytes.is_empty(),
            Content::Stream(stream) => stream.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Bytes(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Content::Stream(stream) => stream.size_hint(),
        }
    }
}

/// A stream of chunks as a stream of frames.
struct Frames<S>(Pin<Box<S>>);

impl<S, Chunk, E> Stream for Frames<S>
where
    S: Stream<Item = Result<Chunk, E>>,
    Chunk: Into<Bytes>,
{
    type Item = Result<Frame<Bytes>, E>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(context).map_ok(|chunk| Frame::data(chunk.into()))
    }
}

impl Default for Body {
    fn default() -> Self {
        Self::empty()
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self { content: Content::Bytes(bytes), origin: Origin::Function }
    }
}

impl From<()> for Body {
    fn from((): ()) -> Self {
        Self::empty()
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Self::from(Bytes::from(bytes))
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self::from(Bytes::from(text))
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Self::from(Bytes::from_static(text.as_bytes()))
    }
}

impl From<&'static [u8]> for Body {
    fn from(bytes: &'static [u8]) -> Self {
        Self::from(Bytes::from_static(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::block_on;
    use futures_lite::{StreamExt, stream};
    use http_body_util::Full;
    use std::io;

    fn chunks(chunks: &'static [&'static str]) -> Body {
        Body::from_stream(stream::iter(chunks).map(|chunk| Ok::<_, io::Error>(*chunk)))
    }

    #[test]
    fn chunks_come_in_order_and_empty_ones_are_skipped() {
        let mut body = chunks(&["a", "", "bc"]);
        let read = block_on(async {
            let mut read = Vec::new();
            while let Some(chunk) = body.chunk().await.unwrap() {
                read.push(chunk);
            }
            read
        });
        assert_eq!(read, ["a", "bc"]);
    }

    #[test]
    fn a_body_is_collected_up_to_the_bound_and_not_a_byte_more() {
        for body in [|| chunks(&["ab", "c"]), || chunks(&["abc"]), || Body::from("abc")] {
            assert_eq!(block_on(body().bytes_up_to(3)).unwrap(), "abc");
            let error = block_on(body().bytes_up_to(2)).unwrap_err();
            assert!(matches!(error.fault(), BodyFault::TooLarge));
        }
    }

    #[test]
    fn bytes_stops_at_the_default_bound() {
        let at = Body::from(vec![0; limits::BODY_BYTES_MAX]);
        assert_eq!(block_on(at.bytes()).unwrap().len(), limits::BODY_BYTES_MAX);
        let over = Body::from(vec![0; limits::BODY_BYTES_MAX + 1]);
        assert!(matches!(block_on(over.bytes()).unwrap_err().fault(), BodyFault::TooLarge));
    }

    #[test]
    fn what_is_not_text_or_json_says_so() {
        let text = block_on(Body::from(vec![0xff]).text()).unwrap_err();
        assert!(matches!(text.fault(), BodyFault::NotUtf8(_)));
        let json = block_on(Body::from("{").read_json::<u8>()).unwrap_err();
        assert!(matches!(json.fault(), BodyFault::NotJson(_)));
    }

    #[test]
    fn a_failing_source_ends_the_body_with_its_error() {
        let failing = stream::iter([Ok("a"), Err(io::Error::other("disk"))]);
        let error = block_on(Body::from_stream(failing).bytes()).unwrap_err();
        assert_eq!(error.to_string(), "the source of the body failed");
        assert_eq!(StdError::source(&error).unwrap().to_string(), "disk");
    }

    #[test]
    fn the_length_is_known_in_memory_and_unknown_of_a_stream() {
        assert_eq!(Body::from("abc").length(), Some(3));
        assert_eq!(Body::new(Full::new(Bytes::from("abc"))).length(), Some(3));
        assert_eq!(chunks(&["abc"]).length(), None);
    }
}
