//! Blobs: whole and in ranges, for nodes alone.

use bytes::Bytes;
use commonweal_core::Digest;
use commonweal_wire::{RefusalCode, path};

use crate::client::{Node, ask};
use crate::house::House;

#[tokio::test]
async fn a_blob_comes_whole_or_from_where_it_broke_off() {
    let house = House::open().await;
    let node = house.enrol(1).await;
    let bytes: Vec<u8> = (0..700_000u32).map(|at| (at % 251) as u8).collect();
    let digest = house
        .running
        .store()
        .blobs()
        .put(Bytes::from(bytes.clone()))
        .await
        .unwrap();
    let target = path::blob(&digest);
    let whole = node.ask("GET", &target, b"").await;
    assert_eq!(whole.status, 200);
    assert!(whole.body == bytes);
    assert_eq!(whole.header("etag"), Some(&*format!("\"{digest}\"")));
    assert!(whole.header("cache-control").unwrap().contains("immutable"));
    let mut connection = node.connect().await;
    let headers = node.sign("GET", &target, Digest::of(b"")) + "range: bytes=300000-\r\n";
    let rest = ask(&mut connection, "GET", &target, &headers, b"").await;
    assert_eq!(rest.status, 206);
    assert_eq!(
        rest.header("content-range"),
        Some("bytes 300000-699999/700000")
    );
    assert!(rest.body == bytes[300_000..]);
    let headers = node.sign("GET", &target, Digest::of(b"")) + "range: bytes=700000-\r\n";
    let outside = ask(&mut connection, "GET", &target, &headers, b"").await;
    assert_eq!(outside.status, 416);
}

#[tokio::test]
async fn a_blob_that_is_not_there_and_one_for_a_stranger_are_refused() {
    let house = House::open().await;
    let node = house.enrol(1).await;
    let target = path::blob(&Digest::of(b"nothing"));
    let missing = node.ask("GET", &target, b"").await;
    assert_eq!(missing.refusal(), RefusalCode::UnknownBlob);
    let stranger = Node::new(&house, 2);
    let refused = stranger.ask("GET", &target, b"").await;
    assert_eq!(refused.refusal(), RefusalCode::UnknownNode);
}
