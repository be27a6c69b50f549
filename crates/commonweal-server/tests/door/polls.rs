//! Polls: parked, answered, taken over, and answered when the server ends.

use std::time::Duration;

use commonweal_core::{ClientName, Digest};
use commonweal_wire::{RefusalCode, path, proto};
use prost::Message as _;
use tokio::io::AsyncWriteExt as _;

use crate::client::{Connection, Node, head, reply};
use crate::house::{House, join_request, poll};

/// Begins a poll, and returns once it waits in the server.
pub(crate) async fn park(house: &House, node: &Node, parked: u64) -> Connection {
    let body = proto::PollRequest::default().encode_to_vec();
    let headers = node.sign("POST", path::POLL, Digest::of(&body));
    let mut connection = node.connect().await;
    let head = head("POST", path::POLL, &headers, body.len());
    connection.write_all(head.as_bytes()).await.unwrap();
    connection.write_all(&body).await.unwrap();
    until_parked(house, parked).await;
    connection
}

async fn until_parked(house: &House, polls: u64) {
    let node = Node::new(house, 99);
    loop {
        let text = crate::client::ask(&mut node.connect().await, "GET", "/metrics", "", b"").await;
        if text
            .text()
            .contains(&format!("commonweal_parked_polls {polls}\n"))
        {
            return;
        }
    }
}

#[tokio::test]
async fn two_nodes_with_one_key_are_told_apart_by_a_refusal() {
    let house = House::open().await;
    let node = house.enrol(1).await;
    let mut older = park(&house, &node, 1).await;
    let newer = park(&house, &node, 1).await;
    assert_eq!(reply(&mut older).await.refusal(), RefusalCode::TakenOver);
    drop(newer);
}

#[tokio::test]
async fn a_broken_connection_is_seen_at_once() {
    let house = House::open().await;
    let node = house.enrol(1).await;
    let waiting = park(&house, &node, 1).await;
    drop(waiting);
    until_parked(&house, 0).await;
}

#[tokio::test]
async fn a_server_that_ends_answers_the_waiting_and_writes_down_who_was_there() {
    let house = House::open().await;
    let node = house.enrol(1).await;
    let mut waiting = park(&house, &node, 1).await;
    let (answer, house) = tokio::join!(reply(&mut waiting), house.reopen());
    assert_eq!(answer.message::<proto::PollAnswer>().instructions, []);
    let nodes = house.running.store().nodes().list().await.unwrap();
    assert_eq!(nodes[0].name, ClientName::try_from("node-1").unwrap());
    assert!(nodes[0].seen_at_ms > Some(nodes[0].joined_at_ms));
}

#[tokio::test]
async fn a_restarted_server_has_another_mailbox_and_says_again_what_is_true() {
    let house = House::open().await;
    let node = house.enrol(1).await;
    house.submit(1, 8).await;
    let before = poll(&node, "", 0).await;
    assert_eq!(before.instructions.len(), 1);
    let house = house.reopen().await;
    let after = poll(&Node::new(&house, 1), &before.mailbox, 1).await;
    assert_ne!(before.mailbox, after.mailbox);
    assert_eq!(before.instructions, after.instructions);
}

#[tokio::test]
async fn a_key_that_joins_under_a_revoked_ones_name_ends_what_was_of_the_old_one() {
    let house = House::open().await;
    let old = house.enrol(1).await;
    let mut waiting = park(&house, &old, 1).await;
    let name = ClientName::try_from(old.name.as_str()).unwrap();
    house.running.store().nodes().revoke(&name).await.unwrap();
    house
        .invite(2, Some(&old.name), Duration::from_secs(60))
        .await;
    let new = Node::new(&house, 2);
    let joined = new.post(path::JOIN, &join_request(&new, 2)).await;
    assert_eq!(joined.message::<proto::JoinAnswer>().name, old.name);
    assert_eq!(reply(&mut waiting).await.refusal(), RefusalCode::Revoked);
    assert!(new.is_served().await);
}
