//! What an administrator can do at a data directory, and what it leaves behind.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use commonweal_core::ClientName;
use commonweal_server::admin::{Admin, AdminError};
use commonweal_server::authority::Authority;
use commonweal_server::config::ServerConfig;
use commonweal_server::store::{Enrolment, NodeState, Role, Store, StoreError};
use commonweal_wire::{NodeKey, ServerIdentity, proto};

const HOUR: Duration = Duration::from_secs(3600);

fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

fn name(text: &str) -> ClientName {
    ClientName::try_from(text).unwrap()
}

#[tokio::test]
async fn an_invitation_lets_its_node_in_by_the_name_that_it_carries() {
    let folder = tempfile::tempdir().unwrap();
    let config = ServerConfig::of(folder.path());
    let admin = Admin::open(config.clone()).await.unwrap();
    let invited = admin
        .invite(&[Some(name("a")), None], HOUR, now())
        .await
        .unwrap();
    let authority = Authority::open(&config, now()).unwrap();
    assert_eq!(&invited[0].join.server, authority.identity());
    assert!(matches!(
        invited[0].join.server,
        ServerIdentity::Authority(_)
    ));
    assert_eq!(invited[0].join.url, "https://localhost:7070");
    assert_eq!(invited[0].join.expires, 1_700_003_600);

    let store = Store::open(folder.path()).await.unwrap();
    for (invited, expected) in invited.iter().zip(["a", "asked-for"]) {
        let enrolment = Enrolment {
            token: invited.join.token.digest(),
            key: NodeKey::from_secret(invited.join.token.as_bytes()).public(),
            name: name("asked-for"),
            statement: proto::Statement::default(),
            waits_for_approval: false,
            at_ms: 1_700_000_001_000,
        };
        let node = store.invitations().join(enrolment).await.unwrap();
        assert_eq!(node.name, name(expected));
    }
}

#[tokio::test]
async fn nobody_is_invited_under_a_name_that_is_taken_or_given_twice() {
    let folder = tempfile::tempdir().unwrap();
    let admin = Admin::open(ServerConfig::of(folder.path())).await.unwrap();
    let twice = admin
        .invite(&[Some(name("a")), Some(name("a"))], HOUR, now())
        .await;
    assert!(matches!(twice, Err(AdminError::Twice { .. })));
    assert_eq!(admin.invitations().list().await.unwrap(), []);

    let invited = admin.invite(&[Some(name("a"))], HOUR, now()).await.unwrap();
    let enrolment = Enrolment {
        token: invited[0].join.token.digest(),
        key: NodeKey::from_secret(&[1; 32]).public(),
        name: name("a"),
        statement: proto::Statement::default(),
        waits_for_approval: true,
        at_ms: 1_700_000_001_000,
    };
    admin.invitations().join(enrolment).await.unwrap();
    let taken = admin
        .invite(&[Some(name("a"))], HOUR, now())
        .await
        .unwrap_err();
    assert!(matches!(
        taken,
        AdminError::Enrolled {
            state: NodeState::Waiting,
            ..
        }
    ));

    admin.nodes().revoke(&name("a")).await.unwrap();
    admin.invite(&[Some(name("a"))], HOUR, now()).await.unwrap();
}

#[tokio::test]
async fn a_key_opens_by_its_secret_until_it_is_revoked_and_the_secret_is_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let admin = Admin::open(ServerConfig::of(folder.path())).await.unwrap();
    let secret = admin.add_key("ada", Role::Researcher, now()).await.unwrap();
    assert_eq!(secret.as_str().len(), 47);
    let found = admin
        .keys()
        .by_digest(&secret.digest())
        .await
        .unwrap()
        .unwrap();
    assert_eq!((found.name.as_str(), found.role), ("ada", Role::Researcher));
    let taken = admin.add_key("ada", Role::Viewer, now()).await.unwrap_err();
    assert!(matches!(taken, AdminError::Store(StoreError::Taken { .. })));

    admin.revoke_key("ada", now()).await.unwrap();
    assert_eq!(
        admin.keys().by_digest(&secret.digest()).await.unwrap(),
        None
    );
    let gone = admin.revoke_key("ada", now()).await.unwrap_err();
    assert_eq!(gone.to_string(), "there is no key \"ada\"");
    let other = admin.add_key("ada", Role::Viewer, now()).await.unwrap();
    assert_ne!(other, secret);

    admin.close().await;
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            let secret = secret.as_str().as_bytes();
            assert!(
                !bytes.windows(secret.len()).any(|it| it == secret),
                "{}",
                path.display()
            );
        }
    }
}
