//! What every store promises, whatever database it is over.

use std::path::Path;

use commonweal_core::{ClientName, Digest};
use commonweal_server::store::{Enrolment, Invitation, NewRun, Store};
use commonweal_wire::{NodeKey, proto};

async fn open(folder: &Path) -> Store {
    Store::open(folder).await.unwrap()
}

fn invitation(secret: &[u8], name: Option<&str>) -> Invitation {
    Invitation {
        token: Digest::of(secret),
        name: name.map(|text| ClientName::try_from(text).unwrap()),
        created_at_ms: 1_000,
        expires_at_ms: 9_000,
        used: None,
    }
}

fn enrolment(secret: &[u8], key: u8, name: &str) -> Enrolment {
    Enrolment {
        token: Digest::of(secret),
        key: NodeKey::from_secret(&[key; 32]).public(),
        name: ClientName::try_from(name).unwrap(),
        statement: proto::Statement::default(),
        waits_for_approval: false,
        at_ms: 2_000,
    }
}

fn job(job_name: &str) -> NewRun {
    NewRun {
        job_name: job_name.to_owned(),
        job: "name = \"digits\"".to_owned(),
        manifest: Digest::of(b"manifest"),
        submitter: "ada".to_owned(),
        submitted_at_ms: 3_000,
        files: vec![("manifest.json".to_owned(), Digest::of(b"manifest"))],
    }
}

#[tokio::test]
async fn a_reopened_store_has_everything() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    store
        .invitations()
        .add(&[invitation(b"a", None)])
        .await
        .unwrap();
    let node = store
        .invitations()
        .join(enrolment(b"a", 1, "a"))
        .await
        .unwrap();
    let run = store.runs().submit(&job("digits")).await.unwrap();
    store.close().await;

    let store = open(folder.path()).await;
    assert_eq!(store.nodes().list().await.unwrap(), [node]);
    assert_eq!(store.runs().list().await.unwrap(), [run]);
}
