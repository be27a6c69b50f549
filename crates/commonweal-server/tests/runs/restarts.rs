//! `kill -9`: everything in memory is gone, and what was committed is not.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use commonweal_core::{Stage, TaskId};
use commonweal_wire::proto;
use tokio::runtime::Runtime;

use crate::world::{Deed, Heard, Visitor, World, impatient};
use crate::{by_hand, job, visitors};

fn process() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

/// Runs a server until `c` is given the task in which it hangs, and kills it there: the others have reported, or are
/// about to.
fn killed_at(folder: &Path, job: &str, visitors: &[Visitor], at: TaskId) {
    let runtime = process();
    runtime.block_on(async {
        let world = World::open(folder, impatient()).await;
        if world.runs.list().await.unwrap().is_empty() {
            world.enrol(visitors).await;
            world.submit(job).await;
        }
        world.visit(visitors);
        let hangs = |heard: &Heard| matches!(heard, Heard::Work { task, .. } if *task == at);
        while !visitors[2].heard().iter().any(hangs) {
            tokio::task::yield_now().await;
        }
    });
    runtime.shutdown_background();
}

fn task(stage: Stage, round: u64) -> TaskId {
    TaskId {
        round,
        stage,
        attempt: 0,
    }
}

#[test]
fn a_server_killed_in_any_phase_goes_on_to_the_same_model_and_counts_nobody_twice() {
    let job = job("[cohort]\nminimum = 3\n[deployment]\nreproducible = true\n");
    let expected = {
        let visitors = visitors(&job, &["a", "b", "c"]);
        let sites: Vec<_> = visitors
            .iter()
            .map(|visitor| visitor.site.clone())
            .collect();
        by_hand::model(&job, &sites)
    };
    for at in [
        task(Stage::Prepare, 0),
        task(Stage::Train, 1),
        task(Stage::Train, 2),
        task(Stage::Evaluate, 2),
        task(Stage::Train, 3),
        task(Stage::Evaluate, 3),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let mut visitors = visitors(&job, &["a", "b", "c"]);
        let healthy = visitors[2].clone();
        visitors[2] = healthy.clone().that(move |task| match task == at {
            true => Deed::Hang,
            false => Deed::Work,
        });
        killed_at(folder.path(), &job, &visitors, at);
        visitors[2] = healthy;
        let runtime = process();
        runtime.block_on(async {
            let world = World::open(folder.path(), impatient()).await;
            world.visit(&visitors);
            let info = world.expect_finished("tiny-1").await;
            assert_eq!(info.model.as_ref(), Some(&expected), "{at}");
        });
        for visitor in &visitors {
            expect_repeated(visitor, at);
        }
    }
}

/// The task in which the server was killed came twice, the same but for its sum, and was done once.
fn expect_repeated(visitor: &Visitor, at: TaskId) {
    let heard = visitor.heard();
    let given = heard.iter().filter_map(|heard| match heard {
        Heard::Work {
            task,
            accumulator,
            seed,
        } if *task == at => Some((accumulator.clone(), *seed)),
        _ => None,
    });
    let (sums, seeds): (BTreeSet<_>, BTreeSet<_>) = given.unzip();
    assert!(!sums.is_empty(), "{at}");
    assert_eq!(seeds.len(), 1, "{at}");
    let trained = visitor.trained.lock().unwrap().clone();
    let times = trained.iter().filter(|task| **task == at).count();
    assert_eq!(
        times, 1,
        "{at}: a kept report is sent again without training"
    );
    let mut all = trained.clone();
    all.dedup();
    assert_eq!(all.len(), trained.len());
}

#[test]
fn a_run_that_waits_still_waits_after_a_restart_and_keeps_its_verdicts() {
    let folder = tempfile::tempdir().unwrap();
    let job = job("[cohort]\nminimum = 3\n");
    let visitors = visitors(&job, &["a", "b", "c"]);
    let runtime = process();
    runtime.block_on(async {
        let world = World::open(folder.path(), impatient()).await;
        world.enrol(&visitors).await;
        world.submit(&job).await;
        world.visit(&visitors[..2]);
        while world.runs.explain("tiny-1").await.unwrap().done < 2 {
            tokio::task::yield_now().await;
        }
    });
    runtime.shutdown_background();
    visitors[0].heard.lock().unwrap().clear();
    let runtime = process();
    runtime.block_on(async {
        let world = World::open(folder.path(), impatient()).await;
        assert_eq!(world.runs.explain("tiny-1").await.unwrap().done, 2);
        world.visit(&visitors);
        world.expect_finished("tiny-1").await;
    });
    assert!(!visitors[0].heard().contains(&Heard::Offer));
}

#[test]
fn a_node_that_missed_the_commit_hears_of_it_after_the_restart() {
    let folder = tempfile::tempdir().unwrap();
    let job = job("[cohort]\nminimum = 2\n[deployment]\nclients = 2\n");
    let at = task(Stage::Train, 2);
    let mut visitors = visitors(&job, &["a", "b"]);
    let healthy = visitors[1].clone();
    visitors[1] = healthy.clone().that(move |task| match task == at {
        true => Deed::Hang,
        false => Deed::Work,
    });
    let both = [
        visitors[0].clone(),
        visitors[0].clone(),
        visitors[1].clone(),
    ];
    let world: &[Visitor] = &both[1..];
    let runtime = process();
    runtime.block_on(async {
        let server = World::open(folder.path(), impatient()).await;
        server.enrol(world).await;
        server.submit(&job).await;
        server.visit(world);
        while !crate::world::tasks(&visitors[1].heard(), Stage::Train).contains(&at) {
            tokio::task::yield_now().await;
        }
    });
    runtime.shutdown_background();
    visitors[0].heard.lock().unwrap().clear();
    let runtime = process();
    runtime.block_on(async {
        let server = World::open(folder.path(), impatient()).await;
        server.visit(&visitors[..1]);
        let settled = Heard::Settled(task(Stage::Train, 1), true);
        while !visitors[0].heard().contains(&settled) {
            tokio::task::yield_now().await;
        }
        let _keep: Arc<World> = server;
    });
}

#[test]
fn a_node_that_was_away_at_the_end_hears_of_it_from_the_next_process() {
    let folder = tempfile::tempdir().unwrap();
    let job = job("[cohort]\nminimum = 1\n[deployment]\nclients = 2\n");
    let at = task(Stage::Evaluate, 3);
    let mut visitors = visitors(&job, &["a", "b"]);
    let healthy = visitors[1].clone();
    visitors[1] = healthy.clone().that(move |task| match task == at {
        true => Deed::Vanish,
        false => Deed::Work,
    });
    let runtime = process();
    runtime.block_on(async {
        let server = World::open(folder.path(), impatient()).await;
        server.enrol(&visitors).await;
        server.submit(&job).await;
        server.visit(&visitors);
        server.expect_finished("tiny-1").await;
    });
    runtime.shutdown_background();
    let runtime = process();
    runtime.block_on(async {
        let server = World::open(folder.path(), impatient()).await;
        server.visit(std::slice::from_ref(&healthy));
        let over = Heard::Over(proto::Ending::Finished, String::new());
        while !healthy.heard().contains(&over) {
            tokio::task::yield_now().await;
        }
    });
}
