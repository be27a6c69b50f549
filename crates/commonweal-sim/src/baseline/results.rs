//! What the baselines of a seed come to, and what each number means.

use std::collections::BTreeMap;

use commonweal_core::job::Baseline;
use commonweal_core::{MetricSpec, MetricSums};
use serde::{Deserialize, Serialize};

use super::{Alone, Comparison, Found};

/// One baseline of one seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct BaselineResult {
    pub(crate) name: String,
    pub(crate) meaning: String,
    pub(crate) metrics: BTreeMap<String, f64>,
    pub(crate) seconds: f64,
}

impl Comparison<'_> {
    pub(super) fn results(
        &self,
        wanted: &[Baseline],
        found: &Found,
        seconds: f64,
    ) -> Vec<BaselineResult> {
        let metrics = &self.setting.metrics;
        let mut results = Vec::new();
        for baseline in wanted {
            match baseline {
                Baseline::Pooled => results.extend(found.pooled.as_ref().map(|(sums, seconds)| {
                    let meaning = format!("all training rows in one place; {}", self.pool_length);
                    result("pooled", &meaning, values(metrics, sums), *seconds)
                })),
                Baseline::Local => results.extend(self.local(found, metrics, seconds)),
            }
        }
        results
    }

    fn local(&self, found: &Found, metrics: &MetricSpec, seconds: f64) -> Vec<BaselineResult> {
        let trained = format!(
            "{} of {} clients, each trained alone on all its training rows; {}",
            found.alone.len(),
            self.federation.partition.clients(),
            self.alone_length
        );
        let measured = match self.test.len() == self.all_test.len() {
            true => "the test rows of all clients".to_owned(),
            false => format!(
                "{} of the {} test rows",
                self.test.len(),
                self.all_test.len()
            ),
        };
        let mean_on_all = mean(
            metrics,
            found.alone.iter().map(|one| (&one.on_all, one.train_rows)),
        );
        let mean_on_own = mean(
            metrics,
            found
                .alone
                .iter()
                .map(|one| (&one.on_own, one.on_own.examples())),
        );
        let best = self.best(found, metrics);
        let meaning = format!("{trained}; mean over clients, weighted by rows, on {measured}");
        let mut results = vec![result("local", &meaning, mean_on_all, seconds)];
        if let Some(best) = best {
            let meaning = format!("{trained}; {}, on {measured}", self.chosen_by.words());
            results.push(result(
                "local, best client",
                &meaning,
                values(metrics, best),
                0.0,
            ));
        }
        let meaning = format!("{trained}; each measured on its own test rows, weighted by these");
        results.push(result("local, own test rows", &meaning, mean_on_own, 0.0));
        results
    }

    /// The model of the client that is best by the rows it is chosen by; of equals the one with most rows.
    fn best<'f>(&self, found: &'f Found, metrics: &MetricSpec) -> Option<&'f MetricSums> {
        let kind = self.metric;
        let score = |alone: &Alone| {
            let value = metrics.value(kind, alone.on_validation.as_ref()?)?;
            Some(if kind.higher_is_better() {
                value
            } else {
                -value
            })
        };
        let scored = found
            .alone
            .iter()
            .filter_map(|alone| Some((score(alone)?, alone)));
        let best = scored.max_by(|(a, one), (b, other)| {
            a.total_cmp(b).then(one.train_rows.cmp(&other.train_rows))
        });
        best.map(|(_, alone)| &alone.on_all)
    }
}

fn result(
    name: &str,
    meaning: &str,
    metrics: BTreeMap<String, f64>,
    seconds: f64,
) -> BaselineResult {
    BaselineResult {
        name: name.to_owned(),
        meaning: meaning.to_owned(),
        metrics,
        seconds,
    }
}

fn values(spec: &MetricSpec, sums: &MetricSums) -> BTreeMap<String, f64> {
    spec.values(sums)
        .filter_map(|(kind, value)| Some((kind.name().to_owned(), value?)))
        .collect()
}

/// The weighted mean of each metric over those that have it.
fn mean<'s>(
    spec: &MetricSpec,
    weighted: impl Iterator<Item = (&'s MetricSums, u64)>,
) -> BTreeMap<String, f64> {
    let mut totals: BTreeMap<String, (f64, f64)> = BTreeMap::new();
    for (sums, weight) in weighted {
        for (name, value) in values(spec, sums) {
            let (total, weights) = totals.entry(name).or_default();
            *total += value * weight as f64;
            *weights += weight as f64;
        }
    }
    totals
        .into_iter()
        .filter(|(_, (_, weights))| *weights > 0.0)
        .map(|(name, (total, weights))| (name, total / weights))
        .collect()
}
