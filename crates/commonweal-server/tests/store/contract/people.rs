//! Nodes, invitations and keys.

use commonweal_core::Digest;
use commonweal_server::store::{
    ApiKey, Enrolment, Invitation, JoinError, NodeState, Role, Store, StoreError,
};
use commonweal_wire::{NodeKey, proto};

use super::name;
use crate::ground::Ground;

async fn invite(store: &Store, secret: &str, carried: Option<&str>) {
    let invitation = Invitation {
        token: Digest::of(secret.as_bytes()),
        name: carried.map(name),
        created_at_ms: 1_000,
        expires_at_ms: 9_000,
        used: None,
    };
    store.invitations().add(&[invitation]).await.unwrap();
}

fn enrolment(secret: &str, key: u8, asked: &str) -> Enrolment {
    Enrolment {
        token: Digest::of(secret.as_bytes()),
        key: NodeKey::from_secret(&[key; 32]).public(),
        name: name(asked),
        statement: proto::Statement::default(),
        waits_for_approval: false,
        at_ms: 2_000,
    }
}

pub(crate) async fn a_token_lets_in_one_of_those_who_race_for_it(ground: impl Ground) {
    let (here, there) = (ground.open().await, ground.open().await);
    for round in 0..10 {
        let secret = format!("token {round}");
        invite(&here, &secret, None).await;
        let (one, other) = (format!("a{round}"), format!("b{round}"));
        let (left, right) = (here.invitations(), there.invitations());
        let (first, second) = tokio::join!(
            left.join(enrolment(&secret, round, &one)),
            right.join(enrolment(&secret, 100 + round, &other)),
        );
        let is_used = |it: &Result<_, _>| matches!(it, Err(JoinError::Used));
        assert!(first.is_ok() && is_used(&second) || second.is_ok() && is_used(&first));
    }
    assert_eq!(here.nodes().list().await.unwrap().len(), 10);
}

pub(crate) async fn the_same_key_gets_the_same_answer_again(ground: impl Ground) {
    let store = ground.open().await;
    invite(&store, "t", None).await;
    let first = store
        .invitations()
        .join(enrolment("t", 1, "a"))
        .await
        .unwrap();
    let again = store
        .invitations()
        .join(enrolment("t", 1, "b"))
        .await
        .unwrap();
    assert_eq!(first, again);
    let invitations = store.invitations().list().await.unwrap();
    assert_eq!(invitations[0].used, Some((first.key.id(), 2_000)));
}

pub(crate) async fn a_token_that_is_unknown_expired_or_used_lets_nobody_in(ground: impl Ground) {
    let store = ground.open().await;
    invite(&store, "t", None).await;
    let guessed = store.invitations().join(enrolment("guess", 1, "a")).await;
    assert!(matches!(guessed, Err(JoinError::Unknown)));
    let late = Enrolment {
        at_ms: 9_000,
        ..enrolment("t", 1, "a")
    };
    assert!(matches!(
        store.invitations().join(late).await,
        Err(JoinError::Expired)
    ));
    let in_time = Enrolment {
        at_ms: 8_999,
        ..enrolment("t", 1, "a")
    };
    store.invitations().join(in_time).await.unwrap();
    let used = store.invitations().join(enrolment("t", 2, "b")).await;
    assert!(matches!(used, Err(JoinError::Used)));
    assert_eq!(store.nodes().list().await.unwrap().len(), 1);
}

pub(crate) async fn a_name_is_free_again_once_its_key_is_revoked(ground: impl Ground) {
    let store = ground.open().await;
    for secret in ["t", "u"] {
        invite(&store, secret, Some("a")).await;
    }
    store
        .invitations()
        .join(enrolment("t", 1, "a"))
        .await
        .unwrap();
    let taken = store.invitations().join(enrolment("u", 2, "a")).await;
    assert!(matches!(taken, Err(JoinError::NameTaken { .. })));

    store.nodes().revoke(&name("a")).await.unwrap();
    let second = store
        .invitations()
        .join(enrolment("u", 2, "a"))
        .await
        .unwrap();
    assert_eq!(second.state, NodeState::Enrolled);
    let again = store.nodes().revoke(&name("b")).await;
    assert!(matches!(again, Err(StoreError::Missing { .. })));
}

pub(crate) async fn a_key_joins_once(ground: impl Ground) {
    let store = ground.open().await;
    for secret in ["t", "u"] {
        invite(&store, secret, None).await;
    }
    let node = store
        .invitations()
        .join(enrolment("t", 1, "a"))
        .await
        .unwrap();
    store.nodes().leave(&node.key.id()).await.unwrap();
    let known = store.invitations().join(enrolment("u", 1, "b")).await;
    assert!(matches!(
        known,
        Err(JoinError::KeyKnown {
            state: NodeState::Left,
            ..
        })
    ));
}

pub(crate) async fn a_revoked_node_is_revoked_for_those_who_had_the_store_open(
    ground: impl Ground,
) {
    let server = ground.open().await;
    invite(&server, "t", None).await;
    let node = server
        .invitations()
        .join(enrolment("t", 1, "a"))
        .await
        .unwrap();
    let found = server.nodes().by_key(&node.key.id()).await.unwrap();
    assert_eq!(found, Some(node.clone()));
    let before = server.stamp().await.unwrap();

    let command = ground.open().await;
    command.nodes().revoke(&node.name).await.unwrap();

    assert_ne!(server.stamp().await.unwrap(), before);
    let found = server
        .nodes()
        .by_key(&node.key.id())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.state, NodeState::Revoked);
}

pub(crate) async fn a_node_waits_until_it_is_approved(ground: impl Ground) {
    let store = ground.open().await;
    invite(&store, "t", None).await;
    let waiting = Enrolment {
        waits_for_approval: true,
        ..enrolment("t", 1, "a")
    };
    let node = store.invitations().join(waiting).await.unwrap();
    assert_eq!(node.state, NodeState::Waiting);
    store.nodes().approve(&node.name).await.unwrap();
    let node = store.nodes().by_key(&node.key.id()).await.unwrap().unwrap();
    assert_eq!(node.state, NodeState::Enrolled);
    let again = store.nodes().approve(&node.name).await;
    assert_eq!(
        again.unwrap_err().to_string(),
        "there is no waiting node \"a\""
    );
}

pub(crate) async fn a_node_that_left_does_not_undo_its_revocation(ground: impl Ground) {
    let store = ground.open().await;
    invite(&store, "t", None).await;
    let node = store
        .invitations()
        .join(enrolment("t", 1, "a"))
        .await
        .unwrap();
    store.nodes().revoke(&node.name).await.unwrap();
    store.nodes().leave(&node.key.id()).await.unwrap();
    let node = store.nodes().by_key(&node.key.id()).await.unwrap().unwrap();
    assert_eq!(node.state, NodeState::Revoked);
}

pub(crate) async fn what_a_node_says_of_itself_is_kept(ground: impl Ground) {
    let store = ground.open().await;
    invite(&store, "t", None).await;
    let node = store
        .invitations()
        .join(enrolment("t", 1, "a"))
        .await
        .unwrap();
    let statement = proto::Statement {
        version: "0.1.0".to_owned(),
        memory_mb: 2_000,
        data_sets: vec!["heart".to_owned()],
        ..proto::Statement::default()
    };
    let id = node.key.id();
    store.nodes().set_statement(&id, &statement).await.unwrap();
    store.nodes().seen(&[(id, 7_000)]).await.unwrap();
    let node = store.nodes().by_key(&id).await.unwrap().unwrap();
    assert_eq!((node.statement, node.seen_at_ms), (statement, Some(7_000)));
}

pub(crate) async fn only_a_write_of_another_changes_the_stamp(ground: impl Ground) {
    let server = ground.open().await;
    let before = server.stamp().await.unwrap();
    invite(&server, "t", None).await;
    assert_eq!(server.stamp().await.unwrap(), before);
    let command = ground.open().await;
    invite(&command, "u", None).await;
    assert_ne!(server.stamp().await.unwrap(), before);
}

pub(crate) async fn a_revoked_key_opens_nothing_and_frees_its_name(ground: impl Ground) {
    let store = ground.open().await;
    let key = |secret: &[u8]| ApiKey {
        name: "ada".to_owned(),
        role: Role::Researcher,
        digest: Digest::of(secret),
        created_at_ms: 1_000,
        revoked_at_ms: None,
    };
    store.keys().add(&key(b"one")).await.unwrap();
    let taken = store.keys().add(&key(b"two")).await;
    assert!(matches!(taken, Err(StoreError::Taken { .. })));
    store.keys().revoke("ada", 2_000).await.unwrap();
    store.keys().add(&key(b"two")).await.unwrap();
    assert_eq!(
        store.keys().by_digest(&Digest::of(b"one")).await.unwrap(),
        None
    );
    let found = store.keys().by_digest(&Digest::of(b"two")).await.unwrap();
    assert_eq!(found, Some(key(b"two")));
    assert_eq!(store.keys().list().await.unwrap().len(), 2);
}
