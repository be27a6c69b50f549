//! What federated training is compared with: every client alone, and all rows in one place.
//!
//! Both train with the job's own trainers and plan, and learn from as many rows as the federated run. At
//! most [`MOST_CLIENTS`] clients train alone. Their models are measured on the test rows of all clients,
//! or on a sample of these where that would cost more than [`MOST_PRODUCTS`].

mod alone;
mod budget;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use commonweal_core::job::Baseline;
use commonweal_core::{
    ClientIndex, ClientName, MetricKind, MetricSpec, MetricSums, Parameters, Purpose, RunSpec,
    SeedRng, TrainError, TrainPlan, shuffle,
};
use commonweal_data::{Input, Target};
use serde::{Deserialize, Serialize};

use crate::crew::{Crew, Slot};
use crate::error::SimulationError;
use crate::federation::Federation;
use crate::observer::{Event, Observer};
use alone::Setting;
use budget::Budget;

/// Most clients that train alone.
const MOST_CLIENTS: usize = 100;

/// Most multiplications that measuring the models of single clients may cost: some ten seconds a core.
const MOST_PRODUCTS: u64 = 1_000_000_000_000;

/// Share of its training rows that a client alone sets aside to be chosen by, where the job names none.
const VALIDATION: f64 = 0.1;

/// One baseline of one seed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct BaselineResult {
    pub(crate) name: String,
    pub(crate) meaning: String,
    pub(crate) metrics: BTreeMap<String, f64>,
    pub(crate) seconds: f64,
}

/// Trains and measures the baselines that the job asks for. `rounds` is how many the federated run
/// took. None if `interrupt` was set.
pub(crate) fn run_baselines(
    federation: &Federation,
    initial: &Parameters,
    rounds: u64,
    crew: &mut Crew<Slot>,
    interrupt: &AtomicBool,
    observer: &mut dyn Observer,
) -> Result<Option<Vec<BaselineResult>>, SimulationError> {
    let wanted = &federation.job.simulation.baselines;
    if wanted.is_empty() {
        return Ok(Some(Vec::new()));
    }
    let start = Instant::now();
    let spec = federation.run_spec()?;
    let comparison = Comparison::new(federation, &spec, initial, rounds, interrupt);
    let found = comparison.run(wanted, crew, observer);
    if interrupt.load(Ordering::Relaxed) {
        return Ok(None);
    }
    for (name, error) in &found.failures {
        if let TrainError::TrainerLost { what } = error {
            return Err(SimulationError::TrainerLost { what: what.clone() });
        }
        let message = format!("a baseline goes on without {name}: {error}");
        observer.event(&Event::Warning { message });
    }
    let seconds = start.elapsed().as_secs_f64();
    let results = comparison.results(wanted, &found, seconds);
    for result in &results {
        observer.event(&Event::Baseline {
            name: result.name.clone(),
            seed: federation.job.seed,
            metrics: result.metrics.clone(),
            seconds: result.seconds,
        });
    }
    Ok(Some(results))
}

/// Who trains on what, and what it is measured on.
struct Comparison<'a> {
    federation: &'a Federation,
    setting: Setting<'a>,
    metric: MetricKind,
    pool: Vec<Arc<TrainPlan>>,
    alone: Vec<Arc<TrainPlan>>,
    clients: Vec<ClientIndex>,
    all_train: Vec<u32>,
    all_test: Vec<u32>,
    /// `all_test`, or a sample of it.
    test: Vec<u32>,
}

/// What came of it.
#[derive(Default)]
struct Found {
    pooled: Option<(MetricSums, f64)>,
    alone: Vec<Alone>,
    failures: Vec<(String, TrainError)>,
}

/// One client's model.
struct Alone {
    client: ClientIndex,
    train_rows: u64,
    /// On the test rows of all.
    on_all: MetricSums,
    /// On its own test rows.
    on_own: MetricSums,
    /// On the training rows that it set aside.
    on_validation: MetricSums,
}

#[derive(Clone, Copy)]
enum Holder {
    Pool,
    Client(ClientIndex),
}

impl<'a> Comparison<'a> {
    fn new(
        federation: &'a Federation,
        spec: &RunSpec,
        initial: &'a Parameters,
        rounds: u64,
        interrupt: &'a AtomicBool,
    ) -> Self {
        let seed = federation.seed();
        let mut rng = seed.derive(Purpose::Baseline, 0, None).rng();
        let partition = &federation.partition;
        let mut clients: Vec<_> = partition.population().indices().collect();
        if clients.len() > MOST_CLIENTS {
            shuffle(&mut rng, &mut clients);
            clients.truncate(MOST_CLIENTS);
        }
        let all_test = partition.all_test();
        let test = affordable(federation, initial, clients.len(), &all_test, &mut rng);
        let number = partition.clients();
        Self {
            federation,
            setting: Setting {
                manifest: federation.manifest.digest(),
                prepared: federation.prepared_digest(),
                metrics: Arc::clone(&spec.metrics),
                initial,
                seed,
                interrupt,
                learned: AtomicU64::new(0),
            },
            metric: spec.metric,
            pool: Budget::of_pool(&federation.job, number, rounds).plans(spec),
            alone: Budget::of_client(&federation.job, number, rounds).plans(spec),
            clients,
            all_train: partition.all_train(),
            all_test,
            test,
        }
    }

    fn run(
        &self,
        wanted: &[Baseline],
        crew: &mut Crew<Slot>,
        observer: &mut dyn Observer,
    ) -> Found {
        let mut holders = Vec::new();
        if wanted.contains(&Baseline::Pooled) {
            holders.push(Holder::Pool);
        }
        if wanted.contains(&Baseline::Local) {
            holders.extend(self.clients.iter().copied().map(Holder::Client));
        }
        holders.sort_by_key(|&holder| std::cmp::Reverse(self.rows(holder)));
        let total = holders.iter().map(|&holder| self.rows(holder)).sum();
        let (next, found) = (AtomicUsize::new(0), Mutex::new(Found::default()));
        let shift = |slot: &mut Slot| {
            while let Some(&holder) = holders.get(next.fetch_add(1, Ordering::Relaxed)) {
                self.one(slot, holder, &found);
            }
        };
        let mut last = 0;
        crew.work_watched(shift, || {
            let done = self.setting.learned.load(Ordering::Relaxed);
            if done > last {
                last = done;
                let name = "baselines".to_owned();
                observer.event(&Event::BaselineProgress { name, done, total });
            }
        });
        let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        // Means of floats depend on the order, and threads end in any.
        found.alone.sort_unstable_by_key(|alone| alone.client);
        found
    }

    /// Rows that a holder learns from in all.
    fn rows(&self, holder: Holder) -> u64 {
        match holder {
            Holder::Pool => self.pool.len() as u64 * self.all_train.len() as u64,
            Holder::Client(client) => {
                self.alone.len() as u64 * self.federation.partition.train_len(client) as u64
            }
        }
    }

    fn one(&self, slot: &mut Slot, holder: Holder, found: &Mutex<Found>) {
        let start = Instant::now();
        let name = match holder {
            Holder::Client(client) => self.federation.partition.name(client),
            Holder::Pool => pool_name(),
        };
        let lock = || found.lock().unwrap_or_else(PoisonError::into_inner);
        match holder {
            Holder::Pool => match self.pooled(slot, &name) {
                Ok(sums) => lock().pooled = Some((sums, start.elapsed().as_secs_f64())),
                Err(error) => lock().failures.push((name.to_string(), error)),
            },
            Holder::Client(client) => match self.client(slot, client, &name) {
                Ok(alone) => lock().alone.push(alone),
                // Nobody's model: it has no rows.
                Err(TrainError::NoRows) => {}
                Err(error) => lock().failures.push((format!("client {name}"), error)),
            },
        }
    }

    fn pooled(&self, slot: &mut Slot, name: &ClientName) -> Result<MetricSums, TrainError> {
        let learned = self
            .setting
            .learn(slot, name, &self.all_train, &self.pool)?;
        self.setting.measure(slot, name, &self.all_test, &learned)
    }

    fn client(
        &self,
        slot: &mut Slot,
        client: ClientIndex,
        name: &ClientName,
    ) -> Result<Alone, TrainError> {
        let partition = &self.federation.partition;
        let mut rows = partition.train(client).into_owned();
        let validation = self.set_aside(name, &mut rows);
        let learned = self.setting.learn(slot, name, &rows, &self.alone)?;
        let mut measure = |rows: &[u32]| self.setting.measure(slot, name, rows, &learned);
        Ok(Alone {
            client,
            train_rows: rows.len() as u64,
            on_all: measure(&self.test)?,
            on_own: measure(partition.test(client))?,
            on_validation: measure(&validation)?,
        })
    }

    /// Takes a share of `rows` away, at least one if there are two.
    fn set_aside(&self, name: &ClientName, rows: &mut Vec<u32>) -> Vec<u32> {
        let fraction = self.validation();
        let mut rng = self
            .setting
            .seed
            .derive(Purpose::Validation, 0, Some(name))
            .rng();
        shuffle(&mut rng, rows);
        let wanted =
            ((rows.len() as f64 * fraction).ceil() as usize).min(rows.len().saturating_sub(1));
        let mut validation = rows.split_off(rows.len() - wanted);
        rows.sort_unstable();
        validation.sort_unstable();
        validation
    }

    fn validation(&self) -> f64 {
        match self.federation.job.data.validation {
            fraction if fraction > 0.0 => fraction,
            _ => VALIDATION,
        }
    }

    fn results(&self, wanted: &[Baseline], found: &Found, seconds: f64) -> Vec<BaselineResult> {
        let metrics = &self.setting.metrics;
        let mut results = Vec::new();
        for baseline in wanted {
            match baseline {
                Baseline::Pooled => results.extend(found.pooled.as_ref().map(|(sums, seconds)| {
                    let meaning = "all training rows in one place; learns from as many rows as the \
                                   federation does";
                    result("pooled", meaning, values(metrics, sums), *seconds)
                })),
                Baseline::Local => results.extend(self.local(found, metrics, seconds)),
            }
        }
        results
    }

    fn local(&self, found: &Found, metrics: &MetricSpec, seconds: f64) -> Vec<BaselineResult> {
        let trained = format!(
            "{} of {} clients, each trained alone on its own rows but {:.0} % of them",
            found.alone.len(),
            self.federation.partition.clients(),
            100.0 * self.validation()
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
            let meaning =
                format!("{trained}; the one that is best on the rows it set aside, on {measured}");
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

    /// The model that is best on the rows that its client set aside; of equals the one with most rows.
    fn best<'f>(&self, found: &'f Found, metrics: &MetricSpec) -> Option<&'f MetricSums> {
        let kind = self.metric;
        let score = |alone: &Alone| {
            let value = metrics.value(kind, &alone.on_validation)?;
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

/// Test rows on which so many models can be measured.
fn affordable(
    federation: &Federation,
    model: &Parameters,
    models: usize,
    test: &[u32],
    rng: &mut SeedRng,
) -> Vec<u32> {
    let shape = federation.data.shape();
    let steps = match (&shape.input, shape.target) {
        (Input::Tokens { length, .. }, Target::NextTokens(_)) => *length as u64,
        _ => 1,
    };
    let row = (model.layout().len() as u64 * steps * models.max(1) as u64).max(1);
    let most = usize::try_from(MOST_PRODUCTS / row)
        .unwrap_or(usize::MAX)
        .max(100);
    let mut rows = test.to_vec();
    if rows.len() > most {
        shuffle(rng, &mut rows);
        rows.truncate(most);
        rows.sort_unstable();
    }
    rows
}

fn pool_name() -> ClientName {
    // Unwrap safety: a short name without control characters.
    #[expect(clippy::unwrap_used)]
    ClientName::try_from("pooled").unwrap()
}
