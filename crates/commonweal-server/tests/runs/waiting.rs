//! Runs that wait for nodes, or must not.

use std::sync::Arc;

use commonweal_core::Digest;
use commonweal_core::job::{Job, Manifest};
use commonweal_server::store::VerdictKind;
use commonweal_wire::RefusalCode;
use commonweal_wire::control::{RunState, Submission};
use commonweal_wire::proto::{self, Ending, FailureCode, Statement, verdict};

use crate::site::Site;
use crate::world::{Deed, Heard, Verdict, Visitor, World, impatient, name};
use crate::{job, visitors};

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_cannot_reach_its_minimum_is_refused_on_submission() {
    let folder = tempfile::tempdir().unwrap();
    let job = job("[cohort]\nminimum = 3\n[deployment]\nrequire = { memory_mb = 1000 }\n");
    let mut visitors = visitors(&job, &["a", "b", "c"]);
    visitors[1].statement.memory_mb = 999;
    visitors[2].statement.data_sets = vec!["other".to_owned()];
    let world = World::open(folder.path(), impatient()).await;
    world.enrol(&visitors).await;
    let submission = Submission { job, initial: None };
    let refused = world.runs.submit(&submission, "ada").await.unwrap_err();
    assert_eq!(refused.code, "minimum");
    assert!(
        refused
            .message
            .contains("1 enrolled nodes fit the job, and it needs 3"),
        "{refused:?}"
    );
    assert!(
        refused
            .message
            .contains("b does not have memory_mb >= 1000"),
        "{refused:?}"
    );
    assert!(
        refused.message.contains("c has no data set \"tiny\""),
        "{refused:?}"
    );
    assert_eq!(world.runs.list().await.unwrap(), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn denials_below_the_minimum_end_the_run_with_their_reasons() {
    let folder = tempfile::tempdir().unwrap();
    let job = job("[cohort]\nminimum = 2\n");
    let mut visitors = visitors(&job, &["a", "b"]);
    visitors[1] = visitors[1].clone().saying(Verdict::No);
    let world = World::open(folder.path(), impatient()).await;
    world.enrol(&visitors).await;
    world.visit(&visitors);
    world.submit(&job).await;
    let info = world.ended("tiny-1").await;
    assert_eq!(info.state, RunState::Failed);
    let reason = info.reason.unwrap();
    assert_eq!(
        reason,
        "1 nodes are left, and the run needs 2: b denied: not this quarter"
    );
    let over = |heard: &Heard| matches!(heard, Heard::Over(Ending::Failed, _));
    while !visitors[0].heard().iter().any(over) {
        tokio::task::yield_now().await;
    }
}

/// Nodes of these names with the same columns, and a last one, `k`, with another.
fn with_other_columns(job: &str, names: &[&str]) -> Vec<Visitor> {
    let mut visitors = visitors(job, names);
    let other = Site::with_header("k", &Job::parse(job).unwrap(), "a,bee,y");
    visitors.push(Visitor::new(other));
    visitors
}

#[tokio::test(flavor = "multi_thread")]
async fn the_schema_of_most_is_the_runs_however_early_another_came_and_that_is_unfit_by_column() {
    let folder = tempfile::tempdir().unwrap();
    let job = job("[cohort]\nminimum = 2\n[deployment]\nclients = 2\njoin_seconds = 3600\n");
    let visitors = with_other_columns(&job, &["a", "b"]);
    let world = World::open(folder.path(), impatient()).await;
    world.enrol(&visitors).await;
    let (others, first) = visitors.split_at(2);
    world.visit(first);
    world.submit(&job).await;
    let agreed = |explained: &commonweal_wire::control::Explanation| explained.done == 1;
    while !agreed(&world.runs.explain("tiny-1").await.unwrap()) {
        tokio::task::yield_now().await;
    }
    let waiting = world.runs.explain("tiny-1").await.unwrap();
    assert_eq!(waiting.summary, "1 of 3; a never seen; b never seen");
    assert_eq!(waiting.waits_for.as_deref(), Some("verdicts"));
    world.visit(others);
    let info = world.expect_finished("tiny-1").await;
    assert_eq!(info.nodes, Some(2));
    let log = world.log("tiny-1").await;
    assert!(log.contains("k refused: schema (column b)\n"), "{log}");
    assert!(log.contains("begins with 2 nodes: a, b\n"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_of_which_too_few_are_alike_end_the_run_with_the_column_that_differs() {
    let folder = tempfile::tempdir().unwrap();
    let job = job("[cohort]\nminimum = 2\n");
    let visitors = with_other_columns(&job, &["a"]);
    let world = World::open(folder.path(), impatient()).await;
    world.enrol(&visitors).await;
    world.visit(&visitors);
    world.submit(&job).await;
    let reason = world.ended("tiny-1").await.reason.unwrap();
    let either = [
        "k refused: schema (column b)",
        "a refused: schema (column bee)",
    ];
    let told = |loss: &&str| reason == format!("1 nodes are left, and the run needs 2: {loss}");
    assert!(either.iter().any(told), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_key_under_a_name_is_asked_anew_whatever_the_old_one_said() {
    for said in [Verdict::Yes, Verdict::No] {
        let folder = tempfile::tempdir().unwrap();
        let job = job("[cohort]\nminimum = 2\n[deployment]\nclients = 2\njoin_seconds = 3600\n");
        let visitors = visitors(&job, &["a", "b", "c"]);
        let world = World::open(folder.path(), impatient()).await;
        world.enrol(&visitors).await;
        world.visit(&[visitors[0].clone().saying(said)]);
        world.submit(&job).await;
        let has_said = |explained: &commonweal_wire::control::Explanation| {
            explained.done == 1 || explained.nodes.iter().any(|one| one.status == "denied")
        };
        while !has_said(&world.runs.explain("tiny-1").await.unwrap()) {
            tokio::task::yield_now().await;
        }
        world.store.nodes().revoke(&name("a")).await.unwrap();
        world.exchange.remove(&name("a"));
        let others = [&visitors[1..], &[Visitor::new(visitors[0].site.clone())]].concat();
        world.enrol_with_keys(9, &others[2..]).await;
        world.visit(&others);
        let info = world.expect_finished("tiny-1").await;
        assert_eq!(info.nodes, Some(3));
        assert!(others[2].heard().contains(&Heard::Offer));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consent_taken_back_ends_the_run_once_too_few_are_left() {
    let folder = tempfile::tempdir().unwrap();
    let job = job("[cohort]\nminimum = 2\n");
    let mut visitors = visitors(&job, &["a", "b"]);
    visitors[0] = visitors[0].clone().that(|task| match task.round {
        2 => Deed::Fail(FailureCode::Denied),
        _ => Deed::Work,
    });
    let world = World::open(folder.path(), impatient()).await;
    world.enrol(&visitors).await;
    world.visit(&visitors);
    world.submit(&job).await;
    let info = world.ended("tiny-1").await;
    assert_eq!(info.state, RunState::Failed);
    assert_eq!(info.round, 1);
    assert!(
        info.reason
            .unwrap()
            .ends_with("a denied: its owner took the consent back")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reproducible_run_waits_for_a_node_that_is_away_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let job = job("[cohort]\nminimum = 2\n[deployment]\nclients = 3\nreproducible = true\n");
    let mut visitors = visitors(&job, &["a", "b", "c"]);
    visitors[2] = visitors[2].clone().that(|task| match task.round {
        2 => Deed::Vanish,
        _ => Deed::Work,
    });
    let world = World::open(folder.path(), impatient()).await;
    world.enrol(&visitors).await;
    world.visit(&visitors);
    world.submit(&job).await;
    let waits = |explained: &commonweal_wire::control::Explanation| {
        explained.done == 2 && explained.nodes.iter().any(|one| one.status == "silent")
    };
    while !waits(&world.runs.explain("tiny-1").await.unwrap()) {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let explained = world.runs.explain("tiny-1").await.unwrap();
    assert!(
        explained.summary.starts_with("2 of 3; c silent for "),
        "{}",
        explained.summary
    );
    // The same node is back: its task is given to it again.
    visitors[2] = visitors[2].clone().that(|_| Deed::Work);
    world.visit(&visitors[2..]);
    let info = world.expect_finished("tiny-1").await;
    let sites: Vec<_> = visitors
        .iter()
        .map(|visitor| visitor.site.clone())
        .collect();
    assert_eq!(info.model, Some(crate::by_hand::model(&job, &sites)));
    assert_eq!(
        world.runs.explain("tiny-1").await.unwrap().summary,
        "finished"
    );
    assert!(world.exchange.presence(&name("c")) != commonweal_server::exchange::Presence::Unknown);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_verdicts_that_come_at_once_each_is_stored_and_answered() {
    let folder = tempfile::tempdir().unwrap();
    let job = job(
        "[cohort]\nminimum = 2\n[deployment]\nclients = 2\njoin_seconds = 3600\nreproducible = true\n",
    );
    let names: Vec<String> = (0..60).map(|at| format!("n{at:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let visitors = visitors(&job, &names);
    let world = World::open(folder.path(), impatient()).await;
    world.enrol(&visitors).await;
    let run = world.submit(&job).await.id;
    let manifest = Manifest::of(&Job::parse(&job).unwrap()).digest();
    // The last one says nothing, so that the run waits for it.
    let said = visitors[..59].iter().enumerate().map(|(at, visitor)| {
        let (world, run) = (Arc::clone(&world), run.clone());
        let (node, schema) = (visitor.site.name.clone(), visitor.site.schema());
        let kind = match at % 3 {
            0 => verdict::Kind::Denied(proto::Denied {
                reason: format!("because of {at}"),
            }),
            _ => verdict::Kind::Approved(proto::Approved { schema }),
        };
        let manifest = match at % 7 {
            6 => Digest::of(b"another"),
            _ => manifest,
        };
        tokio::spawn(async move {
            let verdict = proto::Verdict {
                run: run.clone(),
                manifest: manifest.as_bytes().to_vec(),
                kind: Some(kind),
            };
            // Other questions come in between.
            world.runs.explain(&run).await.unwrap();
            let key = world.key(&node).await;
            (at, world.runs.verdict(&node, key, verdict).await)
        })
    });
    for answer in said.collect::<Vec<_>>() {
        let (at, said) = answer.await.unwrap();
        let code = said.err().map(|refused| refused.code);
        assert_eq!(
            code,
            (at % 7 == 6).then_some(RefusalCode::Malformed),
            "{at}"
        );
    }
    let stored = world.store.verdicts().list(&run).await.unwrap();
    let told = (0..59).filter(|at| at % 7 != 6);
    assert_eq!(stored.len(), told.clone().count());
    for (verdict, at) in stored.iter().zip(told) {
        assert_eq!(verdict.node.as_str(), names[at]);
        match &verdict.kind {
            VerdictKind::Denied { reason } => assert_eq!(*reason, format!("because of {at}")),
            kind => assert!(matches!(kind, VerdictKind::Approved { .. }) && at % 3 != 0),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_have_not_said_what_they_have_are_waited_for_until_they_say_it() {
    let folder = tempfile::tempdir().unwrap();
    let job = job("[cohort]\nminimum = 3\n");
    let visitors = visitors(&job, &["a", "b", "c"]);
    // They joined before their owners named any data.
    let mut blank = visitors.clone();
    for visitor in &mut blank {
        visitor.statement = Statement::default();
    }
    let world = World::open(folder.path(), impatient()).await;
    world.enrol(&blank).await;
    world.submit(&job).await;
    let explained = world.runs.explain("tiny-1").await.unwrap();
    assert!(
        explained
            .summary
            .contains("has not said yet which data it has"),
        "{explained:?}"
    );
    assert_eq!((explained.done, explained.of), (0, 3));
    world.visit(&visitors);
    world.expect_finished("tiny-1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_says_at_last_that_it_has_other_data_is_out() {
    let folder = tempfile::tempdir().unwrap();
    let job = job("[cohort]\nminimum = 2\n");
    let mut visitors = visitors(&job, &["a", "b"]);
    for visitor in &mut visitors {
        visitor.statement = Statement::default();
    }
    let world = World::open(folder.path(), impatient()).await;
    world.enrol(&visitors).await;
    world.submit(&job).await;
    visitors[0].statement.data_sets = vec!["other".to_owned()];
    world.visit(&visitors);
    let info = world.ended("tiny-1").await;
    assert_eq!(info.state, RunState::Failed);
    let reason = info.reason.unwrap();
    assert!(reason.contains("has no data set \"tiny\""), "{reason}");
}
