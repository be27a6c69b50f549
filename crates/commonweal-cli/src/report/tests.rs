//! What a reader must find on the page, and what must not be there.

use std::collections::BTreeMap;

use commonweal_disk::client_table::ClientRow;
use commonweal_disk::history::{Outcome, RoundRow};
use commonweal_disk::partition_table::PartitionTable;
use commonweal_disk::record::{BaselineSummary, Ended, Expected, SeedSummary, Summary};
use commonweal_disk::spread::Spread;

use super::Report;

fn metrics(value: f64) -> BTreeMap<String, f64> {
    [("accuracy".to_owned(), value)].into()
}

fn spreads(values: &[f64]) -> BTreeMap<String, Spread> {
    [("accuracy".to_owned(), Spread::of(values.to_vec()).unwrap())].into()
}

fn row(round: u64, outcome: Outcome) -> RoundRow {
    RoundRow {
        round,
        outcome,
        reason: if outcome == Outcome::Abandoned {
            "2 of at least 3 reported".to_owned()
        } else {
            String::new()
        },
        cohort: 4,
        reported: 3,
        refused: 1,
        train_loss: Some(0.5),
        metrics: metrics(0.9),
        bytes_down: 4000,
        bytes_up: 3000,
        seconds_train: 0.5,
        seconds_evaluate: 0.1,
    }
}

fn report() -> Report {
    let seed = |seed| SeedSummary {
        seed,
        folder: String::new(),
        rounds: 2,
        abandoned: 1,
        ended: Ended::Rounds,
        metrics: metrics(0.9),
        digest: "sha256:ab".to_owned(),
        seconds_train: 1.0,
        seconds_evaluate: 0.2,
    };
    let rows = vec![row(1, Outcome::Committed), row(2, Outcome::Abandoned)];
    Report {
        run: "wards<1>".to_owned(),
        summary: Summary {
            job: "wards".to_owned(),
            manifest: "sha256:cd".to_owned(),
            metric: "accuracy".to_owned(),
            higher_is_better: true,
            federated: spreads(&[0.90, 0.92]),
            baselines: vec![BaselineSummary {
                name: "pooled".to_owned(),
                meaning: "all rows in one place".to_owned(),
                metrics: spreads(&[0.95, 0.95]),
                seconds: 2.0,
            }],
            expected: Some(Expected {
                metric: "accuracy".to_owned(),
                bound: 0.93,
                met: false,
            }),
            seeds: vec![seed(1), seed(2)],
            clients: 2,
            train_rows: 80,
            test_rows: 20,
            parameters: 10,
            seconds: 3.0,
            peak_bytes: Some(50_000_000),
            instruction_set: "avx512".to_owned(),
            threads: 2,
            model: "model.safetensors".to_owned(),
            digest: "sha256:ab".to_owned(),
            version: "0.1.0".to_owned(),
        },
        job: "name = \"wards\" # <b>".to_owned(),
        histories: vec![rows.clone(), rows],
        clients: vec![ClientRow {
            client: "<img src=x>".to_owned(),
            train_rows: 40,
            test_rows: 10,
            metrics: metrics(0.8),
        }],
        partition: Some(PartitionTable {
            clients: vec!["<img src=x>".to_owned()],
            classes: vec!["sick".to_owned()],
            counts: vec![50],
        }),
    }
}

#[test]
fn the_page_shows_the_model_beside_its_baselines_and_a_missed_floor() {
    let html = report().html();
    for expected in [
        "0.9100 ± 0.1271",
        "pooled",
        "0.9500",
        "accuracy at least 0.93: not met",
        "round 2 was abandoned and left the model unchanged: 2 of at least 3 reported",
        "the worst tenth has a mean of 0.8000",
        "Rows by class and client",
        "50.0 MB",
        "sha256:cd",
    ] {
        assert!(html.contains(expected), "{expected} is missing");
    }
}

#[test]
fn the_page_takes_nothing_from_elsewhere_and_runs_nothing() {
    let html = report().html();
    for forbidden in [
        "<script", "<img", "<link", "src=\"", "href=", "@import", "url(", "<b>",
    ] {
        assert!(!html.contains(forbidden), "{forbidden} is in the page");
    }
}

#[test]
fn a_run_without_clients_partition_or_baselines_still_has_a_page() {
    let mut report = report();
    report.clients.clear();
    report.partition = None;
    report.summary.baselines.clear();
    report.summary.expected = None;
    let html = report.html();
    assert!(html.ends_with("</body></html>\n"));
    assert!(!html.contains("NaN"));
}
