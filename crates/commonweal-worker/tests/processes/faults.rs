//! Workers that crash, hang and lie.

use std::sync::Arc;

use commonweal_core::{ClientState, Flow, MetricKind, Progress, TrainError};
use commonweal_worker::{WorkerError, Workers};

use crate::scripted::*;

#[test]
fn roc_auc_without_scores_is_refused() {
    let columns: &[(&str, &[f32])] = &[("loss", &[0.5]), ("label", &[1.0]), ("predicted", &[1.0])];
    let measured = frame(r#"{"type":"metrics","id":1}"#, columns);
    let mut worker = Scripted::answering(&[hello(), measured]);
    let refused = worker.evaluate(
        "a",
        &shared(&[1.0]),
        of_classes(&[MetricKind::RocAuc], 2),
        &ClientState::default(),
    );
    assert_contains(
        &refused.unwrap_err().to_string(),
        &["evaluating client a", "score"],
    );
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
    match worker.evaluate(
        "a",
        &shared(&[1.0]),
        of_classes(&[MetricKind::Accuracy], 2),
        &ClientState::default(),
    ) {
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
