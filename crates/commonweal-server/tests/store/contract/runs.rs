//! Runs, verdicts, events and log lines.

use std::collections::BTreeSet;

use commonweal_core::Digest;
use commonweal_server::store::{Level, NewRun, Note, StoreError, Verdict, VerdictKind};
use commonweal_wire::control::RunState;
use commonweal_wire::proto::UnfitCode;
use serde_json::json;

use super::{job, name, submitted};
use crate::ground::Ground;

const SILENT: Note<'static> = Note {
    at_ms: 4_000,
    events: &[],
};

pub(crate) async fn runs_are_numbered_by_job_name_however_they_race(ground: impl Ground) {
    let (here, there) = (ground.open().await, ground.open().await);
    let mut ids = BTreeSet::new();
    for _ in 0..5 {
        let (digits, heart) = (job("digits"), job("heart"));
        let (left, right) = (here.runs(), there.runs());
        let (a, b, c) = tokio::join!(
            left.submit(&digits),
            right.submit(&digits),
            right.submit(&heart),
        );
        for run in [a, b, c] {
            ids.insert(run.unwrap().id);
        }
    }
    let digits = (1..=10).map(|number| format!("digits-{number}"));
    let heart = (1..=5).map(|number| format!("heart-{number}"));
    assert_eq!(ids, digits.chain(heart).collect());
}

pub(crate) async fn members_are_those_that_were_fixed_in_order(ground: impl Ground) {
    let store = ground.open().await;
    let run = submitted(&store).await;
    assert_eq!(store.runs().members(&run.id).await.unwrap(), []);
    let members = [name("b"), name("a"), name("Z")];
    let note = Note {
        at_ms: 4_000,
        events: &[json!({"event": "started"})],
    };
    let state = RunState::Preparing;
    store
        .runs()
        .fix_members(&run.id, &members, "{}", state, note)
        .await
        .unwrap();
    let fixed = store.runs().members(&run.id).await.unwrap();
    let population = commonweal_core::Population::named(members.to_vec()).unwrap();
    let names = (0..3).filter_map(|index| population.name(commonweal_core::ClientIndex(index)));
    assert_eq!(fixed, names.collect::<Vec<_>>());
    let run = store.runs().find(&run.id).await.unwrap();
    assert_eq!((run.state, run.schema.as_deref()), (state, Some("{}")));
    assert_eq!(store.events().after(&run.id, 0, 10).await.unwrap().len(), 1);
}

pub(crate) async fn a_run_that_is_over_is_not_gone_on_with_until_it_is_reopened(
    ground: impl Ground,
) {
    let store = ground.open().await;
    let run = submitted(&store).await;
    let set = async |state, reason| {
        let set = store.runs().set_state(&run.id, state, reason, SILENT).await;
        set.unwrap();
        store.runs().find(&run.id).await.unwrap()
    };
    let over = set(RunState::Failed, Some("too few nodes")).await;
    assert_eq!(over.reason.as_deref(), Some("too few nodes"));
    assert_eq!(over.ended_at_ms, Some(4_000));
    assert_eq!(store.runs().unfinished().await.unwrap(), []);
    let open = set(RunState::Running, None).await;
    assert_eq!((&open.reason, open.ended_at_ms), (&None, None));
    assert_eq!(store.runs().unfinished().await.unwrap(), [open]);
}

pub(crate) async fn a_later_verdict_takes_an_earlier_ones_place(ground: impl Ground) {
    let store = ground.open().await;
    let run = submitted(&store).await;
    let kinds = [
        VerdictKind::Unfit {
            code: UnfitCode::Schema,
            column: "age".to_owned(),
            line: 7,
        },
        VerdictKind::Denied {
            reason: "not this year".to_owned(),
        },
        VerdictKind::Approved {
            schema: "{}".into(),
        },
    ];
    for kind in kinds {
        let verdict = Verdict {
            node: name("a"),
            key: commonweal_wire::NodeKey::from_secret(&[1; 32])
                .public()
                .id(),
            kind,
            at_ms: 4_000,
        };
        let verdicts = [verdict];
        store.verdicts().set(&run.id, &verdicts).await.unwrap();
        assert_eq!(store.verdicts().list(&run.id).await.unwrap(), verdicts);
    }
}

pub(crate) async fn an_event_number_never_repeats_however_many_append(ground: impl Ground) {
    let (here, there) = (ground.open().await, ground.open().await);
    let run = submitted(&here).await;
    let append = async |store: &commonweal_server::store::Store, from: u64| {
        for at_ms in from..from + 10 {
            let events = [json!({ "at": at_ms }), json!({ "again": at_ms })];
            let note = Note {
                at_ms,
                events: &events,
            };
            store.events().append(&run.id, note).await.unwrap();
        }
    };
    tokio::join!(append(&here, 0), append(&here, 100), append(&there, 200));
    let events = here.events().after(&run.id, 0, 100).await.unwrap();
    let numbers = events.iter().map(|event| event.number);
    assert_eq!(numbers.collect::<Vec<_>>(), (1..=60).collect::<Vec<_>>());
    // Those of one call stand together.
    for pair in events.chunks(2) {
        assert_eq!(pair[0].event["at"], pair[1].event["again"]);
    }
    let rest = here.events().after(&run.id, 58, 1).await.unwrap();
    assert_eq!(rest[0], events[58]);
}

pub(crate) async fn log_lines_are_numbered_from_one(ground: impl Ground) {
    let store = ground.open().await;
    let run = submitted(&store).await;
    for (number, level) in [(1, Level::Info), (2, Level::Warn), (3, Level::Error)] {
        let appended = store.lines().append(&run.id, 4_000, level, "words").await;
        assert_eq!(appended.unwrap(), number);
    }
    let lines = store.lines().after(&run.id, 1, 10).await.unwrap();
    let levels = lines.iter().map(|line| line.level.as_str());
    assert_eq!(levels.collect::<Vec<_>>(), ["warn", "error"]);
    assert_eq!(
        store.lines().after(&run.id, u64::MAX, 10).await.unwrap(),
        []
    );
}

pub(crate) async fn nothing_is_written_for_a_run_that_is_unknown(ground: impl Ground) {
    let store = ground.open().await;
    let is_missing = |error: StoreError| error.to_string() == "there is no run \"digits-9\"";
    let note = Note {
        at_ms: 1,
        events: &[json!(1)],
    };
    let id = "digits-9";
    assert!(is_missing(store.runs().find(id).await.unwrap_err()));
    assert!(is_missing(
        store.events().append(id, note).await.unwrap_err()
    ));
    assert!(is_missing(
        store
            .lines()
            .append(id, 1, Level::Info, "")
            .await
            .unwrap_err()
    ));
    let set = store
        .runs()
        .set_state(id, RunState::Failed, None, note)
        .await;
    assert!(is_missing(set.unwrap_err()));
    let commit = super::commit(1, &["a"]);
    let added = store.commits().add(id, &commit, super::ALONE).await;
    assert!(is_missing(added.unwrap_err()));
    assert_eq!(store.events().after(id, 0, 10).await.unwrap(), []);
    let with_file = NewRun {
        files: vec![("manifest.json".to_owned(), Digest::of(b"m"))],
        ..job("digits")
    };
    let run = store.runs().submit(&with_file).await.unwrap();
    let found = store.files().find(&run.id, "manifest.json").await.unwrap();
    assert_eq!(found, Some(Digest::of(b"m")));
}
