//! A simulation whose rounds somebody else drives, such as processes on this machine, seed after seed.
//!
//! It deals the rows before, and does after the rounds what every simulation does: baselines, files, summary.

use commonweal_core::ClientName;
use commonweal_core::job::Job;
use commonweal_disk::folder::{RunFolder, seed_name};
use commonweal_disk::observer::{Event, Observer};

use crate::environment::Environment;
use crate::error::SimulationError;
use crate::federation::Federation;
use crate::finish::Facts;
use crate::result::Final;
use crate::seed::{DrivenSeed, SeedEnding};
use crate::simulation::{Ending, Simulation};

/// A job whose rounds are driven elsewhere.
pub struct Deployed {
    simulation: Simulation,
    seeds: Vec<u64>,
    clients: u32,
    finals: Vec<Final>,
    facts: Option<Facts>,
}

/// One seed of such a job, its rows dealt.
pub struct DeployedSeed {
    federation: Federation,
    folder: String,
}

impl Deployed {
    /// All seeds of `job`, none of them driven yet. Every client takes part, and every round waits for those
    /// that it drew, as in a simulation.
    ///
    /// # Errors
    /// [`SimulationError`]: the data or the partition cannot be had.
    pub fn new(job: Job, environment: Environment) -> Result<Self, SimulationError> {
        let (simulation, clients) = Simulation::new(job, environment)?.for_everybody()?;
        Ok(Self {
            seeds: simulation.seeds().collect(),
            simulation,
            clients,
            finals: Vec::new(),
            facts: None,
        })
    }

    /// Clients of the federation.
    #[must_use]
    pub fn clients(&self) -> u32 {
        self.clients
    }

    /// Deals the rows of the next seed; none after the last.
    ///
    /// # Errors
    /// [`SimulationError`]: the data or the partition cannot be had, or the run folder cannot be written.
    pub fn next_seed(&mut self) -> Result<Option<DeployedSeed>, SimulationError> {
        let index = self.finals.len();
        let Some(&seed) = self.seeds.get(index) else {
            return Ok(None);
        };
        let federation = self.simulation.found(seed, index)?;
        self.facts.get_or_insert_with(|| Facts::of(&federation));
        let folder = match index {
            0 => String::new(),
            _ => seed_name(seed),
        };
        Ok(Some(DeployedSeed { federation, folder }))
    }

    fn folder(&self) -> Option<&RunFolder> {
        self.simulation.folder()
    }

    /// What `event` of whoever drives `seed` is in the whole run; none if it is no event of the whole.
    #[must_use]
    pub fn event(&self, seed: &DeployedSeed, mut event: Event) -> Option<Event> {
        let done = self.finals.len();
        match &mut event {
            Event::Started { .. } if done > 0 => return None,
            Event::Finished { .. } => return None,
            Event::Started {
                folder,
                train_rows,
                test_rows,
                seeds,
                ..
            } => {
                *folder = self.folder().map(|folder| folder.path().to_path_buf());
                (*train_rows, *test_rows) = seed.federation.rows();
                seeds.clone_from(&self.seeds);
            }
            Event::Seed { index, of, .. } => (*index, *of) = (done + 1, self.seeds.len()),
            _ => {}
        }
        Some(event)
    }

    /// Trains the baselines of a seed whose rounds are over, and writes its files. False if it was asked to stop.
    ///
    /// # Errors
    /// [`SimulationError`]: the model is another's, a trainer fails, or a file cannot be written.
    pub fn take(
        &mut self,
        seed: &DeployedSeed,
        driven: DrivenSeed,
        observer: &mut dyn Observer,
    ) -> Result<bool, SimulationError> {
        let index = self.finals.len();
        let job = self
            .simulation
            .seed_job(&seed.federation, &self.seeds, index);
        match job.adopt(driven, observer)? {
            SeedEnding::Interrupted { .. } => Ok(false),
            SeedEnding::Finished(last) => {
                self.finals.push(*last);
                Ok(true)
            }
        }
    }

    /// The end of a job that was asked to stop after `round` of a seed. Its folder can be resumed: what is left
    /// is then simulated.
    pub fn interrupted(self, round: u64, observer: &mut dyn Observer) -> Ending {
        self.simulation.interrupted(round, observer)
    }

    /// Writes the summary.
    ///
    /// # Errors
    /// [`SimulationError`]: it cannot be written, or no seed was driven.
    pub fn finish(self, observer: &mut dyn Observer) -> Result<Ending, SimulationError> {
        self.simulation.finish(self.finals, self.facts, observer)
    }
}

impl DeployedSeed {
    /// The job with this seed.
    #[must_use]
    pub fn job(&self) -> &Job {
        &self.federation.job
    }

    /// Folder of its files within a folder of all seeds; empty for the first.
    #[must_use]
    pub fn folder(&self) -> &str {
        &self.folder
    }

    /// Names of the clients, in their order.
    pub fn clients(&self) -> impl Iterator<Item = ClientName> + '_ {
        let partition = &self.federation.partition;
        let clients = partition.population().indices();
        clients.map(|client| partition.name(client))
    }
}
