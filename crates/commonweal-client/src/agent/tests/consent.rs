//! Who decides, and what happens before and after.

use std::sync::Arc;

use commonweal_core::job::{Job, Manifest};
use commonweal_core::{PrepareSpec, TrainError};
use commonweal_wire::proto;
use commonweal_wire::proto::{FailureCode, UnfitCode, instruction::Kind, verdict};

use super::fixture::{Federation, LOGISTIC, PACE, RUN, Site, job, until, ward};
use crate::agent::{Agent, Current, Run};
use crate::assignment::{Assignment, Watch};
use crate::record::RecordEntry;
use crate::request::{Decider, Decision, Request};
use crate::runtime::runtime;
use crate::session::SessionError;

pub(super) const ASK: &str = "accept = \"ask\"\nsmallest_cohort = 1";

#[test]
fn no_row_is_read_before_the_owner_agrees() {
    // There is no file: whoever opened it would say that it cannot be read.
    let site = Site::new(ASK, "");
    let running = site.start();
    site.offer(&job(LOGISTIC), 1);
    let request = until("request", || site.requests().find(RUN).ok());
    assert_eq!(request.decision, Decision::Waiting);
    let shown = site.node().show(RUN).unwrap().to_string();
    assert!(
        shown.contains("waiting for you") && shown.contains("asked by     ada"),
        "{shown}"
    );

    assert!(site.node().approve(RUN, None).unwrap().is_running);
    let verdict::Kind::Unfit(unfit) = site.verdict(0) else {
        panic!("the file is missing");
    };
    assert_eq!(unfit.code(), UnfitCode::Unreadable);
    assert_eq!((unfit.column.as_str(), unfit.line), ("", 0));

    std::fs::write(site.data(), ward()).unwrap();
    site.node().approve(RUN, None).unwrap();
    let verdict::Kind::Approved(approved) = site.verdict(1) else {
        panic!("the file is there");
    };
    let schema = String::from_utf8(approved.schema).unwrap();
    assert!(
        schema.contains("\"age\"") && !schema.contains("yes"),
        "{schema}"
    );
    running.stop().unwrap();
}

#[test]
fn a_denial_reaches_the_server_with_its_reason_and_its_tasks_are_given_back() {
    let site = Site::new(ASK, &ward());
    let running = site.start();
    let job = job(LOGISTIC);
    site.offer(&job, 1);
    until("request", || site.requests().find(RUN).ok());
    site.node()
        .deny(RUN, "not before the ethics board has met")
        .unwrap();
    let verdict::Kind::Denied(denied) = site.verdict(0) else {
        panic!("denied");
    };
    assert_eq!(denied.reason, "not before the ethics board has met");
    let (_, preparation) =
        super::fixture::questions(&job, &super::fixture::session(&site, &job).data.schema());
    let task = super::work::prepare_task(&job, preparation.spec());
    site.assign(&task, None);
    assert_eq!(site.failure(0), FailureCode::Denied);
    running.stop().unwrap();
}

#[test]
fn consent_can_be_taken_back_in_the_middle_of_a_task() {
    let site = Site::new(ASK, &ward());
    let running = site.start();
    let job = job(&format!("{LOGISTIC}[training]\nepochs = 1000000\n"));
    site.offer(&job, 1);
    until("request", || site.requests().find(RUN).ok());
    site.node().approve(RUN, None).unwrap();
    let mut federation = Federation::after_approval(&site, &job);
    let (task, model) = super::work::train_task(&site, &mut federation);
    site.assign(&task, Some(model));
    site.server.wait("work", |script| {
        script
            .polls
            .iter()
            .find(|poll| {
                poll.working
                    .as_ref()
                    .is_some_and(|working| working.done > 0)
            })
            .cloned()
    });
    site.node().deny(RUN, "withdrawn").unwrap();
    assert_eq!(site.failure(0), FailureCode::Denied);
    let verdict::Kind::Denied(denied) = site.verdict(1) else {
        panic!("denied");
    };
    assert_eq!(denied.reason, "withdrawn");
    assert_eq!(site.server.script().reports.len(), 1, "of prepare alone");
    running.stop().unwrap();
}

#[test]
fn a_task_whose_run_was_denied_while_it_was_fetched_reads_no_row() {
    // There is no file: whoever opened it would say that it cannot be read.
    let site = Site::new(ASK, "");
    let job = job(LOGISTIC);
    let shared = Arc::new(site.node().shared(PACE).unwrap());
    let watch = Arc::new(Watch::default());
    watch.cancel();
    let perform = assignment(&job).perform(shared, job, None, watch);
    let (session, result) = runtime().unwrap().block_on(perform);
    assert!(session.is_none());
    let error = result.unwrap_err();
    assert_eq!(error.failure().code(), FailureCode::Cancelled, "{error}");
}

#[test]
fn data_stay_open_for_the_job_that_the_owner_agrees_to_and_no_other() {
    let site = Site::new(ASK, &ward());
    let (own, other) = (
        job(LOGISTIC),
        job(&format!("{LOGISTIC}[training]\nepochs = 2\n")),
    );
    let approved = Decision::Approved {
        by: Decider::Owner,
        at_ms: 1,
    };
    let denied = Decision::Denied {
        reason: String::new(),
        at_ms: 2,
    };
    for (job, decision, is_kept) in [
        (&own, &approved, true),
        (&own, &denied, false),
        (&other, &approved, false),
    ] {
        let mut agent = Agent::new(site.node().shared(PACE).unwrap());
        agent.runs.insert(RUN.to_owned(), asking(job, decision));
        let watch = Arc::new(Watch::default());
        watch.cancel();
        agent.current = Some(Current {
            run: RUN.to_owned(),
            task: assignment(&own).id(),
            watch,
            accumulator: String::new(),
        });
        let opened = Box::new(super::fixture::session(&site, &own));
        let cancelled = SessionError::from(TrainError::Cancelled).into();
        agent
            .worked(assignment(&own), Some(opened), Err(cancelled))
            .unwrap();
        assert_eq!(agent.take_session(RUN).is_some(), is_kept, "{decision:?}");
    }
}

/// A task of `prepare` that asks nothing.
pub(super) fn assignment(job: &Job) -> Assignment {
    let nothing = PrepareSpec {
        columns: Vec::new(),
    };
    Assignment {
        run: RUN.to_owned(),
        task: super::work::prepare_task(job, &nothing),
        model: None,
        layout: None,
        prepared: None,
        accumulator: String::new(),
    }
}

/// A run of `job` about which was decided.
fn asking(job: &Job, decision: &Decision) -> Run {
    Run {
        request: Request {
            run: RUN.to_owned(),
            manifest: Manifest::of(job).digest(),
            submitter: "ada".to_owned(),
            submitted_at_ms: 1,
            asked_at_ms: 1,
            initial: None,
            decision: decision.clone(),
            told: true,
            prepared: None,
            ended: None,
        },
        job: Arc::new(job.clone()),
        told: Some(decision.clone()),
        is_judging: false,
    }
}

#[test]
fn an_offer_that_comes_again_changes_nothing_and_is_answered_again() {
    let site = Site::willing();
    let running = site.start();
    let job = job(LOGISTIC);
    site.approved(&job);
    let before = site.requests().find(RUN).unwrap();
    site.server.restart("sum-2");
    site.offer(&job, 1);
    assert!(matches!(site.verdict(1), verdict::Kind::Approved(_)));
    let after = site.requests().find(RUN).unwrap();
    assert_eq!(before.asked_at_ms, after.asked_at_ms);
    running.stop().unwrap();
    let asked = |entry: &&RecordEntry| matches!(entry, RecordEntry::Request { .. });
    assert_eq!(site.record().iter().filter(asked).count(), 1);
}

#[test]
fn a_server_that_forgot_how_a_run_ended_is_answered_again() {
    let site = Site::willing();
    let running = site.start();
    let job = job(LOGISTIC);
    site.approved(&job);
    site.server.send(Kind::RunOver(proto::RunOver {
        run: RUN.to_owned(),
        ending: proto::Ending::Finished.into(),
        ..proto::RunOver::default()
    }));
    until("end", || site.requests().find(RUN).ok()?.ended);
    site.offer(&job, 1);
    assert!(matches!(site.verdict(1), verdict::Kind::Approved(_)));
    assert_eq!(site.requests().find(RUN).unwrap().ended, None);
    running.stop().unwrap();
}

#[test]
fn another_run_of_the_same_name_asks_anew() {
    let site = Site::new(ASK, &ward());
    let running = site.start();
    let job = job(LOGISTIC);
    site.offer(&job, 1);
    until("request", || site.requests().find(RUN).ok());
    site.node().approve(RUN, None).unwrap();
    site.verdict(0);
    site.offer(&job, 2);
    let again = until("request", || {
        let request = site.requests().find(RUN).ok()?;
        (request.submitted_at_ms == 2).then_some(request)
    });
    assert_eq!(again.decision, Decision::Waiting);
    running.stop().unwrap();
}

#[test]
fn what_the_owner_has_not_read_is_not_approved_under_a_name_that_they_know() {
    let site = Site::new(ASK, &ward());
    let running = site.start();
    site.offer(&job(LOGISTIC), 1);
    until("request", || site.requests().find(RUN).ok());
    site.node().show(RUN).unwrap();
    let other = job(&format!("{LOGISTIC}[training]\nepochs = 2\n"));
    let manifest = Manifest::of(&other).digest();
    site.offer(&other, 2);
    until("other request", || {
        let request = site.requests().find(RUN).ok()?;
        (request.manifest == manifest).then_some(())
    });
    let error = site.node().approve(RUN, None).unwrap_err();
    assert!(error.to_string().contains("node show ward-1"), "{error}");
    let wrong = Manifest::of(&job(LOGISTIC)).digest();
    site.node().approve(RUN, Some(wrong)).unwrap_err();
    assert_eq!(
        site.requests().find(RUN).unwrap().decision,
        Decision::Waiting
    );
    site.node().show(RUN).unwrap();
    let decided = site.node().approve(RUN, None).unwrap();
    assert_eq!(decided.manifest, manifest.to_string());
    running.stop().unwrap();
}

#[test]
fn a_manifest_that_nobody_understands_is_unfit() {
    let site = Site::willing();
    let running = site.start();
    let digest = site.server.blob(b"{\"from\":\"the future\"}");
    site.server.send(Kind::Offer(proto::Offer {
        run: RUN.to_owned(),
        manifest: digest.as_bytes().to_vec(),
        submitter: "ada".to_owned(),
        submitted_at_ms: 1,
        initial: None,
    }));
    let verdict::Kind::Unfit(unfit) = site.verdict(0) else {
        panic!("unfit");
    };
    assert_eq!(unfit.code(), UnfitCode::Manifest);
    running.stop().unwrap();
}

#[test]
fn a_run_whose_name_leads_elsewhere_is_passed_over() {
    let site = Site::willing();
    let running = site.start();
    site.server.send(Kind::Offer(proto::Offer {
        run: "../../etc/cron".to_owned(),
        ..proto::Offer::default()
    }));
    site.approved(&job(LOGISTIC));
    running.stop().unwrap();
    assert_eq!(site.requests().all().unwrap().len(), 1);
}
