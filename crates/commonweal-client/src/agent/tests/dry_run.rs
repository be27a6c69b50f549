//! What an owner is shown before and after.

use commonweal_wire::proto::{self, instruction::Kind};

use super::fixture::{Federation, LOGISTIC, RUN, Site, job};
use crate::comparison::ReportError;
use crate::dry_run::Subject;
use crate::record::RecordEntry;

#[test]
fn a_dry_run_lists_the_tensors_that_a_real_run_sends_and_sends_nothing() {
    let site = Site::willing();
    let running = site.start();
    let mut federation = Federation::found(&site, &job(LOGISTIC));
    let (task, model) = super::work::train_task(&site, &mut federation);
    site.ask(&task, Some(model));
    running.stop().unwrap();
    let heard = site.server.script().heard.len();
    let dry = site.node().dry_run(Subject::Run(RUN)).unwrap();
    assert_eq!(site.server.script().heard.len(), heard, "nothing was sent");

    let sent = site.record().into_iter().filter_map(|entry| match entry {
        RecordEntry::Report {
            parts,
            bytes,
            digest,
            ..
        } => Some((parts, bytes, digest.to_string())),
        _ => None,
    });
    let sent: Vec<_> = sent.collect();
    let shown = dry
        .reports
        .iter()
        .map(|report| (report.parts.clone(), report.bytes, report.digest.clone()));
    let shown: Vec<_> = shown.collect();
    // Alone in its federation, the node finds what it shows: the reports are equal to the last byte.
    assert_eq!(shown[..2], sent[..]);
    assert_eq!(shown.len(), 3);
    assert!(dry.schema.contains("\"age\"") && dry.found[0].what.contains("mean"));

    let page = dry.html();
    for part in [
        "<!doctype html>",
        "0.weight",
        &dry.manifest,
        "Rows trained on",
        "i32",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert!(dry.to_string().contains("nothing was sent"));
}

#[test]
fn a_job_file_can_be_tried_before_anybody_submits_it() {
    let site = Site::willing();
    let path = site.folder.path().join("job.toml");
    std::fs::write(&path, job(LOGISTIC).to_toml()).unwrap();
    let dry = site.node().dry_run(Subject::Job(&path)).unwrap();
    assert_eq!((dry.train_rows, dry.held_out_rows), (30, 10));
}

#[test]
fn a_node_compares_the_final_model_with_its_own_and_may_fetch_it() {
    let site = Site::willing();
    let running = site.start();
    let mut federation = Federation::found(&site, &job(LOGISTIC));
    assert!(matches!(
        site.node().report(RUN),
        Err(ReportError::NotOver { .. })
    ));
    for _ in 0..3 {
        let model = site.model(federation.solo.model());
        let mut given = None;
        let answer = &mut |task: &commonweal_core::Task| {
            given = Some(task.id);
            Ok(site.ask(task, Some(model)))
        };
        federation.solo.train(answer).unwrap();
        site.settle(given.unwrap(), true);
        let model = site.model(federation.solo.model());
        let answer = &mut |task: &commonweal_core::Task| Ok(site.ask(task, Some(model)));
        federation.solo.evaluate(answer).unwrap();
    }
    let model = site.model(federation.solo.model());
    site.server.send(Kind::RunOver(proto::RunOver {
        run: RUN.to_owned(),
        ending: proto::Ending::Finished.into(),
        reason: String::new(),
        model: Some(model.as_bytes().to_vec()),
        input: None,
    }));
    running.stop_after(&site, |entry| matches!(entry, RecordEntry::Over { .. }));

    let report = site.node().report(RUN).unwrap();
    assert_eq!((report.train_rows, report.test_rows), (30, 10));
    // The federation is this node alone: both models are one.
    for line in &report.metrics {
        assert!(line.federated.is_some());
        assert_eq!(line.federated, line.alone, "{}", line.name);
    }
    let path = site.folder.path().join("model.bin");
    let saved = site.node().model(RUN, &path).unwrap();
    assert_eq!(saved.digest, model.to_string());
    assert_eq!(
        std::fs::read(path).unwrap().len(),
        4 * federation.layout.len()
    );
}

#[test]
fn a_run_that_shares_no_model_says_so() {
    let site = Site::willing();
    let running = site.start();
    site.approved(&job(LOGISTIC));
    site.server.send(Kind::RunOver(proto::RunOver {
        run: RUN.to_owned(),
        ending: proto::Ending::Cancelled.into(),
        reason: "the researcher ended it".to_owned(),
        model: None,
        input: None,
    }));
    running.stop_after(&site, |entry| matches!(entry, RecordEntry::Over { .. }));
    let error = site.node().report(RUN).unwrap_err();
    assert!(matches!(error, ReportError::NoModel { .. }), "{error}");
}
