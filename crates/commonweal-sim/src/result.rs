//! What a finished seed leaves in its folder, and how it is read again.

use std::sync::Arc;

use commonweal_core::{Layout, Parameters};
use commonweal_data::LabelCounts;
use commonweal_disk::client_table::{ClientRow, write_clients};
use commonweal_disk::file;
use commonweal_disk::folder::RunFolder;
use commonweal_disk::model_file::{load_model, save_model};
use commonweal_disk::partition_table::PartitionTable;
use commonweal_disk::record::SeedSummary;
use commonweal_disk::{read_json, write_json};

use crate::baseline::BaselineResult;
use crate::error::SimulationError;
use crate::federation::Federation;
use crate::work::ClientMetrics;

/// Most clients that `partition.csv` and `clients.csv` list.
pub(crate) const MOST_CLIENTS: usize = 10_000;

/// The end of one seed's run.
pub(crate) struct Final {
    pub(crate) summary: SeedSummary,
    pub(crate) model: Parameters,
    pub(crate) baselines: Vec<BaselineResult>,
    /// Threads or worker processes that train.
    pub(crate) threads: usize,
    /// What was done of it before this process, in seconds.
    pub(crate) seconds_before: f64,
}

/// Writes what is known before the first round: `prepared.json`, `input.json` and `partition.csv`.
pub(crate) fn write_federation(
    folder: &RunFolder,
    federation: &Federation,
) -> Result<(), SimulationError> {
    write_json(&folder.prepared(), &federation.prepared)?;
    write_json(&folder.input(), &federation.input)?;
    let counts = LabelCounts::of(
        &federation.partition,
        federation.data.roster(),
        MOST_CLIENTS,
    );
    let table = PartitionTable::from(counts);
    let mut bytes = Vec::new();
    let path = folder.partition();
    table
        .write(&mut bytes)
        .map_err(|source| SimulationError::Table {
            path: path.clone(),
            source,
        })?;
    Ok(file::write_bytes(&path, &bytes)?)
}

/// Writes `model.safetensors`, `clients.csv`, `baselines.json` and, last, `seed.json`: where it is, the rest is too.
pub(crate) fn write_seed(
    folder: &RunFolder,
    last: &Final,
    metrics: &[String],
    federation: &Federation,
    clients: &[ClientMetrics],
) -> Result<(), SimulationError> {
    save_model(&folder.model(), &last.model)?;
    let path = folder.clients();
    let mut bytes = Vec::new();
    let rows = client_rows(federation, metrics, clients);
    write_clients(&mut bytes, metrics, rows).map_err(|source| SimulationError::Table {
        path: path.clone(),
        source,
    })?;
    file::write_bytes(&path, &bytes)?;
    write_json(&folder.baselines(), &last.baselines)?;
    Ok(write_json(&folder.seed_summary(), &last.summary)?)
}

pub(crate) fn client_rows<'a>(
    federation: &'a Federation,
    metrics: &'a [String],
    found: &'a [ClientMetrics],
) -> impl Iterator<Item = ClientRow> + 'a {
    let partition = &federation.partition;
    found
        .iter()
        .take(MOST_CLIENTS)
        .map(move |ClientMetrics { client, values }| ClientRow {
            client: partition.name(*client).to_string(),
            train_rows: partition.train_len(*client) as u64,
            test_rows: partition.test(*client).len() as u64,
            metrics: metrics
                .iter()
                .zip(values)
                .filter_map(|(name, value)| Some((name.clone(), (*value)?)))
                .collect(),
        })
}

/// The end of a seed's run that is in its folder already; none if it is not.
pub(crate) fn read_seed(
    folder: &RunFolder,
    layout: &Arc<Layout>,
    threads: usize,
) -> Result<Option<Final>, SimulationError> {
    if !folder.seed_summary().is_file() {
        return Ok(None);
    }
    let summary: SeedSummary = read_json(&folder.seed_summary())?;
    let model = load_model(&folder.model(), layout)?;
    let baselines: Vec<BaselineResult> = read_json(&folder.baselines())?;
    let seconds_before = summary.seconds_train
        + summary.seconds_evaluate
        + baselines
            .iter()
            .map(|baseline| baseline.seconds)
            .sum::<f64>();
    Ok(Some(Final {
        summary,
        model,
        baselines,
        threads,
        seconds_before,
    }))
}
