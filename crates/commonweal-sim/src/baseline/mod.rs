//! What federated training is compared with: every client alone, and all rows in one place.
//!
//! Both train with the job's own trainers and plan; [`Budget`] says for how long. At most [`MOST_CLIENTS`] clients train alone. Their models are measured on the test rows of all clients,
//! or on a sample of these where that would cost more than [`MOST_PRODUCTS`].

mod alone;
mod budget;
mod results;
mod validation;

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use commonweal_core::job::Baseline;
use commonweal_core::{
    ClientIndex, ClientName, MetricKind, MetricSums, Parameters, Purpose, RunSpec, SeedRng,
    TrainError, TrainPlan, shuffle,
};
use commonweal_data::{Input, Target};
use commonweal_disk::observer::{Event, Observer};

use crate::crew::{Crew, Slot};
use crate::error::SimulationError;
use crate::federation::Federation;
use alone::Setting;
use budget::Budget;
pub(crate) use results::BaselineResult;
use validation::ChosenBy;

/// Most clients that train alone.
const MOST_CLIENTS: usize = 100;

/// Most multiplications that measuring the models of single clients may cost: some ten seconds a core.
const MOST_PRODUCTS: u64 = 1_000_000_000_000;

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
    /// How long the pool trains, in words.
    pool_length: String,
    /// How long a client alone trains, in words.
    alone_length: String,
    chosen_by: ChosenBy,
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
    /// On the rows that it is chosen by; none if it has none.
    on_validation: Option<MetricSums>,
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
        let (job, number) = (&federation.job, partition.clients());
        let pool = Budget::of_pool(job, number, rounds);
        let alone = Budget::of_client(job, number, rounds);
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
            pool: pool.plans(spec),
            alone: alone.plans(spec),
            pool_length: pool.words(job, number, rounds),
            alone_length: alone.words(job, number, rounds),
            chosen_by: ChosenBy::of(&job.data),
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
                let train = self.federation.partition.train_len(client) as u64;
                self.alone.len() as u64 * self.chosen_by.learned_rows(train)
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
        let rows = partition.train(client);
        let learned = self.setting.learn(slot, name, &rows, &self.alone)?;
        let mut measure = |rows: &[u32]| self.setting.measure(slot, name, rows, &learned);
        let (on_all, on_own) = (measure(&self.test)?, measure(partition.test(client))?);
        let on_validation = match partition.validation(client) {
            [] => self.first(slot, name, &rows)?,
            validation => Some(measure(validation)?),
        };
        Ok(Alone {
            client,
            train_rows: rows.len() as u64,
            on_all,
            on_own,
            on_validation,
        })
    }

    /// Trains a model without the rows that a client sets aside, and measures it on these.
    fn first(
        &self,
        slot: &mut Slot,
        name: &ClientName,
        rows: &[u32],
    ) -> Result<Option<MetricSums>, TrainError> {
        let seed = self.setting.seed.derive(Purpose::Validation, 0, Some(name));
        let roster = self.federation.data.roster();
        let Some(split) = self.chosen_by.first_split(roster, rows, &seed) else {
            return Ok(None);
        };
        let learned = self.setting.learn(slot, name, &split.train, &self.alone)?;
        let sums = self.setting.measure(slot, name, &split.test, &learned)?;
        Ok(Some(sums))
    }
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
