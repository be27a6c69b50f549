//! The clients of one seed's run: who has which rows, what `prepare` found, and the model to begin with.

use std::sync::Arc;
use std::time::Instant;

use commonweal_core::job::{Job, Manifest};
use commonweal_core::{Digest, Known, PrepareSums, Prepared, RunSpec, Seed, Time, open_prepare};
use commonweal_data::{Dataset, Partition, Preparation, Source};
use commonweal_disk::{EntropySource, InputRecord, complete, deal};
use commonweal_train::instruction_set;

use crate::crew::Crew;
use crate::drive::{Drive, RoundEnd};
use crate::error::SimulationError;
use crate::work::Preparing;

/// What a run of one seed starts from.
pub(crate) struct Federation {
    /// The job with this seed and no other.
    pub(crate) job: Job,
    pub(crate) manifest: Manifest,
    pub(crate) partition: Partition,
    pub(crate) prepared: Prepared,
    /// Whether anything was asked.
    pub(crate) is_prepared: bool,
    pub(crate) data: Arc<Dataset>,
    class_rows: Vec<u64>,
    pub(crate) input: InputRecord,
    pub(crate) seconds_prepare: f64,
}

impl Federation {
    /// Deals the rows of `source`, runs `prepare` on `threads` threads and applies what it finds.
    pub(crate) fn found(
        job: &Job,
        seed: u64,
        source: &Source,
        threads: usize,
    ) -> Result<Self, SimulationError> {
        let mut job = job.clone();
        job.seed = seed;
        let manifest = Manifest::of(&job);
        let section = complete(&job.data)?;
        let partition = deal(&job, &section, source)?;
        let start = Instant::now();
        let preparation = Preparation::of_job(&job, source, &section)?;
        let is_prepared = !preparation.spec().columns.is_empty();
        let prepared = match is_prepared {
            true => prepare(
                &preparation,
                source,
                &partition,
                &job,
                manifest.digest(),
                threads,
            )?,
            false => nothing_asked(&partition, manifest.digest()),
        };
        let data = preparation.dataset(source, &prepared, &partition)?;
        let class_rows = preparation.class_rows_of(&prepared, data.shape().target);
        let input = InputRecord::of(source, &preparation, &prepared, &data)?;
        let seconds_prepare = start.elapsed().as_secs_f64();
        let data = Arc::new(data);
        Ok(Self {
            job,
            manifest,
            partition,
            prepared,
            is_prepared,
            data,
            class_rows,
            input,
            seconds_prepare,
        })
    }

    /// The run to drive.
    pub(crate) fn run_spec(&self) -> Result<RunSpec, SimulationError> {
        let known = Known {
            manifest: self.manifest.digest(),
            prepared: self.prepared_digest(),
            class_rows: self.class_rows.clone(),
            instruction_set: instruction_set().to_string(),
        };
        Ok(RunSpec::of_job(&self.job, known)?)
    }

    /// What `prepare` found, as a digest; `None` if nothing was asked.
    pub(crate) fn prepared_digest(&self) -> Option<Digest> {
        self.is_prepared.then(|| self.prepared.digest())
    }

    /// Root of the reproducible randomness.
    pub(crate) fn seed(&self) -> Seed {
        Seed::from(self.job.seed)
    }

    /// Rows that the clients train and test on, summed.
    pub(crate) fn rows(&self) -> (u64, u64) {
        let partition = &self.partition;
        let clients = || partition.population().indices();
        let train = clients()
            .map(|client| partition.train_len(client) as u64)
            .sum();
        let test = clients()
            .map(|client| partition.test(client).len() as u64)
            .sum();
        (train, test)
    }
}

/// Identity of the part of `[simulation]` that a result depends on.
pub(crate) fn simulation_digest(job: &Job) -> String {
    let simulation = &job.simulation;
    let parts = (
        &simulation.clients,
        &simulation.partition,
        simulation.allow_empty,
        simulation.minimum_rows,
        &simulation.population,
    );
    // Unwrap safety: numbers and texts, which JSON can always write.
    #[expect(clippy::unwrap_used)]
    let bytes = serde_json::to_vec(&parts).unwrap();
    Digest::of(&bytes).to_string()
}

/// The one round of the `prepare` task.
fn prepare(
    preparation: &Preparation,
    source: &Source,
    partition: &Partition,
    job: &Job,
    manifest: Digest,
    threads: usize,
) -> Result<Prepared, SimulationError> {
    let spec = Arc::new(preparation.spec().clone());
    let entropy = EntropySource::from_system()?.draw();
    let (minimum, population) = (job.cohort.minimum, partition.population());
    let round = open_prepare(
        Arc::clone(&spec),
        manifest,
        population,
        minimum,
        None,
        entropy,
        Time::START,
    );
    let work = Preparing {
        preparation,
        source,
        partition,
    };
    let mut crew = Crew::new(vec![(); threads]);
    let drive = Drive {
        crew: &mut crew,
        work: &work,
        arrivals: None,
        now: Time::START,
    };
    match drive.drive(round)?.end {
        RoundEnd::Abandoned(abandoned) => Err(SimulationError::PrepareAbandoned {
            reason: abandoned.reason().to_string(),
        }),
        RoundEnd::Committed(_, sums) => {
            let nobody = || PrepareSums::zero(&spec);
            let sums = sums.prepare().cloned().unwrap_or_else(nobody);
            sums.finish(&spec, manifest)
                .map_err(SimulationError::Prepared)
        }
    }
}

/// The record where every level, class and scale is declared.
fn nothing_asked(partition: &Partition, manifest: Digest) -> Prepared {
    let clients = partition.population().indices();
    Prepared {
        manifest,
        clients: u64::from(partition.clients()),
        rows: clients
            .map(|client| partition.train_len(client) as u64)
            .sum(),
        columns: Vec::new(),
    }
}
