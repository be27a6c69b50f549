//! `commonweal data`: what there is, before any training.

use crate::program::{JOB, Place};

#[test]
fn every_data_set_is_listed_with_whether_it_is_here() {
    let place = Place::new();
    let events = place.run(&["data", "list", "--json"]).well().events();
    let digits = events
        .iter()
        .find(|event| event["name"] == "digits")
        .unwrap();
    assert_eq!(digits["available"], true);
    let mnist = events
        .iter()
        .find(|event| event["name"] == "mnist")
        .unwrap();
    assert_eq!(mnist["available"], false);
}

#[test]
fn a_data_set_is_described_with_columns_clients_licence_and_how_to_get_it() {
    let place = Place::new();
    let heart = place.run(&["data", "describe", "heart"]).well().stdout;
    for part in ["CC BY 4.0", "740", "hospital", "age"] {
        assert!(heart.contains(part), "{part} is not in {heart}");
    }
    // Not here, and still described: how to get it is what one wants to know.
    let mnist = place.run(&["data", "describe", "mnist"]).well().stdout;
    assert!(mnist.contains("COMMONWEAL_DATA"), "{mnist}");
    let ended = place.run(&["data", "describe", "hart"]);
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("heart"), "{}", ended.stderr);
}

#[test]
fn a_partition_is_counted_by_client_and_class_before_training() {
    let place = Place::with_job();
    let events = place
        .run(&["data", "partition", "job.toml", "--json"])
        .well()
        .events();
    let clients: Vec<_> = events
        .iter()
        .filter(|event| event["event"] == "client")
        .collect();
    assert_eq!(clients.len(), 10);
    let rows = |event: &serde_json::Value| -> u64 {
        event["counts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|count| count.as_u64().unwrap())
            .sum()
    };
    assert_eq!(clients.iter().map(|client| rows(client)).sum::<u64>(), 1437);
    let text = place.run(&["data", "partition", "job.toml"]).well().stdout;
    assert!(text.contains("client-0"), "{text}");
    assert!(!place.path("runs").exists());
}

#[test]
fn a_partition_that_cannot_be_made_says_why() {
    let place = Place::holding("job.toml", &JOB.replace("clients = 10", "clients = 100000"));
    let ended = place.run(&["data", "partition", "job.toml", "--json"]);
    assert_eq!(ended.code, 2, "{}{}", ended.stdout, ended.stderr);
    assert_eq!(ended.last()["event"], "error");
}
