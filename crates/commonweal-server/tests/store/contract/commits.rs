//! Commits, and who is counted in them.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use commonweal_core::Digest;
use commonweal_server::store::{Along, Commit, Store, StoreError, Verdict, VerdictKind};
use commonweal_wire::control::RunState;
use serde_json::json;

use super::{ALONE, commit, job, name, submitted, with_blobs};
use crate::ground::Ground;

/// Drops what it waits for after so many looks at it.
struct CutAfter<F> {
    looks: usize,
    future: F,
}

impl<F: Future + Unpin> Future for CutAfter<F> {
    type Output = Option<F::Output>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        if self.looks == 0 {
            return Poll::Ready(None);
        }
        self.looks -= 1;
        Pin::new(&mut self.future).poll(cx).map(Some)
    }
}

async fn events(store: &Store, run: &str) -> usize {
    store.events().after(run, 0, 10_000).await.unwrap().len()
}

pub(crate) async fn a_commit_and_those_it_counts_are_there_together(ground: impl Ground) {
    let store = ground.open().await;
    let run = submitted(&store).await;
    let first = Commit {
        counted: vec![name("a"), name("b")],
        ..with_blobs(&store, 1).await
    };
    let history = json!({"round": 1, "outcome": "committed"});
    let prepared = Digest::of(b"prepared");
    let along = Along {
        state: RunState::Running,
        prepared: Some(prepared),
        history: Some(&history),
        files: &[("prepared.json", prepared)],
        events: &[json!({"event": "round"}), json!({"event": "evaluated"})],
    };
    store.commits().add(&run.id, &first, along).await.unwrap();
    assert_eq!(store.commits().list(&run.id).await.unwrap(), [first]);
    assert_eq!(store.commits().history(&run.id).await.unwrap(), [history]);
    assert_eq!(events(&store, &run.id).await, 2);
    let files = store.files().list(&run.id).await.unwrap();
    assert_eq!(files, [("prepared.json".to_owned(), prepared)]);
    let run = store.runs().find(&run.id).await.unwrap();
    assert_eq!(
        (run.state, run.prepared),
        (RunState::Running, Some(prepared))
    );
}

pub(crate) async fn a_commit_that_breaks_off_anywhere_is_whole_or_absent(ground: impl Ground) {
    let store = ground.open().await;
    let run = submitted(&store).await;
    let told = [json!({"event": "round"})];
    let mut made = 0;
    for looks in 0.. {
        let commit = commit(looks as u64 + 1, &["a", "b", "c"]);
        let along = Along {
            events: &told,
            ..ALONE
        };
        let commits = store.commits();
        let adding = Box::pin(commits.add(&run.id, &commit, along));
        let cut = CutAfter {
            looks,
            future: adding,
        };
        let added = cut.await;
        let commits = store.commits().list(&run.id).await.unwrap();
        if commits.len() > made {
            assert_eq!(commits.last(), Some(&commit));
            made += 1;
        }
        assert_eq!(commits.len(), made);
        assert_eq!(events(&store, &run.id).await, made);
        if let Some(added) = added {
            added.unwrap();
            assert!(looks > 3, "nothing was cut off");
            break;
        }
    }
}

pub(crate) async fn a_commit_that_fails_halfway_leaves_no_trace(ground: impl Ground) {
    let store = ground.open().await;
    let run = submitted(&store).await;
    // Nobody can be counted twice: the second one fails after commit and first were written.
    let twice = commit(1, &["a", "a"]);
    let along = Along {
        events: &[json!({"event": "round"})],
        ..ALONE
    };
    assert!(store.commits().add(&run.id, &twice, along).await.is_err());
    assert_eq!(store.commits().list(&run.id).await.unwrap(), []);
    assert_eq!(events(&store, &run.id).await, 0);
    let state = store.runs().find(&run.id).await.unwrap().state;
    assert_eq!(state, RunState::Waiting);
    store
        .commits()
        .add(&run.id, &commit(1, &["a"]), along)
        .await
        .unwrap();
}

pub(crate) async fn a_task_is_committed_once(ground: impl Ground) {
    let store = ground.open().await;
    let run = submitted(&store).await;
    let first = commit(1, &["a"]);
    store.commits().add(&run.id, &first, ALONE).await.unwrap();
    let again = store
        .commits()
        .add(&run.id, &commit(1, &["b"]), ALONE)
        .await;
    assert!(matches!(&again, Err(StoreError::Committed { .. })));
    assert_eq!(
        again.unwrap_err().to_string(),
        "train-1 of digits-1 is committed already"
    );
    assert_eq!(store.commits().list(&run.id).await.unwrap(), [first]);
    let other = store.runs().submit(&job("digits")).await.unwrap();
    store
        .commits()
        .add(&other.id, &commit(1, &["b"]), ALONE)
        .await
        .unwrap();
}

pub(crate) async fn a_round_has_one_line_of_history(ground: impl Ground) {
    let store = ground.open().await;
    let run = submitted(&store).await;
    let (trained, evaluated) = (json!({"round": 1}), json!({"round": 1, "accuracy": 0.5}));
    for (stage, entry) in [
        (commonweal_core::Stage::Train, &trained),
        (commonweal_core::Stage::Evaluate, &evaluated),
    ] {
        let mut commit = commit(1, &["a"]);
        commit.task.stage = stage;
        let along = Along {
            history: Some(entry),
            ..ALONE
        };
        store.commits().add(&run.id, &commit, along).await.unwrap();
    }
    assert_eq!(store.commits().history(&run.id).await.unwrap(), [evaluated]);
}

pub(crate) async fn a_run_goes_on_from_its_last_snapshot(ground: impl Ground) {
    let store = ground.open().await;
    let run = submitted(&store).await;
    assert_eq!(store.commits().last(&run.id).await.unwrap(), None);
    let second = with_blobs(&store, 2).await;
    for commit in [&commit(1, &[]), &second, &commit(3, &[])] {
        store.commits().add(&run.id, commit, ALONE).await.unwrap();
    }
    assert_eq!(store.commits().last(&run.id).await.unwrap(), Some(second));
}

pub(crate) async fn a_reopened_store_has_everything(ground: impl Ground) {
    let store = ground.open().await;
    let run = submitted(&store).await;
    let verdicts = [Verdict {
        node: name("a"),
        key: commonweal_wire::NodeKey::from_secret(&[1; 32])
            .public()
            .id(),
        kind: VerdictKind::Approved {
            schema: "{}".into(),
        },
        at_ms: 4_000,
    }];
    store.verdicts().set(&run.id, &verdicts).await.unwrap();
    let commit = with_blobs(&store, 1).await;
    let along = Along {
        events: &[json!({"event": "round"})],
        ..ALONE
    };
    store.commits().add(&run.id, &commit, along).await.unwrap();
    let run = store.runs().find(&run.id).await.unwrap();
    store.close().await;

    let store = ground.open().await;
    assert_eq!(store.runs().unfinished().await.unwrap().first(), Some(&run));
    assert_eq!(store.verdicts().list(&run.id).await.unwrap(), verdicts);
    let last = store.commits().last(&run.id).await.unwrap().unwrap();
    assert_eq!(last, commit);
    let snapshot = store.blobs().fetch(&last.snapshot.unwrap()).await.unwrap();
    assert_eq!(snapshot, Bytes::from("snapshot 1"));
    assert_eq!(events(&store, &run.id).await, 1);
}

pub(crate) async fn a_fresh_place_can_be_opened_by_many_at_once(ground: impl Ground) {
    let (a, b, c, d) = tokio::join!(ground.open(), ground.open(), ground.open(), ground.open());
    let run = submitted(&a).await;
    for store in [b, c, d] {
        assert_eq!(store.runs().list().await.unwrap().first(), Some(&run));
    }
}
