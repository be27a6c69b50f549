//! What can be done with a finished run: list, evaluate, predict, export.

use std::fs;

use crate::program::{Place, names};

/// A run on digits in `runs/small-1`.
fn finished() -> Place {
    let place = Place::with_job();
    place.run(&["simulate", "job.toml", "--quiet"]).well();
    place
}

#[test]
fn evaluating_a_run_gives_the_metrics_that_it_ended_with() {
    let place = Place::with_job();
    let last = place.run(&["simulate", "job.toml", "--json"]).well().last();
    let evaluated = place
        .run(&["evaluate", "runs/small-1", "--json"])
        .well()
        .last();
    assert_eq!(evaluated["event"], "evaluated");
    assert_eq!(evaluated["metrics"]["accuracy"], last["accuracy"]);
    assert_eq!(evaluated["metrics"]["loss"], last["loss"]);
}

#[test]
fn a_table_in_gives_its_rows_out_with_prediction_and_scores() {
    let place = Place::new();
    let mut table = "age,sex,sick\n".to_owned();
    for row in 0..60 {
        let sick = if row % 60 > 30 { "yes" } else { "no" };
        table.push_str(&format!("{},{},{sick}\n", 30 + row, ["f", "m"][row % 2]));
    }
    place.write("table.csv", &table);
    place
        .run(&["new", "study", "--from", "table.csv", "--label", "sick"])
        .well();
    let flags = [
        "--quiet",
        "--seeds",
        "1",
        "--set",
        "simulation.baselines=[]",
    ];
    let mut arguments = vec!["simulate", "study/job.toml"];
    arguments.extend(flags);
    place.run(&arguments).well();
    // No label, other column order, one column more: a row is recognised by its header.
    place.write("in.csv", "note,sex,age\nfirst,f,30\n\"sec,ond\",m,89\n");
    place
        .run(&[
            "predict", "study-1", "--input", "in.csv", "--output", "out.csv",
        ])
        .well();
    let out = place.read("out.csv");
    let lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines[0], "note,sex,age,prediction,score_no,score_yes");
    assert!(lines[1].starts_with("first,f,30,no,"), "{out}");
    assert!(lines[2].starts_with("\"sec,ond\",m,89,yes,"), "{out}");
    let scores: Vec<f64> = lines[1]
        .split(',')
        .skip(4)
        .map(|score| score.parse().unwrap())
        .collect();
    assert!((scores.iter().sum::<f64>() - 1.0).abs() < 1e-6, "{out}");
}

#[test]
fn a_table_without_a_feature_column_is_refused_by_its_name() {
    let place = Place::new();
    place.run(&["new", "study", "--template", "heart"]).well();
    let flags = [
        "--quiet",
        "--seeds",
        "1",
        "--set",
        "simulation.baselines=[]",
        "--set",
        "rounds=1",
    ];
    let mut arguments = vec!["simulate", "study/job.toml"];
    arguments.extend(flags);
    place.run(&arguments).well();
    place.write("in.csv", "sex\nMale\n");
    let ended = place.run(&[
        "predict", "study-1", "--input", "in.csv", "--output", "out.csv",
    ]);
    assert_eq!(ended.code, 1, "{}", ended.stderr);
    assert!(ended.stderr.contains("age"), "{}", ended.stderr);
    assert!(!place.path("out.csv").exists());
}

#[test]
fn rows_of_an_image_set_are_predicted_by_their_numbers() {
    let place = finished();
    place
        .run(&[
            "predict", "small-1", "--rows", "0-9,100", "--output", "out.csv",
        ])
        .well();
    let out = place.read("out.csv");
    let lines: Vec<&str> = out.lines().collect();
    assert!(
        lines[0].starts_with("row,label,prediction,score_0,"),
        "{out}"
    );
    assert_eq!(lines.len(), 12);
    let ended = place.run(&["predict", "small-1", "--rows", "1797", "--output", "no.csv"]);
    assert_eq!(ended.code, 2, "{}", ended.stderr);
    assert!(ended.stderr.contains("1797"), "{}", ended.stderr);
}

#[test]
fn an_exported_model_is_a_module_and_its_tensors() {
    let place = finished();
    place
        .run(&[
            "export", "small-1", "--format", "torch", "--output", "torch",
        ])
        .well();
    assert_eq!(
        names(&place.path("torch")),
        ["model.py", "model.safetensors"]
    );
    let module = place.read("torch/model.py");
    assert!(module.contains("nn.Linear(64, 10)"), "{module}");
    let exported = fs::read(place.path("torch/model.safetensors")).unwrap();
    assert_eq!(
        exported,
        fs::read(place.path("runs/small-1/model.safetensors")).unwrap()
    );
    let again = place.run(&[
        "export", "small-1", "--format", "torch", "--output", "torch",
    ]);
    assert_eq!(again.code, 2);
}
