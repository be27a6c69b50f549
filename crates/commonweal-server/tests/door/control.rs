//! The control API: keys, roles, and what operators' machines ask.

use commonweal_server::store::Role;
use commonweal_wire::control::{self, ApiError, Identity, NodeInfo, RunInfo, Submission};

use crate::client::{Node, Reply, ask};
use crate::house::House;

async fn call(house: &House, key: &str, method: &str, target: &str, body: &[u8]) -> Reply {
    let mut connection = Node::new(house, 99).connect().await;
    let headers = format!("authorization: Bearer {key}\r\n");
    ask(&mut connection, method, target, &headers, body).await
}

fn error(reply: &Reply) -> String {
    assert!(reply.status >= 400, "{}", reply.head);
    serde_json::from_slice::<ApiError>(&reply.body)
        .unwrap()
        .code
}

/// Waits until the server has looked at the keys again.
async fn until_known(house: &House, key: &str) -> Identity {
    loop {
        let reply = call(house, key, "GET", control::IDENTITY, b"").await;
        if reply.status == 200 {
            return serde_json::from_slice(&reply.body).unwrap();
        }
        assert_eq!(
            (reply.status, error(&reply)),
            (401, "unauthorized".to_owned())
        );
    }
}

#[tokio::test]
async fn each_role_may_do_what_it_is_for() {
    let house = House::open().await;
    let viewer = house.key("vera", Role::Viewer).await;
    let researcher = house.key("rosa", Role::Researcher).await;
    assert_eq!(until_known(&house, &researcher).await.role, "researcher");
    let no_job = br#"{"job": "nonsense = [", "initial": null}"#;
    let looked = call(&house, &viewer, "GET", control::RUNS, b"").await;
    assert_eq!(
        serde_json::from_slice::<Vec<RunInfo>>(&looked.body).unwrap(),
        []
    );
    let submitted = call(&house, &viewer, "POST", control::RUNS, no_job).await;
    assert_eq!(
        (submitted.status, error(&submitted)),
        (403, "forbidden".to_owned())
    );
    let refused = call(&house, &researcher, "POST", control::RUNS, no_job).await;
    assert_eq!((refused.status, error(&refused)), (422, "job".to_owned()));
    let garbled = call(&house, &researcher, "POST", control::RUNS, b"{").await;
    assert_eq!(
        (garbled.status, error(&garbled)),
        (400, "malformed".to_owned())
    );
    let unknown = call(&house, &viewer, "GET", &control::run("none-1"), b"").await;
    assert_eq!(
        (unknown.status, error(&unknown)),
        (404, "unknown_run".to_owned())
    );
    let guessed = call(&house, "guess", "GET", control::RUNS, b"").await;
    assert_eq!(guessed.status, 401);
}

#[tokio::test]
async fn a_run_is_ended_by_its_submitter_or_an_administrator_alone() {
    let house = House::open().await;
    let keys = [
        house.key("rosa", Role::Researcher).await,
        house.key("otto", Role::Researcher).await,
        house.key("ada", Role::Admin).await,
    ];
    house.enrol(1).await;
    until_known(&house, &keys[2]).await;
    let submission = serde_json::to_vec(&Submission {
        job: crate::house::job(1, 8),
        initial: None,
    });
    let submission = submission.unwrap();
    for (ending, status) in [(&keys[1], 403), (&keys[0], 200), (&keys[2], 200)] {
        let submitted = call(&house, &keys[0], "POST", control::RUNS, &submission).await;
        assert_eq!(submitted.status, 200, "{}", submitted.text());
        let run: RunInfo = serde_json::from_slice(&submitted.body).unwrap();
        assert_eq!(run.submitter, "rosa");
        let cancelled = call(&house, ending, "POST", &control::cancel(&run.id), b"").await;
        assert_eq!(cancelled.status, status, "{}", cancelled.text());
    }
}

#[tokio::test]
async fn nodes_are_listed_with_what_they_say_of_themselves() {
    let house = House::open().await;
    let viewer = house.key("vera", Role::Viewer).await;
    let node = house.enrol(1).await;
    until_known(&house, &viewer).await;
    let listed = call(&house, &viewer, "GET", control::NODES, b"").await;
    let nodes: Vec<NodeInfo> = serde_json::from_slice(&listed.body).unwrap();
    assert_eq!(nodes[0].name, "node-1");
    assert_eq!(nodes[0].fingerprint, node.key.public().id().to_string());
    assert_eq!(nodes[0].data_sets, ["digits"]);
    assert_eq!(nodes[0].state, "enrolled");
}

#[tokio::test]
async fn operators_see_health_and_numbers() {
    let house = House::open().await;
    let node = house.enrol(1).await;
    assert_eq!(node.ask("GET", "/healthz", b"").await.text(), "ok\n");
    assert_eq!(node.ask("GET", "/readyz", b"").await.text(), "ready\n");
    let page = node.ask("GET", "/metrics", b"").await;
    for line in [
        "commonweal_requests_total{route=\"join\",status=\"2xx\"} 1",
        "commonweal_nodes{presence=\"offline\"} 1",
        "commonweal_parked_polls 0",
        "commonweal_staging_queue 0",
    ] {
        assert!(page.text().contains(line), "{line} in {}", page.text());
    }
}
