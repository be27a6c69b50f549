//! Connections that break, clocks that are wrong, keys that are elsewhere.

use commonweal_wire::proto::{self, PollRequest, instruction::Kind};
use commonweal_wire::{RefusalCode, path, refusal, task_id};

use super::fixture::{Federation, LOGISTIC, PACE, RUN, Site, job, questions, session, until, ward};
use super::work::{prepare_task, train_task};
use crate::agent::AgentError;
use crate::connection::CallError;
use crate::hours::local_zone;
use crate::join::{Join, join};
use crate::node::NodeError;
use crate::runtime::runtime;

/// A model of a quarter of a megabyte.
const LARGE: &str = "[model]\nkind = \"mlp\"\nhidden = [256, 256]\n";

#[test]
fn an_upload_that_breaks_goes_on_where_it_broke() {
    let site = Site::willing();
    let running = site.start();
    let mut federation = Federation::found(&site, &job(LARGE));
    let (task, model) = train_task(&site, &mut federation);
    let length = 4 * federation.layout.len();
    let before = site.server.script().uploaded;
    site.server.script().cuts.push_back(length / 2);
    let report = site.ask(&task, Some(model));
    let uploaded = site.server.script().uploaded - before;
    running.stop().unwrap();
    assert!(report.as_bytes().len() > length);
    assert!(
        uploaded * 10 <= report.as_bytes().len() * 11,
        "{uploaded} bytes"
    );
}

#[test]
fn a_download_that_breaks_goes_on_where_it_broke() {
    let site = Site::willing();
    let running = site.start();
    let mut federation = Federation::found(&site, &job(LARGE));
    let (task, model) = train_task(&site, &mut federation);
    let length = 4 * federation.layout.len();
    let before = site.server.script().downloaded;
    site.server
        .script()
        .blob_cuts
        .extend([length / 2, length / 4]);
    // What `prepare` found comes first, and breaks first: it is asked for before the model.
    site.server.script().blob_cuts.push_front(10);
    site.ask(&task, Some(model));
    let downloaded = site.server.script().downloaded - before;
    running.stop().unwrap();
    assert!(
        downloaded < length + 10_000,
        "{downloaded} of {length} bytes"
    );
}

#[test]
fn a_download_that_goes_silent_goes_on_where_it_stopped() {
    let site = Site::willing();
    let running = site.start();
    let mut federation = Federation::found(&site, &job(LARGE));
    let (task, model) = train_task(&site, &mut federation);
    let length = 4 * federation.layout.len();
    let before = site.server.script().downloaded;
    site.server.script().blob_stalls.extend([10, length / 2]);
    site.ask(&task, Some(model));
    let downloaded = site.server.script().downloaded - before;
    running.stop().unwrap();
    assert!(
        downloaded < length + 10_000,
        "{downloaded} of {length} bytes"
    );
}

#[test]
fn a_download_without_an_end_is_ended_by_a_cancel() {
    let site = Site::willing();
    let running = site.start();
    let mut federation = Federation::found(&site, &job(LARGE));
    let (task, model) = train_task(&site, &mut federation);
    let before = site.server.script().downloaded;
    site.server.script().blob_stalls.extend(vec![1; 1_000]);
    site.assign(&task, Some(model));
    site.server.wait("download", |script| {
        (script.downloaded > before).then_some(())
    });
    site.server.send(Kind::Cancel(proto::Cancel {
        run: RUN.to_owned(),
        task: Some(task_id(task.id)),
        reason: "enough have reported".to_owned(),
    }));
    // The stalls go on: what needs no download is done.
    let job = job(LARGE);
    let schema = session(&site, &job).data.schema();
    let (_, preparation) = questions(&job, &schema);
    let mut again = prepare_task(&job, preparation.spec());
    again.id.attempt = 1;
    site.ask(&again, None);
    running.stop().unwrap();
    assert!(site.server.script().failures.is_empty());
}

#[test]
fn a_blob_longer_than_what_was_asked_for_is_an_error_and_not_asked_for_again() {
    let site = Site::willing();
    let digest = site.server.blob(&[7; 1000]);
    let shared = site.node().shared(PACE).unwrap();
    let fetched = runtime()
        .unwrap()
        .block_on(shared.blobs().bytes(&digest, 999));
    assert!(
        matches!(fetched, Err(CallError::TooLong { longest: 999, .. })),
        "{fetched:?}"
    );
    assert_eq!(site.server.script().downloaded, 1000);
}

#[test]
fn an_offer_whose_manifest_cannot_be_had_at_first_is_not_forgotten() {
    let site = Site::willing();
    let running = site.start();
    let refusal = refusal(RefusalCode::UnknownBlob, "not yet", 1);
    site.server
        .script()
        .refusals
        .push_back(("/v1/blobs/", refusal));
    site.approved(&job(LOGISTIC));
    running.stop().unwrap();
    assert!(site.server.script().refusals.is_empty());
}

#[test]
fn an_upload_whose_slot_was_taken_back_starts_again() {
    let site = Site::willing();
    let running = site.start();
    let mut federation = Federation::found(&site, &job(LOGISTIC));
    let (task, model) = train_task(&site, &mut federation);
    for code in [
        RefusalCode::SlotLost,
        RefusalCode::Unavailable,
        RefusalCode::Offset,
    ] {
        let refusal = refusal(code, "later", 1);
        site.server
            .script()
            .refusals
            .push_back(("/v1/runs/ward-1/reports/train-1", refusal));
    }
    site.ask(&task, Some(model));
    running.stop().unwrap();
    assert!(site.server.script().refusals.is_empty());
}

#[test]
fn a_node_with_a_wrong_clock_learns_the_servers() {
    let site = Site::willing();
    site.server.script().ahead_ms = 600_000;
    let running = site.start();
    site.approved(&job(LOGISTIC));
    running.stop().unwrap();
    let ahead = site.node().status().unwrap().last.unwrap().clock_ahead_ms;
    assert!((590_000..=610_000).contains(&ahead), "{ahead} ms");
}

#[test]
fn a_node_whose_key_is_in_use_elsewhere_stops_and_says_so() {
    type Is = fn(&AgentError) -> bool;
    let ends: [(RefusalCode, Is); 4] = [
        (RefusalCode::TakenOver, |end| {
            matches!(end, AgentError::TakenOver)
        }),
        (RefusalCode::Revoked, |end| {
            matches!(end, AgentError::Revoked)
        }),
        (RefusalCode::UnknownNode, |end| {
            matches!(end, AgentError::Unknown { .. })
        }),
        (RefusalCode::Protocol, |end| {
            matches!(end, AgentError::Protocol { .. })
        }),
    ];
    let site = Site::willing();
    for (code, is_it) in ends {
        let refusal = refusal(code, "no", 1);
        site.server
            .script()
            .refusals
            .push_back((path::POLL, refusal));
        let NodeError::Agent(end) = site.start().ended() else {
            panic!("{code:?} ends the node");
        };
        assert!(is_it(&end), "{end}");
    }
    let last = site.node().status().unwrap().last.unwrap();
    assert_eq!(last.state, "stopped");
}

#[test]
fn a_node_that_is_not_approved_yet_waits() {
    let site = Site::willing();
    for _ in 0..3 {
        let refusal = refusal(RefusalCode::Unapproved, "wait", 1);
        site.server
            .script()
            .refusals
            .push_back((path::POLL, refusal));
    }
    let running = site.start();
    site.approved(&job(LOGISTIC));
    running.stop().unwrap();
}

#[test]
fn one_directory_is_one_node() {
    let site = Site::willing();
    let running = site.start();
    site.server
        .wait("poll", |script| script.polls.first().cloned());
    assert!(matches!(site.start().ended(), NodeError::Folder(_)));
    running.stop().unwrap();
    let is_first = |poll: &PollRequest| poll.statement.is_some();
    assert!(is_first(&site.server.script().polls[0]));
}

#[test]
fn a_node_that_leaves_takes_its_key_with_it_and_keeps_its_record() {
    let site = Site::willing();
    let running = site.start();
    site.approved(&job(LOGISTIC));
    running.stop().unwrap();
    let before = site.record().len();
    let left = site.node().leave().unwrap();
    assert_eq!(left.name, "node-a");
    assert!(site.server.script().has_left);
    assert!(!site.folder.key().exists() && !site.folder.server().exists());
    assert_eq!(site.record().len(), before + 1);
    assert_eq!(site.requests().all().unwrap(), []);
}

#[test]
fn what_was_agreed_with_one_federation_does_not_hold_in_another() {
    let site = Site::willing();
    let running = site.start();
    site.approved(&job(LOGISTIC));
    running.stop().unwrap();
    // As a node leaves that has lost its server: by hand.
    std::fs::remove_file(site.folder.server()).unwrap();
    let how = || Join {
        string: site.server.invitation(),
        name: Some("node-a".to_owned()),
        ca_file: None,
        consent: None,
    };
    // Another test's worker that is just being started holds the folder's lock for a moment.
    until("join", || join(&site.folder, how()).ok());
    assert_eq!(site.requests().all().unwrap(), []);
}

#[test]
fn a_node_rests_outside_its_hours() {
    let now = local_zone().to_datetime(jiff::Timestamp::now());
    let hour = |later: i8| (now.hour() + later) % 24;
    let hours = format!("hours = \"{:02}:00-{:02}:00\"", hour(6), hour(7));
    let site = Site::new(
        &format!("accept = \"all\"\nsmallest_cohort = 1\n{hours}"),
        &ward(),
    );
    let running = site.start();
    until("rest", || {
        let last = site.node().status().ok()?.last?;
        (last.state == "resting").then_some(())
    });
    running.stop().unwrap();
    assert!(site.server.script().polls.is_empty());
}
