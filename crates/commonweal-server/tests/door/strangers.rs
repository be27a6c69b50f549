//! Those who are nobody's node: plain HTTP, nonsense, too much, and silence.

use std::sync::Arc;

use commonweal_core::Digest;
use commonweal_wire::{RefusalCode, path};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::client::{Connection, Node, ask, head, reply};
use crate::house::{House, parameters};
use crate::reports::put;

#[tokio::test]
async fn plain_http_is_told_to_speak_https() {
    let house = House::open().await;
    let mut socket = TcpStream::connect(house.running.address()).await.unwrap();
    socket
        .write_all(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains("write https://"), "{answer}");
}

#[tokio::test]
async fn an_unknown_path_or_method_is_refused_as_such() {
    let house = House::open().await;
    let node = house.enrol(1).await;
    for (method, target) in [("GET", "/"), ("DELETE", path::POLL), ("POST", "/v2/poll")] {
        assert_eq!(
            node.ask(method, target, b"").await.refusal(),
            RefusalCode::Malformed,
            "{target}"
        );
    }
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused_while_it_is_still_being_sent() {
    let house = House::open().await;
    let node = house.enrol(1).await;
    let body = vec![7; 3 << 20];
    let reply = node.ask("POST", path::VERDICT, &body).await;
    assert_eq!(reply.refusal(), RefusalCode::TooLarge);
}

#[tokio::test]
async fn headers_that_are_too_long_end_the_connection_and_nothing_else() {
    let house = House::open().await;
    let node = house.enrol(1).await;
    let mut connection = node.connect().await;
    let long = format!("x: {}\r\n", "y".repeat(1 << 20));
    // The server may close before all of it is sent.
    let _ = connection
        .write_all(head("GET", "/", &long, 0).as_bytes())
        .await;
    assert_eq!(reply(&mut connection).await.status, 431);
    assert!(node.is_served().await);
}

#[tokio::test]
async fn five_hundred_connections_that_say_nothing_stop_no_round() {
    let house = House::open().await;
    let address = house.running.address();
    let mut silent = Vec::new();
    for number in 0..500 {
        let mut socket = TcpStream::connect(address).await.unwrap();
        if number % 2 == 0 {
            // The beginning of a handshake that never goes on.
            socket.write_all(&[22, 3, 1, 2]).await.unwrap();
        }
        silent.push(socket);
    }
    let node = house.enrol(1).await;
    let works = house.begin_round(&[&node], 8).await;
    let payload = works[0].report(parameters(8));
    assert_eq!(put(&node, &works[0], &payload, 0).await.status, 200);
}

#[tokio::test]
async fn a_crowd_of_one_address_pushes_its_own_oldest_out() {
    let house = House::open().await;
    let address = house.running.address();
    let mut first = TcpStream::connect(address).await.unwrap();
    let mut crowd = Vec::new();
    for _ in 0..600 {
        crowd.push(TcpStream::connect(address).await.unwrap());
    }
    assert_eq!(first.read(&mut [0; 1]).await.unwrap_or(0), 0);
    assert_eq!(
        Node::new(&house, 1)
            .ask("GET", "/healthz", b"")
            .await
            .text(),
        "ok\n"
    );
}

#[tokio::test]
async fn a_federation_behind_one_address_is_no_crowd_of_strangers() {
    // Together more than the strangers that an address may have.
    const NODES: u8 = 60;
    const CONNECTIONS: usize = 10;
    let house = House::open().await;
    for secret in 1..=NODES {
        house.enrol(secret).await;
    }
    // All of them come back to a server that has just been started.
    let house = Arc::new(house.reopen().await);
    let mut open = Vec::new();
    for _ in 0..CONNECTIONS {
        let coming = (1..=NODES).map(|secret| {
            let house = Arc::clone(&house);
            tokio::spawn(async move {
                let node = Node::new(&house, secret);
                let mut connection = node.connect().await;
                assert!(is_served_over(&mut connection, &node).await);
                (connection, node)
            })
        });
        for node in coming.collect::<Vec<_>>() {
            open.push(node.await.unwrap());
        }
    }
    assert_eq!(open.len(), 600);
    for (connection, node) in &mut open {
        assert!(is_served_over(connection, node).await, "{}", node.name);
    }
}

/// Whether the node is served over this very connection.
async fn is_served_over(connection: &mut Connection, node: &Node) -> bool {
    let target = path::blob(&Digest::of(b"nothing"));
    let headers = node.sign("GET", &target, Digest::of(b""));
    let reply = ask(connection, "GET", &target, &headers, b"").await;
    reply.refusal() == RefusalCode::UnknownBlob
}

#[tokio::test]
async fn bytes_that_are_no_http_end_their_connection_and_nothing_else() {
    let house = House::open().await;
    let node = house.enrol(1).await;
    let mut state = 1u32;
    for length in [1, 100, 20_000] {
        let noise = std::iter::repeat_with(|| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        });
        let noise: Vec<u8> = noise.take(length).collect();
        let mut connection = node.connect().await;
        // The server may close before all of it is sent.
        let _ = connection.write_all(&noise).await;
        let _ = connection.shutdown().await;
        let mut answer = Vec::new();
        let _ = connection.read_to_end(&mut answer).await;
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 400 "));
    }
    assert!(node.is_served().await);
}

#[tokio::test]
async fn one_connection_serves_many_requests_and_tells_the_time() {
    let house = House::open().await;
    let node = house.enrol(1).await;
    let mut connection = node.connect().await;
    for _ in 0..3 {
        let headers = node.sign("GET", "/v1/blobs/sha256:0", Digest::of(b""));
        let reply = ask(&mut connection, "GET", "/v1/blobs/sha256:0", &headers, b"").await;
        assert_eq!(reply.refusal(), RefusalCode::Malformed);
        assert!(reply.header("commonweal-time").is_some());
    }
}
