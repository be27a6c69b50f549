//! The end of a simulation: baselines, the summary over the seeds, and the last event.

use std::collections::BTreeMap;

use commonweal_core::MetricKind;
use commonweal_core::job::{Expect, Job, Manifest, Threshold};
use commonweal_disk::folder::RunFolder;
use commonweal_disk::memory::peak_bytes;
use commonweal_disk::observer::{Event, Named};
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
    let judged = job
        .expect
        .as_ref()
        .map_or(job.evaluation.metric, |expect| expect.metric);
    let seeds: Vec<SeedSummary> = finals.iter().map(|last| last.summary.clone()).collect();
    let federated = spreads(seeds.iter().map(|seed| &seed.metrics));
    let expected = job
        .expect
        .as_ref()
        .map(|expect| expected(expect, &federated));
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
            metrics: spreads(same.iter().map(|result| &result.metrics)),
            seconds: same.iter().map(|result| result.seconds).sum(),
        }
    };
    first.baselines.iter().map(over_seeds).collect()
}

/// Each metric over several records; a metric that one of them lacks is left out.
fn spreads<'a>(
    records: impl Iterator<Item = &'a BTreeMap<String, f64>> + Clone,
) -> BTreeMap<String, Spread> {
    let Some(first) = records.clone().next() else {
        return BTreeMap::new();
    };
    first
        .keys()
        .filter_map(|name| {
            let values: Option<Vec<f64>> = records
                .clone()
                .map(|record| record.get(name).copied())
                .collect();
            Some((name.clone(), Spread::of(values?)?))
        })
        .collect()
}

fn expected(expect: &Expect, federated: &BTreeMap<String, Spread>) -> Expected {
    let metric = expect.metric.name();
    let mean = federated.get(metric).map_or(f64::NAN, |spread| spread.mean);
    let (Threshold::AtLeast(bound) | Threshold::AtMost(bound)) = expect.threshold;
    Expected {
        metric: metric.to_owned(),
        bound,
        met: expect.threshold.is_met(mean),
    }
}

/// The last event of a run.
pub(crate) fn finished_event(summary: &Summary, folder: Option<&RunFolder>) -> Event {
    let mean = |name: &str| summary.federated.get(name).map(|spread| spread.mean);
    Event::Finished {
        rounds: summary.seeds.first().map_or(0, |seed| seed.rounds),
        metric: Named {
            name: summary.metric.clone(),
            value: mean(&summary.metric),
        },
        accuracy: mean(MetricKind::Accuracy.name()),
        loss: mean(MetricKind::Loss.name()),
        seconds: summary.seconds,
        model: folder.map(RunFolder::model),
        digest: summary.digest.clone(),
    }
}
