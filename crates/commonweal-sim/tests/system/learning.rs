//! A simulation learns, and leaves behind what it promises.

use crate::common;

use commonweal_core::job::ClassWeights;
use commonweal_core::{Found, Prepared};
use commonweal_disk::client_table::read_clients;
use commonweal_disk::file::read_bytes;
use commonweal_disk::folder::RunFolder;
use commonweal_disk::history::read_history;
use commonweal_disk::model_file::load_model;
use commonweal_disk::partition_table::PartitionTable;
use commonweal_disk::record::Summary;

#[test]
fn twenty_clients_learn_to_read_digits_together() {
    let job = common::digits(60, "[evaluation]\nevery = 20\n");
    let finished = common::finish(job, common::environment(2, None));
    let accuracy = finished.summary.federated["accuracy"].mean;
    assert!(accuracy > 0.9, "{accuracy}");
    assert_eq!(finished.folder, None);
}

#[test]
fn a_finished_run_folder_holds_every_record() {
    let runs = tempfile::tempdir().unwrap();
    let job = common::digits(4, "[evaluation]\nevery = 2\n");
    let finished = common::finish(job, common::environment(2, Some(runs.path())));
    let folder = RunFolder::open(&finished.folder.unwrap()).unwrap();
    assert_eq!(folder.name(), "digits-1");

    let history = read_history(read_bytes(&folder.history()).unwrap().as_slice()).unwrap();
    let rounds: Vec<_> = history
        .iter()
        .map(|row| (row.round, row.metrics.len()))
        .collect();
    assert_eq!(rounds, [(1, 0), (2, 2), (3, 0), (4, 2)]);
    assert!(
        history
            .iter()
            .all(|row| row.cohort == 5 && row.reported == 5 && row.refused == 0)
    );

    let summary: Summary = serde_json::from_slice(&read_bytes(&folder.summary()).unwrap()).unwrap();
    assert_eq!(summary, finished.summary);
    assert_eq!(summary.train_rows + summary.test_rows, 1797);

    let model = load_model(&folder.model(), finished.model.layout()).unwrap();
    assert_eq!(model.digest().to_string(), summary.digest);

    let clients = read_clients(read_bytes(&folder.clients()).unwrap().as_slice()).unwrap();
    let rows: u64 = clients.iter().map(|client| client.train_rows).sum();
    assert!(rows <= summary.train_rows);
    let partition = PartitionTable::read(read_bytes(&folder.partition()).unwrap().as_slice());
    assert_eq!(partition.unwrap().clients.len(), 20);
}

#[test]
fn the_federation_beats_clients_alone_and_is_near_all_rows_in_one_place() {
    let simulation = "baselines = [\"local\", \"pooled\"]\nseeds = 2";
    let job = common::digits_with(60, simulation, "[evaluation]\nevery = 60\n");
    let summary = common::finish(job, common::environment(2, None)).summary;
    let names: Vec<_> = summary
        .baselines
        .iter()
        .map(|baseline| &baseline.name)
        .collect();
    assert_eq!(
        names,
        [
            "local",
            "local, best client",
            "local, own test rows",
            "pooled"
        ]
    );
    let accuracy = |at: usize| summary.baselines[at].metrics["accuracy"].mean;
    let federated = &summary.federated["accuracy"];
    assert_eq!(federated.values.len(), 2);
    assert!(
        federated.mean > accuracy(0) + 0.1,
        "{federated:?} {:?}",
        summary.baselines[0]
    );
    assert!(
        accuracy(3) > federated.mean - 0.05,
        "{federated:?} {:?}",
        summary.baselines[3]
    );
}

#[test]
fn balanced_class_weights_rest_on_counts_that_every_client_summed_in_prepare() {
    let runs = tempfile::tempdir().unwrap();
    let mut job = common::digits(1, "");
    job.training.class_weights = Some(ClassWeights::Balanced);
    let finished = common::finish(job, common::environment(2, Some(runs.path())));
    let folder = RunFolder::open(&finished.folder.unwrap()).unwrap();
    let bytes = read_bytes(&folder.prepared()).unwrap();
    let prepared: Prepared = serde_json::from_slice(&bytes).unwrap();
    let Some(Found::Levels(classes)) = prepared.column("classes") else {
        panic!("{prepared:?}")
    };
    assert_eq!((prepared.clients, classes.len()), (20, 10));
    let rows: u64 = classes.iter().map(|(_, rows)| rows).sum();
    assert_eq!(rows, prepared.rows);
}
