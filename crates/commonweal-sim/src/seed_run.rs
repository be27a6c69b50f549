//! One seed's run: rounds and evaluations in the order that the core's [`Run`] says, with their records.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use commonweal_core::{
    AbandonReason, CommitError, End, Entropy, MetricSums, Next, Parameters, Population, Round, Run,
    Scope, Tensor,
};
use commonweal_disk::EntropySource;
use commonweal_disk::history::{Outcome, RoundRow};
use commonweal_disk::observer::{Event, Observer};
use commonweal_disk::record::Ended;

use crate::arrival::Arrivals;
use crate::checkpoint::{Checkpoint, Header};
use crate::crew::{Crew, Slot};
use crate::desk::Refused;
use crate::drive::{Drive, Driven, RoundEnd};
use crate::error::SimulationError;
use crate::federation::{Federation, simulation_digest};
use crate::records::Records;
use crate::states::StateStore;
use crate::work::{ClientMetrics, Evaluating, Training};

/// A run that is under way.
pub(crate) struct SeedRun<'a> {
    pub(crate) federation: &'a Federation,
    pub(crate) run: Run,
    pub(crate) crew: &'a mut Crew<Slot>,
    pub(crate) entropy: EntropySource,
    pub(crate) states: StateStore,
    pub(crate) records: Option<Records>,
    pub(crate) progress: Progress,
    /// The round that is done and not yet in the history, for want of its evaluation.
    pub(crate) row: Option<RoundRow>,
    pub(crate) clients: Vec<ClientMetrics>,
}

/// How far a run has come, besides what [`Run`] knows.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Progress {
    pub(crate) seconds_train: f64,
    pub(crate) seconds_evaluate: f64,
    /// Metrics of the last evaluation, by name.
    pub(crate) metrics: BTreeMap<String, f64>,
    pub(crate) last_abandoned: Option<AbandonReason>,
}

/// How a run came to a stop.
pub(crate) enum Stopped {
    Ended(Ended),
    Interrupted,
}

impl<'a> SeedRun<'a> {
    /// A run that does nothing but measure `model`.
    pub(crate) fn measuring(
        federation: &'a Federation,
        model: Parameters,
        crew: &'a mut Crew<Slot>,
        states: StateStore,
    ) -> Result<Self, SimulationError> {
        Ok(Self {
            federation,
            run: Run::new(federation.run_spec()?, model),
            crew,
            entropy: EntropySource::from_system()?,
            states,
            records: None,
            progress: Progress::default(),
            row: None,
            clients: Vec::new(),
        })
    }
}

impl SeedRun<'_> {
    /// Runs until the end, or until `interrupt` is set and a round is over.
    pub(crate) fn finish(
        &mut self,
        interrupt: &AtomicBool,
        observer: &mut dyn Observer,
    ) -> Result<Stopped, SimulationError> {
        loop {
            let next = self.run.next();
            if next != Next::Evaluate {
                self.finish_round(observer)?;
            }
            match next {
                Next::Evaluate => self.evaluate(observer)?,
                Next::End(end) => {
                    self.save(observer)?;
                    return self.ended(end).map(Stopped::Ended);
                }
                Next::Train if interrupt.load(Ordering::Relaxed) => {
                    self.save(observer)?;
                    return Ok(Stopped::Interrupted);
                }
                Next::Train => self.train(observer)?,
            }
        }
    }

    fn ended(&self, end: End) -> Result<Ended, SimulationError> {
        match end {
            End::Rounds => Ok(Ended::Rounds),
            End::Reached | End::Patience => Ok(Ended::Stop),
            End::Abandoned => Err(SimulationError::Abandoned {
                round: self.run.round(),
                in_a_row: Run::MAX_ABANDONED,
                reason: self
                    .progress
                    .last_abandoned
                    .as_ref()
                    .map(ToString::to_string)
                    .unwrap_or_else(|| "too few clients reported".to_owned()),
            }),
        }
    }

    /// One round of training.
    fn train(&mut self, observer: &mut dyn Observer) -> Result<(), SimulationError> {
        let start = Instant::now();
        let number = self.run.round() + 1;
        let partition = &self.federation.partition;
        let population = partition.population();
        let now = self.run.time();
        let round = self
            .run
            .open_round(population, None, self.entropy.draw(), now);
        let work = Training {
            partition,
            model: self.run.model(),
            states: &self.states,
        };
        let arrivals = Arrivals::of(&self.federation.job, self.federation.seed());
        let arrivals = arrivals
            .as_ref()
            .map(|arrivals| (arrivals, number, population));
        let drive = Drive {
            crew: self.crew,
            work: &work,
            arrivals,
            now,
        };
        let driven = drive.drive(round)?;
        report_refused(partition.population(), number, &driven.refused, observer);
        let (cohort, bytes_up, lost) =
            (driven.cohort, driven.bytes_up, driven.refused.len() as u64);
        let mut row = RoundRow {
            round: number,
            outcome: Outcome::Abandoned,
            reason: String::new(),
            cohort,
            reported: 0,
            refused: lost,
            train_loss: None,
            metrics: BTreeMap::new(),
            bytes_down: cohort * self.bytes_down(),
            bytes_up,
            seconds_train: 0.0,
            seconds_evaluate: 0.0,
        };
        let entropy = self.entropy.draw();
        self.commit(driven, entropy, &mut row)?;
        row.seconds_train = start.elapsed().as_secs_f64();
        self.progress.seconds_train += row.seconds_train;
        self.tell_round(&row, observer);
        self.row = Some(row);
        Ok(())
    }

    fn commit(
        &mut self,
        driven: Driven,
        entropy: Entropy,
        row: &mut RoundRow,
    ) -> Result<(), CommitError> {
        match driven.end {
            RoundEnd::Committed(committed, sums) => {
                let outcome = self.run.commit(&committed, sums, entropy, driven.now)?;
                self.states.commit(driven.states);
                row.outcome = Outcome::Committed;
                row.reported = u64::from(outcome.clients);
                row.train_loss = outcome.train_loss;
            }
            RoundEnd::Abandoned(abandoned) => {
                self.run.abandon(&abandoned, driven.now)?;
                row.reason = abandoned.reason().to_string();
                self.progress.last_abandoned = Some(abandoned.reason().clone());
            }
        }
        Ok(())
    }

    fn tell_round(&self, row: &RoundRow, observer: &mut dyn Observer) {
        match row.outcome {
            Outcome::Abandoned => {
                let (round, reason) = (row.round, row.reason.clone());
                observer.event(&Event::Abandoned { round, reason });
            }
            Outcome::Committed => observer.event(&Event::Round {
                round: row.round,
                rounds: self.run.spec().rounds,
                loss: row.train_loss,
                cohort: row.cohort,
                reported: row.reported,
                refused: row.refused,
                clients_per_second: row.reported as f64 / row.seconds_train.max(1e-9),
                seconds: row.seconds_train,
            }),
        }
    }

    /// One evaluation of the model as it stands.
    fn evaluate(&mut self, observer: &mut dyn Observer) -> Result<(), SimulationError> {
        let start = Instant::now();
        let now = self.run.time();
        let population = self.federation.partition.population();
        let round = self
            .run
            .open_evaluation(population, self.entropy.draw(), now);
        let (driven, found) = self.measure(round)?;
        report_refused(population, self.run.round(), &driven.refused, observer);
        let mut is_best = false;
        match driven.end {
            RoundEnd::Abandoned(abandoned) => {
                self.run.abandon(&abandoned, driven.now)?;
                self.progress.metrics.clear();
            }
            RoundEnd::Committed(committed, sums) => {
                let outcome = self.run.commit_evaluation(&committed, &sums, driven.now)?;
                let spec = &self.run.spec().metrics;
                self.progress.metrics = spec
                    .values(&outcome.sums)
                    .filter_map(|(kind, value)| Some((kind.name().to_owned(), value?)))
                    .collect();
                is_best = outcome.is_best;
            }
        }
        self.clients = found;
        let seconds = start.elapsed().as_secs_f64();
        self.progress.seconds_evaluate += seconds;
        if let Some(row) = &mut self.row {
            row.metrics.clone_from(&self.progress.metrics);
            row.seconds_evaluate = seconds;
        }
        let (round, metrics) = (self.run.round(), self.progress.metrics.clone());
        observer.event(&Event::Evaluated {
            round,
            metrics,
            seconds,
        });
        if is_best && self.records.is_some() {
            let best = self.checkpoint(self.states.mark()?);
            if let Some(records) = &mut self.records {
                records.keep_best(best);
            }
        }
        Ok(())
    }

    /// Measures the model without telling the run: for a run that was resumed after its last evaluation.
    pub(crate) fn measure_clients(&mut self) -> Result<MetricSums, SimulationError> {
        let population = self.federation.partition.population();
        let now = self.run.time();
        let round = self
            .run
            .open_evaluation(population, self.entropy.draw(), now);
        let (driven, found) = self.measure(round)?;
        self.clients = found;
        match driven.end {
            RoundEnd::Committed(_, sums) => Ok(sums
                .metrics()
                .cloned()
                .unwrap_or_else(|| self.run.spec().metrics.zero())),
            RoundEnd::Abandoned(_) => Ok(self.run.spec().metrics.zero()),
        }
    }

    fn measure(&mut self, round: Round) -> Result<(Driven, Vec<ClientMetrics>), SimulationError> {
        let work = Evaluating {
            partition: &self.federation.partition,
            model: self.run.model(),
            states: &self.states,
            found: Default::default(),
        };
        let now = self.run.time();
        let drive = Drive {
            crew: self.crew,
            work: &work,
            arrivals: None,
            now,
        };
        let driven = drive.drive(round)?;
        Ok((driven, work.found()))
    }

    /// Puts a finished round into the history, and saves a checkpoint if one is due.
    fn finish_round(&mut self, observer: &mut dyn Observer) -> Result<(), SimulationError> {
        let Some(row) = self.row.take() else {
            return Ok(());
        };
        let Some(records) = &mut self.records else {
            return Ok(());
        };
        records.write(&row)?;
        if records.is_due(row.round) {
            self.save(observer)?;
        }
        Ok(())
    }

    fn save(&mut self, observer: &mut dyn Observer) -> Result<(), SimulationError> {
        if self.records.is_none() {
            return Ok(());
        }
        let checkpoint = self.checkpoint(self.states.mark()?);
        if let Some(records) = &mut self.records {
            let path = records.save(&checkpoint)?;
            observer.event(&Event::Checkpoint {
                round: checkpoint.header.round,
                path,
            });
        }
        Ok(())
    }

    fn checkpoint(&self, states: Vec<u8>) -> Checkpoint {
        let header = Header {
            simulation: simulation_digest(&self.federation.job),
            round: self.run.round(),
            seconds_train: self.progress.seconds_train,
            seconds_evaluate: self.progress.seconds_evaluate,
            metrics: self.progress.metrics.clone(),
        };
        Checkpoint {
            header,
            run: self.run.snapshot(),
            states,
        }
    }

    /// Bytes of the model that a client downloads: all that is not its own.
    fn bytes_down(&self) -> u64 {
        let tensors = self.run.model().layout().tensors();
        let own = tensors.iter().filter(|tensor| tensor.scope == Scope::Local);
        let own: usize = own.map(Tensor::len).sum();
        4 * (self.run.model().layout().len() - own) as u64
    }
}

fn report_refused(
    population: &Population,
    round: u64,
    refused: &[Refused],
    observer: &mut dyn Observer,
) {
    for Refused { client, reason } in refused {
        let client = population
            .name(*client)
            .map(|name| name.to_string())
            .unwrap_or_default();
        observer.event(&Event::Refused {
            round,
            client,
            reason: reason.clone(),
        });
    }
}
