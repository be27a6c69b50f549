//! Client states of a trainer that has some: a worker in `sh`, whose answers are written before it is asked.

use commonweal_core::{Layout, Parameters, Purpose, Seed, Task};
use commonweal_worker::{Dtype, Frame, Limits};
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;

use super::fixture::{Federation, LOGISTIC, Site, job, name, ward};
use super::work::train_task;

const HELLO: &str = r#"{"type":"hello","protocol":1,"capabilities":["train","evaluate"]}"#;

/// An answer to the request `id`: the model `model`, and a state of one number.
fn update(id: u64, model: &Parameters, note: f32) -> Vec<u8> {
    let bytes = |values: &[f32]| -> Vec<u8> {
        values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect()
    };
    let layout: &Layout = model.layout();
    let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = layout
        .tensors()
        .iter()
        .map(|tensor| {
            (
                format!("model.{}", tensor.name),
                tensor.shape.clone(),
                bytes(&model.values()[tensor.range()]),
            )
        })
        .collect();
    tensors.push(("state.note".to_owned(), vec![1], bytes(&[note])));
    let views = tensors.iter().map(|(name, shape, bytes)| {
        (
            name.as_str(),
            TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap(),
        )
    });
    let header = format!(r#"{{"type":"update","id":{id},"steps":1,"examples":30,"loss":0.5}}"#);
    let body = safetensors::serialize(views, None).unwrap();
    let header = header.into_bytes();
    Frame { header, body }.to_bytes()
}

/// The state that came with each request to train, in their order.
fn notes(told: &[u8]) -> Vec<Option<f32>> {
    let mut rest = told;
    let mut notes = Vec::new();
    while !rest.is_empty() {
        let (frame, length) = Frame::parse(rest, Limits::body(1 << 30)).unwrap().unwrap();
        rest = &rest[length..];
        let header: serde_json::Value = serde_json::from_slice(&frame.header).unwrap();
        if header["type"] == "train" {
            let tensors = SafeTensors::deserialize(&frame.body).unwrap();
            let note = tensors.tensor("state.note").ok();
            notes.push(note.map(|note| f32::from_le_bytes(note.data().try_into().unwrap())));
        }
    }
    notes
}

#[test]
fn a_state_advances_with_the_commit_alone_and_across_restarts_of_the_node() {
    let trainer =
        "[trainers.scripted]\ncommand = [\"sh\", \"-c\", \"cat answers; cat 3>&1 > told\"]";
    let site = Site::new(
        &format!("accept = \"all\"\nsmallest_cohort = 1\n{trainer}"),
        &ward(),
    );
    let running = site.start();
    let job = job(&format!("{LOGISTIC}[training]\ntrainer = \"scripted\"\n"));
    let mut federation = Federation::found(&site, &job);
    let initial = federation.solo.model().clone();
    let hello = Frame {
        header: HELLO.as_bytes().to_vec(),
        body: Vec::new(),
    };
    let updates = (1..=3).map(|id| update(id, &initial, id as f32));
    let answers: Vec<u8> = std::iter::once(hello.to_bytes())
        .chain(updates)
        .flatten()
        .collect();
    std::fs::write(site.folder.path().join("answers"), answers).unwrap();

    let (first, model) = train_task(&site, &mut federation);
    let root = Seed::from(job.seed);
    let of_round = |round, attempt| {
        let mut task: Task = first.clone();
        (task.id.round, task.id.attempt) = (round, attempt);
        task.seed = root.derive(Purpose::Train, round, Some(&name()));
        task
    };
    for (round, attempt, counted) in [(1, 0, false), (1, 1, true), (2, 0, true)] {
        let task = of_round(round, attempt);
        site.ask(&task, Some(model));
        site.settle(task.id, counted);
    }
    running.stop_after(&site, |entry| {
        matches!(entry, crate::record::RecordEntry::Settled { task, .. } if task == "train-2")
    });
    let told = site.folder.path().join("told");
    assert_eq!(
        notes(&std::fs::read(&told).unwrap()),
        [None, None, Some(2.0)]
    );

    // A node that comes back goes on from what was counted last.
    site.server.restart("sum-2");
    let running = site.start();
    site.ask(&of_round(3, 0), Some(model));
    running.stop().unwrap();
    assert_eq!(notes(&std::fs::read(&told).unwrap()), [Some(3.0)]);
}
