//! Worker processes that work, crash, hang and lie.

#![cfg(unix)]

mod scripted;

use std::fs;
use std::io::{self, Write};
use std::sync::Arc;

use commonweal_core::{ClientState, ExportType, Flow, MetricKind, Progress, Scope, TrainError};
use commonweal_worker::{DataSet, Dtype, Entry, WorkerError, Workers};

use scripted::*;

fn hello() -> Vec<u8> {
    frame(HELLO, &[])
}

/// A hello that promises a heartbeat every 10 ms.
fn lively_hello() -> Vec<u8> {
    frame(
        &HELLO.replace("\"protocol\"", "\"heartbeat_ms\":10,\"protocol\""),
        &[],
    )
}

fn update(id: u64, w: &[f32]) -> Vec<u8> {
    let header = format!(r#"{{"type":"update","id":{id},"steps":2,"examples":6,"loss":0.5}}"#);
    frame(&header, &[("model.w", w)])
}

/// What training `client` fails with.
fn failure(worker: &mut Scripted, client: &str) -> String {
    match worker.train(client, &shared(&[1.0, 2.0]), ClientState::default()) {
        Err(TrainError::Worker { what }) => what,
        other => panic!("expected a failed worker, found {other:?}"),
    }
}

fn assert_contains(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part:?} is missing in: {text}");
    }
}

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
    let sums = worker.evaluate("a", &shared(&[1.0]), spec.clone()).unwrap();
    let found: Vec<_> = spec.values(&sums).map(|(_, value)| value).collect();
    assert_eq!(found, [Some(1.0), Some(0.5), Some(1.0)]);
    assert_eq!(values(&worker.told()[1].body, "rows.test"), [2.0, 4.0]);
}

#[test]
fn roc_auc_without_scores_is_refused() {
    let columns: &[(&str, &[f32])] = &[("loss", &[0.5]), ("label", &[1.0]), ("predicted", &[1.0])];
    let measured = frame(r#"{"type":"metrics","id":1}"#, columns);
    let mut worker = Scripted::answering(&[hello(), measured]);
    let refused = worker.evaluate("a", &shared(&[1.0]), of_classes(&[MetricKind::RocAuc], 2));
    assert_contains(
        &refused.unwrap_err().to_string(),
        &["evaluating client a", "score"],
    );
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
fn a_declared_model_without_its_values_is_refused() {
    let header = r#"{"type":"initial","id":1,"tensors":[
        {"name":"w","shape":[4000000000],"scope":"shared","export":"f32"}]}"#;
    let mut worker = Scripted::answering(&[hello(), frame(header, &[("model.w", &[1.0])])]);
    assert_contains(
        &worker.initial().unwrap_err(),
        &["\"w\"", "[4000000000]", "[1]"],
    );
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
fn the_state_of_another_trainer_is_refused() {
    let mut worker = Scripted::answering(&[hello()]);
    for (version, found) in [(7, 7), (1, 1)] {
        let bytes = b"not mine".to_vec();
        let refused = worker.train("a", &shared(&[1.0]), ClientState { version, bytes });
        let expected = TrainError::State { expected: 1, found };
        assert_eq!(refused, Err(expected));
    }
}

#[test]
fn a_crash_names_client_command_status_and_last_words_and_costs_one_client() {
    let script = "cat hello; if [ -e crashed ]; then cat update; exec cat 3>&1 > told; fi
                  touch crashed; echo out of luck >&2; exit 7";
    let files = [("hello", hello()), ("update", update(1, &[3.0, 3.0]))];
    let mut worker = Scripted::start(script, &files);
    let what = failure(&mut worker, "client-017");
    assert_contains(
        &what,
        &["client-017", "sh -c", "exit status: 7", "out of luck"],
    );
    let (update, _) = worker
        .train("client-018", &shared(&[1.0, 2.0]), ClientState::default())
        .unwrap();
    assert_eq!(update.values, [2.0, 1.0]);
    assert_eq!(worker.printed(), ["[scripted 0] out of luck"]);
}

#[test]
fn failing_at_every_client_ends_the_run_and_quotes_the_worker() {
    let mut worker = Scripted::start("echo no module named torch >&2; exit 1", &[]);
    for client in ["a", "b", "c", "d"] {
        failure(&mut worker, client);
    }
    match worker.train("e", &shared(&[1.0, 2.0]), ClientState::default()) {
        Err(TrainError::TrainerLost { what }) => {
            assert_contains(
                &what,
                &["client e", "no module named torch", "5 times in a row"],
            );
        }
        other => panic!("expected the end of the run, found {other:?}"),
    }
}

#[test]
fn a_worker_whose_heartbeat_stops_is_replaced() {
    let script =
        "cat hello; if [ -e hung ]; then cat update; else touch hung; fi; exec cat 3>&1 > told";
    let files = [
        ("hello", lively_hello()),
        ("update", update(1, &[3.0, 3.0])),
    ];
    let mut worker = Scripted::start(script, &files);
    let what = failure(&mut worker, "a");
    assert_contains(&what, &["client a", "no sign of life", "every 10 ms"]);
    assert!(
        worker
            .train("b", &shared(&[1.0, 2.0]), ClientState::default())
            .is_ok()
    );
}

#[test]
fn half_a_frame_that_stalls_is_told_from_silence() {
    let answers = [lively_hello(), update(1, &[3.0, 3.0])].concat();
    let half = answers[..answers.len() - 3].to_vec();
    let mut worker = Scripted::start("cat half; exec cat 3>&1 > told", &[("half", half)]);
    assert_contains(
        &failure(&mut worker, "a"),
        &["client a", "middle of a frame"],
    );
}

#[test]
fn text_on_standard_output_is_refused_and_quoted() {
    for script in [
        "echo Epoch 1; exec cat 3>&1 > told",
        "cat hello; echo Epoch 1; exec cat 3>&1 > told",
    ] {
        let mut worker = Scripted::start(script, &[("hello", hello())]);
        assert_contains(&failure(&mut worker, "a"), &["Epoch 1", "standard error"]);
    }
}

#[test]
fn answers_that_break_the_protocol_are_refused() {
    let body_too_long = b"CWF1\x02\0\0\0\0\0\0\0\0\x01\0\0{}".to_vec();
    let not_asked_for = update(9, &[1.0, 2.0]);
    for (answer, parts) in [
        (raw("{", Vec::new()), ["no message of the protocol", "EOF"]),
        (
            frame(r#"{"type":"dance"}"#, &[]),
            ["dance", "expected one of"],
        ),
        (body_too_long, ["a body of", "are accepted here"]),
        (not_asked_for, ["where that makes no sense", "Update"]),
        (frame(HELLO, &[]), ["where that makes no sense", "Hello"]),
        (
            frame(r#"{"type":"update","id":1,"steps":1,"file":"../x"}"#, &[]),
            ["../x", "no sense"],
        ),
    ] {
        let mut worker = Scripted::answering(&[hello(), answer]);
        assert_contains(&failure(&mut worker, "client-3"), &parts);
    }
}

#[test]
fn a_hello_that_cannot_be_kept_is_refused() {
    for (from, to, part) in [
        (
            "\"protocol\":1",
            "\"protocol\":2",
            "speaks protocol version 2",
        ),
        (
            "\"protocol\"",
            "\"heartbeat_ms\":1,\"protocol\"",
            "between 10 and 60000",
        ),
    ] {
        let mut worker = Scripted::answering(&[frame(&HELLO.replace(from, to), &[])]);
        assert_contains(&failure(&mut worker, "a"), &[part]);
    }
}

#[test]
fn a_model_that_does_not_fit_is_refused_and_the_process_goes_on() {
    let header = |id: u64| format!(r#"{{"type":"update","id":{id},"steps":4}}"#);
    let answers = [
        hello(),
        frame(&header(1), &[("model.w", &[1.0])]),
        frame(&header(2), &[("model.w", &[1.0, 2.0]), ("model.v", &[1.0])]),
        frame(&header(3), &[("state.w", &[1.0, 2.0])]),
        raw(&header(4), b"no tensors".to_vec()),
        update(5, &[1.0, 1.0]),
        frame(&header(6), &[("model.w", &[f32::NAN, 1.0])]),
    ];
    let mut worker = Scripted::answering(&answers);
    assert_contains(
        &failure(&mut worker, "a"),
        &["client a", "shape [1]", "expected [2]"],
    );
    assert_contains(
        &failure(&mut worker, "b"),
        &["\"model.v\"", "none of the model's"],
    );
    assert_contains(&failure(&mut worker, "c"), &["\"model.w\" is missing"]);
    assert_contains(&failure(&mut worker, "d"), &["no safetensors file"]);
    let model = shared(&[1.0, 2.0]);
    assert!(worker.train("e", &model, ClientState::default()).is_ok());
    let diverged = worker.train("f", &model, ClientState::default());
    assert_eq!(diverged, Err(TrainError::Diverged { step: 4 }));
    assert_eq!(
        worker.told().len(),
        8,
        "one process heard all: hello, six requests, shutdown"
    );
}

#[test]
fn failures_that_the_worker_reports_are_told_apart() {
    let error =
        |id: u64, rest: &str| frame(&format!(r#"{{"type":"error","id":{id},{rest}}}"#), &[]);
    let answers = [
        hello(),
        error(1, r#""code":"failed","text":"train.py:7: KeyError: 'w'""#),
        error(2, r#""code":"diverged","step":12"#),
        error(3, r#""code":"unsupported","text":"the optimizer 'lion'""#),
    ];
    let mut worker = Scripted::answering(&answers);
    assert_contains(
        &failure(&mut worker, "a"),
        &["client a", "train.py:7: KeyError: 'w'"],
    );
    let model = shared(&[1.0, 2.0]);
    let diverged = worker.train("b", &model, ClientState::default());
    assert_eq!(diverged, Err(TrainError::Diverged { step: 12 }));
    match worker.train("c", &model, ClientState::default()) {
        Err(TrainError::Unsupported { what }) => assert_contains(&what, &["lion"]),
        other => panic!("expected what is unsupported, found {other:?}"),
    }
}

#[test]
fn what_the_workers_code_does_not_define_is_unsupported() {
    let only_train = r#"{"type":"hello","protocol":1,"capabilities":["train"]}"#;
    let mut worker = Scripted::answering(&[frame(only_train, &[])]);
    match worker.evaluate("a", &shared(&[1.0]), of_classes(&[MetricKind::Accuracy], 2)) {
        Err(TrainError::Unsupported { what }) => assert_contains(&what, &["`evaluate`"]),
        other => panic!("expected what is unsupported, found {other:?}"),
    }
}

/// Cancels at once after the first step.
struct CancelAfterFirst {
    seen: u64,
}

impl Progress for CancelAfterFirst {
    fn step(&mut self, done: u64, _total: u64) -> Flow {
        self.seen = done;
        if done > 0 {
            Flow::Cancel
        } else {
            Flow::Continue
        }
    }
}

#[test]
fn a_worker_that_does_not_heed_a_cancel_is_replaced() {
    let script = "cat hello; if [ -e before ]; then cat update; exec cat 3>&1 > told; fi
                  touch before; cat progress; while :; do cat heartbeat; sleep 0.01; done";
    let files = [
        ("hello", lively_hello()),
        (
            "progress",
            frame(r#"{"type":"progress","id":1,"done":1,"total":5}"#, &[]),
        ),
        ("heartbeat", frame(r#"{"type":"heartbeat"}"#, &[])),
        ("update", update(1, &[3.0, 3.0])),
    ];
    let mut worker = Scripted::start(script, &files);
    let mut progress = CancelAfterFirst { seen: 0 };
    let model = shared(&[1.0, 2.0]);
    let cancelled = worker.train_watched("a", &model, ClientState::default(), &mut progress);
    assert_eq!(cancelled, Err(TrainError::Cancelled));
    assert_eq!(progress.seen, 1);
    assert!(worker.train("b", &model, ClientState::default()).is_ok());
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
fn a_command_that_does_not_exist_is_named_with_what_to_do() {
    let sink = Arc::new(|_: &str| {});
    let command = spec(&["no-such-python", "train.py"]);
    let workers = Workers::new("torch", command, ".".as_ref(), sink.clone(), None).unwrap();
    let error = workers.trainers().unwrap_err().to_string();
    assert_contains(
        &error,
        &["\"no-such-python\"", "simulation.trainers.torch.command"],
    );
    let empty = Workers::new("torch", spec(&[]), ".".as_ref(), sink, None);
    assert!(matches!(empty, Err(WorkerError::NoCommand { .. })));
}
