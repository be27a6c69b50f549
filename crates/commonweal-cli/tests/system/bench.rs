//! `commonweal bench` and `reproduce`: what they list, and what they say without their data.

use crate::program::Place;

#[test]
fn a_step_is_measured_against_the_peak_of_this_machine() {
    let place = Place::new();
    let events = place
        .run(&["bench", "step-softmax", "--json"])
        .well()
        .events();
    let named = |name: &str| events.iter().find(|event| event["name"] == name).unwrap();
    for name in ["peak-product", "peak-add", "step-softmax"] {
        let figure = named(name);
        for field in ["value", "limit", "ratio"] {
            assert!(figure[field].as_f64().unwrap() > 0.0, "{figure}");
        }
        assert!(figure["unit"].is_string(), "{figure}");
    }
    assert_eq!(named("peak-product")["ratio"], 1.0);
}

#[test]
fn a_benchmark_without_its_data_says_so() {
    let place = Place::new();
    let ended = place.run(&["bench", "round-2nn", "--json"]);
    assert_eq!(ended.code, 1);
    let last = ended.last();
    assert_eq!(last["event"], "error");
    assert!(
        last["message"].as_str().unwrap().contains("mnist"),
        "{last}"
    );
}

#[test]
fn an_unknown_benchmark_gives_the_nearest() {
    let place = Place::new();
    let ended = place.run(&["bench", "step-2n2"]);
    assert_eq!(ended.code, 2);
    assert!(ended.stderr.contains("step-2nn"), "{}", ended.stderr);
}

#[test]
fn a_published_result_without_its_data_fails_and_is_not_skipped() {
    let place = Place::new();
    let listed = place
        .run(&["reproduce", "--list", "--json"])
        .well()
        .events();
    let names: Vec<_> = listed
        .iter()
        .map(|event| event["name"].as_str().unwrap())
        .collect();
    assert!(names.contains(&"fedavg-2nn-iid"), "{names:?}");
    let ended = place.run(&["reproduce", "fedavg-2nn-iid", "--json"]);
    assert_eq!(ended.code, 1);
    assert_eq!(ended.last()["event"], "error");
    assert_eq!(place.run(&["reproduce", "fedavg-2nn", "--json"]).code, 2);
}

#[test]
fn heart_disease_comes_out_as_published() {
    let place = Place::new();
    let last = place
        .run(&["reproduce", "flamby-heart", "--json"])
        .well()
        .last();
    assert_eq!(last["event"], "reproduced");
    assert_eq!(last["ok"], true);
}
