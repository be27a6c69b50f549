//! Who asks: every way in which a request is not what it says.

use commonweal_core::{ClientName, Digest};
use commonweal_wire::{CLOCK_WINDOW_MS, RefusalCode, header, path, proto};
use prost::Message as _;

use crate::client::{Node, ask, now_ms, reply};
use crate::house::House;
use crate::polls::park;

/// A verdict on a run that is not there: whoever is let in hears so.
fn body() -> Vec<u8> {
    let run = "none-1".to_owned();
    proto::Verdict {
        run,
        ..proto::Verdict::default()
    }
    .encode_to_vec()
}

/// What an enrolled node's verdict hears, and nobody else's.
const LET_IN: RefusalCode = RefusalCode::UnknownRun;

/// What a verdict with these headers is refused with.
async fn refusal(node: &Node, headers: &str, body: &[u8]) -> RefusalCode {
    let mut connection = node.connect().await;
    ask(&mut connection, "POST", path::VERDICT, headers, body)
        .await
        .refusal()
}

#[tokio::test]
async fn a_request_that_is_not_its_signers_is_refused_by_what_is_wrong() {
    let house = House::open().await;
    let (node, other) = (house.enrol(1).await, house.enrol(2).await);
    let body = body();
    let good = || node.sign("POST", path::VERDICT, Digest::of(&body));
    let id = |node: &Node| node.key.public().id().to_header();
    let line = |name: &str, value: &str| format!("{name}: {value}\r\n");
    let without = |name: &str| -> String {
        let kept = |line: &&str| !line.starts_with(name);
        good().split_inclusive("\r\n").filter(kept).collect()
    };
    for name in [
        header::NODE,
        header::TIME,
        header::NONCE,
        header::DIGEST,
        header::SIGNATURE,
    ] {
        let code = refusal(&node, &without(name), &body).await;
        assert_eq!(code, RefusalCode::Malformed, "{name}");
    }
    let old = without(header::PROTOCOL) + &line(header::PROTOCOL, "0");
    assert_eq!(refusal(&node, &old, &body).await, RefusalCode::Protocol);
    let forged_id = good().replace(&id(&node), &id(&other));
    assert_eq!(
        refusal(&node, &forged_id, &body).await,
        RefusalCode::Signature
    );
    let of_another_path = node.sign("POST", path::POLL, Digest::of(&body));
    assert_eq!(
        refusal(&node, &of_another_path, &body).await,
        RefusalCode::Signature
    );
    let of_another_method = node.sign("GET", path::VERDICT, Digest::of(&body));
    assert_eq!(
        refusal(&node, &of_another_method, &body).await,
        RefusalCode::Signature
    );
    let of_another_body = node.sign("POST", path::VERDICT, Digest::of(b"another"));
    assert_eq!(
        refusal(&node, &of_another_body, &body).await,
        RefusalCode::Digest
    );
    let nonsense = node.sign("POST", path::VERDICT, Digest::of(&[0xff; 9]));
    assert_eq!(
        refusal(&node, &nonsense, &[0xff; 9]).await,
        RefusalCode::Malformed
    );
    let unknown = Node::new(&house, 3);
    let headers = unknown.sign("POST", path::VERDICT, Digest::of(&body));
    assert_eq!(
        refusal(&unknown, &headers, &body).await,
        RefusalCode::UnknownNode
    );
    assert_eq!(house.running.metrics().refusals.value(["signature"]), 3);
}

#[tokio::test]
async fn a_clock_that_is_off_is_told_the_servers_time() {
    let house = House::open().await;
    let node = house.enrol(1).await;
    let body = body();
    for time_ms in [
        now_ms() - CLOCK_WINDOW_MS - 9_000,
        now_ms() + CLOCK_WINDOW_MS + 9_000,
    ] {
        let headers = node.sign_at(time_ms, "POST", path::VERDICT, Digest::of(&body));
        let mut connection = node.connect().await;
        let reply = ask(&mut connection, "POST", path::VERDICT, &headers, &body).await;
        assert_eq!(reply.refusal(), RefusalCode::Clock);
        let server_time_ms = reply.refused().server_time_ms;
        let headers = node.sign_at(server_time_ms, "POST", path::VERDICT, Digest::of(&body));
        let reply = ask(&mut connection, "POST", path::VERDICT, &headers, &body).await;
        assert_eq!(reply.refusal(), LET_IN);
    }
}

#[tokio::test]
async fn a_request_is_taken_once_and_not_again_by_a_restarted_server() {
    let house = House::open().await;
    let node = house.enrol(1).await;
    let body = body();
    let headers = node.sign("POST", path::VERDICT, Digest::of(&body));
    let mut connection = node.connect().await;
    let first = ask(&mut connection, "POST", path::VERDICT, &headers, &body).await;
    assert_eq!(first.refusal(), LET_IN);
    assert_eq!(refusal(&node, &headers, &body).await, RefusalCode::Replayed);
    drop(connection);
    let house = house.reopen().await;
    let node = Node::new(&house, 1);
    assert_eq!(refusal(&node, &headers, &body).await, RefusalCode::Clock);
}

#[tokio::test]
async fn a_node_that_is_revoked_by_another_process_is_refused_in_its_waiting_poll() {
    let house = House::open().await;
    let node = house.enrol(1).await;
    let mut waiting = park(&house, &node, 1).await;
    let name = ClientName::try_from("node-1").unwrap();
    house.beside().await.nodes().revoke(&name).await.unwrap();
    assert_eq!(reply(&mut waiting).await.refusal(), RefusalCode::Revoked);
    let headers = node.sign("POST", path::VERDICT, Digest::of(&body()));
    assert_eq!(
        refusal(&node, &headers, &body()).await,
        RefusalCode::Revoked
    );
}

#[tokio::test]
async fn a_node_that_waits_for_approval_may_ask_nothing_yet() {
    let house = House::open_with(|config| config.approve_nodes = true).await;
    let node = house.enrol(1).await;
    let headers = node.sign("POST", path::VERDICT, Digest::of(&body()));
    assert_eq!(
        refusal(&node, &headers, &body()).await,
        RefusalCode::Unapproved
    );
    let name = ClientName::try_from("node-1").unwrap();
    house.beside().await.nodes().approve(&name).await.unwrap();
    loop {
        let headers = node.sign("POST", path::VERDICT, Digest::of(&body()));
        match refusal(&node, &headers, &body()).await {
            // The server has not looked again yet.
            RefusalCode::Unapproved => {}
            code => break assert_eq!(code, LET_IN),
        }
    }
}

#[tokio::test]
async fn who_has_left_is_no_node_any_more() {
    let house = House::open().await;
    let node = house.enrol(1).await;
    assert_eq!(node.post(path::LEAVE, &()).await.status, 200);
    let headers = node.sign("POST", path::VERDICT, Digest::of(&body()));
    assert_eq!(
        refusal(&node, &headers, &body()).await,
        RefusalCode::Revoked
    );
}
