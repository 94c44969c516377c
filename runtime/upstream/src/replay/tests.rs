//! Bodies that are sent more than once: whole, in part, too large, by two tries at a time.

use super::*;
use futures_util::FutureExt as _;
use http_body_util::StreamBody;
use tokio::sync::mpsc;

/// A request whose body the test produces.
fn fed() -> (mpsc::UnboundedSender<Result<Frame<Bytes>, Error>>, Replay) {
    let (feed, mut frames) = mpsc::unbounded_channel();
    let body = StreamBody::new(futures_util::stream::poll_fn(move |cx| frames.poll_recv(cx))).boxed_unsync();
    (feed, Replay::new(Request::post("http://a.example/").body(body).unwrap(), true))
}

fn data(bytes: usize) -> Result<Frame<Bytes>, Error> {
    Ok(Frame::data(Bytes::from(vec![b'a'; bytes])))
}

async fn length(body: Body) -> Result<usize, Error> {
    Ok(body.collect().await?.to_bytes().len())
}

/// C2: the limit, and one byte more.
#[tokio::test]
async fn a_body_is_kept_up_to_its_limit() {
    for (bytes, is_kept) in [(limits::REPLAY_BYTES_MAX, true), (limits::REPLAY_BYTES_MAX + 1, false)] {
        let (feed, mut replay) = fed();
        feed.send(data(1_000)).unwrap();
        feed.send(data(bytes - 1_000)).unwrap();
        drop(feed);
        assert_eq!(
            length(replay.request().into_body()).await.unwrap(),
            bytes,
            "the first try gets all of it"
        );
        assert_eq!(replay.is_possible(), is_kept);
        assert_eq!(replay.is_whole(), is_kept);
        if is_kept {
            assert_eq!(length(replay.request().into_body()).await.unwrap(), bytes);
        }
    }
}

/// C2: many small pieces are no way around the limit.
#[tokio::test]
async fn a_body_is_kept_up_to_its_limit_of_pieces() {
    for (pieces, is_kept) in [(limits::REPLAY_PIECES_MAX, true), (limits::REPLAY_PIECES_MAX + 1, false)] {
        let (feed, mut replay) = fed();
        (0..pieces).for_each(|_| feed.send(data(1)).unwrap());
        drop(feed);
        assert_eq!(length(replay.request().into_body()).await.unwrap(), pieces);
        assert_eq!(replay.is_possible(), is_kept);
    }
}

/// C2: a try that ended in the middle of the body leaves the rest to the next one.
#[tokio::test]
async fn a_later_try_begins_at_the_beginning_and_goes_on_with_the_rest() {
    let (feed, mut replay) = fed();
    feed.send(data(10)).unwrap();
    let mut first = replay.request().into_body();
    first.frame().await.unwrap().unwrap();
    assert!(first.frame().now_or_never().is_none());
    drop(first);
    let second = replay.request().into_body();
    feed.send(data(5)).unwrap();
    drop(feed);
    assert_eq!(length(second).await.unwrap(), 15);
}

/// A body is streamed: nothing waits for the whole of it.
#[tokio::test]
async fn the_first_try_gets_each_piece_at_once() {
    let (feed, mut replay) = fed();
    let mut first = replay.request().into_body();
    for _ in 0..3 {
        assert!(first.frame().now_or_never().is_none());
        feed.send(data(1)).unwrap();
        assert!(first.frame().now_or_never().is_some());
    }
}

/// C2: a large body that nobody began to read may be sent by another try.
#[tokio::test]
async fn an_untouched_body_can_be_sent_whatever_its_size() {
    let (feed, mut replay) = fed();
    feed.send(data(limits::REPLAY_BYTES_MAX * 2)).unwrap();
    drop(feed);
    drop(replay.request());
    assert!(replay.is_possible());
    assert_eq!(length(replay.request().into_body()).await.unwrap(), limits::REPLAY_BYTES_MAX * 2);
    assert!(!replay.is_possible());
}

#[tokio::test]
async fn a_body_that_fails_cannot_be_sent_again() {
    let (feed, mut replay) = fed();
    feed.send(Err(Error::RequestBodyTooLarge)).unwrap();
    let failed = length(replay.request().into_body()).await;
    assert!(matches!(failed, Err(Error::RequestBodyTooLarge)));
    assert!(!replay.is_possible());
}

#[tokio::test]
async fn trailers_are_sent_again_too() {
    let (feed, mut replay) = fed();
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", http::HeaderValue::from_static("7"));
    feed.send(data(1)).unwrap();
    feed.send(Ok(Frame::trailers(trailers.clone()))).unwrap();
    drop(feed);
    for _ in 0..2 {
        let collected = replay.request().into_body().collect().await.unwrap();
        assert_eq!(collected.trailers(), Some(&trailers));
    }
}

/// Two tries that read at a time are both woken.
#[tokio::test]
async fn two_tries_read_the_same_body() {
    let (feed, mut replay) = fed();
    let (first, second) = (replay.request().into_body(), replay.request().into_body());
    let (first, second) = (tokio::spawn(length(first)), tokio::spawn(length(second)));
    for _ in 0..3 {
        tokio::task::yield_now().await;
        feed.send(data(7)).unwrap();
    }
    drop(feed);
    assert_eq!(first.await.unwrap().unwrap(), 21);
    assert_eq!(second.await.unwrap().unwrap(), 21);
}

/// The one that registered last went away; the other one still hears of what comes.
#[tokio::test]
async fn a_try_that_goes_away_takes_no_wakeup_along() {
    let (feed, mut replay) = fed();
    let (first, mut second) = (replay.request().into_body(), replay.request().into_body());
    let first = tokio::spawn(length(first));
    tokio::task::yield_now().await;
    assert!(second.frame().now_or_never().is_none());
    drop(second);
    tokio::task::yield_now().await;
    feed.send(data(7)).unwrap();
    drop(feed);
    assert_eq!(first.await.unwrap().unwrap(), 7);
}

#[tokio::test]
async fn a_known_length_stays_known() {
    let body = http_body_util::Full::new(Bytes::from_static(b"hello")).map_err(|never| match never {});
    let request = Request::post("http://a.example/").body(body.boxed_unsync()).unwrap();
    let mut replay = Replay::new(request, true);
    for _ in 0..2 {
        let mut body = replay.request().into_body();
        assert_eq!(body.size_hint().exact(), Some(5));
        assert!(!body.is_end_stream());
        body.frame().await.unwrap().unwrap();
        assert_eq!(body.size_hint().exact(), Some(0));
        assert!(body.is_end_stream());
    }
    assert!(replay.is_whole());
}

#[tokio::test]
async fn what_is_tried_once_is_not_kept() {
    let body = http_body_util::Full::new(Bytes::from_static(b"hello")).map_err(|never| match never {});
    let mut replay =
        Replay::new(Request::post("http://a.example/").body(body.boxed_unsync()).unwrap(), false);
    assert!(replay.is_possible() && !replay.is_whole());
    assert_eq!(length(replay.request().into_body()).await.unwrap(), 5);
    assert!(!replay.is_possible());
}
