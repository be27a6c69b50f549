//! Nodes that fail, vanish or forge: the round goes on, and the log names them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use commonweal_core::Stage;
use commonweal_wire::RefusalCode;
use commonweal_wire::control::RunState;
use commonweal_wire::proto::FailureCode;

use crate::world::{Deed, Heard, Visitor, World, impatient, name, tasks};
use crate::{job, visitors};

/// A run of three nodes, of which `c` does `deed` in every round of training.
async fn with_faulty(deed: fn() -> Deed) -> (tempfile::TempDir, Arc<World>, Vec<Visitor>) {
    let folder = tempfile::tempdir().unwrap();
    let job = job("[cohort]\nminimum = 2\n[deployment]\nclients = 3\n");
    let mut visitors = visitors(&job, &["a", "b", "c"]);
    visitors[2] = visitors[2].clone().that(move |task| match task.stage {
        Stage::Train => deed(),
        _ => Deed::Work,
    });
    let world = World::open(folder.path(), impatient()).await;
    world.enrol(&visitors).await;
    world.visit(&visitors);
    world.submit(&job).await;
    world.expect_finished("tiny-1").await;
    (folder, world, visitors)
}

fn refusals(visitor: &Visitor) -> Vec<RefusalCode> {
    let refused = visitor.heard().into_iter().filter_map(|heard| match heard {
        Heard::Refused(_, refused) => Some(refused.code),
        _ => None,
    });
    refused.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn forged_reports_are_refused_by_a_code_and_the_round_goes_on_without_them() {
    let forgeries: [fn() -> Deed; 5] = [
        // No report at all.
        || Deed::Forge(|bytes| bytes.fill(0xff)),
        // Another model than the round's.
        || Deed::Forge(|bytes| bytes[4] ^= 1),
        // A value that no honest client sends: the lowest whole number, where a NaN becomes one.
        || {
            Deed::Forge(|bytes| {
                let end = bytes.len();
                bytes[end - 4..].copy_from_slice(&i32::MIN.to_le_bytes());
            })
        },
        // Another length.
        || Deed::Forge(|bytes| bytes.truncate(bytes.len() - 4)),
        // A weight that would fill the sum.
        || Deed::Forge(|bytes| bytes[12..16].fill(0xff)),
    ];
    for forgery in forgeries {
        let (_folder, world, visitors) = with_faulty(forgery).await;
        let codes = refusals(&visitors[2]);
        assert!(!codes.is_empty());
        assert!(
            codes.iter().all(|code| *code == RefusalCode::Report),
            "{codes:?}"
        );
        let log = world.log("tiny-1").await;
        assert!(log.contains("train-1: c: "), "{log}");
        assert!(world.events("tiny-1").await.contains(&"refused".to_owned()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_claims_so_much_that_no_other_fits_beside_it_is_refused_and_ends_no_run() {
    /// Writes 2^31 where the report has its examples, or the numbers of its first column.
    fn claim(bytes: &mut [u8]) {
        let at = match &bytes[..4] {
            b"CWu1" => 24,
            b"CWm1" => 16,
            _ => 28,
        };
        bytes[at..at + 8].copy_from_slice(&(1_u64 << 31).to_le_bytes());
    }
    let folder = tempfile::tempdir().unwrap();
    let job = job("[cohort]\nminimum = 2\n[deployment]\nclients = 3\n");
    let mut visitors = visitors(&job, &["a", "b", "c"]);
    visitors[2] = visitors[2]
        .clone()
        .that(|task| match (task.stage, task.round) {
            // It would rest after three failures in a row.
            (Stage::Train, 2) => Deed::Work,
            _ => Deed::Forge(|bytes| claim(bytes)),
        });
    let world = World::open(folder.path(), impatient()).await;
    world.enrol(&visitors).await;
    world.visit(&visitors);
    world.submit(&job).await;
    world.expect_finished("tiny-1").await;
    let log = world.log("tiny-1").await;
    for told in [
        "prepare-0: c: column \"a\" has more than 715827882 values",
        "train-1: c: one client counts at most 715827882 examples",
        "evaluate-2: c: one client counts at most 715827882 examples",
    ] {
        assert!(log.contains(told), "{log}");
    }
    assert!(refusals(&visitors[2]).contains(&RefusalCode::Report));
    for honest in &visitors[..2] {
        assert_eq!(refusals(honest), []);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_counts_once_however_often_it_is_sent() {
    let (_folder, _world, visitors) = with_faulty(|| Deed::Twice).await;
    let codes = refusals(&visitors[2]);
    assert_eq!(codes.len(), 3);
    let is_known = |code: &RefusalCode| matches!(code, RefusalCode::Duplicate | RefusalCode::Late);
    assert!(codes.iter().all(is_known), "{codes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_fails_three_times_in_a_row_rests() {
    let (_folder, world, visitors) = with_faulty(|| Deed::Fail(FailureCode::Diverged)).await;
    assert_eq!(tasks(&visitors[2].heard(), Stage::Train).len(), 3);
    let log = world.log("tiny-1").await;
    assert!(log.contains("train-3: c: its training diverged"), "{log}");
    assert!(
        log.contains("c failed again and again: it rests for 3600 s"),
        "{log}"
    );
    // The last evaluation is done without it: it rests.
    let evaluated = tasks(&visitors[2].heard(), Stage::Evaluate);
    assert_eq!(
        evaluated.iter().map(|task| task.round).collect::<Vec<_>>(),
        [2]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_without_rows_for_a_task_decline_and_are_no_failures() {
    let (_folder, world, visitors) = with_faulty(|| Deed::Fail(FailureCode::NoRows)).await;
    assert_eq!(tasks(&visitors[2].heard(), Stage::Evaluate).len(), 2);
    assert!(!world.events("tiny-1").await.contains(&"refused".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_vanishes_at_work_is_given_up_and_what_it_sends_later_is_late() {
    let (_folder, world, visitors) = with_faulty(|| Deed::Vanish).await;
    assert_eq!(tasks(&visitors[2].heard(), Stage::Train).len(), 1);
    let log = world.log("tiny-1").await;
    assert!(
        log.contains("train-1: c: it went away while it worked"),
        "{log}"
    );
    let task = tasks(&visitors[2].heard(), Stage::Train)[0];
    let late = world
        .runs
        .expects(&name("c"), "tiny-1", task, commonweal_core::Step(0))
        .await;
    assert_eq!(late.unwrap_err().code, RefusalCode::Late);
    let counted = world
        .runs
        .reported(&name("a"), "tiny-1", task)
        .await
        .unwrap();
    assert!(counted.is_counted);
    let counted = world
        .runs
        .reported(&name("c"), "tiny-1", task)
        .await
        .unwrap();
    assert!(!counted.is_counted);
    let unknown = world
        .runs
        .expects(&name("c"), "tiny-9", task, commonweal_core::Step(0))
        .await;
    assert_eq!(unknown.unwrap_err().code, RefusalCode::UnknownRun);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_much_slower_than_the_others_is_given_up_once_enough_have_reported() {
    let folder = tempfile::tempdir().unwrap();
    let job = job("[cohort]\nminimum = 2\n[deployment]\nclients = 3\n");
    let mut visitors = visitors(&job, &["a", "b", "c"]);
    visitors[2] = visitors[2]
        .clone()
        .that(|task| match (task.stage, task.round) {
            (Stage::Train, 2) => Deed::Hang,
            _ => Deed::Work,
        });
    let world = World::open(folder.path(), impatient()).await;
    world.enrol(&visitors).await;
    world.visit(&visitors);
    world.submit(&job).await;
    world.expect_finished("tiny-1").await;
    let is_cancelled = |heard: &Heard| matches!(heard, Heard::Cancel(task, _) if task.round == 2);
    assert!(visitors[2].heard().iter().any(is_cancelled));
    let log = world.log("tiny-1").await;
    assert!(
        log.contains("train-2: c: it took more than three times as long"),
        "{log}"
    );
    assert_eq!(tasks(&visitors[2].heard(), Stage::Train).len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_rounds_were_abandoned_goes_on_when_it_is_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let job = job("[cohort]\nminimum = 2\n").replace("rounds = 3", "rounds = 5");
    let is_broken = Arc::new(AtomicBool::new(true));
    let mut visitors = visitors(&job, &["a", "b"]);
    for visitor in &mut visitors {
        let is_broken = Arc::clone(&is_broken);
        *visitor = visitor.clone().that(move |task| {
            match task.stage == Stage::Train && is_broken.load(Ordering::Relaxed) {
                true => Deed::Fail(FailureCode::Trainer),
                false => Deed::Work,
            }
        });
    }
    let world = World::open(folder.path(), impatient()).await;
    world.enrol(&visitors).await;
    world.visit(&visitors);
    world.submit(&job).await;
    let info = world.ended("tiny-1").await;
    assert_eq!((info.state, info.round), (RunState::Failed, 3));
    let reason = info.reason.unwrap();
    assert!(
        reason.starts_with("3 rounds in a row were abandoned"),
        "{reason}"
    );
    is_broken.store(false, Ordering::Relaxed);
    world.runs.resume("tiny-1").await.unwrap();
    assert_eq!(world.expect_finished("tiny-1").await.round, 5);
}
