//! A whole simulation: every seed of a job, its baselines, and what it leaves behind.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use commonweal_core::job::{Deployment, Job, Manifest};
use commonweal_core::{Parameters, Seed, Trainer};
use commonweal_data::{Dataset, ExampleShape, Source};
use commonweal_disk::file;
use commonweal_disk::folder::RunFolder;
use commonweal_disk::observer::{Event, Observer};
use commonweal_disk::record::Summary;
use commonweal_disk::{complete, deal, read_source, write_json};

use crate::environment::Environment;
use crate::error::SimulationError;
use crate::federation::{Federation, simulation_digest};
use crate::finish::{Facts, summarise};
use crate::origin::Origin;
use crate::result::{Final, write_federation};
use crate::seed::{SeedEnding, SeedJob};
use crate::trainers::OwnTrainer;

/// A job with its data, ready to run.
pub struct Simulation {
    job: Job,
    environment: Environment,
    source: Source,
    own: Option<OwnTrainer>,
    folder: Option<RunFolder>,
    is_resumed: bool,
    started_at: Instant,
}

/// What a simulation came to.
#[derive(Debug)]
pub enum Ending {
    /// All seeds and baselines are done.
    Finished(Box<Finished>),
    /// It was asked to stop; a run folder can be resumed.
    Interrupted {
        /// The run folder, where one is written.
        folder: Option<PathBuf>,
        /// Rounds of the current seed that are done.
        round: u64,
    },
}

/// A finished simulation.
#[derive(Debug)]
pub struct Finished {
    /// The result over all seeds.
    pub summary: Summary,
    /// The first seed's model.
    pub model: Parameters,
    /// The run folder, where one is written.
    pub folder: Option<PathBuf>,
}

impl Simulation {
    /// Reads the data of `job`.
    ///
    /// # Errors
    /// [`SimulationError`]: the data are not there or faulty.
    pub fn new(job: Job, environment: Environment) -> Result<Self, SimulationError> {
        let started_at = Instant::now();
        let source = read_source(&complete(&job.data)?, &environment.places)?;
        Ok(Self {
            job,
            environment,
            source,
            own: None,
            folder: None,
            is_resumed: false,
            started_at,
        })
    }

    /// The simulation of a job that was read already, on data that were read already.
    #[must_use]
    pub fn of_source(job: Job, source: impl Into<Source>, environment: Environment) -> Self {
        Self {
            job,
            environment,
            source: source.into(),
            own: None,
            folder: None,
            is_resumed: false,
            started_at: Instant::now(),
        }
    }

    /// Goes on with the run in `folder` from its last checkpoint, as if it had never stopped.
    ///
    /// # Errors
    /// [`SimulationError`]: there is no such run, its `job.toml` was changed, or its data are not there. Then
    /// nothing was written.
    pub fn resume(folder: &Path, environment: Environment) -> Result<Self, SimulationError> {
        let folder = RunFolder::open(folder)?;
        let job = Job::parse(&file::read_text(&folder.job())?)?;
        let origin = Origin::read(&folder)?;
        refuse_another(&folder, &job, &origin)?;
        let mut environment = environment;
        environment.places.base = origin.base;
        let mut simulation = Self::new(job, environment)?;
        simulation.folder = Some(folder);
        simulation.is_resumed = true;
        Ok(simulation)
    }

    /// With a trainer of your own instead of the one that the job names: `make` is called once a thread.
    #[must_use]
    pub fn with_trainer<T: Trainer + 'static>(
        mut self,
        make: impl Fn(&Arc<Dataset>) -> T + Send + Sync + 'static,
    ) -> Self {
        let make = Box::new(move |data: &Arc<Dataset>| Box::new(make(data)) as Box<dyn Trainer>);
        let initial = self.own.and_then(|own| own.initial);
        self.own = Some(OwnTrainer { make, initial });
        self
    }

    /// With a trainer and an initial model of your own, for `model.kind = "external"`.
    #[must_use]
    pub fn with_model<T: Trainer + 'static>(
        self,
        initial: impl Fn(&Seed, &ExampleShape) -> Parameters + Send + Sync + 'static,
        make: impl Fn(&Arc<Dataset>) -> T + Send + Sync + 'static,
    ) -> Self {
        let mut simulation = self.with_trainer(make);
        if let Some(own) = &mut simulation.own {
            own.initial = Some(Box::new(initial));
        }
        simulation
    }

    /// The job.
    #[must_use]
    pub fn job(&self) -> &Job {
        &self.job
    }

    /// Runs all seeds and baselines.
    ///
    /// # Errors
    /// [`SimulationError`]. What was reached is in the run folder and can be resumed.
    pub fn run(mut self, observer: &mut dyn Observer) -> Result<Ending, SimulationError> {
        let seeds: Vec<u64> = self.seeds().collect();
        let mut finals = Vec::new();
        let mut facts = None;
        for (index, &seed) in seeds.iter().enumerate() {
            let federation = self.found(seed, index)?;
            match self.seed_job(&federation, &seeds, index).run(observer)? {
                SeedEnding::Finished(last) => finals.push(*last),
                SeedEnding::Interrupted { round } => {
                    return Ok(self.interrupted(round, observer));
                }
            }
            facts.get_or_insert_with(|| Facts::of(&federation));
        }
        self.finish(finals, facts, observer)
    }

    /// With all clients of the first seed's partition as its deployment, and how many these are.
    pub(crate) fn for_everybody(mut self) -> Result<(Self, u32), SimulationError> {
        let section = complete(&self.job.data)?;
        let clients = deal(&self.job, &section, &self.source)?.clients();
        self.job.deployment = Deployment {
            nodes: None,
            require: [].into(),
            clients,
            reproducible: true,
            ..self.job.deployment
        };
        Ok((self, clients))
    }

    /// The seed in place `index` of `seeds`.
    pub(crate) fn seed_job<'a>(
        &'a self,
        federation: &'a Federation,
        seeds: &'a [u64],
        index: usize,
    ) -> SeedJob<'a> {
        let folder = self.folder.as_ref().map(|folder| match index {
            0 => folder.clone(),
            _ => folder.seed(seeds[index]),
        });
        SeedJob {
            federation,
            own: self.own.as_ref(),
            environment: &self.environment,
            folder,
            is_resumed: self.is_resumed,
            seeds,
            index,
        }
    }

    /// Deals the rows for one seed; before the first, the run folder is made.
    pub(crate) fn found(&mut self, seed: u64, index: usize) -> Result<Federation, SimulationError> {
        let federation = Federation::found(&self.job, seed, &self.source, self.threads())?;
        if index == 0 {
            self.open_folder(&federation)?;
        }
        Ok(federation)
    }

    pub(crate) fn folder(&self) -> Option<&RunFolder> {
        self.folder.as_ref()
    }

    fn threads(&self) -> usize {
        self.environment.threads(self.job.simulation.threads)
    }

    pub(crate) fn seeds(&self) -> impl Iterator<Item = u64> + use<> {
        let first = self.job.seed;
        (0..u64::from(self.job.simulation.seeds.max(1))).map(move |index| first.wrapping_add(index))
    }

    /// Makes the run folder and writes what is known before the first round.
    fn open_folder(&mut self, federation: &Federation) -> Result<(), SimulationError> {
        if self.folder.is_none() {
            let Some(runs) = &self.environment.runs else {
                return Ok(());
            };
            let folder = RunFolder::create(runs, &self.job.name)?;
            file::write_bytes(&folder.job(), self.job.to_toml().as_bytes())?;
            Origin::of(&self.environment, &self.job).write(&folder)?;
            let manifest = Manifest::of(&self.job);
            let digest = format!("{}\n", manifest.digest());
            file::write_bytes(&folder.manifest_digest(), digest.as_bytes())?;
            // Last: a folder with a manifest is a run.
            file::write_bytes(&folder.manifest(), manifest.bytes())?;
            self.folder = Some(folder);
        }
        self.folder
            .as_ref()
            .map_or(Ok(()), |folder| write_federation(folder, federation))
    }

    /// The end of a simulation that was asked to stop.
    pub(crate) fn interrupted(self, round: u64, observer: &mut dyn Observer) -> Ending {
        let folder = self.folder.map(|folder| folder.path().to_path_buf());
        let event = Event::Interrupted {
            round,
            folder: folder.clone(),
        };
        observer.event(&event);
        Ending::Interrupted { folder, round }
    }

    pub(crate) fn finish(
        self,
        finals: Vec<Final>,
        facts: Option<Facts>,
        observer: &mut dyn Observer,
    ) -> Result<Ending, SimulationError> {
        let before: f64 = finals.iter().map(|last| last.seconds_before).sum();
        let seconds = before + self.started_at.elapsed().as_secs_f64();
        let summary = summarise(&self.job, facts.unwrap_or_default(), seconds, &finals);
        if let Some(folder) = &self.folder {
            write_json(&folder.summary(), &summary)?;
        }
        observer.event(&summary.finished(self.folder.as_ref().map(RunFolder::model)));
        let folder = self.folder.map(|folder| folder.path().to_path_buf());
        match finals.into_iter().next() {
            Some(Final { model, .. }) => Ok(Ending::Finished(Box::new(Finished {
                summary,
                model,
                folder,
            }))),
            // There is at least one seed.
            None => Err(SimulationError::Unfinished),
        }
    }
}

/// Refuses a `job.toml` that is not the one that the run began with.
fn refuse_another(folder: &RunFolder, job: &Job, origin: &Origin) -> Result<(), SimulationError> {
    let expected = file::read_text(&folder.manifest_digest())?
        .trim()
        .to_owned();
    let found = Manifest::of(job).digest().to_string();
    if found != expected {
        let job = folder.job();
        return Err(SimulationError::OtherJob {
            job,
            expected,
            found,
        });
    }
    if origin.simulation != simulation_digest(job) {
        return Err(SimulationError::OtherSimulation { job: folder.job() });
    }
    Ok(())
}
