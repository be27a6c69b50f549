//! A model that only its trainer knows: declared by a worker process on the researcher's machine, trained by those
//! of the nodes.

use crate::federation::{CLIENTS, DIGITS, Federation, simulated, text};
use crate::program::{Ended, Place};

const TRAINER: &str = include_str!("class_shares.py");

/// [`DIGITS`] with a model that only the trainer knows.
fn job() -> String {
    DIGITS
        .replace("kind = \"softmax\"", "kind = \"external\"")
        .replace("epochs = 1", "epochs = 1\ntrainer = \"shares\"")
        .replace(
            "[simulation]",
            "[simulation]\ntrainers = { shares = { command = [\"python3\", \"shares.py\"] } }",
        )
}

/// [`job`] without a word on how its trainer is started.
fn without_command() -> String {
    let job = job();
    let lines = job.lines().filter(|line| !line.starts_with("trainers"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Four nodes, each with a trainer of its own.
fn federation(job: &str) -> Federation {
    let mut federation = Federation::new();
    federation.place.write("job.toml", job);
    federation.place.write("shares.py", TRAINER);
    for name in CLIENTS {
        federation.join(name, "all");
        let settings = format!("{name}/node.toml");
        let own = "[trainers.shares]\ncommand = [\"python3\", \"own.py\"]\n";
        let settings_before = federation.place.read(&settings);
        federation
            .place
            .write(&settings, &format!("{settings_before}{own}"));
        federation.place.write(&format!("{name}/own.py"), TRAINER);
        federation.start(name);
    }
    federation
}

fn submitted(place: &Place, overrides: &[&str]) -> Ended {
    place.run(&[&["submit", "job.toml", "--json"], overrides].concat())
}

/// What [`TRAINER`] declares.
const DECLARED: &str = r#"[{"name":"z.shares","shape":[10],"scope":"shared","export":"f32"},
    {"name":"a.rounds","shape":[],"scope":"local","export":"i64"}]"#;

/// A model file of the trainer's two tensors, which says of itself what is `declared`, if anything.
fn file(shares: &[f32; 10], declared: &str) -> Vec<u8> {
    let mut header = serde_json::json!({
        "a.rounds": { "dtype": "I64", "shape": [], "data_offsets": [0, 8] },
        "z.shares": { "dtype": "F32", "shape": [10], "data_offsets": [8, 48] },
    });
    if !declared.is_empty() {
        header["__metadata__"] = serde_json::json!({ "commonweal.layout": declared });
    }
    let mut header = header.to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header);
    bytes.extend(7_i64.to_le_bytes());
    bytes.extend(shares.iter().flat_map(|share| share.to_le_bytes()));
    bytes
}

fn begin(place: &Place, bytes: &[u8]) {
    std::fs::write(place.path("begin.safetensors"), bytes).unwrap();
}

fn message(ended: &Ended) -> String {
    text(&ended.last()["message"])
}

#[test]
fn a_model_that_the_trainer_declares_ends_alike_simulated_deployed_and_up() {
    let federation = federation(&job());
    let place = &federation.place;
    let expected = simulated(place, &[]);
    let deployed = submitted(place, &[]).well();
    assert_eq!(text(&deployed.last()["digest"]), expected);
    let up = place.run(&["up", "job.toml", "--json"]).well();
    assert_eq!(text(&up.last()["digest"]), expected);

    // The owner reads that a model was submitted, and which.
    let shown = federation.node(CLIENTS[0], &["show", "small-1"]).well();
    assert!(
        shown.stdout.contains("the submitted file sha256:"),
        "{}",
        shown.stdout
    );
    let dry = federation
        .node(CLIENTS[0], &["dry-run", "small-1", "--json"])
        .well();
    assert!(dry.stdout.contains("z.shares"), "{}", dry.stdout);
    assert!(!dry.stdout.contains("a.rounds"), "{}", dry.stdout);
}

#[test]
fn a_model_file_stands_for_the_command_where_no_trainer_can_be_started() {
    let federation = federation(&without_command());
    let place = &federation.place;
    let none = submitted(place, &[]);
    assert_eq!(none.code, 2, "{}", none.stdout);
    assert!(message(&none).contains("[simulation.trainers]"));
    assert!(message(&none).contains("model.init"));
    begin(place, &file(&[0.5; 10], DECLARED));
    let deployed = submitted(place, &["--set", "model.init=\"begin.safetensors\""]).well();
    place.write("with.toml", &job());
    let simulated = place
        .run(&[
            "simulate",
            "with.toml",
            "--json",
            "--set",
            "model.init=\"begin.safetensors\"",
        ])
        .well();
    assert_eq!(deployed.last()["digest"], simulated.last()["digest"]);
}

#[test]
fn a_model_of_another_layout_than_the_trainers_is_trained_by_nobody() {
    let federation = federation(&without_command());
    let place = &federation.place;
    // The same tensors in the order of the file, all of them shared: as many values, of another meaning.
    begin(place, &file(&[0.5; 10], ""));
    let ended = submitted(place, &["--set", "model.init=\"begin.safetensors\""]);
    assert_ne!(ended.code, 0, "{}", ended.stdout);
    assert!(
        message(&ended).contains("declares other tensors"),
        "{}",
        message(&ended)
    );
}

#[test]
fn a_file_that_is_no_model_is_refused_when_it_is_submitted() {
    let federation = federation(&without_command());
    let place = &federation.place;
    let whole = file(&[0.5; 10], DECLARED);
    let mut not_a_number = [0.5; 10];
    not_a_number[3] = f32::NAN;
    let bad = [
        ("no safetensors", whole[..whole.len() - 1].to_vec()),
        ("no safetensors", [&whole[..], &[0]].concat()),
        ("not a finite number", file(&not_a_number, DECLARED)),
        (
            "has the shape [10]",
            file(&[0.5; 10], &DECLARED.replace("[10]", "[11]")),
        ),
    ];
    for (words, bytes) in &bad {
        begin(place, bytes);
        let ended = submitted(place, &["--set", "model.init=\"begin.safetensors\""]);
        assert_ne!(ended.code, 0, "{}", ended.stdout);
        assert!(
            message(&ended).contains(words),
            "{words}: {}",
            message(&ended)
        );
    }
    let runs = place.run(&["runs", "--json"]).well();
    assert!(!runs.stdout.contains("small-1"), "{}", runs.stdout);
}

#[test]
fn a_model_that_is_too_long_is_refused_with_the_servers_limit() {
    let mut federation = Federation::new();
    federation.kill_server();
    let settings = federation.place.read("server/server.toml");
    let settings = format!("{settings}largest_submission_mb = 1\n");
    federation.place.write("server/server.toml", &settings);
    federation.serve();
    let place = &federation.place;
    begin(place, &vec![0; 1_200_000]);
    let ended = submitted(place, &["--set", "model.init=\"begin.safetensors\""]);
    assert_eq!(ended.code, 4, "{}", ended.stdout);
    assert!(
        message(&ended).contains("larger than 1 MB"),
        "{}",
        message(&ended)
    );
}
