//! Joining: invitations that do not hold, and guessers.

use std::time::Duration;

use commonweal_core::Digest;
use commonweal_wire::{RefusalCode, path, proto};
use prost::Message as _;

use crate::client::{Node, ask};
use crate::house::{House, join_request};

const MINUTE: Duration = Duration::from_secs(60);

async fn join(node: &Node, token: u8) -> crate::client::Reply {
    node.post(path::JOIN, &join_request(node, token)).await
}

#[tokio::test]
async fn a_used_an_expired_and_a_guessed_invitation_let_nobody_in() {
    let house = House::open().await;
    house.enrol(1).await;
    let node = Node::new(&house, 2);
    let used = join(&node, 1).await;
    assert_eq!(used.refusal(), RefusalCode::Token);
    house.invite(9, None, Duration::ZERO).await;
    let expired = join(&node, 9).await;
    assert_eq!(expired.refusal(), RefusalCode::Token);
    let guessed = join(&node, 77).await;
    assert_eq!(guessed.refusal(), RefusalCode::Token);
    let nodes = house.running.store().nodes().list().await.unwrap();
    assert_eq!(nodes.len(), 1);
}

#[tokio::test]
async fn a_repeated_join_has_the_same_answer() {
    let house = House::open().await;
    let node = house.enrol(1).await;
    let again: proto::JoinAnswer = join(&node, 1).await.message();
    assert_eq!(again.name, node.name);
}

#[tokio::test]
async fn a_name_that_is_taken_stays_its_owners() {
    let house = House::open().await;
    let first = house.enrol(1).await;
    house.invite(2, Some(&first.name), MINUTE).await;
    let second = Node::new(&house, 2);
    assert_eq!(join(&second, 2).await.refusal(), RefusalCode::NameTaken);
}

#[tokio::test]
async fn a_key_that_did_not_sign_is_not_enrolled() {
    let house = House::open().await;
    house.invite(1, None, MINUTE).await;
    let (signer, other) = (Node::new(&house, 1), Node::new(&house, 2));
    let stolen = signer.post(path::JOIN, &join_request(&other, 1)).await;
    assert_eq!(stolen.refusal(), RefusalCode::Signature);
    let weak = proto::JoinRequest {
        public_key: [&[1][..], &[0; 31]].concat(),
        ..join_request(&signer, 1)
    };
    let weak = signer.post(path::JOIN, &weak).await;
    assert_eq!(weak.refusal(), RefusalCode::Malformed);
    assert_eq!(
        join(&signer, 1).await.status,
        200,
        "the invitation is as it was"
    );
}

#[tokio::test]
async fn who_guesses_has_to_wait_for_longer_and_longer() {
    let house = House::open_with(|config| config.joins_per_minute = 3).await;
    house.invite(1, None, MINUTE).await;
    let node = Node::new(&house, 1);
    for guess in 100..104 {
        assert_eq!(join(&node, guess).await.refusal(), RefusalCode::Token);
    }
    let slowed = join(&node, 104).await;
    assert_eq!(slowed.refusal(), RefusalCode::TooMany);
    let right_but_too_soon = join(&node, 1).await;
    assert_eq!(right_but_too_soon.refusal(), RefusalCode::TooMany);
}

#[tokio::test]
async fn a_join_of_another_version_is_told_so() {
    let house = House::open().await;
    let node = Node::new(&house, 1);
    let body = join_request(&node, 1).encode_to_vec();
    let headers = node.sign("POST", path::JOIN, Digest::of(&body));
    let headers = headers.replace("commonweal-protocol: 1", "commonweal-protocol: 2");
    let mut connection = node.connect().await;
    let reply = ask(&mut connection, "POST", path::JOIN, &headers, &body).await;
    assert_eq!(reply.refusal(), RefusalCode::Protocol);
    assert!(
        reply.refused().message.contains("version 2"),
        "{}",
        reply.refused().message
    );
}
