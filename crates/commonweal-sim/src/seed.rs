//! One seed of a simulation, from its trainers to its files.

use std::path::Path;

use commonweal_core::{Parameters, Run, Scope};
use commonweal_disk::EntropySource;
use commonweal_disk::folder::{RunFolder, seed_name};
use commonweal_disk::history::RoundRow;
use commonweal_disk::model_file::parse_model;
use commonweal_disk::observer::{Event, Observer};
use commonweal_disk::record::{Ended, SeedSummary};
use commonweal_train::instruction_set;

use crate::baseline::run_baselines;
use crate::checkpoint::{CheckpointError, Checkpoints};
use crate::crew::{Crew, Slot};
use crate::environment::Environment;
use crate::error::SimulationError;
use crate::federation::Federation;
use crate::records::Records;
use crate::restore::{is_damage, restore};
use crate::result::{Final, read_seed, write_seed};
use crate::seed_run::{Progress, SeedRun, Stopped};
use crate::states::StateStore;
use crate::trainers::{OwnTrainer, Start};
use crate::work::ClientMetrics;

/// What one seed's run is made of.
pub(crate) struct SeedJob<'a> {
    pub(crate) federation: &'a Federation,
    pub(crate) own: Option<&'a OwnTrainer>,
    pub(crate) environment: &'a Environment,
    /// This seed's own folder.
    pub(crate) folder: Option<RunFolder>,
    pub(crate) is_resumed: bool,
    pub(crate) seeds: &'a [u64],
    /// Place of this seed among them.
    pub(crate) index: usize,
}

/// How one seed's run came to a stop.
pub(crate) enum SeedEnding {
    Finished(Box<Final>),
    Interrupted { round: u64 },
}

/// The rounds of one seed that somebody else has driven.
#[derive(Clone, Debug)]
pub struct DrivenSeed {
    /// What they came to.
    pub summary: SeedSummary,
    /// The rounds.
    pub rounds: Vec<RoundRow>,
    /// The final model as safetensors.
    pub model: Vec<u8>,
}

/// One seed after its last round.
struct Reached {
    summary: SeedSummary,
    model: Parameters,
    clients: Vec<ClientMetrics>,
    metrics: Vec<String>,
    seconds_before: f64,
}

impl SeedJob<'_> {
    /// Runs the seed, or reads its result if it was finished before.
    pub(crate) fn run(self, observer: &mut dyn Observer) -> Result<SeedEnding, SimulationError> {
        let Start { mut crew, initial } = Start::of(
            self.federation,
            self.own,
            self.environment,
            self.folder.as_ref(),
        )?;
        if let Some(last) = self.already_done(&initial, crew.threads())? {
            return Ok(SeedEnding::Finished(Box::new(last)));
        }
        let (run, progress, states) = self.begin(initial.clone(), observer)?;
        let seconds_before = progress.seconds_train + progress.seconds_evaluate;
        self.tell(&run, crew.threads(), observer);
        let metrics = metric_names(&run);
        let mut seed_run = SeedRun {
            federation: self.federation,
            entropy: EntropySource::from_system()?,
            records: self.records(&metrics, run.round())?,
            run,
            crew: &mut crew,
            states,
            progress,
            row: None,
            clients: Vec::new(),
        };
        let ended = match seed_run.finish(&self.environment.interrupt, observer)? {
            Stopped::Ended(ended) => ended,
            Stopped::Interrupted => {
                return Ok(SeedEnding::Interrupted {
                    round: seed_run.run.round(),
                });
            }
        };
        if seed_run.clients.is_empty() {
            seed_run.measure_clients()?;
        }
        let reached = Reached {
            summary: self.summary(&seed_run, ended),
            model: seed_run.run.model().clone(),
            clients: std::mem::take(&mut seed_run.clients),
            metrics,
            seconds_before,
        };
        drop(seed_run);
        self.conclude(reached, &initial, &mut crew, observer)
    }

    /// As [`Self::run`], where somebody else has driven the rounds: only what follows them is done.
    pub(crate) fn adopt(
        self,
        driven: DrivenSeed,
        observer: &mut dyn Observer,
    ) -> Result<SeedEnding, SimulationError> {
        let Start { mut crew, initial } = Start::of(
            self.federation,
            self.own,
            self.environment,
            self.folder.as_ref(),
        )?;
        let name = Path::new("the model of the run");
        let model = parse_model(name, &driven.model, initial.layout())?;
        let states = StateStore::new(None);
        let mut measuring = SeedRun::measuring(self.federation, model, &mut crew, states)?;
        let metrics = metric_names(&measuring.run);
        if let Some(records) = &mut self.records(&metrics, 0)? {
            driven
                .rounds
                .iter()
                .try_for_each(|row| records.write(row))?;
        }
        // What clients keep for themselves is with them.
        let tensors = initial.layout().tensors();
        if tensors.iter().all(|tensor| tensor.scope != Scope::Local) {
            measuring.measure_clients()?;
        }
        let model = measuring.run.model().clone();
        let reached = Reached {
            summary: SeedSummary {
                folder: self.folder_name(),
                digest: model.digest().to_string(),
                ..driven.summary
            },
            model,
            clients: std::mem::take(&mut measuring.clients),
            metrics,
            seconds_before: 0.0,
        };
        drop(measuring);
        self.conclude(reached, &initial, &mut crew, observer)
    }

    /// Trains the baselines and writes the seed's files.
    fn conclude(
        &self,
        reached: Reached,
        initial: &Parameters,
        crew: &mut Crew<Slot>,
        observer: &mut dyn Observer,
    ) -> Result<SeedEnding, SimulationError> {
        let round = reached.summary.rounds;
        let interrupt = &self.environment.interrupt;
        let baselines = run_baselines(self.federation, initial, round, crew, interrupt, observer)?;
        let Some(baselines) = baselines else {
            return Ok(SeedEnding::Interrupted { round });
        };
        let last = Final {
            summary: reached.summary,
            model: reached.model,
            baselines,
            threads: crew.threads(),
            seconds_before: reached.seconds_before,
        };
        if let Some(folder) = &self.folder {
            let (metrics, clients) = (&reached.metrics, &reached.clients);
            write_seed(folder, &last, metrics, self.federation, clients)?;
        }
        Ok(SeedEnding::Finished(Box::new(last)))
    }

    fn already_done(
        &self,
        initial: &Parameters,
        threads: usize,
    ) -> Result<Option<Final>, SimulationError> {
        match &self.folder {
            Some(folder) if self.is_resumed => read_seed(folder, initial.layout(), threads),
            _ => Ok(None),
        }
    }

    /// A new run, or the one that the last usable checkpoint holds.
    fn begin(
        &self,
        initial: Parameters,
        observer: &mut dyn Observer,
    ) -> Result<(Run, Progress, StateStore), SimulationError> {
        let checkpoints = match &self.folder {
            Some(folder) if self.is_resumed => self.checkpoints(folder).rounds()?,
            _ => Vec::new(),
        };
        let Some(folder) = self.folder.as_ref().filter(|_| !checkpoints.is_empty()) else {
            let states = StateStore::new(self.folder.as_ref().map(RunFolder::checkpoints));
            return Ok((
                Run::new(self.federation.run_spec()?, initial),
                Progress::default(),
                states,
            ));
        };
        for (_, path) in checkpoints {
            match restore(self.federation, folder, &path, &initial, observer) {
                Err(error) if is_damage(&error) => {
                    let message = format!("{error}; going back to the checkpoint before");
                    observer.event(&Event::Warning { message });
                }
                restored => return restored,
            }
        }
        let (folder, job) = (folder.checkpoints(), folder.job());
        Err(CheckpointError::NoneLeft { folder, job }.into())
    }

    fn checkpoints(&self, folder: &RunFolder) -> Checkpoints {
        Checkpoints::new(folder.checkpoints(), self.federation.job.checkpoints.every)
    }

    fn records(&self, metrics: &[String], round: u64) -> Result<Option<Records>, SimulationError> {
        let open = |folder| Records::open(folder, self.checkpoints(folder), metrics, round);
        self.folder.as_ref().map(open).transpose()
    }

    fn tell(&self, run: &Run, threads: usize, observer: &mut dyn Observer) {
        if self.index == 0 {
            observer.event(&self.started(run, threads));
        }
        let (seed, index) = (self.seeds[self.index], self.index + 1);
        observer.event(&Event::Seed {
            seed,
            index,
            of: self.seeds.len(),
        });
        let federation = self.federation;
        if federation.is_prepared {
            observer.event(&Event::Prepared {
                digest: federation.prepared.digest().to_string(),
                clients: federation.prepared.clients,
                seconds: federation.seconds_prepare,
            });
        }
    }

    fn started(&self, run: &Run, threads: usize) -> Event {
        let federation = self.federation;
        let (train_rows, test_rows) = federation.rows();
        Event::Started {
            job: federation.job.name.clone(),
            manifest: federation.manifest.digest().to_string(),
            folder: self
                .folder
                .as_ref()
                .map(|folder| folder.path().to_path_buf()),
            rounds: run.spec().rounds,
            resumed_after: run.round(),
            clients: u64::from(federation.partition.clients()),
            train_rows,
            test_rows,
            parameters: run.model().layout().len() as u64,
            seeds: self.seeds.to_vec(),
            threads,
            instruction_set: instruction_set().to_string(),
        }
    }

    /// This seed's folder within the run's.
    fn folder_name(&self) -> String {
        match self.index {
            0 => String::new(),
            index => seed_name(self.seeds[index]),
        }
    }

    fn summary(&self, done: &SeedRun<'_>, ended: Ended) -> SeedSummary {
        let seed = self.seeds[self.index];
        SeedSummary {
            seed,
            folder: self.folder_name(),
            rounds: done.run.round(),
            abandoned: done.run.abandoned(),
            ended,
            metrics: done.progress.metrics.clone(),
            digest: done.run.model().digest().to_string(),
            seconds_train: done.progress.seconds_train,
            seconds_evaluate: done.progress.seconds_evaluate,
        }
    }
}

fn metric_names(run: &Run) -> Vec<String> {
    run.spec()
        .metrics
        .kinds()
        .iter()
        .map(|kind| kind.name().to_owned())
        .collect()
}
