//! A real folder: large bodies, threads, groups of commits.

use super::*;
use futures_util::future::join_all;

fn in_folder(folder: &std::path::Path, policy: Policy) -> Outbox {
    Outbox::open("cloud", Folder::new(folder, "cloud", 7), policy, Random::seeded(3)).unwrap()
}

fn blobs(folder: &std::path::Path) -> usize {
    std::fs::read_dir(folder.join("blobs/cloud")).map_or(0, |entries| entries.count())
}

/// K8: a large body lies in a file of its own, comes back whole after a restart, and goes with its call; files without a
/// call go at the start.
#[tokio::test]
async fn a_large_body_lies_in_a_file_of_its_own_and_goes_with_its_call() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = limits::outbox::CHUNK_BYTES * 3 + 17;
    let outbox = in_folder(folder.path(), Policy::default());
    let id = outbox.push(call("/big", "", ""), body(bytes)).await.unwrap().id;
    outbox.push(call("/small", "", ""), body(limits::outbox::INLINE_BYTES_MAX)).await.unwrap();
    assert_eq!(blobs(folder.path()), 1);
    outbox.close().await;
    std::fs::write(folder.path().join("blobs/cloud/4711"), "left behind").unwrap();

    let outbox = in_folder(folder.path(), Policy::default());
    assert_eq!(blobs(folder.path()), 1, "the orphan stayed or the body went");
    let request = outbox.inner.request(id.number).await.unwrap().unwrap();
    assert_eq!(request.headers()["content-length"], bytes.to_string());
    let sent = http_body_util::BodyExt::collect(request.into_body()).await.unwrap().to_bytes();
    assert!(sent.len() == bytes && sent.iter().all(|byte| *byte == b'x'));
    assert!(outbox.discard(id).await.unwrap());
    // The writer removes it behind its answer.
    outbox.close().await;
    assert_eq!(blobs(folder.path()), 0);
}

/// K2: a body that is too large, or breaks off, leaves no file.
#[tokio::test]
async fn a_body_that_is_refused_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = in_folder(folder.path(), Policy { body_bytes_max: 1 << 20, ..Policy::default() });
    let pieces = |last: Result<(), crate::Error>, count: usize| {
        let piece = || Ok(http_body::Frame::data(Bytes::from(vec![0; 100_000])));
        let stream = (0..count).map(move |_| piece()).chain(last.err().map(Err));
        http_body_util::BodyExt::boxed_unsync(http_body_util::StreamBody::new(futures_util::stream::iter(
            stream.collect::<Vec<_>>(),
        )))
    };
    let large = outbox.push(call("/", "", ""), pieces(Ok(()), 11)).await;
    assert!(matches!(large, Err(PushError::TooLarge { .. })), "{large:?}");
    let broken = outbox.push(call("/", "", ""), pieces(Err(crate::Error::TotalTimeout), 5)).await;
    assert!(matches!(broken, Err(PushError::Body(_))), "{broken:?}");
    assert!(outbox.push(call("/", "", ""), pieces(Ok(()), 10)).await.is_ok());
    // Work on the disk is done in order: what was begun before this read is done.
    outbox.inner.read(|_| Ok(())).await.unwrap();
    assert_eq!(blobs(folder.path()), 1);
    assert_eq!(outbox.inner.landing.load(Relaxed), 0);
}

/// Calls that come together share commits, in the order in which they came.
#[tokio::test]
async fn calls_that_come_together_share_commits() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = in_folder(folder.path(), Policy::default());
    let pushes = (0..500).map(|number| {
        let outbox = outbox.clone();
        async move { outbox.push(call(&format!("/{number}"), "", ""), body(100)).await.unwrap().id.number }
    });
    let numbers = join_all(pushes).await;
    assert_eq!(numbers, (1..=500).collect::<Vec<_>>());
    assert_eq!(outbox.counts().waiting, 500);
    outbox.close().await;
    assert_eq!(in_folder(folder.path(), Policy::default()).counts().waiting, 500);
}

/// K12: a truncated file is set aside with its bodies under a name that says when.
#[tokio::test]
async fn a_damaged_file_is_set_aside_with_its_bodies() {
    let folder = tempfile::tempdir().unwrap();
    let outbox = in_folder(folder.path(), Policy::default());
    outbox.push(call("/big", "", ""), body(100_000)).await.unwrap();
    outbox.close().await;
    let index = folder.path().join("cloud.redb");
    std::fs::OpenOptions::new().write(true).open(&index).unwrap().set_len(5000).unwrap();
    let outbox = in_folder(folder.path(), Policy::default());
    let aside = outbox.set_aside().await.unwrap();
    assert!(aside.len() == 1 && aside[0].contains("cloud.redb.damaged-"), "{aside:?}");
    assert_eq!(outbox.counts().waiting, 0);
    assert_eq!(blobs(folder.path()), 0);
    assert_eq!(std::fs::read_dir(folder.path().join("blobs")).unwrap().count(), 1);
    assert!(outbox.push(call("/", "", ""), body(1)).await.is_ok());
}

#[tokio::test]
async fn an_outbox_that_is_open_is_not_opened_twice() {
    let folder = tempfile::tempdir().unwrap();
    let first = in_folder(folder.path(), Policy::default());
    let second = in_folder(folder.path(), Policy::default());
    assert!(matches!(second.shut(), Some(Shut::InUse)), "{:?}", second.shut());
    first.close().await;
    tokio::time::sleep(limits::outbox::REOPEN_PAUSE * 2).await;
    assert!(second.push(call("/", "", ""), body(1)).await.is_ok());
}
