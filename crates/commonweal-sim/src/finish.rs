//! The end of a simulation: baselines, and the summary over the seeds.

use commonweal_core::job::{Job, Manifest};
use commonweal_disk::memory::peak_bytes;
use commonweal_disk::record::{BaselineSummary, Expected, SeedSummary, Summary};
use commonweal_disk::spread::Spread;
use commonweal_train::instruction_set;

use crate::baseline::BaselineResult;
use crate::federation::Federation;
use crate::result::Final;

/// The size of a federation.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Facts {
    clients: u64,
    train_rows: u64,
    test_rows: u64,
}

impl Facts {
    pub(crate) fn of(federation: &Federation) -> Self {
        let (train_rows, test_rows) = federation.rows();
        let clients = u64::from(federation.partition.clients());
        Self {
            clients,
            train_rows,
            test_rows,
        }
    }
}

/// The record over all seeds.
pub(crate) fn summarise(job: &Job, facts: Facts, seconds: f64, finals: &[Final]) -> Summary {
    let judged = job.judged_by();
    let seeds: Vec<SeedSummary> = finals.iter().map(|last| last.summary.clone()).collect();
    let federated = Spread::of_each(seeds.iter().map(|seed| &seed.metrics));
    let expect = job.expect.as_ref();
    let expected = expect.map(|expect| Expected::of(expect, &federated));
    Summary {
        job: job.name.clone(),
        manifest: Manifest::of(job).digest().to_string(),
        metric: judged.name().to_owned(),
        higher_is_better: judged.higher_is_better(),
        federated,
        baselines: baselines(finals),
        expected,
        clients: facts.clients,
        train_rows: facts.train_rows,
        test_rows: facts.test_rows,
        parameters: finals
            .first()
            .map_or(0, |last| last.model.layout().len() as u64),
        seconds,
        peak_bytes: peak_bytes(),
        instruction_set: instruction_set().to_string(),
        threads: finals.first().map_or(0, |last| last.threads),
        model: "model.safetensors".to_owned(),
        digest: seeds
            .first()
            .map(|seed| seed.digest.clone())
            .unwrap_or_default(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        seeds,
    }
}

/// The baselines of the first seed, each over all seeds that have it.
fn baselines(finals: &[Final]) -> Vec<BaselineSummary> {
    let Some(first) = finals.first() else {
        return Vec::new();
    };
    let over_seeds = |one: &BaselineResult| {
        let same: Vec<&BaselineResult> = finals
            .iter()
            .filter_map(|last| last.baselines.iter().find(|other| other.name == one.name))
            .collect();
        BaselineSummary {
            name: one.name.clone(),
            meaning: one.meaning.clone(),
            metrics: Spread::of_each(same.iter().map(|result| &result.metrics)),
            seconds: same.iter().map(|result| result.seconds).sum(),
        }
    };
    first.baselines.iter().map(over_seeds).collect()
}
