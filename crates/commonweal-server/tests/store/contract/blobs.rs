//! Blobs, retention and copies.

use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use commonweal_core::Digest;
use commonweal_server::store::{Store, StoreError};

use super::{ALONE, submitted, with_blobs};
use crate::ground::Ground;

pub(crate) async fn a_blob_is_its_bytes_in_one_piece_in_chunks_and_in_ranges(ground: impl Ground) {
    let store = ground.open().await;
    let bytes: Bytes = (0..600_000u32).map(|it| (it % 251) as u8).collect();
    let digest = store.blobs().put(bytes.clone()).await.unwrap();
    assert_eq!(digest, Digest::of(&bytes));
    assert_eq!(store.blobs().put(bytes.clone()).await.unwrap(), digest);
    assert_eq!(store.blobs().list().await.unwrap(), [digest]);
    assert_eq!(store.blobs().len(&digest).await.unwrap(), 600_000);
    assert_eq!(store.blobs().fetch(&digest).await.unwrap(), bytes);

    let other = ground_of_chunks(&store, bytes.clone()).await;
    assert_eq!(other, Digest::of(&[&bytes[..], b"!"].concat()));

    for (from, to) in [(0, 600_000), (1, 2), (262_143, 524_289), (7, 7)] {
        let mut reader = store.blobs().reader(digest, from..to);
        let mut read = Vec::new();
        while let Some(piece) = reader.next().await.unwrap() {
            read.extend(piece);
        }
        assert!(read == bytes[from as usize..to as usize]);
    }
    let beyond = store.blobs().reader(digest, 600_000..600_001).next().await;
    assert!(beyond.is_err());
}

/// The bytes with one more, in chunks.
async fn ground_of_chunks(store: &Store, bytes: Bytes) -> Digest {
    let chunks = move || {
        let bytes = bytes.clone();
        let starts = (0..bytes.len()).step_by(100_000);
        let chunks = starts.map(move |at| bytes.slice(at..at + 100_000));
        chunks.chain([Bytes::from_static(b"!")])
    };
    store.blobs().put_chunks(chunks).await.unwrap()
}

pub(crate) async fn a_blob_that_is_not_there_is_named(ground: impl Ground) {
    let store = ground.open().await;
    let digest = Digest::of(b"nothing");
    let missing = |error: StoreError| assert!(matches!(error, StoreError::NoBlob { .. }));
    missing(store.blobs().len(&digest).await.unwrap_err());
    missing(store.blobs().fetch(&digest).await.unwrap_err());
    missing(store.blobs().reader(digest, 0..1).next().await.unwrap_err());
}

async fn there(store: &Store, blobs: &[Option<Digest>]) -> Vec<bool> {
    let mut found = Vec::new();
    for digest in blobs.iter().flatten() {
        found.push(store.blobs().len(digest).await.is_ok());
    }
    found
}

pub(crate) async fn a_released_round_takes_its_blobs_with_it_unless_others_name_them(
    ground: impl Ground,
) {
    let store = ground.open().await;
    let (run, other) = (submitted(&store).await, submitted(&store).await);
    let mut commits = Vec::new();
    for round in 1..=4 {
        let commit = with_blobs(&store, round).await;
        store.commits().add(&run.id, &commit, ALONE).await.unwrap();
        commits.push(commit);
    }
    // Another run came to the same model, and a file is the second round's.
    let same = with_blobs(&store, 1).await;
    store.commits().add(&other.id, &same, ALONE).await.unwrap();
    let file = commits[1].model.unwrap();
    store.files().set(&run.id, "best.bin", &file).await.unwrap();

    let removed = store.commits().release(&run.id, |round| round == 3).await;
    assert_eq!(removed.unwrap(), 1);
    let left = store.commits().list(&run.id).await.unwrap();
    let models = left.iter().map(|commit| commit.model.is_some());
    assert_eq!(models.collect::<Vec<_>>(), [false, false, true, true]);
    for (commit, expected) in commits
        .iter()
        .zip([[true; 2], [false, true], [true; 2], [true; 2]])
    {
        assert_eq!(
            there(&store, &[commit.snapshot, commit.model]).await,
            expected
        );
    }
    let last = store.commits().release(&run.id, |_| false).await.unwrap();
    assert_eq!(last, 2);
    assert_eq!(
        store.commits().last(&run.id).await.unwrap().as_ref(),
        commits.last()
    );
}

pub(crate) async fn a_blob_that_waits_to_be_named_is_not_released(ground: impl Ground) {
    let store = ground.open().await;
    let (run, other) = (submitted(&store).await, submitted(&store).await);
    for round in 1..=2 {
        let commit = with_blobs(&store, round).await;
        store.commits().add(&run.id, &commit, ALONE).await.unwrap();
    }
    let same = with_blobs(&store, 1).await;
    assert_eq!(
        store.commits().release(&run.id, |_| false).await.unwrap(),
        0
    );
    store.commits().add(&other.id, &same, ALONE).await.unwrap();
    assert_eq!(there(&store, &[same.snapshot, same.model]).await, [true; 2]);
}

pub(crate) async fn a_sweep_takes_what_nobody_names(ground: impl Ground) {
    let store = ground.open().await;
    let run = submitted(&store).await;
    let named = with_blobs(&store, 1).await;
    store.commits().add(&run.id, &named, ALONE).await.unwrap();
    let orphan = store.blobs().put(Bytes::from("orphan")).await.unwrap();
    // A write that a killed server left.
    let unfinished = ground
        .folder()
        .join("blobs")
        .join(format!("{}#1", "a".repeat(64)));
    std::fs::write(&unfinished, "half").unwrap();
    store.close().await;

    let store = ground.open().await;
    assert_eq!(store.sweep().await.unwrap(), 1);
    assert!(!unfinished.exists());
    let blobs = [named.snapshot, named.model, Some(orphan)];
    assert_eq!(there(&store, &blobs).await, [true, true, false]);
}

pub(crate) async fn a_copy_made_while_others_write_is_of_one_moment(ground: impl Ground) {
    let store = ground.open().await;
    store.blobs().put(Bytes::from("manifest")).await.unwrap();
    let run = submitted(&store).await;
    let is_done = AtomicBool::new(false);
    let write = async {
        let mut round = 0;
        while !is_done.load(Ordering::Relaxed) {
            round += 1;
            let commit = with_blobs(&store, round).await;
            store.commits().add(&run.id, &commit, ALONE).await.unwrap();
            store.commits().release(&run.id, |_| false).await.unwrap();
        }
        round
    };
    let copy = async {
        let mut rounds = Vec::new();
        for _ in 0..5 {
            let folder = tempfile::tempdir().unwrap();
            store.copy_into(folder.path()).await.unwrap();
            let copy = Store::open(folder.path()).await.unwrap();
            copy.verify().await.unwrap();
            let commits = copy.commits().list(&run.id).await.unwrap();
            rounds.push(commits.len() as u64);
            let last = copy.commits().last(&run.id).await.unwrap();
            assert_eq!(last.as_ref(), commits.last());
            let named = commits
                .iter()
                .flat_map(|it| [it.snapshot, it.model])
                .flatten();
            assert_eq!(copy.blobs().list().await.unwrap().len(), 1 + named.count());
        }
        is_done.store(true, Ordering::Relaxed);
        rounds
    };
    let (written, copied) = tokio::join!(write, copy);
    assert!(copied.is_sorted() && copied.last() <= Some(&written));
}
