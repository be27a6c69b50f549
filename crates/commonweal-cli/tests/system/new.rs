//! `commonweal new`: the second door, a study of one's own.

use crate::program::{Place, names};

const PATIENTS: &str = "hospital,age,sex,chest pain,sick\n";

fn patients() -> String {
    let mut text = PATIENTS.to_owned();
    for row in 0..120 {
        let hospital = ["north", "south", "west"][row % 3];
        let age = 30 + (row * 7) % 50;
        let sex = if row % 2 == 0 { "f" } else { "m" };
        let pain = ["none", "some", "much"][(row / 2) % 3];
        let sick = if age > 55 { "yes" } else { "no" };
        text.push_str(&format!("{hospital},{age},{sex},{pain},{sick}\n"));
    }
    text
}

#[test]
fn every_template_is_a_valid_job_with_a_readme() {
    let place = Place::new();
    for template in ["digits", "heart", "mnist", "keyboard", "loans", "wearable"] {
        let name = format!("my-{template}");
        place.run(&["new", &name, "--template", template]).well();
        assert_eq!(names(&place.path(&name)), ["README.md", "job.toml"]);
        let job = format!("{name}/job.toml");
        assert!(
            place.read(&job).contains(&format!("name = \"{name}\"")),
            "{template}"
        );
        place.run(&["job", "check", &job]).well();
    }
}

#[test]
fn a_study_on_embedded_data_runs_as_it_was_written() {
    let place = Place::new();
    place.run(&["new", "study", "--template", "heart"]).well();
    let flags = ["--json", "--seeds", "1", "--set", "simulation.baselines=[]"];
    let mut arguments = vec!["simulate", "study/job.toml"];
    arguments.extend(flags);
    let last = place.run(&arguments).well().last();
    assert_eq!(last["event"], "finished");
}

#[test]
fn nothing_is_overwritten() {
    let place = Place::new();
    place.run(&["new", "study", "--template", "digits"]).well();
    place.write("study/job.toml", "mine");
    let ended = place.run(&["new", "study", "--template", "heart", "--json"]);
    assert_eq!(ended.code, 2);
    assert_eq!(ended.last()["event"], "error");
    assert_eq!(place.read("study/job.toml"), "mine");
}

#[test]
fn an_unknown_template_and_a_name_that_is_no_name_are_usage_errors() {
    let place = Place::new();
    let ended = place.run(&["new", "study", "--template", "hart"]);
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("heart"), "{}", ended.stderr);
    assert_eq!(place.run(&["new", "a b/..", "--template", "heart"]).code, 2);
    assert_eq!(place.run(&["new", "study"]).code, 2);
}

#[test]
fn a_study_from_ones_own_table_runs_with_hospitals_as_clients() {
    let place = Place::holding("patients.csv", &patients());
    let new = ["new", "study", "--from", "patients.csv", "--label", "sick"];
    let mut arguments = new.to_vec();
    arguments.extend(["--client", "hospital"]);
    place.run(&arguments).well();
    let ended = place.run(&["simulate", "study/job.toml", "--json"]).well();
    let started = &ended.events()[0];
    assert_eq!(started["clients"], 3, "{started}");
    assert!(
        ended.last()["accuracy"].as_f64().unwrap() > 0.6,
        "{}",
        ended.last()
    );
}

#[test]
fn a_study_from_a_table_without_a_client_column_deals_the_rows() {
    let place = Place::holding("patients.csv", &patients());
    place
        .run(&["new", "study", "--from", "patients.csv", "--label", "sick"])
        .well();
    place
        .run(&["simulate", "study/job.toml", "--json", "--set", "rounds=3"])
        .well();
}

#[test]
fn a_ragged_table_is_told_by_file_and_line_and_nothing_is_written() {
    let text = patients().replacen("south,", "south,extra,", 1);
    let place = Place::holding("patients.csv", &text);
    let ended = place.run(&["new", "study", "--from", "patients.csv", "--label", "sick"]);
    assert_eq!(ended.code, 1);
    assert!(ended.stderr.contains("patients.csv"), "{}", ended.stderr);
    assert!(ended.stderr.contains("line 3"), "{}", ended.stderr);
    assert!(!place.path("study").exists());
}

#[test]
fn a_label_that_the_table_does_not_have_names_those_that_it_has() {
    let place = Place::holding("patients.csv", &patients());
    let ended = place.run(&["new", "study", "--from", "patients.csv", "--label", "sik"]);
    assert_eq!(ended.code, 2);
    assert!(
        ended.stderr.contains("chest pain, sick"),
        "{}",
        ended.stderr
    );
}
