//! Runs that go well.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use commonweal_core::Stage;
use commonweal_server::runs::Content;
use commonweal_wire::control::{RunState, Submission};
use commonweal_wire::proto::Ending;

use crate::world::{Heard, Verdict, World, impatient, tasks};
use crate::{by_hand, job, visitors};

#[tokio::test(flavor = "multi_thread")]
async fn a_run_ends_in_the_model_that_the_cores_machines_make_by_hand() {
    let folder = tempfile::tempdir().unwrap();
    let job = job("[cohort]\nminimum = 3\n");
    let visitors = visitors(&job, &["c", "a", "b"]);
    let world = World::open(folder.path(), impatient()).await;
    world.enrol(&visitors).await;
    world.visit(&visitors);
    let submitted = world.submit(&job).await;
    assert_eq!(submitted.id, "tiny-1");
    let info = world.expect_finished("tiny-1").await;
    let sites: Vec<_> = visitors
        .iter()
        .map(|visitor| visitor.site.clone())
        .collect();
    assert_eq!(info.model, Some(by_hand::model(&job, &sites)));
    assert_eq!((info.round, info.rounds, info.nodes), (3, 3, Some(3)));
    assert!(info.metric.is_some_and(|(name, _)| name == "accuracy"));
    assert_eq!(
        world.events("tiny-1").await,
        [
            "started",
            "seed",
            "prepared",
            "round",
            "round",
            "evaluated",
            "round",
            "evaluated",
            "finished"
        ]
    );
    for visitor in &visitors {
        let heard = visitor.heard();
        assert_eq!(heard.first(), Some(&Heard::Offer));
        assert_eq!(tasks(&heard, Stage::Train).len(), 3);
        assert_eq!(tasks(&heard, Stage::Evaluate).len(), 2);
        let settled = heard
            .iter()
            .filter(|one| matches!(one, Heard::Settled(_, true)));
        assert_eq!(settled.count(), 6);
        assert_eq!(
            heard.last(),
            Some(&Heard::Over(Ending::Finished, String::new()))
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finished_run_has_the_files_of_a_simulations_folder() {
    let folder = tempfile::tempdir().unwrap();
    let job = job("[cohort]\nminimum = 2\n");
    let visitors = visitors(&job, &["a", "b"]);
    let world = World::open(folder.path(), impatient()).await;
    world.enrol(&visitors).await;
    world.visit(&visitors);
    world.submit(&job).await;
    let info = world.expect_finished("tiny-1").await;
    let mut files = Vec::new();
    for name in [
        "job.toml",
        "manifest.json",
        "history.csv",
        "prepared.json",
        "input.json",
        "model.safetensors",
        "summary.json",
    ] {
        let file = world.runs.file("tiny-1", name).await.unwrap();
        let bytes = match file.content {
            Content::Bytes(bytes) => bytes,
            Content::Blob(digest) => world.store.blobs().fetch(&digest).await.unwrap().into(),
        };
        assert!(!bytes.is_empty(), "{name}");
        files.push(bytes);
    }
    let history = String::from_utf8(files[2].clone()).unwrap();
    assert_eq!(history.lines().count(), 4);
    assert!(history.starts_with("round,outcome,"));
    let summary: serde_json::Value = serde_json::from_slice(&files[6]).unwrap();
    assert_eq!(summary["digest"].as_str(), info.model.as_deref());
    let unknown = world.runs.file("tiny-1", "secrets").await.unwrap_err();
    assert_eq!(unknown.code, "unknown_file");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sampled_run_asks_only_those_drawn_and_ends_in_the_same_model() {
    let folder = tempfile::tempdir().unwrap();
    let job =
        job("[cohort]\ntarget = 2\nminimum = 2\n[deployment]\nclients = 5\nreproducible = true\n");
    let visitors = visitors(&job, &["a", "b", "c", "d", "e"]);
    let world = World::open(folder.path(), impatient()).await;
    world.enrol(&visitors).await;
    world.visit(&visitors);
    world.submit(&job).await;
    let info = world.expect_finished("tiny-1").await;
    let sites: Vec<_> = visitors
        .iter()
        .map(|visitor| visitor.site.clone())
        .collect();
    assert_eq!(info.model, Some(by_hand::model(&job, &sites)));
    let trained: usize = visitors
        .iter()
        .map(|visitor| tasks(&visitor.heard(), Stage::Train).len())
        .sum();
    assert_eq!(trained, 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_runs_share_their_nodes_and_each_ends_in_its_own_model() {
    let folder = tempfile::tempdir().unwrap();
    let jobs: Vec<String> = (0..3)
        .map(|seed| job("[cohort]\nminimum = 3\n").replace("seed = 7", &format!("seed = {seed}")))
        .collect();
    let visitors = visitors(&jobs[0], &["a", "b", "c"]);
    let world = World::open(folder.path(), impatient()).await;
    world.enrol(&visitors).await;
    world.visit(&visitors);
    for job in &jobs {
        world.submit(job).await;
    }
    let sites: Vec<_> = visitors
        .iter()
        .map(|visitor| visitor.site.clone())
        .collect();
    for (number, job) in (1..).zip(&jobs) {
        let info = world.expect_finished(&format!("tiny-{number}")).await;
        assert_eq!(info.model, Some(by_hand::model(job, &sites)));
    }
    assert_eq!(world.runs.list().await.unwrap().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_run_ends_for_everybody_and_can_be_resumed() {
    let folder = tempfile::tempdir().unwrap();
    let job = job("[cohort]\nminimum = 2\n");
    let mut visitors = visitors(&job, &["a", "b"]);
    visitors[1] = visitors[1].clone().saying(Verdict::Undecided);
    let world = World::open(folder.path(), impatient()).await;
    world.enrol(&visitors).await;
    world.visit(&visitors);
    world.submit(&job).await;
    let info = world.runs.cancel("tiny-1", "grace").await.unwrap();
    assert_eq!(info.state, RunState::Cancelled);
    assert_eq!(info.reason.as_deref(), Some("cancelled by grace"));
    let twice = world.runs.cancel("tiny-1", "grace").await.unwrap_err();
    assert_eq!(twice.code, "over");
    let info = world.runs.resume("tiny-1").await.unwrap();
    assert_eq!(info.state, RunState::Waiting);
    let events = world
        .runs
        .events("tiny-1", 0, Duration::ZERO)
        .await
        .unwrap();
    assert_eq!(events.state, RunState::Waiting);
    assert_eq!(
        world.runs.resume("tiny-1").await.unwrap_err().code,
        "goes_on"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_begins_with_the_model_that_is_submitted_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let first = job("[cohort]\nminimum = 2\n");
    let visitors = visitors(&first, &["a", "b"]);
    let world = World::open(folder.path(), impatient()).await;
    world.enrol(&visitors).await;
    world.visit(&visitors);
    world.submit(&first).await;
    let trained = world.expect_finished("tiny-1").await.model;
    let file = world.runs.file("tiny-1", "model.safetensors").await;
    let Content::Blob(digest) = file.unwrap().content else {
        panic!("a model is a blob");
    };
    let model = world.store.blobs().fetch(&digest).await.unwrap();
    let second = first.replace("[training]", "init = \"model.safetensors\"\n[training]");
    let submission = |initial| Submission {
        job: second.clone(),
        initial,
    };
    let missing = world
        .runs
        .submit(&submission(None), "ada")
        .await
        .unwrap_err();
    assert_eq!(missing.code, "initial");
    let initial = Some(STANDARD.encode(&model));
    world
        .runs
        .submit(&submission(initial), "ada")
        .await
        .unwrap();
    // Three rounds more from there: as six in one, but for the seeds of the rounds, which begin anew.
    let again = world.expect_finished("tiny-2").await.model;
    assert_ne!(again, trained);
    let blob = world
        .runs
        .file("tiny-2", "initial.safetensors")
        .await
        .unwrap();
    assert_eq!(blob.content, Content::Blob(digest));
}
