//! Bad input and faults: each names the culprit, has its exit code and loses nothing.

use std::fs;

use serde_json::Value;

use crate::program::{Ended, JOB, Place, names};

/// A job on `table.csv` with two numeric columns and the label `sick`.
const TABLE_JOB: &str = r#"
name = "table"
rounds = 2
[data]
path = "table.csv"
label = "sick"
[simulation]
clients = 2
partition = { kind = "iid" }
[model]
kind = "logistic"
[cohort]
fraction = 1.0
[evaluation]
metrics = ["loss", "accuracy"]
"#;

fn table() -> String {
    let mut text = "age,pressure,sick\n".to_owned();
    for row in 0..40 {
        text.push_str(&format!(
            "{},{},{}\n",
            40 + row,
            100 + 3 * row % 50,
            row % 2
        ));
    }
    text
}

/// Runs `job` beside `table.csv` with this text.
fn with_table(job: &str, table: &str) -> (Place, Ended) {
    let place = Place::holding("job.toml", job);
    place.write("table.csv", table);
    let ended = place.run(&["simulate", "job.toml", "--json"]);
    (place, ended)
}

fn job(change: impl FnOnce(&str) -> String) -> Ended {
    Place::holding("job.toml", &change(JOB)).run(&["simulate", "job.toml", "--json"])
}

/// The error event, which must be the last and carry this exit code.
fn error(ended: &Ended, code: i32) -> Value {
    assert_eq!(ended.code, code, "{}{}", ended.stdout, ended.stderr);
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    let last = ended.last();
    assert_eq!(last["event"], "error", "{last}");
    assert_eq!(last["code"], code, "{last}");
    last
}

fn says(event: &Value, parts: &[&str]) {
    let text = event.to_string();
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in {text}");
    }
}

#[test]
fn a_misspelt_key_is_told_with_line_column_and_the_nearest_key() {
    let ended = job(|job| job.replace("batch_size", "batchsize"));
    let error = error(&ended, 2);
    let problem = &error["problems"][0];
    assert_eq!(problem["file"], "job.toml");
    assert_eq!(problem["line"], 14);
    assert_eq!(problem["column"], 1);
    assert_eq!(problem["key"], "training.batchsize");
    assert_eq!(problem["nearest"], "batch_size");
}

#[test]
fn the_same_as_text_has_file_line_and_column_in_front() {
    let place = Place::holding("job.toml", &JOB.replace("batch_size", "batchsize"));
    let ended = place.run(&["simulate", "job.toml"]);
    assert_eq!(ended.code, 2);
    assert_eq!(ended.stdout, "");
    assert!(ended.stderr.contains("job.toml:14:1"), "{}", ended.stderr);
    assert!(ended.stderr.contains("batch_size"), "{}", ended.stderr);
}

#[test]
fn a_wrong_type_and_a_value_out_of_range_are_told_together() {
    let ended = job(|job| {
        job.replace("rounds = 6", "rounds = \"six\"")
            .replace("0.5\n", "1.5\n")
    });
    let error = error(&ended, 2);
    assert_eq!(error["problems"].as_array().unwrap().len(), 2, "{error}");
    says(&error, &["rounds", "cohort.fraction"]);
}

#[test]
fn privacy_and_compression_are_not_built_yet() {
    for section in ["privacy", "compression"] {
        let ended = job(|job| format!("{job}[{section}]\n"));
        says(&error(&ended, 2), &["not built yet", section]);
    }
}

#[test]
fn a_wrong_override_is_named() {
    let place = Place::with_job();
    let ended = place.run(&[
        "simulate",
        "job.toml",
        "--json",
        "--set",
        "training.epoch=2",
    ]);
    says(&error(&ended, 2), &["training.epoch=2", "epochs"]);
    let ended = place.run(&["simulate", "job.toml", "--json", "--set", "epochs"]);
    says(&error(&ended, 2), &["epochs"]);
}

#[test]
fn a_missing_job_file_is_named() {
    let place = Place::new();
    let ended = place.run(&["simulate", "no.toml", "--json"]);
    assert_ne!(ended.code, 0);
    says(&ended.last(), &["no.toml"]);
}

#[test]
fn more_shards_than_rows_are_refused_before_any_training() {
    let shards = "{ kind = \"shards\", per_client = 100, size = 300 }";
    let ended = job(|job| job.replace("{ kind = \"dirichlet\", alpha = 0.5 }", shards));
    says(&error(&ended, 2), &["shards"]);
}

#[test]
fn a_missing_data_set_gives_the_command_that_gets_it() {
    let ended = job(|job| job.replace("\"digits\"", "\"mnist\""));
    says(&error(&ended, 1), &["mnist", "COMMONWEAL_DATA"]);
}

#[test]
fn an_unknown_data_set_gives_the_nearest() {
    let ended = job(|job| job.replace("\"digits\"", "\"digit\""));
    says(&error(&ended, 2), &["digit", "digits"]);
}

#[test]
fn a_table_that_is_well_formed_trains() {
    let (_, ended) = with_table(TABLE_JOB, &table());
    ended.well();
}

#[test]
fn a_ragged_csv_is_told_by_file_and_line() {
    let (_, ended) = with_table(
        TABLE_JOB,
        &table().replace("\n41,103,1\n", "\n41,103,1,9\n"),
    );
    says(&error(&ended, 1), &["table.csv", "line 3"]);
}

#[test]
fn a_nan_in_the_data_is_told_by_line_and_column() {
    let (_, ended) = with_table(TABLE_JOB, &table().replace("\n41,103,1\n", "\n41,NaN,1\n"));
    says(&error(&ended, 1), &["table.csv", "line 3", "pressure"]);
}

#[test]
fn a_label_that_is_no_declared_class_is_told_by_line_and_never_by_value() {
    let job = TABLE_JOB.replace(
        "label = \"sick\"",
        "label = \"sick\"\nclasses = [\"0\", \"1\"]",
    );
    let (_, ended) = with_table(&job, &table().replace("\n41,103,1\n", "\n41,103,7777\n"));
    let error = error(&ended, 1);
    says(&error, &["table.csv", "line 3"]);
    assert!(!error.to_string().contains("7777"), "{error}");
}

#[test]
fn a_label_column_that_is_not_there_gives_the_nearest() {
    let job = TABLE_JOB.replace("label = \"sick\"", "label = \"sik\"");
    let (_, ended) = with_table(&job, &table());
    assert_ne!(ended.code, 0);
    says(&ended.last(), &["sik", "sick"]);
}

/// An idx job beside images with this header and body, and labels for `labels` rows.
fn with_idx(header: [u32; 4], body: usize, labels: &[u8]) -> Ended {
    let job = r#"
name = "idx"
rounds = 1
[data]
path = "images.idx"
labels_path = "labels.idx"
format = "idx"
[simulation]
clients = 2
partition = { kind = "iid" }
[model]
kind = "softmax"
[cohort]
fraction = 1.0
"#;
    let place = Place::holding("job.toml", job);
    let mut images: Vec<u8> = header.iter().flat_map(|word| word.to_be_bytes()).collect();
    images.extend((0..body).map(|index| index as u8));
    fs::write(place.path("images.idx"), images).unwrap();
    let mut bytes = 0x0801_u32.to_be_bytes().to_vec();
    bytes.extend((labels.len() as u32).to_be_bytes());
    bytes.extend(labels);
    fs::write(place.path("labels.idx"), bytes).unwrap();
    place.run(&["simulate", "job.toml", "--json"])
}

#[test]
fn a_truncated_idx_and_one_whose_header_lies_are_named() {
    let labels: Vec<u8> = (0..40).map(|row| row % 2).collect();
    with_idx([0x0803, 40, 2, 2], 160, &labels).well();
    says(
        &error(&with_idx([0x0803, 40, 2, 2], 150, &labels), 1),
        &["images.idx"],
    );
    says(
        &error(&with_idx([0x0803, u32::MAX, u32::MAX, 2], 160, &labels), 1),
        &["images.idx"],
    );
    says(
        &error(&with_idx([0x0c03, 40, 2, 2], 160, &labels), 1),
        &["images.idx"],
    );
    assert_ne!(with_idx([0x0803, 40, 2, 2], 160, &labels[..30]).code, 0);
}

#[test]
fn a_diverging_training_names_its_clients_and_is_abandoned() {
    let ended = job(|job| job.replace("learning_rate = 0.1", "learning_rate = 1e30"));
    let events = ended.events();
    let refused = events
        .iter()
        .find(|event| event["event"] == "refused")
        .unwrap();
    assert!(
        refused["client"].as_str().unwrap().starts_with("client-"),
        "{refused}"
    );
    assert!(events.iter().any(|event| event["event"] == "abandoned"));
    assert_eq!(ended.code, 3, "{}", ended.stdout);
}

#[test]
fn a_run_folder_that_cannot_be_made_is_named_before_any_training() {
    let place = Place::with_job();
    let ended = place.run(&[
        "simulate",
        "job.toml",
        "--json",
        "--runs-dir",
        "job.toml/runs",
    ]);
    let error = error(&ended, 1);
    says(&error, &["job.toml"]);
    assert!(!ended.stdout.contains("\"round\""), "{}", ended.stdout);
}

#[test]
fn a_full_disk_names_the_file_and_leaves_no_half_of_it() {
    let place = Place::with_job();
    // A limit on the size of files stands in for the disk: a write beyond it fails midway.
    let script = format!(
        "trap '' XFSZ; ulimit -f 1; exec {} simulate job.toml --json",
        env!("CARGO_BIN_EXE_commonweal")
    );
    let output = std::process::Command::new("bash")
        .args(["-c", &script])
        .current_dir(place.path(""))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stdout = String::from_utf8(output.stdout).unwrap();
    let last: Value = serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
    assert_eq!(last["event"], "error");
    says(&last, &["runs/small-1/"]);
    let left = names(&place.path("runs/small-1"));
    assert!(
        !left.iter().any(|name| name.ends_with(".unfinished")),
        "{left:?}"
    );
}

/// A run that was interrupted after some rounds.
fn interrupted() -> Place {
    let place = Place::holding("job.toml", &JOB.replace("rounds = 6", "rounds = 300"));
    let mut running = place.start(&["simulate", "job.toml"]);
    running.until("round", |event| event["round"] == 3);
    running.signal("INT");
    assert_eq!(running.end().1, 130);
    place
}

#[test]
fn a_corrupt_checkpoint_is_named() {
    let place = interrupted();
    let folder = place.path("runs/small-1/checkpoints");
    for name in names(&folder) {
        let path = folder.join(name);
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        if let Some(byte) = bytes.get_mut(middle) {
            *byte ^= 1;
        }
        fs::write(&path, bytes).unwrap();
    }
    let ended = place.run(&["resume", "runs/small-1", "--json"]);
    says(&error(&ended, 1), &["checkpoint"]);
}

#[test]
fn a_run_does_not_resume_with_another_job() {
    let place = interrupted();
    let job = place.read("runs/small-1/job.toml");
    place.write(
        "runs/small-1/job.toml",
        &job.replace("batch_size = 10", "batch_size = 20"),
    );
    let ended = place.run(&["resume", "runs/small-1", "--json"]);
    says(&error(&ended, 4), &["job"]);
}

#[test]
fn a_run_that_does_not_exist_gives_the_nearest() {
    let place = Place::with_job();
    place.run(&["simulate", "job.toml", "--quiet"]).well();
    let ended = place.run(&["resume", "smal-1", "--json"]);
    says(&error(&ended, 2), &["smal-1", "small-1"]);
}

#[test]
fn wrong_arguments_are_an_event_too() {
    let place = Place::new();
    for arguments in [
        &["simulat", "--json"][..],
        &["runs", "--sed", "1", "--json"],
    ] {
        error(&place.run(arguments), 2);
    }
    assert_eq!(place.run(&["simulate", "--threads", "0"]).code, 2);
}
