//! Workers that do as they should.

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use commonweal_core::job::Job;
use commonweal_core::{ClientState, ExportType, MetricKind, Scope};
use commonweal_worker::{DataSet, Dtype, Entry};

use crate::scripted::*;

#[test]
fn the_update_is_the_trained_model_less_the_global_one() {
    let mut worker = Scripted::answering(&[hello(), update(1, &[1.5, 0.0])]);
    let trained = worker.train("a", &shared(&[1.0, 2.0]), ClientState::default());
    let (update, state) = trained.unwrap();
    assert_eq!(update.values, [0.5, -2.0]);
    assert_eq!(update.weight.value(), 3);
    let loss = commonweal_core::MetricSpec::loss().value(MetricKind::Loss, &update.metrics);
    assert_eq!((loss, update.metrics.examples()), (Some(0.5), 6));
    assert!(state.bytes.is_empty());

    let told = worker.told();
    let types: Vec<String> = told
        .iter()
        .map(|frame| json(frame)["type"].to_string())
        .collect();
    assert_eq!(types, ["\"hello\"", "\"train\"", "\"shutdown\""]);
    assert_eq!(json(&told[0])["device"], "cuda:0");
    assert_eq!(json(&told[1])["client"], "a");
    assert_eq!(values(&told[1].body, "rows.train"), [5.0, 7.0, 9.0]);
    assert_eq!(values(&told[1].body, "rows.test"), [2.0, 4.0]);
    assert_eq!(values(&told[1].body, "model.w"), [1.0, 2.0]);
}

#[test]
fn measurements_of_an_evaluation_become_integer_sums() {
    let measured = frame(
        r#"{"type":"metrics","id":1}"#,
        &[
            ("loss", &[0.5, 1.5]),
            ("label", &[1.0, 0.0]),
            ("predicted", &[1.0, 1.0]),
            ("score", &[0.9, 0.6]),
        ],
    );
    let mut worker = Scripted::answering(&[hello(), measured]);
    let spec = of_classes(
        &[MetricKind::Loss, MetricKind::Accuracy, MetricKind::RocAuc],
        2,
    );
    let sums = worker
        .evaluate("a", &shared(&[1.0]), spec.clone(), &ClientState::default())
        .unwrap();
    let found: Vec<_> = spec.values(&sums).map(|(_, value)| value).collect();
    assert_eq!(found, [Some(1.0), Some(0.5), Some(1.0)]);
    assert_eq!(values(&worker.told()[1].body, "rows.test"), [2.0, 4.0]);
}

#[test]
fn a_worker_declares_an_external_model_with_its_scopes() {
    let header = r#"{"type":"initial","id":1,"tensors":[
        {"name":"steps","shape":[1],"scope":"local","export":"i64"},
        {"name":"w","shape":[2],"scope":"shared","export":"f32"}]}"#;
    let body: &[(&str, &[f32])] = &[("model.steps", &[3.0]), ("model.w", &[1.0, 2.0])];
    let mut worker = Scripted::answering(&[hello(), frame(header, body)]);
    let model = worker.initial().unwrap();
    assert_eq!(model.shared(), [1.0, 2.0]);
    assert_eq!(model.tensor("steps"), Some(&[3.0][..]));
}

#[test]
fn tensors_that_are_not_shared_come_back_to_their_client_and_to_no_other() {
    let global = model(&[
        ("w", &[1.0], Scope::Shared, ExportType::F32),
        ("mean", &[0.0], Scope::Local, ExportType::F32),
        ("seen", &[0.0], Scope::Local, ExportType::I64),
        ("fixed", &[9.0], Scope::Frozen, ExportType::F32),
    ]);
    let answer = |id: u64| {
        let header = format!(r#"{{"type":"update","id":{id},"steps":1}}"#);
        let own = 0.25 * id as f32;
        frame(
            &header,
            &[
                ("model.w", &[2.0]),
                ("model.mean", &[own]),
                ("model.seen", &[7.0]),
                ("state.note", &[42.0]),
            ],
        )
    };
    let mut worker = Scripted::answering(&[hello(), answer(1), answer(2), answer(3)]);
    let (update, state) = worker.train("a", &global, ClientState::default()).unwrap();
    assert_eq!(update.values, [1.0]);
    worker.train("b", &global, ClientState::default()).unwrap();
    worker.train("a", &global, state).unwrap();

    let told = worker.told();
    for (request, mean, seen) in [(1, 0.0, 0.0), (2, 0.0, 0.0), (3, 0.25, 7.0)] {
        let body = &told[request].body;
        assert_eq!(values(body, "model.mean"), [mean], "request {request}");
        assert_eq!(values(body, "model.seen"), [seen], "request {request}");
        assert_eq!(values(body, "model.fixed"), [9.0], "request {request}");
    }
    assert_eq!(values(&told[3].body, "state.note"), [42.0]);
}

#[test]
fn large_bodies_go_through_files_that_are_gone_afterwards() {
    let trained = vec![0.5; 2 << 20];
    let reply = body(&[("model.w", &trained)]);
    let header = r#"{"type":"update","id":1,"steps":1,"file":"reply"}"#;
    let files = [
        ("answers", [hello(), frame(header, &[])].concat()),
        ("body", reply),
    ];
    let script =
        "cp body \"$COMMONWEAL_WORKER_DIRECTORY/reply\"; cat answers; exec cat 3>&1 > told";
    let mut worker = Scripted::start(script, &files);
    let global = vec![0.25; 2 << 20];
    let (update, _) = worker
        .train("a", &shared(&global), ClientState::default())
        .unwrap();
    assert!(update.values.iter().all(|&value| value == 0.25));
    let request = worker.exchange_file("request-0");
    assert_eq!(
        values(&fs::read(&request).unwrap(), "model.w").len(),
        global.len()
    );
    assert!(!worker.exchange_file("reply").exists());
    let told = worker.told();
    assert_eq!(json(&told[1])["file"], "request-0");
    assert!(told[1].body.is_empty());
    assert!(!request.exists());
}

struct ThreeRows;

impl DataSet for ThreeRows {
    fn entries(&self) -> Vec<Entry> {
        vec![Entry::new("values", Dtype::F32, [3])]
    }

    fn write(&self, _name: &str, out: &mut dyn Write) -> io::Result<()> {
        [1.0_f32, 2.0, 3.0]
            .iter()
            .try_for_each(|value| out.write_all(&value.to_le_bytes()))
    }
}

#[test]
fn the_data_set_is_written_for_a_worker_that_asks() {
    let ask = frame(r#"{"type":"data"}"#, &[]);
    let answers = [ask, hello(), update(1, &[3.0])].concat();
    let script = "cat answers; exec cat 3>&1 > told";
    let data: Arc<dyn DataSet> = Arc::new(ThreeRows);
    let mut worker = Scripted::with_data(script, &[("answers", answers)], Some(data));
    worker
        .train("a", &shared(&[1.0]), ClientState::default())
        .unwrap();
    let file = fs::read(worker.exchange_file("data.safetensors")).unwrap();
    assert_eq!(values(&file, "values"), [1.0, 2.0, 3.0]);
    let told = worker.told();
    assert_eq!(json(&told[1])["file"], "data.safetensors");
}

#[test]
fn a_dropped_trainer_leaves_no_process() {
    let worker = Scripted::start("cat 3>&1 > told; touch ended", &[]);
    assert!(worker.left("ended"));
}

#[test]
fn the_examples_jobs_name_trainers_that_they_say_how_to_start() {
    for name in ["job.toml", "digits.toml"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/pytorch");
        let job = Job::parse(&fs::read_to_string(folder.join(name)).unwrap()).unwrap();
        let spec = &job.simulation.trainers[&job.training.trainer];
        assert!(folder.join(&spec.command[1]).exists(), "{name}");
    }
}
