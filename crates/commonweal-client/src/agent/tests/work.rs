//! Tasks and their reports.

use std::sync::Arc;

use commonweal_core::job::{Job, Manifest};
use commonweal_core::{
    ClientState, Digest, EvaluatePlan, LocalOptimizer, MetricKind, MetricSpec, ModelVersion,
    PrepareSpec, Quantizer, Seed, Stage, Task, TaskId, TaskKind, TrainPlan, Weight, Weighting,
};
use commonweal_wire::proto::{self, FailureCode, instruction::Kind};
use commonweal_wire::{path, task_id};

use super::fixture::{Federation, LOGISTIC, RUN, Site, job, session, ward};
use crate::record::RecordEntry;
use crate::solo::SoloError;

/// A task of `prepare` by hand.
pub(super) fn prepare_task(job: &Job, spec: &PrepareSpec) -> Task {
    Task {
        id: TaskId {
            round: 0,
            stage: Stage::Prepare,
            attempt: 0,
        },
        manifest: Manifest::of(job).digest(),
        prepared: None,
        base: ModelVersion(0),
        seed: Seed::from(1),
        deadline: None,
        cohort: 1,
        kind: TaskKind::Prepare(Arc::new(spec.clone())),
    }
}

/// The first task of training, and the blob of its model.
pub(super) fn train_task(site: &Site, federation: &mut Federation) -> (Task, Digest) {
    let model = site.model(federation.solo.model());
    let mut found = None;
    let stopped = federation.solo.train(&mut |task| {
        found = Some(task.clone());
        Err(SoloError::Unfinished)
    });
    assert!(matches!(stopped, Err(SoloError::Unfinished)));
    (found.unwrap(), model)
}

/// The task of measuring the model as it stands.
fn evaluate_task(federation: &mut Federation) -> Task {
    let mut found = None;
    let stopped = federation.solo.evaluate(&mut |task| {
        found = Some(task.clone());
        Err(SoloError::Unfinished)
    });
    assert!(matches!(stopped, Err(SoloError::Unfinished)));
    found.unwrap()
}

#[test]
fn a_nodes_reports_are_those_of_the_simulators_functions_on_its_rows() {
    let site = Site::willing();
    let running = site.start();
    let job = job(LOGISTIC);
    let mut federation = Federation::found(&site, &job);
    let mut own = session(&site, &job);
    own.fit(
        Some(&federation.prepared),
        site.node().settings(),
        site.folder.path(),
    )
    .unwrap();

    for round in 1..=2 {
        let before = federation.solo.model().clone();
        let model = site.model(&before);
        let mut task = None;
        federation
            .solo
            .train(&mut |given| {
                task = Some(given.clone());
                let report = site.ask(given, Some(model));
                let done = own
                    .perform(given, &before, ClientState::default(), &mut ())
                    .unwrap();
                assert_eq!(report, done.payload, "round {round}");
                Ok(report)
            })
            .unwrap();
        site.settle(task.unwrap().id, true);
        assert_ne!(federation.solo.model(), &before);

        let after = federation.solo.model().clone();
        let model = site.model(&after);
        federation
            .solo
            .evaluate(&mut |task| {
                let report = site.ask(task, Some(model));
                let done = own
                    .perform(task, &after, ClientState::default(), &mut ())
                    .unwrap();
                assert_eq!(report, done.payload, "evaluation {round}");
                Ok(report)
            })
            .unwrap();
    }
    site.server.send(Kind::RunOver(proto::RunOver {
        run: RUN.to_owned(),
        ending: proto::Ending::Finished.into(),
        reason: String::new(),
        model: None,
        input: None,
    }));
    running.stop_after(&site, |entry| matches!(entry, RecordEntry::Over { .. }));
    let ended = site.requests().find(RUN).unwrap().ended.unwrap();
    assert_eq!(ended.ending, "finished");
}

#[test]
fn the_record_has_every_task_and_every_tensor_that_left() {
    let site = Site::willing();
    let running = site.start();
    let mut federation = Federation::found(&site, &job(LOGISTIC));
    let (task, model) = train_task(&site, &mut federation);
    let report = site.ask(&task, Some(model));
    running.stop().unwrap();
    let record = site.record();
    let parts = record.iter().find_map(|entry| match entry {
        RecordEntry::Report {
            task,
            digest,
            bytes,
            parts,
            ..
        } if task == "train-1" => {
            assert_eq!(*digest, Digest::of(report.as_bytes()));
            assert_eq!(*bytes, report.as_bytes().len() as u64);
            Some(parts.clone())
        }
        _ => None,
    });
    let parts = parts.unwrap();
    for tensor in federation.layout.tensors() {
        let part = parts.iter().find(|part| part.name == tensor.name).unwrap();
        assert_eq!(part.shape, tensor.shape);
        assert_eq!(part.bytes, 4 * tensor.len() as u64);
    }
    // Four bytes tell the kind, and four each how many values and sums there are.
    let all: u64 = parts.iter().map(|part| part.bytes).sum();
    assert_eq!(all + 12, report.as_bytes().len() as u64);
}

#[test]
fn a_restarted_server_gets_the_kept_report_without_training_again() {
    let site = Site::willing();
    let running = site.start();
    let mut federation = Federation::found(&site, &job(LOGISTIC));
    let (task, model) = train_task(&site, &mut federation);
    let first = site.ask(&task, Some(model));
    site.server.restart("sum-2");
    assert_eq!(site.ask(&task, Some(model)), first);
    // The same sum again: nothing is sent.
    site.assign(&task, Some(model));
    site.settle(task.id, true);
    running.stop_after(
        &site,
        |entry| matches!(entry, RecordEntry::Settled { task, .. } if task == "train-1"),
    );
    assert_eq!(site.server.script().reports.len(), 3);
    let trained =
        |entry: &&RecordEntry| matches!(entry, RecordEntry::Task { task, .. } if task == "train-1");
    assert_eq!(site.record().iter().filter(trained).count(), 1);
}

#[test]
fn a_restarted_node_trains_again_and_sends_the_same_bytes() {
    let site = Site::willing();
    let running = site.start();
    let mut federation = Federation::found(&site, &job(LOGISTIC));
    let (task, model) = train_task(&site, &mut federation);
    let first = site.ask(&task, Some(model));
    running.stop().unwrap();
    site.server.restart("sum-2");
    let running = site.start();
    assert_eq!(site.ask(&task, Some(model)), first);
    running.stop().unwrap();
    let polls = site.server.script().polls.clone();
    let stated = polls.iter().filter(|poll| poll.statement.is_some()).count();
    assert!(stated >= 2, "each process says what it is");
}

#[test]
fn a_cancelled_task_is_given_up_and_the_next_one_begins() {
    let site = Site::willing();
    let running = site.start();
    let long = job(&format!("{LOGISTIC}[training]\nepochs = 1000000\n"));
    let mut federation = Federation::found(&site, &long);
    let (task, model) = train_task(&site, &mut federation);
    site.assign(&task, Some(model));
    site.server.wait("work", |script| {
        let is_at_work = |poll: &&proto::PollRequest| {
            poll.working
                .as_ref()
                .is_some_and(|working| working.done > 0)
        };
        script.polls.iter().find(is_at_work).cloned()
    });
    site.server.send(Kind::Cancel(proto::Cancel {
        run: RUN.to_owned(),
        task: Some(task_id(task.id)),
        reason: "enough have reported".to_owned(),
    }));
    site.ask(&evaluate_task(&mut federation), Some(model));
    running.stop().unwrap();
    let script = site.server.script();
    assert!(script.failures.is_empty());
    assert!(
        script
            .reports
            .iter()
            .all(|(target, _)| !target.contains("train-1"))
    );
}

#[test]
fn a_node_that_is_told_to_stop_finishes_its_task_first() {
    let site = Site::willing();
    let running = site.start();
    let long = job(&format!(
        "{LOGISTIC}[training]\nepochs = 300000\noptimizer = {{ kind = \"sgd\", learning_rate = 1e-6 }}\n"
    ));
    let mut federation = Federation::found(&site, &long);
    let (task, model) = train_task(&site, &mut federation);
    site.assign(&task, Some(model));
    site.server.wait("work", |script| {
        let is_at_work = |poll: &&proto::PollRequest| {
            poll.working
                .as_ref()
                .is_some_and(|working| working.done > 0)
        };
        script.polls.iter().find(is_at_work).cloned()
    });
    running.stop().unwrap();
    let script = site.server.script();
    assert!(script.polls.last().unwrap().is_leaving);
    assert!(script.reports.last().unwrap().0.contains("train-1"));
}

#[test]
fn a_cohort_smaller_than_the_owner_allows_gets_no_report() {
    let site = Site::new("accept = \"all\"\nsmallest_cohort = 3", &ward());
    let running = site.start();
    let job = job(LOGISTIC);
    let schema = site.approved(&job);
    let (_, preparation) = super::fixture::questions(&job, &schema);
    let mut task = prepare_task(&job, preparation.spec());
    task.cohort = 2;
    site.assign(&task, None);
    assert_eq!(site.failure(0), FailureCode::Cohort);
    task.cohort = 3;
    task.id.attempt = 1;
    site.ask(&task, None);
    running.stop().unwrap();
}

#[test]
fn a_model_of_other_bytes_or_another_job_is_not_trained() {
    let site = Site::willing();
    let running = site.start();
    let mut federation = Federation::found(&site, &job(LOGISTIC));
    let (mut task, whole) = train_task(&site, &mut federation);
    let wrong = Digest::of(b"what was promised");
    site.server.blob_as(&wrong, b"what came");
    site.assign(&task, Some(wrong));
    assert_eq!(site.failure(0), FailureCode::Model);
    let short = site.server.blob(&[0; 4]);
    task.id.attempt = 1;
    site.assign(&task, Some(short));
    assert_eq!(site.failure(1), FailureCode::Model);
    task.id.attempt = 2;
    let layout = site.layout.replace(Some(Digest::of(b"other tensors")));
    site.assign(&task, Some(whole));
    assert_eq!(site.failure(2), FailureCode::Layout);
    site.layout.set(layout);
    task.id.attempt = 3;
    task.manifest = Digest::of(b"another job");
    site.assign(&task, Some(short));
    assert_eq!(site.failure(3), FailureCode::Denied);
    running.stop().unwrap();
    assert_eq!(site.server.script().reports.len(), 1, "of prepare alone");
}

#[test]
fn other_questions_than_the_jobs_are_not_answered() {
    let site = Site::willing();
    let running = site.start();
    let job = job(LOGISTIC);
    let schema = site.approved(&job);
    let (_, preparation) = super::fixture::questions(&job, &schema);
    let mut spec = preparation.spec().clone();
    for column in &mut spec.columns {
        column.statistic = commonweal_core::Statistic::Levels;
    }
    site.assign(&prepare_task(&job, &spec), None);
    assert_eq!(site.failure(0), FailureCode::Unsupported);
    running.stop().unwrap();
}

#[test]
fn other_work_than_the_jobs_is_not_done() {
    let site = Site::willing();
    let running = site.start();
    let mut federation = Federation::found(&site, &job(LOGISTIC));
    let (task, model) = train_task(&site, &mut federation);
    let changes: [fn(&mut TrainPlan); 8] = [
        |plan| plan.epochs += 1,
        |plan| plan.steps = Some(1),
        |plan| plan.batch_size = Some(1),
        |plan| plan.learning_rate *= 2.0,
        |plan| plan.optimizer = ADAGRAD,
        |plan| plan.class_weights = Some([1.0, 0.0].into()),
        |plan| plan.weighting = Weighting::Uniform,
        |plan| plan.pipeline.quantizer = Quantizer::new(1024.0).unwrap(),
    ];
    let mut others: Vec<Task> = changes
        .into_iter()
        .map(|change| with_plan(&task, change))
        .collect();
    let mut other = |change: fn(&mut Task)| {
        let mut task = task.clone();
        change(&mut task);
        others.push(task);
    };
    other(|task| task.seed = Seed::from(7));
    other(|task| task.id.round = 4);
    other(|task| task.id.stage = Stage::Evaluate);
    for (before, mut task) in others.into_iter().enumerate() {
        task.id.attempt = before as u32 + 1;
        site.assign(&task, Some(model));
        assert_eq!(site.failure(before), FailureCode::Unsupported, "{task:?}");
    }
    // The largest weight follows from the cohort, and not from the job.
    let larger = with_plan(&task, |plan| {
        plan.pipeline.largest_weight = Weight::largest_for(10_000);
    });
    site.ask(&larger, Some(model));
    running.stop().unwrap();
}

const ADAGRAD: LocalOptimizer = LocalOptimizer::Adagrad {
    epsilon: 1.0,
    weight_decay: 0.0,
};

/// The same task of training with a changed plan.
fn with_plan(task: &Task, change: fn(&mut TrainPlan)) -> Task {
    let TaskKind::Train(plan) = &task.kind else {
        panic!("{task:?}");
    };
    let mut plan = TrainPlan::clone(plan);
    change(&mut plan);
    Task {
        kind: TaskKind::Train(Arc::new(plan)),
        ..task.clone()
    }
}

#[test]
fn other_metrics_than_the_jobs_are_not_measured() {
    let site = Site::willing();
    let running = site.start();
    let mut federation = Federation::found(&site, &job(LOGISTIC));
    let (_, model) = train_task(&site, &mut federation);
    let task = evaluate_task(&mut federation);
    let metrics = MetricSpec::new(vec![MetricKind::Loss], 2).unwrap();
    let other = Task {
        kind: TaskKind::Evaluate(Arc::new(EvaluatePlan {
            metrics: Arc::new(metrics),
        })),
        ..task.clone()
    };
    site.assign(&other, Some(model));
    assert_eq!(site.failure(0), FailureCode::Unsupported);
    let mut beyond = task.clone();
    beyond.id.round = 4;
    site.assign(&beyond, Some(model));
    assert_eq!(site.failure(1), FailureCode::Unsupported);
    site.ask(&task, Some(model));
    running.stop().unwrap();
}

#[test]
fn a_report_that_the_server_has_no_use_for_is_dropped() {
    let site = Site::willing();
    let running = site.start();
    let mut federation = Federation::found(&site, &job(LOGISTIC));
    let (task, model) = train_task(&site, &mut federation);
    let late = commonweal_wire::refusal(commonweal_wire::RefusalCode::Late, "over", 1);
    server_refuses(&site, late);
    site.assign(&task, Some(model));
    site.server
        .wait("refusal", |script| script.refusals.is_empty().then_some(()));
    site.ask(&evaluate_task(&mut federation), Some(model));
    running.stop().unwrap();
    let reports = site.server.script().reports.len();
    assert_eq!(reports, 2, "of prepare and of the evaluation");
}

fn server_refuses(site: &Site, refusal: proto::Refusal) {
    let refusals = &mut site.server.script().refusals;
    refusals.push_back(("/v1/runs/ward-1/reports/train-1", refusal));
}

#[test]
fn a_report_that_is_counted_already_is_not_sent_again() {
    let site = Site::willing();
    let running = site.start();
    let mut federation = Federation::found(&site, &job(LOGISTIC));
    let (task, model) = train_task(&site, &mut federation);
    server_refuses(
        &site,
        commonweal_wire::refusal(commonweal_wire::RefusalCode::Duplicate, "counted", 1),
    );
    site.assign(&task, Some(model));
    site.server
        .wait("refusal", |script| script.refusals.is_empty().then_some(()));
    site.assign(&task, Some(model));
    site.settle(task.id, true);
    running.stop_after(&site, |entry| {
        matches!(entry, RecordEntry::Settled { counted: true, .. })
    });
    let target = path::report(RUN, task.id, commonweal_core::Step(0));
    let is_it = |(name, _): &&(String, Vec<u8>)| *name == target;
    assert_eq!(site.server.script().reports.iter().filter(is_it).count(), 0);
}
