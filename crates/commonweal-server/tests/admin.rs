//! What an administrator can do at a data directory, and what it leaves behind.

#![allow(clippy::unwrap_used, reason = "what fails here is the claim")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use commonweal_core::{ClientName, Stage, TaskId};
use commonweal_server::Server;
use commonweal_server::admin::{Admin, AdminError, BackupError, restore};
use commonweal_server::authority::Authority;
use commonweal_server::config::ServerConfig;
use commonweal_server::store::{
    Along, Commit, Enrolment, NewRun, NodeState, Role, Store, StoreError,
};
use commonweal_wire::control::RunState;
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

async fn commit(store: &Store, run: &str, round: u64) {
    let put = |text: String| store.blobs().put(Bytes::from(text));
    let commit = Commit {
        task: TaskId {
            round,
            stage: Stage::Train,
            attempt: 0,
        },
        version: round,
        snapshot: Some(put(format!("snapshot {round}")).await.unwrap()),
        model: Some(put(format!("model {round}")).await.unwrap()),
        counted: vec![name("a"), name("b")],
        at_ms: round,
    };
    let along = Along {
        state: RunState::Running,
        prepared: None,
        history: None,
        files: &[],
        events: &[serde_json::json!({ "round": round })],
    };
    store.commits().add(run, &commit, along).await.unwrap();
}

async fn submit(store: &Store) -> String {
    let run = NewRun {
        job_name: "digits".to_owned(),
        job: String::new(),
        manifest: store.blobs().put("manifest".into()).await.unwrap(),
        submitter: "ada".to_owned(),
        submitted_at_ms: 1,
        files: Vec::new(),
    };
    store.runs().submit(&run).await.unwrap().id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_of_a_server_at_work_is_restored_elsewhere_as_it_was() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let config = ServerConfig::of(from.path());
    let admin = Admin::open(config.clone()).await.unwrap();
    let secret = admin.add_key("ada", Role::Admin, now()).await.unwrap();
    admin.invite(&[Some(name("a"))], HOUR, now()).await.unwrap();
    let server = Store::open(from.path()).await.unwrap();
    let run = submit(&server).await;
    commit(&server, &run, 1).await;

    let file = to.path().join("backup.tar");
    let mut backup = Box::pin(admin.backup(&file));
    let mut round = 1;
    let summary = loop {
        round += 1;
        tokio::select! {
            summary = &mut backup => break summary.unwrap(),
            () = commit(&server, &run, round) => {}
        }
    };
    // The write that the backup's end broke off may be there or not.
    commit(&server, &run, round + 1).await;

    let folder = to.path().join("data");
    assert_eq!(restore(&file, &folder).await.unwrap(), summary);
    let restored = Store::open(&folder).await.unwrap();
    let commits = restored.commits().list(&run).await.unwrap();
    let original = server.commits().list(&run).await.unwrap();
    assert!(!commits.is_empty());
    assert_eq!(commits, original[..commits.len()]);
    let events = restored.events().after(&run, 0, 10_000).await.unwrap();
    assert_eq!(events.len(), commits.len());
    assert_eq!(summary.blobs, 1 + 2 * commits.len() as u64);
    assert_eq!(
        restored.keys().list().await.unwrap(),
        server.keys().list().await.unwrap()
    );
    let found = restored.keys().by_digest(&secret.digest()).await.unwrap();
    assert!(found.is_some());
    assert_eq!(
        restored.invitations().list().await.unwrap(),
        server.invitations().list().await.unwrap()
    );
    let authority = |config| Authority::open(config, now()).unwrap().fingerprint();
    assert_eq!(authority(&ServerConfig::of(&folder)), authority(&config));
    // Nothing is left beside.
    for folder in [from.path(), &folder] {
        for entry in std::fs::read_dir(folder).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(!name.contains("unfinished"), "{name}");
        }
    }
}

#[tokio::test]
async fn what_a_killed_backup_has_left_is_removed_by_the_next_and_by_a_start() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let config = ServerConfig {
        listen: ([127, 0, 0, 1], 0).into(),
        ..ServerConfig::of(&data)
    };
    let admin = Admin::open(config.clone()).await.unwrap();
    let left = data.join("unfinished-backup-1a2b3c");
    let own = data.join("backup-of-mine");
    let leave = || {
        std::fs::create_dir_all(left.join("blobs")).unwrap();
        std::fs::write(left.join("commonweal.sqlite"), b"half").unwrap();
    };
    std::fs::create_dir(&own).unwrap();
    leave();
    admin.backup(&folder.path().join("one.tar")).await.unwrap();
    assert!(!left.exists());
    leave();
    let running = Server::start(config).await.unwrap();
    assert!(!left.exists());
    // While another process makes a backup, its folder is left alone, and no second one is made.
    let lock = std::fs::File::open(data.join("backup.lock")).unwrap();
    lock.lock().unwrap();
    leave();
    let second = admin.backup(&folder.path().join("two.tar")).await;
    assert!(
        matches!(second, Err(BackupError::Busy { .. })),
        "{second:?}"
    );
    assert!(left.exists());
    assert!(own.exists(), "it is nobody's but its owner's");
    running.shutdown().await;
}

#[tokio::test]
async fn a_backup_overwrites_nothing_and_is_restored_over_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let admin = Admin::open(ServerConfig::of(&data)).await.unwrap();
    let file = folder.path().join("backup.tar");
    admin.backup(&file).await.unwrap();
    let again = admin.backup(&file).await;
    assert!(matches!(again, Err(BackupError::Exists { .. })));
    let over = restore(&file, &data).await;
    assert!(matches!(over, Err(BackupError::NotEmpty { .. })));

    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
}

#[tokio::test]
async fn a_backup_that_is_cut_or_changed_is_not_restored() {
    let folder = tempfile::tempdir().unwrap();
    let admin = Admin::open(ServerConfig::of(folder.path().join("data")))
        .await
        .unwrap();
    let store = Store::open(&folder.path().join("data")).await.unwrap();
    let run = submit(&store).await;
    commit(&store, &run, 1).await;
    let file = folder.path().join("backup.tar");
    admin.backup(&file).await.unwrap();
    let whole = std::fs::read(&file).unwrap();
    let empty = folder.path().join("empty");

    let mut changed = whole.clone();
    let at = changed
        .windows(10)
        .position(|it| it == b"snapshot 1")
        .unwrap();
    changed[at] = b'S';
    let cuts = (0..whole.len() - 2 * 512)
        .step_by(7_168)
        .map(|len| whole[..len].to_vec());
    for bytes in cuts.chain([changed, b"no backup".to_vec()]) {
        std::fs::write(&file, &bytes).unwrap();
        let refused = restore(&file, &empty).await;
        assert!(refused.is_err(), "{} of {}", bytes.len(), whole.len());
        let left = std::fs::read_dir(&empty).unwrap().count();
        assert_eq!(left, 0, "{}", refused.unwrap_err());
    }
    std::fs::write(&file, &whole).unwrap();
    restore(&file, &empty).await.unwrap();
}

#[tokio::test]
async fn a_backup_with_a_file_of_another_place_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("backup.tar");
    let mut tar = tar::Builder::new(std::fs::File::create(&file).unwrap());
    let label = br#"{"format":1,"version":"0.1.0"}"#;
    for (name, bytes) in [("commonweal-backup.json", &label[..]), ("blobs/x", b"x")] {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        tar.append_data(&mut header, name, bytes).unwrap();
    }
    tar.finish().unwrap();
    let refused = restore(&file, &folder.path().join("data"))
        .await
        .unwrap_err();
    assert!(
        refused.to_string().ends_with("it has the file \"blobs/x\""),
        "{refused}"
    );
}
