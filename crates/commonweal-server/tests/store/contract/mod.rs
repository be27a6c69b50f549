//! The contract: claims about a store on any ground.

pub(crate) mod blobs;
pub(crate) mod commits;
pub(crate) mod people;
pub(crate) mod runs;

use bytes::Bytes;
use commonweal_core::{ClientName, Digest, Stage, TaskId};
use commonweal_server::store::{Along, Commit, NewRun, Run, Store};
use commonweal_wire::control::RunState;

pub(crate) fn name(text: &str) -> ClientName {
    ClientName::try_from(text).unwrap()
}

pub(crate) fn job(job_name: &str) -> NewRun {
    NewRun {
        job_name: job_name.to_owned(),
        job: format!("name = {job_name:?}"),
        manifest: Digest::of(b"manifest"),
        submitter: "ada".to_owned(),
        submitted_at_ms: 3_000,
        files: Vec::new(),
    }
}

pub(crate) async fn submitted(store: &Store) -> Run {
    store.runs().submit(&job("digits")).await.unwrap()
}

pub(crate) fn train(round: u64) -> TaskId {
    TaskId {
        round,
        stage: Stage::Train,
        attempt: 0,
    }
}

pub(crate) fn commit(round: u64, counted: &[&str]) -> Commit {
    Commit {
        task: train(round),
        version: round,
        snapshot: None,
        model: None,
        counted: counted.iter().map(|text| name(text)).collect(),
        at_ms: 5_000 + round,
    }
}

/// Nothing but the state.
pub(crate) const ALONE: Along<'static> = Along {
    state: RunState::Running,
    prepared: None,
    history: None,
    files: &[],
    events: &[],
};

/// A commit of two blobs of its own.
pub(crate) async fn with_blobs(store: &Store, round: u64) -> Commit {
    let put = |text: String| store.blobs().put(Bytes::from(text));
    Commit {
        snapshot: Some(put(format!("snapshot {round}")).await.unwrap()),
        model: Some(put(format!("model {round}")).await.unwrap()),
        ..commit(round, &["a"])
    }
}
